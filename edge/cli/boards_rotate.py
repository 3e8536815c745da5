"""`boards rotate`: another token for a board; the old one is refused at once."""

from __future__ import annotations

import argparse

from edge.cli.boards_address import address_for_boards
from edge.cli.boards_known import name_argument, requires_auth, user_of
from edge.cli.boards_settings import SettingsFile, ask_wifi, hand_over, settings_arguments, settings_of
from edge.cli.boards_token import next_token
from edge.cli.failures import Failed
from edge.cli.output import Output
from edge.cli.platform import Platform, call_platform, client_arguments
from edge.cli.users_known import known_users


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what `boards rotate` takes."""
    name_argument(parser)
    settings_arguments(parser)
    client_arguments(parser)


def run(arguments: argparse.Namespace) -> None:
    """Give a board another token; it keeps its container, once it has it."""
    name, user = arguments.name, user_of(arguments.name)
    file = SettingsFile(arguments.output)
    wifi = ask_wifi(arguments, file.before, is_asked=False)

    async def rotate(platform: Platform, output: Output) -> None:
        await _check(platform, name, user)
        before = file.before.get("platform")
        address = await address_for_boards(
            platform, arguments.platform or (before if isinstance(before, str) else None)
        )
        with file.opened():
            token = await next_token(platform, name, user)
            settings = settings_of(name, address.url, user, token, wifi, file.before)
            said = f"{name} has another token; the old one is refused from now on"
            hand_over(output, file, settings, address, said, {"name": name, "user": user})

    call_platform(arguments, rotate)


async def _check(platform: Platform, name: str, user: str) -> None:
    if user in [each.username for each in await known_users(platform)]:
        return
    if await requires_auth(platform):
        raise Failed(f"there is no board {name}: opaca-edge boards add {name} makes it")
    raise Failed(f"{name} has no token: this platform asks nobody for one, unless it runs with REQUIRE_AUTH=true")
