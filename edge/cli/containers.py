"""`containers`: what runs on a platform, and how it is doing."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Sequence

from edge.cli.containers_figures import age_s, duration_text, size_text
from edge.cli.containers_known import find, short_ids, statuses
from edge.cli.containers_live import Screen, passes, quit_key, seconds
from edge.cli.output import Output, counted, local_time, text_of
from edge.cli.platform import Platform, call_platform, client_arguments
from edge.cli.tables import layout
from edge.launcher.base import ContainerState, ContainerStatus, Limit
from edge.model.json_value import JsonValue

HEADER = ("ID", "NAME", "IMAGE", "KIND", "STATE", "FOR", "MEMORY", "PORT", "REASON")
WELL = (ContainerState.RUNNING, ContainerState.SLEEPING)
_UNITS = {"memory_mb": ("memory", "MiB"), "cpu_percent": ("processor", "%"), "descriptors": ("open files", "")}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what `containers` takes."""
    parser.add_argument("container", metavar="ID|NAME", nargs="?", help="one container only, with all that is known")
    parser.add_argument("-w", "--watch", action="store_true", help="go on looking; a table on a terminal, else changes")
    parser.add_argument(
        "--interval", metavar="S", type=seconds, default=1.0, help="with --watch: seconds between looks"
    )
    parser.add_argument("--count", metavar="N", type=int, help="with --watch: end after N looks")
    client_arguments(parser)


def run(arguments: argparse.Namespace) -> None:
    """List, show or watch the containers."""

    async def work(platform: Platform, output: Output) -> None:
        words = [] if arguments.container is None else [arguments.container]
        wanted = {each.id for each in await find(platform, words)} if words else None
        if arguments.watch:
            await _watch(platform, output, wanted, max(arguments.interval, 0.1), arguments.count)
            return
        known = _wanted(await statuses(platform), wanted)
        if output.is_json:
            output.json(as_json(known) if wanted is None else as_json(known)[0])
        elif wanted is not None:
            show_one(known[0], output)
        elif known:
            output.table(HEADER, rows(known))
        else:
            output.note("no containers; opaca-edge images lists what can be started")

    call_platform(arguments, work)


def as_json(known: Sequence[ContainerStatus]) -> list[JsonValue]:
    """Return statuses as a platform tells them."""
    import msgspec

    converted: list[JsonValue] = msgspec.to_builtins(known)
    return converted


def rows(known: Sequence[ContainerStatus]) -> list[tuple[str, ...]]:
    """Return the rows of the table."""
    short = short_ids(known)
    return [
        (
            short[each.id],
            each.name,
            "" if each.image == each.name else each.image,
            each.launcher,
            each.state.value,
            duration_text(age_s(each.since)),
            size_text(each.memory_bytes),
            text_of(each.host_port),
            first_line(each.reason),
        )
        for each in known
    ]


def show_one(status: ContainerStatus, output: Output) -> None:
    """Print all that is known of a container."""
    pairs = [
        ("id", status.id),
        ("name", status.name),
        ("image", status.image),
        ("kind", status.launcher),
        ("board", status.attached_by),
        ("state", status.state.value),
        ("reason", status.reason.partition("\n")[0]),
        ("since", local_time(status.since)),
        ("process", text_of(status.pid)),
        ("port", text_of(status.host_port)),
        ("memory", size_text(status.memory_bytes)),
        ("processor time", "" if status.cpu_seconds is None else f"{status.cpu_seconds:.1f} s"),
        ("started again", counted(status.restarts, "time") if status.restarts else ""),
        ("last end", text_of(status.last_exit)),
        *(("limit", limit_text(limit)) for limit in status.limits),
    ]
    output.pairs([(name, value) for name, value in pairs if value])
    # The rest of a reason is what the container wrote last.
    for line in status.reason.splitlines()[1:]:
        output.line(line)


def first_line(reason: str) -> str:
    """Return a reason without the lines below it, and without the words that announce them."""
    first, has_more, _ = reason.strip().partition("\n")
    return first.rpartition("; ")[0] or first if has_more and first.endswith(":") else first


def limit_text(limit: Limit) -> str:
    """Return a bound in words, with what keeps it."""
    name, unit = _UNITS.get(limit.name, (limit.name, ""))
    kept = "NOT ENFORCED on this machine" if limit.enforced_by is None else f"kept by {limit.enforced_by}"
    return f"{name} {limit.value:g} {unit}".rstrip() + f", {kept}"


async def _watch(
    platform: Platform, output: Output, wanted: set[str] | None, interval_s: float, count: int | None
) -> None:
    looks = 0
    if not output.is_terminal or output.is_json:
        before: dict[str, ContainerStatus] = {}
        while count is None or looks < count:
            if looks:
                await asyncio.sleep(interval_s)
            known = _wanted(await statuses(platform), wanted)
            _tell_changes(before, known, output)
            before = {each.id: each for each in known}
            looks += 1
        return
    with quit_key() as pressed, Screen(is_whole=False) as screen:
        while count is None or looks < count:
            if looks and await passes(pressed, interval_s):
                return
            known = _wanted(await statuses(platform), wanted)
            screen.paint([*table(known, output), "", output.dim(f"{platform.config.url}   q ends")])
            looks += 1


def table(known: Sequence[ContainerStatus], output: Output) -> list[str]:
    """Return the lines of the table as wide as the terminal."""
    import shutil

    first, *others = layout(HEADER, rows(known), shutil.get_terminal_size().columns)
    return [output.bold(first), *others] if known else [output.dim("no containers")]


def _wanted(known: list[ContainerStatus], ids: set[str] | None) -> list[ContainerStatus]:
    return known if ids is None else [each for each in known if each.id in ids]


def _tell_changes(before: dict[str, ContainerStatus], known: Sequence[ContainerStatus], output: Output) -> None:
    """Print a line for each container that is new, gone, or not as it was."""
    for status in known:
        old = before.get(status.id)
        # Reasons count seconds down: they alone are no change.
        if old is None or (old.state, old.since) != (status.state, status.since):
            _tell(status, status.state.value, output)
    for gone in before.keys() - {each.id for each in known}:
        _tell(before[gone], "gone", output)


def _tell(status: ContainerStatus, state: str, output: Output) -> None:
    if output.is_json:
        document = as_json([status])[0]
        assert isinstance(document, dict)
        output.json({**document, "state": state}, is_one_line=True)
        return
    reason = f"  {first_line(status.reason)}" if status.reason and state != "gone" else ""
    output.line(f"{local_time(status.since)}  {status.id}  {status.name}  {state}{reason}")
