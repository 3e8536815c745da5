"""What a program does to the files below a folder, in the order in which the kernel did it: told by strace.

`power_cut` makes disks of it. Whatever changes files in a way that is not understood here raises, so that no disk is
made of half the truth; files that end in `-shm` may be mapped and written (SQLite's, which mean nothing after a cut).
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

_WRITES = "write,pwrite64,writev,pwritev,pwritev2"
_MOVES = "rename,renameat,renameat2"
_TRACED = (
    f"{_WRITES},{_MOVES},open,openat,creat,lseek,fsync,fdatasync,ftruncate,truncate,unlink,unlinkat,mkdir,mkdirat,rmdir,"
    "link,linkat,symlink,symlinkat,copy_file_range,sendfile,fallocate,splice,mmap,sync,syncfs"
)
_LONGEST_WRITE_BYTES = 64 * 1024 * 1024
_END_S = 20.0

# Short process IDs are padded.
_LINE = re.compile(r"(\d+) +(\d+\.\d+) (.*)", re.DOTALL)
_WHOLE = re.compile(r"(\w+)\((.*)\) += (.*)", re.DOTALL)
_BEGUN = re.compile(r"(\w+)\((.*) <unfinished \.\.\.>", re.DOTALL)
_RESUMED = re.compile(r"<\.\.\. \w+ resumed>(.*)", re.DOTALL)
_OPENED = re.compile(r"(-?\w+)<([^>]*)>(\(deleted\))?")
_TEXT = re.compile(r'"([^"]*)"')


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One thing that was done.

    Attributes:
        began, ended: Places in the order of all that was recorded; what overlaps may have happened either way.
        at_s: When it began, in seconds since the epoch.
        path: What it was done to.
    """

    began: int
    ended: int
    at_s: float
    path: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Make(Step):
    """A file is opened that need not be there, or a folder is made."""

    is_folder: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Write(Step):
    """Bytes are written; without an offset at the end."""

    data: bytes
    offset: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Resize(Step):
    """A file is cut or lengthened."""

    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Rename(Step):
    """Something gets another name, and takes the place of what had it; with `is_swap` the two change places."""

    target: Path
    is_swap: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Remove(Step):
    """A file or an empty folder goes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sync(Step):
    """What was done to a file, or the names in a folder, are on the disk when this ends."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Said(Step):
    """Something is written to standard output."""

    data: bytes


@dataclass
class Recorder:
    """Runs programs, one after the other, and tells what they did.

    Attributes:
        folder: What is watched.
        trace: What strace writes.
        before: What was below the folder when this was made: path -> content; None stands for a folder.
        prefix: To be put before a command; the program runs with its own process ID, as a child of who starts it.
    """

    folder: Path
    trace: Path
    before: dict[Path, bytes | None] = field(init=False)
    prefix: list[str] = field(init=False)

    def __post_init__(self) -> None:
        there = sorted(self.folder.rglob("*"))
        self.before = {path: None if path.is_dir() else path.read_bytes() for path in there}
        program = shutil.which("strace") or "strace"
        # As a grandchild the tracer stands between nobody; hexadecimal, as no name and no content can be misread then.
        options = ["-f", "-D", "-A", "-y", "-xx", "--seccomp-bpf", "-s", str(_LONGEST_WRITE_BYTES)]
        times = ["--absolute-timestamps=format:unix,precision:us"]
        self.prefix = [program, *options, *times, "-e", f"trace={_TRACED}", "-o", str(self.trace), "--"]

    def run(self, command: list[str], expected: int = 0, **more: Any) -> str:
        """Run a program to its end and return what it printed; `more` is what `subprocess.Popen` takes."""
        with subprocess.Popen(
            [*self.prefix, *command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **more
        ) as process:
            said, complaint = map(str, process.communicate())
        assert process.returncode == expected, complaint
        self.wait_for(process.pid)
        return said

    def wait_for(self, pid: int) -> None:
        """Wait until all is written of a program that has ended."""
        end = re.compile(rb"^%d +\S+ \+\+\+ (exited|killed)" % pid, re.MULTILINE)
        give_up_at = time.monotonic() + _END_S
        while time.monotonic() < give_up_at:
            with self.trace.open("rb") as trace:
                trace.seek(max(0, trace.seek(0, os.SEEK_END) - 65536))
                if end.search(trace.read()):
                    return
            time.sleep(0.01)
        raise AssertionError(f"process {pid} did not end")

    def steps(self) -> list[Step]:
        """Return what the programs did that have ended by now, and were waited for."""
        with self.trace.open(encoding="ascii", errors="replace") as lines:
            return sorted(_Reader(self.folder).read(lines), key=lambda step: step.ended)


@contextmanager
def recorder(folder: Path) -> Iterator[Recorder]:
    """Watch a folder, which may be empty but must be there; where strace cannot run, skip, or fail if CI is set."""
    with tempfile.TemporaryDirectory() as aside:
        made = Recorder(folder.resolve(), Path(aside) / "trace")
        try:
            made.run(["true"])
        except (FileNotFoundError, AssertionError) as error:
            complaint = f"strace cannot be used ({error}): scripts/test installs it where CI is set"
            pytest.fail(complaint) if os.environ.get("CI") else pytest.skip(complaint)
        yield made


class _Reader:
    """Reads a trace. What was under way when the program was killed is left out."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._begun: dict[str, tuple[int, str, str, str]] = {}
        # Of each open file, where the next write goes; None stands for its end.
        self._positions: dict[tuple[str, Path], int | None] = {}

    def read(self, lines: Iterator[str]) -> Iterator[Step]:
        for number, line in enumerate(lines):
            parts = _LINE.fullmatch(line.rstrip("\n"))
            if parts is None:
                raise AssertionError(f"not understood: {line[:300]}")
            thread, at, told = parts.groups()
            if begun := _BEGUN.fullmatch(told):
                self._begun[thread] = (2 * number, at, begun[1], begun[2])
                continue
            began = 2 * number
            if resumed := _RESUMED.fullmatch(told):
                began, at, name, arguments = self._begun.pop(thread)
                told = f"{name}({arguments}{resumed[1]}"
            whole = _WHOLE.fullmatch(told)
            if whole is not None and whole[3][0] not in "-?":
                yield from self._steps(whole, {"began": began, "ended": 2 * number + 1, "at_s": float(at)})

    def _steps(self, call: re.Match[str], when: dict[str, object]) -> Iterator[Step]:
        name, told, result = call.groups()
        arguments = told.split(", ")
        if name in _WRITES.split(","):
            yield from self._written(name, arguments, result, when)
        elif name in ("open", "openat", "creat"):
            yield from self._opened(told, result, when)
        elif name == "lseek":
            path = self._of(arguments[0])
            opened = arguments[0].partition("<")[0]
            if path is not None and self._positions.get((opened, path), 0) is not None:
                self._positions[opened, path] = int(result)
        elif name in ("fsync", "fdatasync", "ftruncate"):
            path = self._of(arguments[0])
            if path is not None and name == "ftruncate":
                yield Resize(path=path, size_bytes=int(arguments[1]), **when)  # type: ignore[arg-type]
            elif path is not None:
                yield Sync(path=path, **when)  # type: ignore[arg-type]
        elif name in ("mmap", "sync", "syncfs", "copy_file_range", "sendfile", "fallocate", "splice"):
            self._refuse_what_is_written_otherwise(name, told)
        else:
            yield from self._named(name, told, when)

    def _written(self, name: str, arguments: list[str], result: str, when: dict[str, object]) -> Iterator[Step]:
        opened = _OPENED.fullmatch(arguments[0])
        if opened is None or opened[3]:
            return
        data = b"".join(_bytes(text) for text in _TEXT.findall(", ".join(arguments[1:])))[: int(result)]
        path = Path(os.fsdecode(_bytes(opened[2])))
        if self._is_watched(path):
            offset = int(arguments[-1]) if name.startswith("p") else self._positions.get((opened[1], path), 0)
            if not name.startswith("p") and offset is not None:
                self._positions[opened[1], path] = offset + len(data)
            yield Write(path=path, data=data, offset=offset, **when)  # type: ignore[arg-type]
        elif opened[1] == "1":
            yield Said(path=path, data=data, **when)  # type: ignore[arg-type]

    def _opened(self, told: str, result: str, when: dict[str, object]) -> Iterator[Step]:
        opened = _OPENED.fullmatch(result)
        path = self._of(result)
        if opened is None or path is None:
            return
        assert not re.search(r"O_D?SYNC|O_TMPFILE", told), f"not understood: {told}"
        self._positions[opened[1], path] = None if "O_APPEND" in told else 0
        if "O_CREAT" in told:
            yield Make(path=path, **when)  # type: ignore[arg-type]
        if "O_TRUNC" in told:
            yield Resize(path=path, size_bytes=0, **when)  # type: ignore[arg-type]

    def _named(self, name: str, told: str, when: dict[str, object]) -> Iterator[Step]:
        paths = list(self._paths(told))
        if not any(self._is_watched(path) for path in paths):
            return
        if name.startswith("rename"):
            assert all(self._is_watched(path) for path in paths), f"over the border of what is watched: {paths}"
            is_swap = "RENAME_EXCHANGE" in told
            yield Rename(path=paths[0], target=paths[1], is_swap=is_swap, **when)  # type: ignore[arg-type]
            self._positions = {
                (number, _moved(path, paths[0], paths[1])): there for (number, path), there in self._positions.items()
            }
        elif name.startswith("mkdir"):
            yield Make(path=paths[0], is_folder=True, **when)  # type: ignore[arg-type]
        elif name in ("unlink", "unlinkat", "rmdir"):
            yield Remove(path=paths[0], **when)  # type: ignore[arg-type]
        else:
            raise AssertionError(f"not understood: {name}({told[:300]})")

    def _paths(self, told: str) -> Iterator[Path]:
        """Yield the paths of a call, each with the folder that it is relative to, if that is shown."""
        folder = ""
        for argument in told.split(", "):
            if opened := _OPENED.fullmatch(argument):
                folder = os.fsdecode(_bytes(opened[2]))
            elif text := _TEXT.fullmatch(argument):
                yield Path(folder, os.fsdecode(_bytes(text[1])))
                folder = ""

    def _refuse_what_is_written_otherwise(self, name: str, told: str) -> None:
        if name == "mmap" and not ("PROT_WRITE" in told and "MAP_SHARED" in told):
            return
        paths = [Path(os.fsdecode(_bytes(opened[2]))) for opened in _OPENED.finditer(told)]
        if any(self._is_watched(path) and not path.name.endswith("-shm") for path in paths) or name == "sync":
            raise AssertionError(f"not understood: {name}({told[:300]})")

    def _of(self, argument: str) -> Path | None:
        """Return the path of an open file, None if it is not watched."""
        opened = _OPENED.fullmatch(argument)
        path = None if opened is None or opened[3] else Path(os.fsdecode(_bytes(opened[2])))
        return path if path is not None and self._is_watched(path) else None

    def _is_watched(self, path: Path) -> bool:
        return path.is_relative_to(self._folder)


def _moved(path: Path, old: Path, new: Path) -> Path:
    return new / path.relative_to(old) if path.is_relative_to(old) else path


def _bytes(text: str) -> bytes:
    return bytes.fromhex(text.replace("\\x", ""))
