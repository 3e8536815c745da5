"""`boards add`: a board's user, its token, and the settings that go on the board."""

from __future__ import annotations

import argparse

from edge.cli.boards_address import address_for_boards
from edge.cli.boards_known import name_argument, requires_auth, user_of
from edge.cli.boards_settings import SettingsFile, ask_wifi, hand_over, settings_arguments, settings_of
from edge.cli.boards_token import first_token
from edge.cli.output import Output
from edge.cli.platform import Platform, call_platform, client_arguments


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what `boards add` takes."""
    name_argument(parser)
    settings_arguments(parser)
    client_arguments(parser)


def run(arguments: argparse.Namespace) -> None:
    """Have a board attach itself from now on; where nobody logs in, any may."""
    name, user = arguments.name, user_of(arguments.name)
    file = SettingsFile(arguments.output)
    wifi = ask_wifi(arguments, file.before, is_asked=True)

    async def add(platform: Platform, output: Output) -> None:
        needs_token = await requires_auth(platform)
        address = await address_for_boards(platform, arguments.platform)
        with file.opened():
            token = await first_token(platform, name, user) if needs_token else ""
            settings = settings_of(name, address.url, user if needs_token else "", token, wifi, file.before)
            said = f"{name} may attach itself, as {user}"
            if not needs_token:
                said = f"this platform asks nobody for a token: ANY BOARD MAY ATTACH, {name} among them"
            facts = {"name": name, "user": user if needs_token else None}
            hand_over(output, file, settings, address, said, {**facts})

    call_platform(arguments, add)
