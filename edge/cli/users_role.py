"""`users role`: let a user do more, or less."""

from __future__ import annotations

import argparse

from edge.cli.output import Output
from edge.cli.platform import Platform, call_platform, client_arguments
from edge.cli.users_known import ask_for_user, role_argument


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what `users role` takes."""
    parser.add_argument("name", metavar="NAME", help="of the user")
    role_argument(parser, "role")
    client_arguments(parser, has_json=False)


def run(arguments: argparse.Namespace) -> None:
    """Give a user another role; it counts from the next call on."""

    async def change(platform: Platform, output: Output) -> None:
        await ask_for_user(platform, "PUT", arguments.name, {"role": arguments.role.upper()})
        output.line(f"{arguments.name} is {arguments.role} now")

    call_platform(arguments, change)
