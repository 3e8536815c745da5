"""From start to stop: hooks, background work, what is left running, what logs in."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from typing import Any

import pytest

from edge.agents import Agent, Container, action, stream
from edge.errors import ActionFailed
from tests.unit.agents.running import alive, running, until


class Recorder(Agent):
    """Remembers its life."""

    def __init__(self, agent_id: str, story: list[str]) -> None:
        super().__init__(agent_id)
        self.story = story

    async def on_start(self) -> None:
        self.story.append(f"{self.agent_id} starts in {self.container.container_id}")

    async def on_stop(self) -> None:
        self.story.append(f"{self.agent_id} stops")

    @action
    async def add(self, x: int, y: int = 1) -> int:
        return x + y


async def test_hooks_run_at_start_and_stop() -> None:
    story: list[str] = []
    async with running(Recorder("a", story), Recorder("b", story)):
        assert story == ["a starts in c-77", "b starts in c-77"]
    assert sorted(story[2:]) == ["a stops", "b stops"]


async def test_sync_hooks_run_in_threads() -> None:
    class Sync(Agent):
        def on_start(self) -> None:  # type: ignore[override]
            self.started_in = threading.current_thread().name

        def on_stop(self) -> None:  # type: ignore[override]
            self.stopped_in = threading.current_thread().name

    agent = Sync()
    async with running(agent):
        assert agent.started_in.startswith("home-")
    assert agent.stopped_in.startswith("home-")


async def test_an_agent_that_does_not_start_keeps_the_container_from_starting_and_stops_the_others() -> None:
    story: list[str] = []

    class Broken(Recorder):
        async def on_start(self) -> None:
            raise LookupError("no sensor")

    container = Container("home", [Recorder("a", story), Broken("b", story), Recorder("c", story)])
    with pytest.raises(ActionFailed, match="on_start of agent 'b' failed: LookupError: no sensor"):
        async with alive(container):
            pytest.fail("started")
    assert sorted(story) == ["a starts in c-77", "a stops", "b stops"]
    assert not container.is_running


async def test_a_start_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge.agents.life._START_LIMIT_S", 0.05)

    class Hanging(Agent):
        async def on_start(self) -> None:
            await asyncio.Event().wait()

    with pytest.raises(ActionFailed, match=r"on_start of agent 'hanging' took longer than 0\.05 s"):
        async with running(Hanging()):
            pytest.fail("started")


async def test_a_stop_that_fails_or_hangs_is_logged_and_stops_nobody_else(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("edge.agents.life._STOP_LIMIT_S", 0.1)

    class Failing(Agent):
        async def on_stop(self) -> None:
            raise ValueError("jammed")

    class Hanging(Agent):
        async def on_stop(self) -> None:
            await asyncio.Event().wait()

    story: list[str] = []
    began_s = time.perf_counter()
    async with running(Failing(), Hanging(), Recorder("a", story)):
        pass
    assert time.perf_counter() - began_s < 10
    assert story[-1] == "a stops"
    assert "agent failing: on_stop failed: ValueError: jammed" in caplog.text
    assert "agent hanging: its task on_stop" in caplog.text


async def test_what_an_agent_leaks_ends_with_the_container_and_is_named(caplog: pytest.LogCaptureFixture) -> None:
    leaked: list[asyncio.Task[Any]] = []

    class Leaky(Agent):
        @action
        async def leak(self) -> None:
            async def drip() -> None:
                await asyncio.Event().wait()

            leaked.append(asyncio.create_task(drip(), name="drip"))

        @action
        def leak_from_thread(self) -> None:
            async def trickle() -> None:
                await asyncio.Event().wait()

            asyncio.run_coroutine_threadsafe(trickle(), self.container.life.loop)

        @stream(mode="GET")
        async def leaking(self) -> Any:
            async def seep() -> None:
                await asyncio.Event().wait()

            leaked.append(asyncio.create_task(seep(), name="seep"))
            yield 1

    async with running(Leaky(), Recorder("well", [])) as home:
        await home.invoke("Leak", {}, None)
        await home.invoke("LeakFromThread", {}, None)
        async with home.get_stream("Leaking", None) as pieces:
            await anext(pieces)
        await until(lambda: len(home.life.tasks) >= 3)
        assert await home.invoke("Add", {"x": 1}, None) == 2
    assert all(task.cancelled() for task in leaked)
    for name in ("drip", "seep", "trickle"):
        assert any(
            record.levelno == logging.WARNING and "agent leaky: its task" in record.message and name in record.message
            for record in caplog.records
        ), name


async def test_a_leaked_task_that_fails_is_logged_with_the_agents_name(caplog: pytest.LogCaptureFixture) -> None:
    class Leaky(Agent):
        @action
        async def leak(self) -> None:
            async def drip() -> None:
                raise ValueError("dry")

            self.kept = asyncio.create_task(drip(), name="drip")

    async with running(Leaky()) as home:
        await home.invoke("Leak", {}, None)
        await until(lambda: "agent leaky: its task drip" in caplog.text)
        assert "failed: ValueError: dry" in caplog.text


# --- background work


async def test_background_work_runs_until_the_container_stops_and_is_no_leak(caplog: pytest.LogCaptureFixture) -> None:
    class Busy(Agent):
        ended = False

        async def on_start(self) -> None:
            self.start_task(self.work)

        async def work(self) -> None:
            try:
                await asyncio.Event().wait()
            finally:
                self.ended = True

    busy = Busy()
    async with running(busy):
        await asyncio.sleep(0)
    assert busy.ended
    assert caplog.records == []


async def test_background_work_may_be_started_before_the_container_runs() -> None:
    class Eager(Agent):
        def __init__(self) -> None:
            super().__init__()
            self.ran: list[str] = []
            self.start_task(self.work)
            self.start_task(self.work(), name="once")

        async def work(self) -> None:
            self.ran.append("ran")

    eager = Eager()
    async with running(eager):
        await until(lambda: len(eager.ran) == 2)


async def test_background_work_that_fails_is_run_again_with_growing_pauses(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("edge.agents.background.FIRST_PAUSE_S", 0.02)

    class Fragile(Agent):
        def __init__(self) -> None:
            super().__init__()
            self.runs: list[float] = []

        async def on_start(self) -> None:
            self.start_task(self.measure)

        async def measure(self) -> None:
            self.runs.append(time.perf_counter())
            if len(self.runs) == 2:
                raise SystemExit(1)
            if len(self.runs) < 4:
                raise OSError("unplugged")
            await asyncio.Event().wait()

    fragile = Fragile()
    async with running(fragile) as home:
        await until(lambda: home.degraded)
        assert home.degraded == {"fragile.measure": "OSError: unplugged"}
        await until(lambda: len(fragile.runs) == 4)
        assert home.degraded == {}
        pauses = [after - before for before, after in zip(fragile.runs, fragile.runs[1:], strict=False)]
        assert pauses[2] > pauses[0]
    assert "agent fragile: its work measure failed: OSError: unplugged" in caplog.text
    assert "SystemExit: 1" in caplog.text


async def test_a_coroutine_runs_once_and_its_failure_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    class Once(Agent):
        runs = 0

        async def on_start(self) -> None:
            self.start_task(self.measure(), name="measuring")

        async def measure(self) -> None:
            self.runs += 1
            raise OSError("unplugged")

    once = Once()
    async with running(once):
        await until(lambda: "agent once: its task measuring" in caplog.text)
        assert once.runs == 1


# --- threads


async def test_what_blocks_can_be_run_in_a_thread() -> None:
    def look(where: str) -> str:
        return f"{where} in {threading.current_thread().name}"

    def fail(error: BaseException) -> None:
        raise error

    class Reader(Agent):
        @action
        async def read(self) -> str:
            return await self.in_thread(look, "here")

        @action
        async def handles(self) -> str:
            try:
                await self.in_thread(fail, LookupError("gone"))
            except LookupError:
                return "handled"
            return "not raised"

        @action
        async def stops(self) -> None:
            await self.in_thread(fail, StopIteration())

    async with running(Reader()) as home:
        assert await home.invoke("Read", {}, None) == "here in home-1"
        assert await home.invoke("Handles", {}, None) == "handled"
        with pytest.raises(ActionFailed, match="StopIteration"):
            await home.invoke("Stops", {}, None)


async def test_a_sync_method_can_wait_for_a_coroutine() -> None:
    class Sync(Agent):
        async def double(self, x: int) -> int:
            await asyncio.sleep(0)
            return 2 * x

        async def never(self) -> None:
            await asyncio.Event().wait()

        @action
        def compute(self, x: int) -> int:
            return self.wait(self.double(x))

        @action
        def impatient(self) -> None:
            self.wait(self.never(), timeout_s=0.02)

        @action
        async def wrong(self, x: int) -> int:
            return self.wait(self.double(x))

    async with running(Sync()) as home:
        assert await home.invoke("Compute", {"x": 2}, None) == 4
        with pytest.raises(ActionFailed, match="TimeoutError"):
            await home.invoke("Impatient", {}, None)
        with pytest.raises(ActionFailed, match="write `await` instead"):
            await home.invoke("Wrong", {"x": 2}, None)
        await until(lambda: len(home.life.tasks) == 0)
