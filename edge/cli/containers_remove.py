"""`containers remove`: stop containers."""

from __future__ import annotations

import argparse
from urllib.parse import quote

from edge.cli.containers_known import find, label
from edge.cli.failures import Failed
from edge.cli.output import Output
from edge.cli.platform import ANSWER_S, Platform, call_platform, client_arguments


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what `containers remove` takes."""
    parser.add_argument(
        "containers", metavar="ID|NAME", nargs="+", help="ID or its beginning, name, image or agent of one container"
    )
    client_arguments(parser)


def run(arguments: argparse.Namespace) -> None:
    """Stop them one after the other; nothing happens unless each word means exactly one."""

    async def remove(platform: Platform, output: Output) -> None:
        gone = []
        chosen = {each.id: each for each in await find(platform, arguments.containers)}
        for container_id, status in chosen.items():
            async with platform.patience(ANSWER_S):
                answer = await platform.transport.request("DELETE", f"/containers/{quote(container_id, safe='')}")
            if answer.strip() != b"true":
                raise Failed(f"{label(status)} was gone already")
            gone.append(container_id)
            if not output.is_json:
                output.line(f"{label(status)} is removed")
        if output.is_json:
            output.json({"removed": [*gone]})

    call_platform(arguments, remove)
