"""`connections remove`: disconnect a platform from another one."""

from __future__ import annotations

import argparse

from edge.cli.connections_add import token_of
from edge.cli.connections_known import answer_of, manage
from edge.cli.failures import Failed
from edge.cli.output import Output
from edge.cli.platform import Platform, call_platform, client_arguments
from edge.model.requests import ConnectionRequest

_ANSWER_S = 30.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what `connections remove` takes."""
    parser.add_argument("platform", metavar="URL", help="base URL of the other platform, as the list shows it")
    parser.add_argument("--both", action="store_true", help="have the other platform disconnect from this one as well")
    token = parser.add_mutually_exclusive_group()
    token.add_argument("--peer-token", metavar="TOKEN", help="with --both: token for that, else the one that is kept")
    token.add_argument("--token-stdin", action="store_true", help="read that token from the standard input")
    client_arguments(parser)


def run(arguments: argparse.Namespace) -> None:
    """Disconnect."""
    wish = ConnectionRequest(url=arguments.platform, connect_back=arguments.both, token=token_of(arguments))

    async def disconnect(platform: Platform, output: Output) -> None:
        was_connected = answer_of(await manage(platform, "DELETE", wish, _ANSWER_S))
        if output.is_json:
            output.json(was_connected)
        if not was_connected:
            raise Failed(f"{arguments.platform} is not connected; opaca-edge connections lists what is")
        if not output.is_json:
            output.line(f"{arguments.platform} is disconnected")

    call_platform(arguments, disconnect)
