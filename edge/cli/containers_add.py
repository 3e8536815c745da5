"""`containers add`: start a container, or make one known that runs already."""

from __future__ import annotations

import argparse

from edge.cli.containers_wish import check_values, fulfil, read_wish, wish_arguments
from edge.cli.output import Output
from edge.cli.platform import Platform, call_platform, client_arguments


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what `containers add` takes."""
    wish_arguments(parser)
    parser.add_argument("--attach", metavar="URL", help="a container that runs already: the base URL of its API")
    parser.add_argument("--key", metavar="KEY", help="with --attach: what it is known by when its URL changes")
    parser.add_argument("--push", action="store_true", help="with --attach: it sleeps, and is never called")
    client_arguments(parser)


def run(arguments: argparse.Namespace) -> None:
    """Start the container and print its ID."""
    wish = read_wish(arguments)

    async def add(platform: Platform, output: Output) -> None:
        await check_values(platform, wish)
        await fulfil(platform, output, "POST", wish, arguments.timeout)

    call_platform(arguments, add)
