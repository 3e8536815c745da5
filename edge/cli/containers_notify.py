"""`containers notify`: have the platform ask a container anew what it is."""

from __future__ import annotations

import argparse

from edge.cli.containers_known import find, label
from edge.cli.failures import Failed
from edge.cli.output import Output
from edge.cli.platform import ANSWER_S, Platform, call_platform, client_arguments


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what `containers notify` takes."""
    parser.add_argument("container", metavar="ID|NAME", help="ID or its beginning, name, image or agent")
    client_arguments(parser)


def run(arguments: argparse.Namespace) -> None:
    """Have its description read anew."""

    async def notify(platform: Platform, output: Output) -> None:
        (status,) = await find(platform, [arguments.container])
        async with platform.patience(ANSWER_S):
            answer = await platform.transport.request("POST", "/containers/notify", body=status.id.encode())
        has_answered = answer.strip() == b"true"
        if output.is_json:
            output.json(has_answered)
        if not has_answered:
            raise Failed(f"{label(status)} does not answer; unless it is attached it was stopped")
        if not output.is_json:
            output.line(f"{label(status)} described itself anew")

    call_platform(arguments, notify)
