"""What each module of a board takes: bytes of flash as bytecode, and bytes of heap when it is imported.

On the real MicroPython, 32 bits: what is in use after a collection, before and after.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from tempfile import TemporaryDirectory

from bench.board_running import Build

# In this order each comes after what it imports, so that the figures add up.
_SERVING = [
    "opaca_micro.clock", "opaca_micro.agent", "opaca_micro.values", "opaca_micro.request", "opaca_micro.calling",
    "opaca_micro.incoming", "opaca_micro.rest", "opaca_micro.describe", "opaca_micro.container", "opaca_micro.http",
    "opaca_micro.announce",
]  # fmt: skip
_RUNNING = [
    "opaca_micro.memory", "opaca_micro.boot", "opaca_micro.watchdog", "opaca_micro.board", "opaca_micro.network",
]  # fmt: skip
CORE = {"firmware": ["asyncio"], "serving": _SERVING, "running": _RUNNING}
_ALL_OF_CORE = [name for names in CORE.values() for name in names]

# On top of those, each by itself, with what it needs that is not there already.
_SAMPLED = ["opaca_micro.parts.sampled"]
BESIDE: dict[str, dict[str, list[str]]] = {
    "at times": {name: [] for name in ("opaca_micro.config", "opaca_micro.ntp", "opaca_micro.resolve")},
    "instead": {"opaca_micro.safe_mode": []},
    "where wanted": {
        "opaca_micro.push": ["opaca_micro.config"],
        "microdot": [],
        "opaca_micro.pages": ["microdot"],
    },
    "parts": {
        "opaca_micro.parts.sampled": [],
        "opaca_micro.parts.adc": _SAMPLED,
        "opaca_micro.parts.bme280": _SAMPLED,
        "opaca_micro.parts.contact": _SAMPLED,
        "opaca_micro.parts.button": [*_SAMPLED, "opaca_micro.parts.contact"],
        "opaca_micro.parts.dht": _SAMPLED,
        "opaca_micro.parts.ds18b20": _SAMPLED,
        "opaca_micro.parts.relay": [],
    },
}

# What the firmware has on a board; imported before anything is measured.
_FIRMWARE = ["machine", "network", "dht", "onewire", "ds18x20"]
# Names stand in tables, each twice the size of the last: 20, 60, 140, 300, 620, 1,260 in all. Measured is between the
# last two steps, so that none falls on the module that happens to come.
_ROOM_FOR_NAMES = 600
_IMPORTING = """
import gc, sys
for name in {before!r}:
    __import__(name)
class Names: pass
for number in range({room}):
    setattr(Names, "name%d" % number, number)
del Names
names = {names!r}
sizes = [0] * len(names)
loaded = [0] * len(names)
gc.collect()
before = gc.mem_alloc()
for at in range(len(names)):
    __import__(names[at])
    gc.collect()
    now = gc.mem_alloc()
    sizes[at] = now - before
    loaded[at] = len([1 for name in sys.modules if name in {ours!r}])
    before = now
print([sizes, loaded])
"""


@dataclass(frozen=True, kw_only=True)
class Module:
    """What one module takes, in bytes.

    Attributes:
        group: A key of CORE or BESIDE.
        flash_bytes: Of its file; 0: it is part of the firmware.
        heap_bytes: When it is imported from that file.
        romfs_heap_bytes: When it lies in an image of the read-only file system.
    """

    name: str
    group: str
    flash_bytes: int
    heap_bytes: int
    romfs_heap_bytes: int


def modules(build: Build) -> Iterator[Module]:
    """All modules of a build; raises SystemExit where the lists above are not what the code is any more."""
    listed = set(_ALL_OF_CORE) | {name for group in BESIDE.values() for name in group}
    if missing := build.sizes.keys() - listed:
        raise SystemExit(f"not in the lists of bench/board_modules.py: {', '.join(sorted(missing))}")
    both = [_imported(build, _ALL_OF_CORE, romfs=romfs) for romfs in (False, True)]
    figures = dict(zip(_ALL_OF_CORE, zip(*both, strict=True), strict=True))
    for group, names in CORE.items():
        for name in names:
            yield _module(build, name, group, *figures[name])
    for group, needs in BESIDE.items():
        for name, needed in needs.items():
            order = [*_ALL_OF_CORE, *needed, name]
            yield _module(build, name, group, *(_imported(build, order, romfs=romfs)[-1] for romfs in (False, True)))


def names_bytes(build: Build) -> int:
    """What the tables of names take for all of CORE, beyond the names themselves."""
    return sum(_imported(build, _ALL_OF_CORE, room=0)) - sum(_imported(build, _ALL_OF_CORE))


def _module(build: Build, name: str, group: str, heap_bytes: int, romfs_heap_bytes: int) -> Module:
    flash_bytes = build.sizes.get(name, 0)
    return Module(
        name=name, group=group, flash_bytes=flash_bytes, heap_bytes=heap_bytes, romfs_heap_bytes=romfs_heap_bytes
    )


def _imported(build: Build, names: list[str], *, romfs: bool = False, room: int = _ROOM_FOR_NAMES) -> list[int]:
    """Bytes of heap that each module takes, imported in this order."""
    ours = tuple(build.sizes)
    program = _IMPORTING.format(before=_FIRMWARE, room=room, names=names, ours=ours)
    command, searched = build.run(program, romfs=romfs, stand_ins="host")
    with TemporaryDirectory() as folder:
        done = subprocess.run(
            command, cwd=folder, env={"MICROPYPATH": searched}, capture_output=True, text=True, check=False
        )
    if done.returncode:
        raise SystemExit(f"the modules of a board cannot be imported:\n{done.stdout}{done.stderr}")
    sizes, loaded = json.loads(done.stdout.splitlines()[-1])
    for at, name in enumerate(names):
        if loaded[at] != len([each for each in names[: at + 1] if each in ours]):
            raise SystemExit(f"{name} imports what bench/board_modules.py has after it, or not at all")
    return [int(size) for size in sizes]
