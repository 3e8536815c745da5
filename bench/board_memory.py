"""How much memory boards need: each module, and boards that serve. `python -m bench board_memory`"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.board_modules import Module, modules, names_bytes
from bench.board_running import MICROPYTHON, Build, Failed, built, running

# A heap that is just large enough lies between those.
_LEAST_KIB, _MOST_KIB = 30, 80
_TOTALS = {
    "firmware": "",
    "serving": "REST, container, announce",
    "running": "all that `board.run` keeps loaded",
    "at times": "",
    "instead": "",
    "where wanted": "",
    "parts": "",
}
_WITH_ITS_TIMES = ("serving", "running", "at times", "instead")


@dataclass(frozen=True, kw_only=True)
class Serving:
    """A board that serves mixed requests.

    Attributes:
        heap_kib: The heap that it is meant to live in.
        least_heap_kib: The smallest in which it answers all of them.
        used_bytes: In use in the former, by the number of requests after which.
    """

    what: str
    heap_kib: int
    least_heap_kib: int
    used_bytes: dict[int, int]


@dataclass(frozen=True, kw_only=True)
class Memory:
    """All figures, and the interpreter they were measured on."""

    interpreter: str
    modules: list[Module]
    names_bytes: int
    boards: list[Serving]


def board_memory(full: bool) -> Memory:
    """Measure modules and boards; raises SystemExit where there is no MicroPython."""
    if not MICROPYTHON.exists():
        raise SystemExit("MicroPython is missing: run scripts/test, which fetches it into .venvs/micropython")
    with TemporaryDirectory() as folder:
        build = built(Path(folder))
        return Memory(
            interpreter=_interpreter(),
            modules=list(modules(build)),
            names_bytes=names_bytes(build),
            boards=list(_boards(build, full)),
        )


def write(memory: Memory) -> str:
    """The figures as Markdown: a table of the modules, one of boards."""
    lines = [f"- interpreter: {memory.interpreter}", ""]
    lines += ["| Module | Flash, B | Heap, B | Heap from ROMFS, B |", "| --- | ---: | ---: | ---: |"]
    so_far: list[Module] = []
    for group, title in _TOTALS.items():
        found = [module for module in memory.modules if module.group == group]
        so_far += found
        lines += [_row(f"`{module.name}`", [module]) for module in found]
        lines += [_row(f"**{title}**", so_far)] if title else []
    lines.append(f"| tables of names for those | | {memory.names_bytes:,} | {memory.names_bytes:,} |")
    for title, groups in (
        ("`board.run` with all that it loads", _WITH_ITS_TIMES),
        ("all but the parts", [group for group in _TOTALS if group != "parts"]),
    ):
        flash = sum(module.flash_bytes for module in memory.modules if module.group in groups)
        lines.append(f"| **{title}** | {flash:,} | | |")
    counts = list(memory.boards[0].used_bytes)
    columns = ["Board", "Least heap", "In a heap of", *(f"in use after {count:,} requests" for count in counts)]
    lines += ["", f"| {' | '.join(columns)} |", "| --- |" + " ---: |" * (len(columns) - 1)]
    for board in memory.boards:
        used = [f"{board.used_bytes[count]:,} B" for count in counts]
        lines.append(f"| {board.what} | {board.least_heap_kib} KiB | {board.heap_kib} KiB | {' | '.join(used)} |")
    return "\n".join(lines)


def _row(name: str, found: list[Module]) -> str:
    flash = sum(module.flash_bytes for module in found)
    heap = sum(module.heap_bytes for module in found)
    romfs = sum(module.romfs_heap_bytes for module in found)
    return f"| {name} | {flash:,} | {heap:,} | {romfs:,} |"


def _interpreter() -> str:
    program = "import sys; print(sys.version, '|', sys.implementation._machine)"
    command = [str(MICROPYTHON), "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env={"MICROPYPATH": ".frozen"})
    return f"{done.stdout.partition('; ')[2].strip()}, 32 bits, on {os.uname().machine}"


def _boards(build: Build, full: bool) -> Iterator[Serving]:
    for what, heap_kib, whole, romfs in (
        ("REST, container, announce, a DHT22", 48, False, False),
        ("the same from ROMFS", 40, False, True),
        ("`micro/main.py` with all that it does, a DHT22", 64, True, False),
        ("the same from ROMFS", 48, True, True),
    ):
        yield Serving(
            what=what,
            heap_kib=heap_kib,
            least_heap_kib=_least_heap_kib(build, 2000 if full else 300, whole=whole, romfs=romfs),
            used_bytes=_used_bytes(build, heap_kib, full, whole=whole, romfs=romfs),
        )


def _least_heap_kib(build: Build, count: int, *, whole: bool, romfs: bool) -> int:
    too_small, enough = _LEAST_KIB, _MOST_KIB
    while enough - too_small > 1:
        middle = (enough + too_small) // 2
        try:
            with running(build, f"{middle}k", whole=whole, romfs=romfs) as board:
                board.serve(count)
            enough = middle
        except Failed:
            too_small = middle
    return enough


def _used_bytes(build: Build, heap_kib: int, full: bool, *, whole: bool, romfs: bool) -> dict[int, int]:
    used: dict[int, int] = {}
    done = 0
    with running(build, f"{heap_kib}k", whole=whole, romfs=romfs) as board:
        for count in (1_000, 30_000, 60_000) if full else (200, 1_000, 2_000):
            board.serve(count - done)
            done = count
            used[count] = board.used_bytes()
    return used
