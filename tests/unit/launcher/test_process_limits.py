"""Limits by control groups: against a tree of plain files, and as far as possible against the kernel's own."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from uuid import uuid4

import pytest

from edge.launcher.process.limits import CgroupLeaf, Cgroups, Limits, enforced
from tests.contract.running import until

BOTH = frozenset(("memory", "cpu"))


def _prepared(path: Path, *files: str) -> Path:
    """Make a group as the kernel does, with the files that it offers."""
    path.mkdir()
    for name in files:
        (path / name).write_text("")
    return path


def test_a_leaf_bounds_memory_and_computing_time(tmp_path: Path) -> None:
    path = _prepared(tmp_path / "leaf", "memory.max", "memory.swap.max", "memory.oom.group", "cpu.max", "cgroup.procs")
    leaf = CgroupLeaf(path, Limits(64, 150), BOTH)
    leaf.add(77)
    assert (path / "memory.max").read_text() == str(64 * 1024 * 1024)
    assert (path / "memory.swap.max").read_text() == "0"
    assert (path / "memory.oom.group").read_text() == "1"
    assert (path / "cpu.max").read_text() == "150000 100000"
    assert (path / "cgroup.procs").read_text() == "77"
    assert [(limit.name, limit.enforced_by) for limit in enforced(Limits(64, 150), leaf)[1:]] == [
        ("memory_mb", "cgroup"),
        ("cpu_percent", "cgroup"),
    ]


@pytest.mark.parametrize(
    ("controllers", "files", "memory_by", "cpu_by"),
    [
        (frozenset(("cpu",)), ("cpu.max", "memory.max"), "the platform, which looks once a second", "cgroup"),
        (frozenset(("memory",)), ("memory.max",), "cgroup", None),
        (BOTH, (), "the platform, which looks once a second", None),
    ],
)
def test_what_the_kernel_does_not_offer_is_said(
    tmp_path: Path, controllers: frozenset[str], files: tuple[str, ...], memory_by: str, cpu_by: str | None
) -> None:
    leaf = CgroupLeaf(_prepared(tmp_path / "leaf", *files), Limits(64, 50), controllers)
    assert [limit.enforced_by for limit in enforced(Limits(64, 50), leaf)[1:]] == [memory_by, cpu_by]
    assert sorted(file.name for file in leaf.path.iterdir()) == sorted(files)


def test_without_control_groups_computing_time_is_not_enforced() -> None:
    assert [(limit.name, limit.enforced_by) for limit in enforced(Limits(64, 50), None)] == [
        ("descriptors", "RLIMIT_NOFILE, for each process"),
        ("memory_mb", "the platform, which looks once a second"),
        ("cpu_percent", None),
    ]
    assert [limit.name for limit in enforced(Limits(), None)] == ["descriptors"]


def test_kills_by_the_kernel_are_counted(tmp_path: Path) -> None:
    leaf = CgroupLeaf(_prepared(tmp_path / "leaf", "memory.max"), Limits(64), BOTH)
    assert leaf.oom_kills == 0
    (leaf.path / "memory.events").write_text("low 0\nmax 4\noom 2\noom_kill 3\n")
    assert leaf.oom_kills == 3


def _system(tmp_path: Path, cgroup: str, controllers: str = "cpu memory io") -> tuple[Path, Path]:
    """Return stand-ins for /proc/self and the mounted groups."""
    proc, mounted = tmp_path / "proc", tmp_path / "cgroup"
    own = mounted / "edge.service"
    proc.mkdir()
    own.mkdir(parents=True)
    (proc / "cgroup").write_text(cgroup)
    (proc / "mountinfo").write_text(f"30 24 0:26 / {mounted} rw,nosuid shared:4 - cgroup2 cgroup2 rw\n")
    (own / "cgroup.controllers").write_text(controllers + "\n")
    for name in ("cgroup.procs", "cgroup.subtree_control"):
        (own / name).write_text("")
    return proc, own


def test_groups_that_nobody_left_to_us_are_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    proc, own = _system(tmp_path, "1:cpu:/\n0::/edge.service\n")
    monkeypatch.setattr(os, "getxattr", _no_mark)
    monkeypatch.setattr(os, "getuid", lambda: 0)
    assert Cgroups.delegated(proc) is None
    assert not (own / "platform").exists()


def _no_mark(path: object, name: str) -> bytes:
    raise OSError("no such attribute")


def test_groups_that_the_service_manager_left_to_us_are_prepared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    proc, own = _system(tmp_path, "1:cpu:/\n0::/edge.service\n")
    monkeypatch.setattr(os, "getxattr", lambda path, name: b"1")
    cgroups = Cgroups.delegated(proc)
    assert cgroups is not None
    assert cgroups.path == own
    assert cgroups.controllers == BOTH
    assert (own / "platform" / "cgroup.procs").read_text() == str(os.getpid())
    leaf = cgroups.leaf("c", Limits())
    assert leaf is not None
    assert leaf.path == own / "container-c"
    assert leaf.remove()
    assert leaf.remove()


@pytest.mark.parametrize("cgroup", ["1:cpu:/\n", "", "0::/elsewhere\n"])
def test_a_machine_without_the_second_version_has_no_groups(
    tmp_path: Path, cgroup: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    proc, _ = _system(tmp_path, cgroup)
    monkeypatch.setattr(os, "getxattr", _no_mark)
    assert Cgroups.delegated(proc) is None
    assert Cgroups.delegated(tmp_path / "nowhere") is None


def test_the_kernel_ends_a_whole_group_at_once() -> None:
    mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    mounted = next((Path(line.split()[4]) for line in mounts if " - cgroup2 " in line), None)
    path = None if mounted is None else mounted / f"opaca-edge-test-{uuid4().hex[:8]}"
    try:
        leaf = None if path is None else CgroupLeaf(path, Limits(), frozenset())
    except OSError:
        leaf = None
    if leaf is None:
        pytest.skip("no control groups of version 2 that this user may divide")
    # Its child begins when it is in the group: before, it would stay outside.
    process = subprocess.Popen(
        ["/bin/sh", "-c", "read go; sleep 3600 & wait"], stdin=subprocess.PIPE, start_new_session=True
    )
    assert process.stdin is not None
    try:
        leaf.add(process.pid)
        process.stdin.write(b"\n")
        process.stdin.close()
        members = leaf.path / "cgroup.procs"
        until(lambda: len(members.read_text().split()) == 2, "its child is in the group, too")
        assert str(process.pid) in (leaf.path / "cgroup.procs").read_text().split()
        assert not leaf.remove()
        leaf.kill()
        assert process.wait(15) == -9
    finally:
        process.kill()
        process.wait()
        # The child is reaped by somebody else.
        until(leaf.remove, "nothing is left in the group")
