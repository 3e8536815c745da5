"""Native containers that end, come back, or do not: what their callers hear meanwhile."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import time
from pathlib import Path

import pytest

from edge.errors import CalleeError, NotReady, OutcomeUnknown, Unreachable
from edge.launcher.base import ContainerState
from tests.system.launching import PUPPET, Laboratory, exists, launching, until

pytestmark = pytest.mark.timeout(40)


async def test_a_killed_container_is_noticed_at_once_and_comes_back_as_itself(tmp_path: Path) -> None:
    async with launching(tmp_path, first_pause_s=1.0) as laboratory:
        laboratory.puppet()
        puppet, neighbour = await laboratory.start(token="t"), await laboratory.start()
        pid, port = await puppet.pid(), laboratory.launcher.host_ports(puppet.id)
        os.kill(pid, signal.SIGKILL)
        began_s = time.monotonic()
        with pytest.raises(CalleeError, match=r"ended by signal 9 \(killed\)"):
            while True:
                await puppet.do("place")
        assert time.monotonic() - began_s < 5.0
        await until(lambda: _state(laboratory, puppet.id) is ContainerState.RESTARTING)
        with pytest.raises(Unreachable, match=r"ended by signal 9 \(killed\) 0 s ago; it is started again in \d\.\d s"):
            await puppet.do("place")
        assert await neighbour.do("place")
        await puppet.comes_back(after=pid)
        environment = await puppet.do("environment")
        assert (environment["CONTAINER_ID"], environment["TOKEN"]) == (puppet.id, "t")
        assert laboratory.launcher.host_ports(puppet.id) == port
        status = await laboratory.launcher.status(puppet.id)
        assert status is not None
        assert (status.restarts, status.last_exit) == (1, "ended by signal 9 (killed)")
        assert laboratory.told.count(("appeared", puppet.id)) == 2


async def test_a_call_under_way_hears_how_the_container_ended(tmp_path: Path) -> None:
    async with launching(tmp_path) as laboratory:
        laboratory.puppet()
        puppet = await laboratory.start()
        with pytest.raises(OutcomeUnknown, match="exited with status 7"):
            await puppet.do("crash", status=7)


async def test_what_a_container_started_ends_with_it_before_it_is_started_again(tmp_path: Path) -> None:
    async with launching(tmp_path) as laboratory:
        laboratory.puppet()
        puppet = await laboratory.start()
        pid = await puppet.pid()
        children = [await puppet.do("child", command=["/bin/sleep", "3600"], leaves=leaves) for leaves in (True, False)]
        os.kill(pid, signal.SIGKILL)
        await puppet.comes_back(after=pid)
        assert [child for child in children if exists(child)] == []


async def test_a_crash_loop_is_named_and_ends(tmp_path: Path) -> None:
    async with launching(tmp_path, first_pause_s=0.01) as laboratory:
        laboratory.puppet()
        puppet = await laboratory.start(arguments={"MODE": "dies once ready"})

        async def is_given_up() -> bool:
            status = await laboratory.launcher.status(puppet.id)
            return status is not None and status.state is ContainerState.CRASH_LOOP

        await until(is_given_up)
        with pytest.raises(Unreachable) as raised:
            await puppet.do("place")
        assert "exited with status 9; 5 times in a row it ended soon after its start: it is not started again" in (
            raised.value.message
        )
        assert raised.value.message.endswith("the puppet plays")
        assert ("vanished", puppet.id) not in laboratory.told
        assert await laboratory.launcher.describe(puppet.id) is None
        assert await laboratory.launcher.stop(puppet.id)
        assert await laboratory.launcher.statuses() == []


@pytest.mark.parametrize(
    ("policy", "status", "outcome"),
    [
        ("on-failure", 0, "vanished"),
        ("on-failure", 1, "restarted"),
        ("always", 0, "restarted"),
        ("never", 0, "vanished"),
        ("never", 1, "listed"),
    ],
)
async def test_the_policy_decides_what_follows_an_end(tmp_path: Path, policy: str, status: int, outcome: str) -> None:
    async with launching(tmp_path) as laboratory:
        laboratory.puppet(start='restart = "always"\n')
        puppet = await laboratory.start(client_config={"type": "NATIVE", "restart": policy})
        pid = await puppet.pid()
        with pytest.raises(OutcomeUnknown):
            await puppet.do("crash", status=status)
        if outcome == "restarted":
            await puppet.comes_back(after=pid)
        elif outcome == "vanished":
            await until(lambda: ("vanished", puppet.id) in laboratory.told)
            assert await laboratory.launcher.status(puppet.id) is None
            assert not (laboratory.state / "containers" / puppet.id).exists()
        else:
            await until(lambda: _state(laboratory, puppet.id) is ContainerState.STOPPED)
            with pytest.raises(Unreachable, match="exited with status 1; its restart policy is never"):
                await puppet.do("place")


def _state(laboratory: Laboratory, container_id: str) -> ContainerState:
    return laboratory.launcher._hosted[container_id].state


async def test_a_container_that_does_not_listen_any_more_is_started_again(tmp_path: Path) -> None:
    async with launching(tmp_path) as laboratory:
        laboratory.puppet()
        puppet = await laboratory.start()
        pid = await puppet.pid()
        await puppet.do("close_port")
        with pytest.raises(CalleeError):
            while True:
                await puppet.do("place")
        await puppet.comes_back(after=pid)
        status = await laboratory.launcher.status(puppet.id)
        assert status is not None
        assert status.last_exit == "lives but does not listen on its port any more, so it was killed"


async def test_a_container_that_is_only_busy_is_left_alone(tmp_path: Path) -> None:
    async with launching(tmp_path) as laboratory:
        laboratory.puppet()
        puppet = await laboratory.start()
        pid = await puppet.pid()
        os.kill(pid, signal.SIGSTOP)
        laboratory.launcher._hosted[puppet.id].life.doubt()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(2.0):
                await puppet.do("place")
        os.kill(pid, signal.SIGCONT)
        assert (await puppet.do("place"))[2] == pid


async def test_a_kept_container_goes_on_trying_after_a_start_that_failed(tmp_path: Path) -> None:
    async with launching(tmp_path) as laboratory:
        laboratory.puppet()
        folder = laboratory.image("late", ["/bin/sh", "late.sh"])
        (folder / "late.sh").write_text("exit 3\n")
        order = laboratory.order("late")
        with pytest.raises(NotReady, match="exited with status 3; it wrote nothing"):
            await laboratory.launcher.start(order, is_kept=True)
        (folder / "late.sh").write_text(f"exec {sys.executable} {PUPPET}\n")
        await until(lambda: order.container_id in laboratory.running)


async def test_describing_waits_for_a_container_that_comes_back(tmp_path: Path) -> None:
    async with launching(tmp_path) as laboratory:
        laboratory.puppet()
        puppet = await laboratory.start()
        pid = await puppet.pid()
        os.kill(pid, signal.SIGKILL)
        await until(lambda: _state(laboratory, puppet.id) is not ContainerState.RUNNING)
        launched = await laboratory.launcher.describe(puppet.id)
        assert launched is not None
        assert launched.description.container_id == puppet.id
        assert await laboratory.launcher.describe("another") is None


async def test_unknown_keys_of_a_container_are_named_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with launching(tmp_path) as laboratory:
        laboratory.puppet()
        with caplog.at_level(logging.WARNING):
            puppet = await laboratory.start()
            assert await laboratory.launcher.describe(puppet.id) is not None
        assert [record.getMessage() for record in caplog.records if "surplus" in record.getMessage()] == [
            f"container {puppet.id}: its /info has unknown keys, left out: surplus"
        ]


@pytest.mark.leaves_things
async def test_a_platform_that_leaves_its_containers_running_finds_them_again(tmp_path: Path) -> None:
    async with launching(tmp_path) as laboratory:
        laboratory.puppet()
        order = laboratory.order(token="t")
        launched = await laboratory.launcher.start(order)
        record = await laboratory.launcher.record(order.container_id)
        await laboratory.launcher.close(leave_running=True)
    assert exists(record["pid"])
    async with launching(tmp_path) as laboratory:
        again = await laboratory.launcher.adopt(order, record)
        assert again is not None
        assert again.description == launched.description
        pid = (await again.transport.invoke("place", {}, None))[2]
        assert pid == record["pid"]
        os.kill(pid, signal.SIGKILL)
        await until(lambda: laboratory.told.count(("appeared", order.container_id)) == 2)
        os.waitid(os.P_PID, pid, os.WEXITED)  # only in this test the first platform is still its parent
        assert (await again.transport.invoke("place", {}, None))[2] != pid
        assert await laboratory.launcher.stop(order.container_id)


async def test_a_process_that_is_not_the_stored_one_is_not_taken_over(tmp_path: Path) -> None:
    async with launching(tmp_path) as laboratory:
        laboratory.puppet()
        order = laboratory.order()
        await laboratory.launcher.start(order)
        record = await laboratory.launcher.record(order.container_id)
        await laboratory.launcher.close()
    async with launching(tmp_path) as laboratory:
        assert await laboratory.launcher.adopt(order, {**record, "pid": os.getpid()}) is None
        assert await laboratory.launcher.adopt(order, {"nonsense": 1}) is None
        assert await laboratory.launcher.adopt(order, record) is None
        assert laboratory.told == []


@pytest.mark.leaves_things
async def test_strays_of_an_earlier_run_are_killed_with_what_they_started(tmp_path: Path) -> None:
    async with launching(tmp_path) as laboratory:
        laboratory.puppet()
        puppet = await laboratory.start()
        pids = [await puppet.pid(), await puppet.do("child", command=["/bin/sleep", "3600"], leaves=True)]
        before = set(await asyncio.to_thread(laboratory.launcher.processes, puppet.id))
        await puppet.do("orphan", command=["/bin/sleep", "3600"])  # its environment is empty, its output tells
        pids += set(await asyncio.to_thread(laboratory.launcher.processes, puppet.id)) - before
        await laboratory.launcher.close(leave_running=True)
    async with launching(tmp_path) as laboratory:
        assert await laboratory.launcher.kill_strays(["another"]) == 0
        assert await laboratory.launcher.kill_strays([puppet.id]) == len(pids) == 3
        assert [pid for pid in pids if exists(pid)] == []
        await laboratory.launcher.stop(puppet.id)
        assert list((laboratory.state / "containers").iterdir()) == []
