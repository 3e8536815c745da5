"""`users remove`: remove users, whose tokens end with them."""

from __future__ import annotations

import argparse

from edge.cli.failures import Failed
from edge.cli.output import Output
from edge.cli.platform import ANSWER_S, Platform, call_platform, client_arguments
from edge.cli.users_known import user_path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what `users remove` takes."""
    parser.add_argument("names", metavar="NAME", nargs="+", help="of a user")
    client_arguments(parser, has_json=False)


def run(arguments: argparse.Namespace) -> None:
    """Remove them one after the other."""
    paths = {name: user_path(name) for name in arguments.names}

    async def remove(platform: Platform, output: Output) -> None:
        for name, path in paths.items():
            async with platform.patience(ANSWER_S):
                answer = await platform.transport.request("DELETE", path)
            if answer.strip() != b"true":
                raise Failed(f"there is no user {name}; opaca-edge users lists them")
            output.line(f"{name} is removed")

    call_platform(arguments, remove)
