"""What a disk may hold after the power failed: made anew from what a program was recorded to write (`recorded_writes`).

How to use it::

    with recorder(folder) as recording:                 # what is below the folder now is on the disk
        recording.run([sys.executable, "-c", PROGRAM])  # or put `recording.prefix` before a command of your own
        disk = Disk(recording)
    disk.check()                                        # what was recorded leads to what is there, byte by byte
    for cut in disk.cuts(200, random.Random(seed)):     # or disk.every_cut(...)
        cut.rebuild(target)                             # the folder as it may be found when the power is back
        cut.said                                        # lines that the program had printed: print(..., flush=True)
        cut.at_s                                        # what others had been answered before this time is promised

The rules are those of POSIX, no milder: what a file held at its last fsync is there; of what was written since, any
part may be, torn at 512 bytes, or nothing. A name is there for certain only after an fsync of its folder; names that
changed since come in the order in which they changed, as in a journal, but each folder on its own. A rename, also one
between folders, is there as a whole or not at all. A disk that lies about fsync is nobody's to survive.
"""

from __future__ import annotations

import itertools
import math
import random
import shutil
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from pathlib import Path

from tests.system.recorded_writes import Make, Recorder, Remove, Rename, Resize, Said, Step, Sync, Write

_PAGE_BYTES, _SECTOR_BYTES = 4096, 512
# SQLite maps files of this name, which no trace shows, and makes them anew after a cut.
_MAPPED = "-shm"


class Fate(Enum):
    """What becomes of that which was not synced."""

    LOST = "what was not synced is gone"
    KEPT = "everything is there, as after a kill"
    PAGES = "some pages are there"
    SECTORS = "some sectors are there"


@dataclass(eq=False)
class _File:
    before: bytes = b""
    changes: list[Write | Resize] = field(default_factory=list)
    syncs: list[Sync] = field(default_factory=list)
    size_bytes: int = 0  # as the running program sees it

    def content(self, place: float, fate: Fate, chance: random.Random) -> bytes:
        durable = _durable(self, place)
        pending = [change for change in self.changes[durable:] if change.began <= place]
        if fate is Fate.KEPT:
            pending = [change for change in pending if change.ended <= place]
        content = bytearray(self.before)
        for change in self.changes[:durable] + (pending if fate is Fate.KEPT else []):
            _apply(change, content)
        if fate in (Fate.LOST, Fate.KEPT):
            return bytes(content)
        return _torn(content, pending, _PAGE_BYTES if fate is Fate.PAGES else _SECTOR_BYTES, chance)


@dataclass(eq=False)
class _Folder:
    before: dict[str, _Node] = field(default_factory=dict)
    changes: list[_Named] = field(default_factory=list)
    syncs: list[Sync] = field(default_factory=list)
    now: dict[str, _Node] = field(default_factory=dict)  # as the running program sees it

    def set(self, name: str, node: _Node | None, step: Step) -> None:
        self.changes.append(_Named(step.began, step.ended, name, node, step))
        self.now = _changed(self.now, self.changes[-1:])

    def first(self, count: int) -> dict[str, _Node]:
        """Return what it lists when so many changes are on the disk."""
        return _changed(self.before, self.changes[:count])


_Node = _File | _Folder


@dataclass(frozen=True)
class _Named:
    """From now on a name stands for something else, or for nothing; the step is the same for both ends of a rename."""

    began: int
    ended: int
    name: str
    node: _Node | None
    step: Step


@dataclass(frozen=True)
class Cut:
    """The power fails.

    Attributes:
        place: When; what overlaps it in the recording was under way.
        fate: What becomes of that which was not synced.
        seed: Decides which part of it is kept.
        said: Whole lines that the program had printed by then.
        at_s: What somebody had been answered before this time was answered by then, in seconds since the epoch.
    """

    disk: Disk
    place: float
    fate: Fate
    seed: int
    said: list[str]
    at_s: float

    def rebuild(self, target: Path) -> None:
        """Make the folder as it may be found; what is at `target` goes first."""
        shutil.rmtree(target, ignore_errors=True)
        chance = random.Random(self.seed)
        self._make(target, self.disk.root, self.disk.kept_names(self.place, self.fate, chance), chance)

    def _make(self, path: Path, node: _Node, kept: dict[_Folder, int], chance: random.Random) -> None:
        if isinstance(node, _File):
            path.write_bytes(node.content(self.place, self.fate, chance))
            return
        path.mkdir()
        for name, inner in sorted(node.first(kept[node]).items()):
            self._make(path / name, inner, kept, chance)

    def __str__(self) -> str:
        return f"cut at {self.place}, {self.fate.value}, seed {self.seed}; said last: {self.said[-1:]}"


class Disk:
    """All that was written below a folder since it was watched.

    Attributes:
        folder: What was watched.
        root: What was made of it.
        steps: What was done, in order.
    """

    def __init__(self, recording: Recorder) -> None:
        self.folder = recording.folder
        self.root = _Folder()
        self.folders = [self.root]
        for path, content in recording.before.items():
            parent = self._find(path.parent)
            assert isinstance(parent, _Folder)
            node = self._new_folder() if content is None else _File(content, size_bytes=len(content))
            parent.before[path.name] = parent.now[path.name] = node
        self.steps: list[Step] = []
        self._said: list[Said] = []
        for step in recording.steps():
            if isinstance(step, Said):
                self._said.append(step)
            else:
                self.steps.append(step)
                self._take(step)

    def cuts(self, count: int, chance: random.Random) -> Iterator[Cut]:
        """Yield cuts at random moments, all fates in turn."""
        places = self._places()
        for fate in itertools.islice(itertools.cycle(Fate), count):
            yield self.cut(chance.choice(places), fate, chance.randrange(2**32))

    def every_cut(self, chance: random.Random, fates: Iterable[Fate] = Fate) -> Iterator[Cut]:
        """Yield cuts before the first step, during and after each, and when the programs have ended."""
        for place, fate in itertools.product(self._places(), fates):
            yield self.cut(place, fate, chance.randrange(2**32))

    def cut(self, place: float, fate: Fate, seed: int = 0) -> Cut:
        """Return one cut."""
        text = b"".join(said.data for said in self._said if said.ended <= place).decode("utf-8", "replace")
        at_s = max((step.at_s for step in self.steps if step.began <= place), default=0.0)
        return Cut(self, place, fate, seed, text.split("\n")[:-1], at_s)

    def check(self, target: Path) -> None:
        """Fail unless what was recorded makes the folder that is there now; `target` is where it is made."""
        self.cut(math.inf, Fate.KEPT).rebuild(target)
        made, there = contents(target), contents(self.folder)
        assert made.keys() == there.keys()
        wrong = [str(path) for path in made if not path.name.endswith(_MAPPED) and made[path] != there[path]]
        assert not wrong, f"the recording does not tell all about {wrong}"

    def kept_names(self, place: float, fate: Fate, chance: random.Random) -> dict[_Folder, int]:
        """Return how many changes of its names are on the disk, for each folder."""
        kept = {folder: _durable(folder, place) for folder in self.folders}
        if fate is Fate.KEPT:
            kept = {folder: _last(change.ended <= place for change in folder.changes) for folder in kept}
        elif fate is not Fate.LOST:
            for folder, least in kept.items():
                kept[folder] = chance.randint(least, _last(change.began <= place for change in folder.changes))
        while True:  # the other end of a rename is there as well, and what was changed before it
            there = {change.step for folder, count in kept.items() for change in folder.changes[:count]}
            more = {folder: _last(change.step in there for change in folder.changes) for folder in kept}
            if more == kept:
                return kept
            kept = more

    def _places(self) -> list[float]:
        return [-1, *(place for step in self.steps for place in (step.began, step.ended)), math.inf]

    def _take(self, step: Step) -> None:
        """Do a step once more, in memory."""
        parent, name = self._find(step.path.parent), step.path.name
        node = self._find(step.path)
        if isinstance(step, Sync) and node is not None:
            node.syncs.append(step)
        elif isinstance(step, Write) and isinstance(node, _File):
            offset = node.size_bytes if step.offset is None else step.offset
            node.changes.append(replace(step, offset=offset))
            node.size_bytes = max(node.size_bytes, offset + len(step.data))
        elif isinstance(step, Resize) and isinstance(node, _File):
            node.changes.append(step)
            node.size_bytes = step.size_bytes
        elif isinstance(step, Make) and isinstance(parent, _Folder):
            if node is None:
                parent.set(name, self._new_folder() if step.is_folder else _File(), step)
        elif isinstance(step, Remove) and isinstance(parent, _Folder):
            parent.set(name, None, step)
        elif isinstance(step, Rename) and isinstance(parent, _Folder):
            target = self._find(step.target.parent)
            assert isinstance(target, _Folder)
            parent.set(name, self._find(step.target) if step.is_swap else None, step)
            target.set(step.target.name, node, step)
        else:
            raise AssertionError(f"not understood: {step}")

    def _find(self, path: Path) -> _Node | None:
        node: _Node | None = self.root if path.is_relative_to(self.folder) else None
        for name in path.relative_to(self.folder).parts if node is not None else ():
            node = node.now.get(name) if isinstance(node, _Folder) else None
        return node

    def _new_folder(self) -> _Folder:
        self.folders.append(_Folder())
        return self.folders[-1]


def contents(folder: Path) -> dict[Path, bytes | None]:
    """Return what is below a folder: relative path -> content; None stands for a folder."""
    found = sorted(folder.rglob("*"))
    return {path.relative_to(folder): None if path.is_dir() else path.read_bytes() for path in found}


def _changed(names: dict[str, _Node], changes: Sequence[_Named]) -> dict[str, _Node]:
    changed = dict(names)
    for change in changes:
        if change.node is None:
            changed.pop(change.name, None)
        else:
            changed[change.name] = change.node
    return changed


def _durable(node: _Node, place: float) -> int:
    """Return how many changes are certain to be on the disk: those that had ended when the last sync began."""
    synced = max((sync.began for sync in node.syncs if sync.ended <= place), default=-1)
    return _last(change.ended <= synced for change in node.changes)


def _last(are_there: Iterable[bool]) -> int:
    """Return how many come first, up to the last one that is there."""
    return max((number for number, is_there in enumerate(are_there, start=1) if is_there), default=0)


def _apply(change: Write | Resize, content: bytearray) -> None:
    if isinstance(change, Resize):
        del content[change.size_bytes :]
        content.extend(bytes(change.size_bytes - len(content)))
        return
    assert change.offset is not None
    content.extend(bytes(max(0, change.offset - len(content))))
    content[change.offset : change.offset + len(change.data)] = change.data


def _torn(content: bytearray, pending: Sequence[Write | Resize], unit_bytes: int, chance: random.Random) -> bytes:
    """Return a file of which each unit and the size are as they were at some time since the last sync."""
    sizes = [len(content)]
    whole = bytearray(content)
    for change in pending:
        _apply(change, whole)
        sizes.append(len(whole))
    version = chance.randint(0, len(pending))
    content.extend(bytes(max(sizes) - len(content)))
    pieces: dict[int, list[tuple[int, bytes]]] = defaultdict(list)
    for number, change in enumerate(pending):
        if isinstance(change, Write):
            offset, data = change.offset or 0, change.data
        elif number < version:
            offset, data = change.size_bytes, bytes(max(0, len(content) - change.size_bytes))
        else:
            continue
        while data:
            length = unit_bytes - offset % unit_bytes
            pieces[offset // unit_bytes].append((offset, data[:length]))
            offset, data = offset + length, data[length:]
    for written in pieces.values():
        for offset, data in written[: chance.choice((0, len(written), chance.randint(0, len(written))))]:
            content[offset : offset + len(data)] = data
    return bytes(content[: sizes[version]])
