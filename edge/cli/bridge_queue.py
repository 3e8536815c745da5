"""`bridge queue`: what waits to be sent, what is tried again, and what was refused for good."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from edge.cli.bridge_known import LANES, bridge_arguments, call_bridge
from edge.cli.containers_figures import duration_text
from edge.cli.output import Output, local_time
from edge.cli.platform import Platform

if TYPE_CHECKING:
    from bridge.queue import Queue, Retried

_WAITING = ("SITE", "LANE", "NUMBER", "ACCEPTED", "ROUTE", "BODY")
_RETRIED = ("SITE", "LANE", "NUMBER", "ROUTE", "TRIED", "FOR", "NEXT IN", "BEHIND", "WHY")
_REFUSED = ("ID", "SITE", "LANE", "REFUSED", "ROUTE", "BODY", "STATUS", "WHY")
_LONGEST_BODY = 60


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what `bridge queue` takes."""
    parser.add_argument("site", metavar="SITE", nargs="?", help="of one site only")
    parser.add_argument("--lane", choices=LANES, help="of one lane only")
    bridge_arguments(parser)


def run(arguments: argparse.Namespace) -> None:
    """List the queue."""

    async def work(platform: Platform, output: Output) -> None:
        queue = await fetch(platform, arguments.site, arguments.lane)
        if output.is_json:
            import msgspec

            output.json(msgspec.to_builtins(queue))
            return
        if queue.waiting:
            output.table(
                _WAITING,
                [
                    (each.site, each.lane, str(each.seq), local_time(each.accepted_ms), each.route, _short(each.body))
                    for each in queue.waiting
                ],
            )
        else:
            output.note("nothing waits to be sent")
        if queue.retried:
            output.line("")
            output.table(_RETRIED, [_retried_row(each) for each in queue.retried])
            output.note("refused with 401, 403 or 404 they are tried for ten minutes, and are dead letters then")
            output.note("opaca-edge bridge drop --received --site SITE --lane LANE --number N forgets one")
        if queue.refused:
            output.line("")
            output.table(
                _REFUSED,
                [
                    (
                        str(each.id),
                        each.site,
                        each.lane,
                        local_time(each.died_ms),
                        each.route,
                        _short(each.body),
                        str(each.status),
                        each.why,
                    )
                    for each in queue.refused
                ],
            )
            output.note("opaca-edge bridge replay ID plays one again, opaca-edge bridge drop ID forgets it")

    call_bridge(arguments, work)


def _retried_row(each: Retried) -> tuple[str, ...]:
    return (
        each.site,
        each.lane,
        str(each.seq),
        each.route,
        f"{each.tries}x",
        duration_text(each.trying_s),
        duration_text(each.next_s) if each.next_s else "now",
        str(each.behind),
        each.why,
    )


async def fetch(platform: Platform, site: str | None = None, lane: str | None = None) -> Queue:
    """Return what waits, and what was refused."""
    from bridge.queue import Queue

    query = [(name, value) for name, value in (("site", site), ("lane", lane)) if value is not None]
    return await platform.get("/_bridge/queue", Queue, query)


def _short(body: str) -> str:
    return body if len(body) <= _LONGEST_BODY else body[: _LONGEST_BODY - 1] + "…"
