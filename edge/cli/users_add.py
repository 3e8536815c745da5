"""`users add`: make a user."""

from __future__ import annotations

import argparse

from edge.cli.output import Output
from edge.cli.passwords import ask_password, password_arguments
from edge.cli.platform import Platform, call_platform, client_arguments
from edge.cli.users_known import ask_for_user, role_argument


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what `users add` takes."""
    parser.add_argument("name", metavar="NAME", help="of the new user; a board's is board-NAME")
    role_argument(parser, "--role", default="user")
    parser.add_argument(
        "--privilege", metavar="NAME", action="append", default=[], help="attach: a board that may attach itself"
    )
    password_arguments(parser)
    client_arguments(parser, has_json=False)


def run(arguments: argparse.Namespace) -> None:
    """Make a user with the password that is asked for."""
    password = ask_password(arguments, f"Password for {arguments.name}", is_new=True)
    body = {
        "username": arguments.name,
        "password": password,
        "role": arguments.role.upper(),
        "privileges": arguments.privilege,
    }

    async def add(platform: Platform, output: Output) -> None:
        await ask_for_user(platform, "POST", None, body)
        output.line(f"{arguments.name} may log in, as {arguments.role}")

    call_platform(arguments, add)
