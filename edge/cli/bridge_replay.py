"""`bridge replay`: play again what was refused."""

from __future__ import annotations

import argparse

from edge.cli.bridge_known import bridge_arguments, call_bridge
from edge.cli.bridge_queue import fetch
from edge.cli.failures import ExitCode, Failed
from edge.cli.output import Output, counted
from edge.cli.platform import Platform


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what `bridge replay` takes."""
    parser.add_argument("id", metavar="ID", nargs="*", type=int, help="numbers that `bridge queue` shows")
    parser.add_argument("--all", action="store_true", help="all that were refused")
    bridge_arguments(parser)


def run(arguments: argparse.Namespace) -> None:
    """Put refused messages back into the queue of what is played."""

    async def work(platform: Platform, output: Output) -> None:
        ids = await wanted(platform, arguments.id, is_all=arguments.all)
        missing = [each for each in ids if await _ask(platform, each) != b"true"]
        if output.is_json:
            output.json({"replayed": len(ids) - len(missing), "unknown": [*missing]})
        else:
            output.line(f"{counted(len(ids) - len(missing), 'message')} will be played again")
        if missing:
            raise Failed(f"there is no refused message {', '.join(map(str, missing))}")

    call_bridge(arguments, work)


async def wanted(platform: Platform, ids: list[int], *, is_all: bool) -> list[int]:
    """Return the numbers that a verb is about; `Failed` if none are given."""
    if is_all:
        return [each.id for each in (await fetch(platform)).refused]
    if not ids:
        raise Failed("which ones? opaca-edge bridge queue shows their numbers; --all takes all", ExitCode.USAGE)
    return ids


async def _ask(platform: Platform, letter_id: int) -> bytes:
    return await platform.transport.request("POST", f"/_bridge/refused/{letter_id}/replay")
