"""`bridge drop`: forget what was refused, or what waits to be sent or to be played."""

from __future__ import annotations

import argparse
from urllib.parse import quote

from edge.cli.bridge_known import LANES, bridge_arguments, call_bridge
from edge.cli.bridge_replay import wanted
from edge.cli.failures import ExitCode, Failed
from edge.cli.output import Output, counted
from edge.cli.platform import Platform


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what `bridge drop` takes."""
    parser.add_argument("id", metavar="ID", nargs="*", type=int, help="numbers of refused messages")
    parser.add_argument("--all", action="store_true", help="all refused messages")
    parser.add_argument("--site", metavar="SITE", help="what waits to be sent to a site, with --lane")
    parser.add_argument("--lane", choices=LANES, help="the lane")
    parser.add_argument("--number", metavar="N", type=int, help="one message of the lane only")
    parser.add_argument("--received", action="store_true", help="instead, what came from it and waits to be played")
    bridge_arguments(parser)


def run(arguments: argparse.Namespace) -> None:
    """Drop messages; what waited to be sent, or to be played, is reported to the other end."""
    if (arguments.site is None) != (arguments.lane is None):
        raise Failed("--site and --lane belong together", ExitCode.USAGE)
    if arguments.site is not None and arguments.id:
        raise Failed("ID names a refused message; one that waits is named by --number", ExitCode.USAGE)

    async def work(platform: Platform, output: Output) -> None:
        if arguments.site is not None:
            path = f"/_bridge/queue/{quote(arguments.site, safe='')}/{quote(arguments.lane, safe='')}"
            query = [] if arguments.number is None else [("seq", str(arguments.number))]
            query += [("received", "true")] if arguments.received else []
            dropped = int(await platform.transport.request("DELETE", path, query))
            _tell(dropped, output)
            if arguments.number is not None and not dropped:
                what = f"no message {arguments.number} of {arguments.site} waits in lane {arguments.lane}"
                raise Failed(f"{what}; opaca-edge bridge queue shows what does")
            return
        ids = await wanted(platform, arguments.id, is_all=arguments.all)
        missing = [
            each for each in ids if await platform.transport.request("DELETE", f"/_bridge/refused/{each}") != b"true"
        ]
        _tell(len(ids) - len(missing), output)
        if missing:
            raise Failed(f"there is no refused message {', '.join(map(str, missing))}")

    call_bridge(arguments, work)


def _tell(dropped: int, output: Output) -> None:
    if output.is_json:
        output.json({"dropped": dropped})
    else:
        output.line(f"{counted(dropped, 'message')} dropped")
