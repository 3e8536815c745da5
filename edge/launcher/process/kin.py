"""Which processes belong to a container, whatever they did to leave it: read from /proc, so everything here blocks."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_MAX_ENVIRON_BYTES = 1024 * 1024
_VARIABLE = b"CONTAINER_ID="


@dataclass(frozen=True, slots=True)
class Process:
    """One process, as the kernel describes it.

    Attributes:
        pid: Its ID; with `started` it names the process for as long as the machine runs.
        started: When it started, in the kernel's ticks since boot.
        is_zombie: Whether it has ended and only waits to be reaped.
        memory_bytes: Resident memory, shared pages included.
        cpu_s: Computing time so far, in seconds.
    """

    pid: int
    parent: int
    group: int
    session: int
    started: int
    is_zombie: bool
    memory_bytes: int
    cpu_s: float


def read_process(pid: int) -> Process | None:
    """Return a process; None if there is none of this ID."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace")
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return None
    # The name stands in parentheses and may itself hold blanks and parentheses.
    fields = text.rpartition(")")[2].split()
    return Process(
        pid=pid,
        parent=int(fields[1]),
        group=int(fields[2]),
        session=int(fields[3]),
        started=int(fields[19]),
        is_zombie=fields[0] in "ZX",
        memory_bytes=int(fields[21]) * _PAGE_BYTES,
        cpu_s=(int(fields[11]) + int(fields[12])) / _TICKS_PER_S,
    )


def all_processes() -> dict[int, Process]:
    """Return every process of this machine."""
    found = (read_process(int(name)) for name in os.listdir("/proc") if name.isdigit())  # noqa: PTH208 - 1 object a process
    return {process.pid: process for process in found if process is not None}


@dataclass(frozen=True, slots=True)
class Marks:
    """What tells that a process belongs to a container.

    Attributes:
        container_id: Stands in the environment of what it started.
        output: The file that it writes to.
        leader: The process that the launcher started, while it has not been reaped: its ID is also that of its
            session and group, and nobody else's. None if that cannot be known.
    """

    container_id: str
    output: Path
    leader: int | None = None


def members(
    marks: Marks, processes: Mapping[int, Process] | None = None, *, is_thorough: bool = True
) -> dict[int, Process]:
    """Return the processes of a container, its zombies included; never this process itself.

    Args:
        marks: What tells them.
        processes: All processes; None reads them now.
        is_thorough: Whether to look into every process; else only into orphans that came to this process.
    """
    processes = all_processes() if processes is None else processes
    roots = {process.pid for process in processes.values() if _belongs(process, marks, is_thorough)}
    return _with_descendants(processes, roots)


def strays(containers: Path, is_wanted: Callable[[str], bool]) -> dict[int, Process]:
    """Return the processes of containers of an earlier run, and what they started.

    Args:
        containers: Folder of the containers' folders.
        is_wanted: Says of a container's ID whether its processes are meant.
    """
    processes = all_processes()
    roots = {pid for pid in processes if pid != os.getpid() and _is_stray(pid, containers, is_wanted)}
    return _with_descendants(processes, roots)


def kill(process: Process, number: int = signal.SIGKILL) -> None:
    """Send a signal to exactly this process; nothing happens if it is gone, or its ID is another's by now."""
    if process.is_zombie:
        return
    try:
        descriptor = os.pidfd_open(process.pid)
    except ProcessLookupError:
        return
    try:
        now = read_process(process.pid)
        if now is not None and now.started == process.started:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                signal.pidfd_send_signal(descriptor, number)
    finally:
        os.close(descriptor)


def reap(pids: Iterable[int]) -> None:
    """Take note of the end of children of this process, such as adopted orphans; others are left alone."""
    for pid in pids:
        with contextlib.suppress(ChildProcessError):
            os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG)


def memory_bytes(processes: Iterable[Process], limit_bytes: int) -> int:
    """Return what processes hold together; pages that they share count once, as soon as that matters for the limit."""
    listed = [process for process in processes if not process.is_zombie]
    total = sum(process.memory_bytes for process in listed)
    if total <= limit_bytes or len(listed) < 2:
        return total
    return sum(_proportional_bytes(process) for process in listed)


def boot_id() -> str:
    """Return what names this run of the machine: process IDs and start times mean something within it only."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def _proportional_bytes(process: Process) -> int:
    try:
        for line in Path(f"/proc/{process.pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return process.memory_bytes


def _is_stray(pid: int, containers: Path, is_wanted: Callable[[str], bool]) -> bool:
    owners = {entry[len(_VARIABLE) :].decode("utf-8", "replace") for entry in _environment(pid) if _is_id(entry)}
    owners |= {Path(link).parent.name for link in _outputs(pid) if Path(link).parent.parent == containers}
    return any(map(is_wanted, owners))


def _is_id(entry: bytes) -> bool:
    return entry.startswith(_VARIABLE)


def _belongs(process: Process, marks: Marks, is_thorough: bool) -> bool:
    if marks.leader is not None and marks.leader in (process.pid, process.group, process.session):
        return True
    if process.is_zombie or process.pid == os.getpid() or not (is_thorough or process.parent == os.getpid()):
        return False
    return _entry(marks.container_id) in _environment(process.pid) or str(marks.output) in _outputs(process.pid)


def _entry(container_id: str) -> bytes:
    return _VARIABLE + container_id.encode()


def _environment(pid: int) -> list[bytes]:
    try:
        with Path(f"/proc/{pid}/environ").open("rb") as file:
            return file.read(_MAX_ENVIRON_BYTES).split(b"\0")
    except OSError:
        return []


def _outputs(pid: int) -> Iterator[str]:
    for descriptor in (1, 2):
        with contextlib.suppress(OSError):
            yield str(Path(f"/proc/{pid}/fd/{descriptor}").readlink())


def _with_descendants(processes: Mapping[int, Process], roots: Collection[int]) -> dict[int, Process]:
    found = {*roots, *_descendants(processes, roots)}
    found.discard(os.getpid())
    return {pid: processes[pid] for pid in found}


def _descendants(processes: Mapping[int, Process], roots: Collection[int]) -> set[int]:
    children: dict[int, list[int]] = {}
    for process in processes.values():
        children.setdefault(process.parent, []).append(process.pid)
    found: set[int] = set()
    waiting = list(roots)
    while waiting:
        for child in children.get(waiting.pop(), ()):
            if child not in found:
                found.add(child)
                waiting.append(child)
    return found
