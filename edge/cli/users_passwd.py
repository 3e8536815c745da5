"""`users passwd`: give a user another password."""

from __future__ import annotations

import argparse

from edge.cli.output import Output
from edge.cli.passwords import ask_password, password_arguments
from edge.cli.platform import Platform, call_platform, client_arguments
from edge.cli.users_known import ask_for_user


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what `users passwd` takes."""
    parser.add_argument("name", metavar="NAME", help="of the user")
    password_arguments(parser)
    client_arguments(parser, has_json=False)


def run(arguments: argparse.Namespace) -> None:
    """Change a password; who is logged in stays so until the token ends."""
    password = ask_password(arguments, f"New password for {arguments.name}", is_new=True)

    async def change(platform: Platform, output: Output) -> None:
        await ask_for_user(platform, "PUT", arguments.name, {"password": password})
        output.line(f"{arguments.name} has a new password")

    call_platform(arguments, change)
