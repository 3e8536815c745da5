"""`containers top`: what the containers take of the machine, live."""

from __future__ import annotations

import argparse
import asyncio
import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass

from edge.cli.containers import WELL, first_line
from edge.cli.containers_figures import age_s, bar, can_show_blocks, duration_text, size_text
from edge.cli.containers_known import statuses
from edge.cli.containers_live import Screen, passes, quit_key, seconds
from edge.cli.output import Output, counted
from edge.cli.platform import Platform, call_platform, client_arguments
from edge.cli.tables import display_width, printable
from edge.launcher.base import ContainerStatus
from edge.model.json_value import JsonValue

_SHORTEST_S = 0.2
_BAR_COLUMNS = 10
# Nearly at its limit: worth a look.
_HIGH = 0.9


@dataclass(frozen=True, slots=True)
class Usage:
    """What a container takes.

    Attributes:
        status: As the platform tells it.
        cpu_percent: Since the look before; 100 is one core. None if that is not known.
    """

    status: ContainerStatus
    cpu_percent: float | None

    def limit(self, name: str) -> float | None:
        """Return a bound that it was given."""
        return next((limit.value for limit in self.status.limits if limit.name == name), None)

    @property
    def memory_limit_bytes(self) -> float | None:
        """The bound of its memory."""
        limit_mb = self.limit("memory_mb")
        return None if limit_mb is None else limit_mb * 1024 * 1024


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what `containers top` takes."""
    parser.add_argument("--once", action="store_true", help="print one look and end; so without a terminal")
    parser.add_argument("--interval", metavar="S", type=seconds, default=1.0, help="seconds between looks (1)")
    client_arguments(parser)


def run(arguments: argparse.Namespace) -> None:
    """Show it until q or Ctrl-C."""
    interval_s = max(arguments.interval, _SHORTEST_S)

    async def work(platform: Platform, output: Output) -> None:
        if arguments.once or output.is_json or not output.is_terminal:
            await _once(platform, output, interval_s)
        else:
            await _live(platform, output, interval_s)

    call_platform(arguments, work)


async def _once(platform: Platform, output: Output, interval_s: float) -> None:
    look = Looks(platform)
    await look.next()
    await asyncio.sleep(interval_s)  # computing time is only known between two looks
    usages = await look.next()
    if output.is_json:
        output.json([_as_json(usage) for usage in usages])
        return
    for line in lines_of(usages, output, shutil.get_terminal_size().columns if output.is_terminal else 120):
        print(line)


async def _live(platform: Platform, output: Output, interval_s: float) -> None:
    look = Looks(platform)
    with quit_key() as pressed, Screen(is_whole=True) as screen:
        pause_s = _SHORTEST_S  # the first figures come soon
        while True:
            usages = await look.next()
            head = f"{platform.config.url}   {summary(usages)}"
            foot = output.dim(f"every {interval_s:g} s   q ends")
            body = lines_of(usages, output, shutil.get_terminal_size().columns)
            screen.paint([printable(head), "", *body, "", foot])
            if await passes(pressed, pause_s):
                return
            pause_s = interval_s


class Looks:
    """Looks at the containers one after the other, and knows what they took between."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._before: dict[str, tuple[float, int | None, float]] = {}

    async def next(self) -> list[Usage]:
        """Look again."""
        known = await statuses(self._platform)
        now_s = time.monotonic()
        usages = [Usage(each, self._cpu_percent(each, now_s)) for each in known]
        self._before = {each.id: (now_s, each.pid, each.cpu_seconds) for each in known if each.cpu_seconds is not None}
        return usages

    def _cpu_percent(self, status: ContainerStatus, now_s: float) -> float | None:
        before = self._before.get(status.id)
        if before is None or status.cpu_seconds is None:
            return None
        then_s, pid, cpu_s = before
        if pid != status.pid or status.cpu_seconds < cpu_s or now_s <= then_s:
            return None  # it was started again
        return 100 * (status.cpu_seconds - cpu_s) / (now_s - then_s)


def summary(usages: Sequence[Usage]) -> str:
    """Return all of them in one sentence."""
    well = sum(usage.status.state in WELL for usage in usages)
    memory = sum(usage.status.memory_bytes or 0 for usage in usages)
    cpu = sum(usage.cpu_percent or 0 for usage in usages)
    return f"{counted(len(usages), 'container')}, {well} well; processor {cpu:.0f} %, memory {size_text(memory)}"


def lines_of(usages: Sequence[Usage], output: Output, columns: int) -> list[str]:
    """Return the table, no wider than `columns`."""
    has_blocks = can_show_blocks(sys.stdout.encoding)
    header = ("NAME", "STATE", "PROCESSOR", "MEMORY", "RESTARTS", "FOR", "REASON")
    cells = [header, *(_cells(usage, has_blocks) for usage in usages)]
    widths = [max(display_width(row[column]) for row in cells) for column in range(len(header))]
    # Reasons take what is left, names are cut where nothing is.
    widths[0] = min(widths[0], max(columns // 4, 8))
    widths[-1] = max(min(widths[-1], columns - sum(widths[:-1]) - 2 * (len(widths) - 1)), 0)
    lines = [output.bold(_joined(header, widths))]
    for usage, row in zip(usages, cells[1:], strict=True):
        line = _joined(row, widths)
        lines.append(output.red(line) if usage.status.state not in WELL or _is_near_limit(usage) else line)
    return lines


def _cells(usage: Usage, has_blocks: bool) -> tuple[str, ...]:
    status, cpu = usage.status, usage.cpu_percent
    processor = ""
    if cpu is not None:
        of_limit = cpu / (usage.limit("cpu_percent") or 100.0)
        processor = f"{bar(of_limit, _BAR_COLUMNS, has_blocks=has_blocks)} {cpu:5.1f} %"
    memory = ""
    if status.memory_bytes is not None:
        limit = usage.memory_limit_bytes
        drawn = bar(status.memory_bytes / limit if limit else None, _BAR_COLUMNS, has_blocks=has_blocks)
        memory = f"{drawn} {size_text(status.memory_bytes)}" + (f" of {size_text(limit)}" if limit else "")
    elif status.launcher == "bundled":
        memory = "in the platform"
    age = duration_text(age_s(status.since))
    return (printable(status.name), status.state.value, processor, memory, str(status.restarts), age,
            printable(first_line(status.reason)))  # fmt: skip


def _joined(row: Sequence[str], widths: Sequence[int]) -> str:
    return "  ".join(_fitted(cell, width) for cell, width in zip(row, widths, strict=True)).rstrip()


def _fitted(text: str, width: int) -> str:
    if display_width(text) <= width:
        return text + " " * (width - display_width(text))
    while text and display_width(text) > width - 1:
        text = text[:-1]
    return (text + "~" + " " * (width - 1 - display_width(text))) if width else ""


def _is_near_limit(usage: Usage) -> bool:
    limit = usage.memory_limit_bytes
    return bool(limit and usage.status.memory_bytes is not None and usage.status.memory_bytes >= _HIGH * limit)


def _as_json(usage: Usage) -> JsonValue:
    status = usage.status
    return {
        "id": status.id,
        "name": status.name,
        "state": status.state.value,
        "cpu_percent": None if usage.cpu_percent is None else round(usage.cpu_percent, 1),
        "cpu_limit_percent": usage.limit("cpu_percent"),
        "memory_bytes": status.memory_bytes,
        "memory_limit_bytes": usage.memory_limit_bytes,
        "restarts": status.restarts,
        "since": status.since,
        "reason": status.reason,
    }
