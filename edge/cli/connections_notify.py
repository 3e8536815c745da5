"""`connections notify`: have a platform ask another one anew what it offers."""

from __future__ import annotations

import argparse

from edge.cli.connections_known import answer_of
from edge.cli.failures import Failed
from edge.cli.output import Output
from edge.cli.platform import ANSWER_S, Platform, call_platform, client_arguments


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what `connections notify` takes."""
    parser.add_argument("platform", metavar="URL", help="base URL of the other platform, as the list shows it")
    client_arguments(parser)


def run(arguments: argparse.Namespace) -> None:
    """Have it described anew."""

    async def notify(platform: Platform, output: Output) -> None:
        async with platform.patience(ANSWER_S):
            answer = await platform.transport.request(
                "POST", "/connections/notify", body=arguments.platform.encode("utf-8", "replace")
            )
        has_answered = answer_of(answer)
        if output.is_json:
            output.json(has_answered)
        if not has_answered:
            raise Failed(f"{arguments.platform} does not answer; opaca-edge connections shows how it is doing")
        if not output.is_json:
            output.line(f"{arguments.platform} described itself anew")

    call_platform(arguments, notify)
