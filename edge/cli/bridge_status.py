"""`bridge status`: links, sites and lanes of the bridge, once or live."""

from __future__ import annotations

import argparse
import asyncio
import shutil
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from edge.cli.bridge_known import bridge_arguments, call_bridge
from edge.cli.containers_figures import bar, can_show_blocks, duration_text, size_text
from edge.cli.containers_live import Screen, passes, quit_key, seconds
from edge.cli.output import Output, counted
from edge.cli.platform import Platform
from edge.cli.tables import layout, printable

if TYPE_CHECKING:
    from bridge.operation import BridgeStatus, LaneStatus, LinkStatus, SiteStatus

_LINKS = ("LINK", "ROLE", "BROKER", "STATE", "FOR", "MQTT", "REASON")
_SITES = ("SITE", "STATE", "FOR", "AGENTS", "JOINED", "CALLS", "MAY", "SOFTWARE")
_LANES = ("SITE", "LANE", "WAITING", "SIZE", "OLDEST", "", "ACCEPTED", "LOST", "TO PLAY", "PLAYED", "REFUSED")
# What a terminal of so many columns does without.
_NARROW = ((110, ()), (95, ("",)), (0, ("", "ACCEPTED", "PLAYED")))
_GAUGE = 10
# A gauge is full at so many messages that wait.
_FULL = 1000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what `bridge status` takes."""
    parser.add_argument("-w", "--watch", action="store_true", help="go on looking, drawn in place on a terminal")
    parser.add_argument(
        "--interval", metavar="S", type=seconds, default=1.0, help="with --watch: seconds between looks"
    )
    parser.add_argument("--count", metavar="N", type=int, help="with --watch: end after N looks")
    bridge_arguments(parser)


def run(arguments: argparse.Namespace) -> None:
    """Show how the bridge is doing."""

    async def work(platform: Platform, output: Output) -> None:
        if arguments.watch:
            await _watch(platform, output, max(arguments.interval, 0.1), arguments.count)
            return
        status = await _status(platform)
        if output.is_json:
            _print_json(status, output)
        else:
            for line in lines(status, output, shutil.get_terminal_size().columns if output.is_terminal else None):
                print(line)

    call_bridge(arguments, work)


async def _status(platform: Platform) -> BridgeStatus:
    from bridge.operation import BridgeStatus

    return await platform.get("/_bridge/status", BridgeStatus)


def _print_json(status: BridgeStatus, output: Output, *, is_one_line: bool = False) -> None:
    import msgspec

    output.json(msgspec.to_builtins(status), is_one_line=is_one_line)


async def _watch(platform: Platform, output: Output, interval_s: float, count: int | None) -> None:
    looks = 0
    if not output.is_terminal or output.is_json:
        while count is None or looks < count:
            if looks:
                await asyncio.sleep(interval_s)
            status = await _status(platform)
            if output.is_json:
                _print_json(status, output, is_one_line=True)
            else:
                output.line(summary(status))
            looks += 1
        return
    with quit_key() as pressed, Screen(is_whole=False) as screen:
        while count is None or looks < count:
            if looks and await passes(pressed, interval_s):
                return
            drawn = lines(await _status(platform), output, shutil.get_terminal_size().columns)
            screen.paint([*drawn, "", output.dim("q ends")])
            looks += 1


def summary(status: BridgeStatus) -> str:
    """Return one line: what is connected, what waits, what was lost."""
    up = sum(link.connected_since is not None for link in status.links)
    there = sum(site.state == "connected" for site in status.sites)
    waiting = sum(lane.waiting for lane in status.lanes)
    to_play = sum(lane.to_play for lane in status.lanes)
    lost = sum(sum(lane.lost.values()) + sum(lane.missed.values()) for lane in status.lanes)
    return (
        f"{up} of {counted(len(status.links), 'link')} up, {there} of {counted(len(status.sites), 'site')} there,"
        f" {waiting} waiting, {to_play} to play, {lost} lost, {status.dead_letters} refused"
    )


def lines(status: BridgeStatus, output: Output, width: int | None) -> list[str]:
    """Return what is shown to people, as wide as the terminal."""
    has_blocks = can_show_blocks(sys.stdout.encoding)
    drawn = [summary(status), ""]
    if status.platform_problem:
        drawn[1:] = [output.red(printable(f"no platform: {status.platform_problem}")), ""]
    drawn += _table(_LINKS, [_link_row(link) for link in status.links], output, width)
    if status.sites:
        drawn += ["", *_table(_SITES, [_site_row(site) for site in status.sites], output, width)]
    if status.lanes:
        rows = [_lane_row(lane, has_blocks) for lane in status.lanes]
        left_out = () if width is None else next(left for least, left in _NARROW if width >= least)
        places = [place for place, name in enumerate(_LANES) if name not in left_out]
        rows = [tuple(row[place] for place in places) for row in rows]
        drawn += ["", *_table([_LANES[place] for place in places], rows, output, width)]
    written = "" if status.written_today_bytes is None else f", {size_text(status.written_today_bytes)} written today"
    foot = (
        printable(f"store {status.store}: {size_text(status.file_bytes)}{written}"),
        printable(f"serves {status.url}"),
    )
    is_one_line = width is None or len("; ".join(foot)) <= width
    return [*drawn, "", *map(output.dim, ["; ".join(foot)] if is_one_line else foot)]


def _table(header: Sequence[str], rows: Sequence[Sequence[str]], output: Output, width: int | None) -> list[str]:
    first, *others = layout(header, rows, width)
    return [output.bold(first), *others]


def _link_row(link: LinkStatus) -> tuple[str, ...]:
    since = link.connected_since if link.connected_since is not None else link.away_since
    return (
        link.name,
        link.role,
        link.broker,
        "connected" if link.connected_since is not None else "away",
        "" if since is None else duration_text(time.time() - since),
        link.mqtt,
        link.problem,
    )


def _site_row(site: SiteStatus) -> tuple[str, ...]:
    return (
        site.name,
        site.state,
        "" if site.since is None else duration_text(time.time() - site.since),
        str(site.agents),
        "yes" if site.joined else "no",
        str(site.calls),
        "nothing" if site.role is None else f"{site.role} {' '.join(site.allow)}",
        site.problem or site.software,
    )


def _lane_row(lane: LaneStatus, has_blocks: bool) -> tuple[str, ...]:
    lost = {**lane.lost}
    for why, count in lane.missed.items():
        lost[why] = lost.get(why, 0) + count
    return (
        lane.site,
        lane.lane,
        str(lane.waiting),
        size_text(lane.waiting_bytes),
        duration_text(lane.oldest_s),
        bar(lane.waiting / _FULL, _GAUGE, has_blocks=has_blocks),
        str(lane.accepted),
        ", ".join(f"{count} {why}" for why, count in lost.items()) or "0",
        str(lane.to_play),
        str(lane.played),
        str(lane.dead),
    )
