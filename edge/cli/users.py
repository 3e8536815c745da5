"""`users`: who may use a platform, and as what."""

from __future__ import annotations

import argparse

from edge.cli.output import Output
from edge.cli.platform import Platform, call_platform, client_arguments
from edge.cli.users_known import known_users


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what `users` takes."""
    parser.add_argument("--all", action="store_true", help="also those by whose names containers act")
    client_arguments(parser)


def run(arguments: argparse.Namespace) -> None:
    """List users; those of containers, whose names are their IDs, only if asked for."""

    async def show(platform: Platform, output: Output) -> None:
        users = await known_users(platform)
        if output.is_json:
            output.json([{"username": u.username, "role": u.role.value, "privileges": [*u.privileges]} for u in users])
            return
        containers = set() if arguments.all else await _container_ids(platform)
        shown = [user for user in users if user.username not in containers]
        output.table(
            ("NAME", "ROLE", "PRIVILEGES"),
            [(user.username, user.role.value.lower(), ", ".join(user.privileges)) for user in shown],
        )
        if len(shown) < len(users):
            output.note(f"and {len(users) - len(shown)} of containers; --all shows them")

    call_platform(arguments, show)


async def _container_ids(platform: Platform) -> set[str]:
    from edge.model.descriptions import AgentContainer

    return {each.container_id for each in await platform.get("/containers", list[AgentContainer])}
