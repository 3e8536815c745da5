"""What blocks the loop is named while it blocks."""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import Callable

import pytest

from edge.agents import Agent, Container, action
from edge.agents.identity import Identity
from edge.agents.tasks import install_task_factory
from edge.agents.watchdog import Watchdog, WatchedLoop, watched_loop
from tests.unit.agents.running import until

pytestmark = pytest.mark.may_block


class Blocker(Agent):
    """Blocks the loop."""

    @action
    async def compute(self, seconds: float) -> str:
        """Waits as no async method should."""
        time.sleep(seconds)
        return "done"

    @action
    async def later(self, seconds: float) -> None:
        async def work() -> None:
            time.sleep(seconds)

        await asyncio.create_task(work())

    @action
    async def fine(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


@pytest.fixture(autouse=True)
def look_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge.agents.watchdog._LOOK_S", 0.1)


def watch(run: Callable[[Container], object], limit_s: float = 0.15) -> None:
    """Run a container on a watched loop."""

    async def main() -> None:
        install_task_factory(asyncio.get_running_loop())
        container = Container("home", [Blocker("slow")])
        async with Watchdog(), container.running(Identity(container_id="c")):
            await run(container)  # type: ignore[misc]

    with asyncio.Runner(loop_factory=lambda: WatchedLoop(limit_s)) as runner:
        runner.run(main())


def errors(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.message for record in caplog.records if record.levelno >= logging.ERROR]


def test_an_agent_that_blocks_the_loop_is_named_with_its_stack_once_and_how_long_it_was(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def run(home: Container) -> None:
        assert await home.invoke("Compute", {"seconds": 0.4}, None) == "done"
        await until(lambda: len(errors(caplog)) == 2)

    watch(run)
    blocked, ended = errors(caplog)
    assert "the event loop is blocked for more than 0.15 s by agent slow (Blocker.compute)" in blocked
    assert "time.sleep(seconds)" in blocked
    assert "runners.py" not in blocked  # only the agent's part of the stack
    found = re.match(r"the event loop was blocked for (\d+\.\d) s", ended)
    assert found and 0.4 <= float(found[1]) < 10
    assert "no Python code" not in ended


def test_it_is_named_while_it_blocks(caplog: pytest.LogCaptureFixture) -> None:
    async def run(home: Container) -> None:
        for seconds in (0.4, 2.0, 8.0):
            await home.invoke("Compute", {"seconds": seconds}, None)
            if errors(caplog):  # before the loop turned again
                return
        pytest.fail("it was not named")

    watch(run)


def test_an_agents_task_that_blocks_is_named_with_its_stack(caplog: pytest.LogCaptureFixture) -> None:
    async def run(home: Container) -> None:
        await home.invoke("Later", {"seconds": 0.4}, None)

    watch(run)
    assert "by a task of agent slow" in errors(caplog)[0]
    assert "in work" in errors(caplog)[0]
    assert "test_watchdog.py" in errors(caplog)[0]


def test_each_block_is_named(caplog: pytest.LogCaptureFixture) -> None:
    async def run(home: Container) -> None:
        for _ in range(2):
            await home.invoke("Compute", {"seconds": 0.6}, None)
            await asyncio.sleep(0.2)

    watch(run)
    assert sum("is blocked" in text for text in errors(caplog)) == 2
    assert sum("was blocked" in text for text in errors(caplog)) == 2


def test_a_loop_that_waits_or_works_in_short_steps_is_not_blocked(caplog: pytest.LogCaptureFixture) -> None:
    async def run(home: Container) -> None:
        await home.invoke("Fine", {"seconds": 0.3}, None)
        give_up_at = time.monotonic() + 0.4
        while time.monotonic() < give_up_at:
            await home.invoke("Compute", {"seconds": 0.02}, None)
            await asyncio.sleep(0)

    watch(run)
    assert errors(caplog) == []


def test_the_limit_is_a_second_unless_said_otherwise() -> None:
    loop = watched_loop()
    try:
        assert loop.marks.limit_s == 1.0
    finally:
        loop.close()


async def test_on_another_loop_nothing_is_watched() -> None:
    async with Watchdog() as watchdog:
        assert watchdog._thread is None
