"""Native containers that take more than their share: each has a clear answer, and the others go on."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from edge.errors import CalleeError
from edge.launcher.process.output import MAX_OUTPUT_BYTES
from tests.system.launching import Puppet, exists, launching, until

pytestmark = pytest.mark.timeout(60)


async def test_ten_containers_that_write_much_keep_their_newest_lines_in_bounded_space(
    tmp_path: Path, at_size: Callable[[int, int], int]
) -> None:
    size_bytes = at_size(3, 100) * 1024 * 1024
    async with launching(tmp_path) as laboratory:
        laboratory.puppet()
        puppets = await asyncio.gather(*(laboratory.start(timeout_s=30) for _ in range(10)))
        began_s = time.monotonic()
        async with asyncio.TaskGroup() as tasks:
            writing = [
                tasks.create_task(puppet.do("write", size_bytes=size_bytes, end=f"end {puppet.id}"))
                for puppet in puppets
            ]
            most_bytes = 0
            while not all(task.done() for task in writing):
                most_bytes = max(most_bytes, *(_output_bytes(laboratory.state, puppet) for puppet in puppets))
                await asyncio.sleep(0.05)
        # What all containers write in a second, as if it were one alone.
        rate_bytes = 10 * size_bytes / (time.monotonic() - began_s)
        assert most_bytes < 3 * MAX_OUTPUT_BYTES + rate_bytes
        # Nothing hangs: each answers as before, and its last line is there.
        for puppet in puppets:
            assert await puppet.do("place")
            assert (await laboratory.launcher.log(puppet.id, 2) or [])[-1] == f"end {puppet.id}"
        bound_bytes = 3 * MAX_OUTPUT_BYTES
        await until(lambda: all(_output_bytes(laboratory.state, puppet) <= bound_bytes for puppet in puppets))
        for puppet in puppets:
            lines = await laboratory.launcher.log(puppet.id, 100)
            assert lines is not None
            assert len(lines) == 100
            assert lines[-1] == f"end {puppet.id}"
            assert set(lines[:-1]) == {"x" * 99}


def _output_bytes(state: Path, puppet: Puppet) -> int:
    folder = state / "containers" / puppet.id
    total_bytes = 0
    for name in ("output.log", "output.log.1", "output.log.new"):
        with contextlib.suppress(FileNotFoundError):
            total_bytes += (folder / name).stat().st_blocks * 512
    return total_bytes


async def test_output_is_followed_line_by_line(tmp_path: Path) -> None:
    async with launching(tmp_path) as laboratory:
        laboratory.puppet()
        puppet = await laboratory.start(arguments={"MODE": "", "PASSWORD": "swordfish"})
        async with laboratory.launcher.follow(puppet.id, 10) as pieces:
            assert await anext(pieces) == b"the puppet plays\n"
            await puppet.do("write", size_bytes=0, end="the swordfish swims")
            assert await anext(pieces) == b"the *** swims\n"
            await laboratory.launcher.stop(puppet.id)
            assert [piece async for piece in pieces] == []


async def test_a_memory_hog_is_killed_by_its_limit_children_included_and_its_neighbour_goes_on(tmp_path: Path) -> None:
    async with launching(tmp_path) as laboratory:
        laboratory.puppet(start="memory_mb = 90\n")
        hog = await laboratory.start(client_config={"type": "NATIVE", "memoryMb": 500})
        neighbour = await laboratory.start()
        pid = await hog.pid()
        grow = "x = bytearray(1) * (40 * 2**20); import time; time.sleep(3600)"
        children = [
            await hog.do("child", command=[sys.executable, "-S", "-E", "-c", grow], leaves=True) for _ in range(2)
        ]
        await hog.comes_back(after=pid)
        status = await laboratory.launcher.status(hog.id)
        assert status is not None
        assert status.last_exit is not None
        assert status.last_exit.startswith("was killed: its processes used ")
        assert status.last_exit.endswith(" MiB together, its limit is 90 MiB")
        assert [child for child in children if exists(child)] == []
        assert [limit.value for limit in status.limits if limit.name == "memory_mb"] == [90]
        neighbours = await laboratory.launcher.status(neighbour.id)
        assert neighbours is not None
        assert neighbours.restarts == 0


async def test_a_descriptor_hog_meets_its_own_limit(tmp_path: Path) -> None:
    async with launching(tmp_path) as laboratory:
        laboratory.puppet()
        hog = await laboratory.start()
        count, reason = await hog.do("hog_descriptors")
        assert reason == "Too many open files"
        assert 4000 < count <= 4096
        assert await hog.do("place")


async def test_a_cpu_hog_gives_way_to_the_platform_and_says_what_is_not_enforced(tmp_path: Path) -> None:
    async with launching(tmp_path) as laboratory:
        laboratory.puppet(start="cpu_percent = 10\n")
        hog, neighbour = await laboratory.start(), await laboratory.start()
        await hog.do("hog_cpu", threads=4)
        began_s = time.monotonic()
        for _ in range(20):
            await neighbour.do("place")
        assert time.monotonic() - began_s < 20.0  # a neighbour's quantiles are measured in bench/
        status = await laboratory.launcher.status(hog.id)
        assert status is not None
        (cpu,) = [limit for limit in status.limits if limit.name == "cpu_percent"]
        assert cpu.value == 10
        assert cpu.enforced_by == (None if laboratory.launcher._house.cgroups is None else "cgroup")
        assert status.cpu_seconds is not None
        assert status.memory_bytes is not None
        assert await laboratory.launcher.stop(hog.id)


async def test_a_container_that_ends_while_many_call_it_fails_all_of_them_at_once(tmp_path: Path) -> None:
    async with launching(tmp_path, first_pause_s=5.0) as laboratory:
        laboratory.puppet()
        puppet = await laboratory.start()
        pid = await puppet.pid()
        calls = asyncio.gather(*(puppet.do("sleep", seconds=3600) for _ in range(20)), return_exceptions=True)
        await asyncio.sleep(0)
        os.kill(pid, 9)
        outcomes = await calls
        assert all(isinstance(outcome, CalleeError) for outcome in outcomes)
        assert all("ended by signal 9 (killed)" in outcome.message for outcome in outcomes)


async def test_short_lived_orphans_are_reaped(tmp_path: Path) -> None:
    async with launching(tmp_path) as laboratory:
        laboratory.puppet()
        puppet = await laboratory.start()
        # In the container's session, so that they can be told from children of other parts of the program.
        script = "sleep 0.1 & sleep 0.1 & exit 0"
        await puppet.do("child", command=["/bin/sh", "-c", script], leaves=False)
        await asyncio.sleep(0)
        await until(lambda: _zombies() == [])
        assert await puppet.do("place")


def _zombies() -> list[int]:
    found = []
    for listing in Path("/proc/self/task").glob("*/children"):
        for pid in listing.read_text().split():
            try:
                stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            except (FileNotFoundError, ProcessLookupError):
                continue
            # Those that sleep still count: they are waited for.
            if stat[0] == "Z" or int(stat[2]) != int(pid):
                found.append(int(pid))
    return found
