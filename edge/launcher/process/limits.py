"""What a container may take of the machine, and what of that this machine can enforce."""

from __future__ import annotations

import contextlib
import os
import resource
from dataclasses import dataclass
from pathlib import Path

from edge.launcher.base import Limit

_MAX_OPEN_FILES = 4096
# Containers give way to the platform, and die before it when the machine has no memory left.
_NICENESS = 5
_OOM_SCORE = 300
_CPU_PERIOD_US = 100_000


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one container.

    Attributes:
        memory_mb: Most memory of all its processes together, in MiB; None for no limit.
        cpu_percent: Most computing time, 100 is one core; None for no limit.
    """

    memory_mb: int | None = None
    cpu_percent: int | None = None

    @property
    def memory_bytes(self) -> int | None:
        """The limit of memory in bytes."""
        return None if self.memory_mb is None else self.memory_mb * 1024 * 1024


def moderate(pid: int) -> None:
    """Give a new process what every container gets: few open files, low priority, an early end when memory is out."""
    with contextlib.suppress(ProcessLookupError, PermissionError, ValueError):
        most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        wanted = _MAX_OPEN_FILES if most == resource.RLIM_INFINITY else min(_MAX_OPEN_FILES, most)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (wanted, wanted))
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.setpriority(os.PRIO_PROCESS, pid, max(os.getpriority(os.PRIO_PROCESS, 0), _NICENESS))
    with contextlib.suppress(OSError):
        Path(f"/proc/{pid}/oom_score_adj").write_text(str(_OOM_SCORE))


class CgroupLeaf:
    """The control group of one container."""

    def __init__(self, path: Path, limits: Limits, controllers: frozenset[str]) -> None:
        self.path = path
        self.enforces_memory = limits.memory_mb is None
        self.enforces_cpu = limits.cpu_percent is None
        path.mkdir(exist_ok=True)
        if limits.memory_bytes is not None and "memory" in controllers:
            self.enforces_memory = self._set("memory.max", str(limits.memory_bytes))
            self._set("memory.swap.max", "0")
            self._set("memory.oom.group", "1")
        if limits.cpu_percent is not None and "cpu" in controllers:
            quota = limits.cpu_percent * _CPU_PERIOD_US // 100
            self.enforces_cpu = self._set("cpu.max", f"{quota} {_CPU_PERIOD_US}")

    def add(self, pid: int) -> None:
        """Move a process in; what it starts from then on is in it, too."""
        with contextlib.suppress(OSError):
            (self.path / "cgroup.procs").write_text(str(pid))

    def kill(self) -> None:
        """End every process in it at once; older kernels cannot, then nothing happens."""
        self._set("cgroup.kill", "1")

    @property
    def oom_kills(self) -> int:
        """How often the kernel ended processes here because they were above the limit."""
        try:
            for line in (self.path / "memory.events").read_text().splitlines():
                if line.startswith("oom_kill "):
                    return int(line.split()[1])
        except OSError:
            pass
        return 0

    def remove(self) -> bool:
        """Remove it; False while processes are in it."""
        try:
            self.path.rmdir()
        except FileNotFoundError:
            return True
        except OSError:
            return False
        return True

    def _set(self, name: str, value: str) -> bool:
        try:
            # Never made: a file that the kernel does not offer is a limit that it does not enforce.
            descriptor = os.open(self.path / name, os.O_WRONLY | os.O_CLOEXEC)
        except OSError:
            return False
        try:
            os.write(descriptor, value.encode())
        except OSError:
            return False
        finally:
            os.close(descriptor)
        return True


class Cgroups:
    """The part of the control groups (version 2) that is left to this platform.

    Args:
        path: Its own group.
        controllers: What can be limited in the groups below it.
    """

    def __init__(self, path: Path, controllers: frozenset[str] = frozenset()) -> None:
        self.path = path
        self.controllers = controllers

    def leaf(self, container_id: str, limits: Limits) -> CgroupLeaf | None:
        """Return the group of a container, made if need be; None if it cannot be made."""
        try:
            return CgroupLeaf(self.path / f"container-{container_id}", limits, self.controllers)
        except OSError:
            return None

    @classmethod
    def delegated(cls, proc: Path = Path("/proc/self")) -> Cgroups | None:
        """Return what the service manager has left to this process, prepared for use; None if that is nothing."""
        path = _own_group(proc)
        if path is None or not _is_delegated(path):
            return None
        try:
            offered = (path / "cgroup.controllers").read_text().split()
            # Groups that are divided further may hold no process themselves.
            own = path / "platform"
            own.mkdir(exist_ok=True)
            (own / "cgroup.procs").write_text(str(os.getpid()))
        except OSError:
            return None
        enabled = frozenset(name for name in ("memory", "cpu") if name in offered and _enable(path, name))
        return cls(path, enabled)


def enforced(limits: Limits, leaf: CgroupLeaf | None) -> tuple[Limit, ...]:
    """Return the bounds of a container, each with what keeps it on this machine."""
    found = [Limit(name="descriptors", value=_MAX_OPEN_FILES, enforced_by="RLIMIT_NOFILE, for each process")]
    if limits.memory_mb is not None:
        is_kernel = leaf is not None and leaf.enforces_memory
        by = "cgroup" if is_kernel else "the platform, which looks once a second"
        found.append(Limit(name="memory_mb", value=limits.memory_mb, enforced_by=by))
    if limits.cpu_percent is not None:
        is_kernel = leaf is not None and leaf.enforces_cpu
        found.append(Limit(name="cpu_percent", value=limits.cpu_percent, enforced_by="cgroup" if is_kernel else None))
    return tuple(found)


def _own_group(proc: Path) -> Path | None:
    try:
        groups = (proc / "cgroup").read_text().splitlines()
        mounts = (proc / "mountinfo").read_text().splitlines()
    except OSError:
        return None
    own = next((line[3:] for line in groups if line.startswith("0::")), None)
    mount = next((line.split() for line in mounts if " - cgroup2 " in line), None)
    if own is None or mount is None:
        return None
    return Path(mount[4]) / own.removeprefix(mount[3] if mount[3] != "/" else "").lstrip("/")


def _is_delegated(path: Path) -> bool:
    """Tell whether the group is ours to divide: its manager says so, or it belongs to our user and not to root."""
    for mark in ("user.delegate", "trusted.delegate"):
        with contextlib.suppress(OSError):
            if os.getxattr(path, mark) == b"1":
                return os.access(path / "cgroup.subtree_control", os.W_OK)
    try:
        owner = path.stat().st_uid
    except OSError:
        return False
    return owner == os.getuid() != 0 and os.access(path / "cgroup.procs", os.W_OK)


def _enable(path: Path, controller: str) -> bool:
    try:
        (path / "cgroup.subtree_control").write_text(f"+{controller}")
    except OSError:
        return False
    return True
