"""`containers update`: replace the one running container of an image."""

from __future__ import annotations

import argparse

from edge.cli.containers_wish import check_values, fulfil, read_wish, wish_arguments
from edge.cli.output import Output
from edge.cli.platform import Platform, call_platform, client_arguments


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what `containers update` takes."""
    wish_arguments(parser)
    client_arguments(parser)


def run(arguments: argparse.Namespace) -> None:
    """Start the new container beside the old one, which then goes, and print the new one's ID."""
    wish = read_wish(arguments)

    async def update(platform: Platform, output: Output) -> None:
        await check_values(platform, wish)
        await fulfil(platform, output, "PUT", wish, arguments.timeout)

    call_platform(arguments, update)
