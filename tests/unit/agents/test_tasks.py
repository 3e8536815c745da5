"""Tasks that agents start are theirs: named, watched, ended."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from edge.agents.tasks import AgentTasks, OwnedTask, Owner, current_owner, install_task_factory


@asynccontextmanager
async def agent_code(limit_s: float = 0.5) -> AsyncIterator[AgentTasks]:
    """Run the block as an agent's code would; then stop the container."""
    install_task_factory(asyncio.get_running_loop())
    tasks = AgentTasks()
    current_owner.set(Owner("pump", tasks))
    try:
        yield tasks
    finally:
        current_owner.set(None)
        await tasks.cancel_all(limit_s)


async def boom() -> None:
    raise ValueError("boom")


async def forever() -> None:
    await asyncio.Event().wait()


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_a_task_of_an_agent_is_its_own() -> None:
    async with agent_code() as tasks:
        task = asyncio.create_task(forever())
        assert isinstance(task, OwnedTask)
        assert task.owner.agent_id == "pump"
        assert len(tasks) == 1
        task.is_expected = True


async def test_a_task_of_the_platform_is_a_plain_task() -> None:
    install_task_factory(asyncio.get_running_loop())
    task = asyncio.create_task(asyncio.sleep(0))
    assert type(task) is asyncio.Task
    await task


async def test_a_task_that_a_task_starts_is_the_agents_too() -> None:
    async with agent_code() as tasks:

        async def parent() -> None:
            asyncio.create_task(forever())

        await asyncio.create_task(parent())
        assert len(tasks) == 1


async def test_a_task_keeps_its_name_and_result() -> None:
    async with agent_code() as tasks:

        async def five() -> int:
            return 5

        task = asyncio.create_task(five(), name="counting")
        assert task.get_name() == "counting"
        assert await task == 5
        await settle()
        assert len(tasks) == 0


async def test_what_is_left_running_is_cancelled_and_named(caplog: pytest.LogCaptureFixture) -> None:
    async with agent_code():
        task = asyncio.create_task(forever(), name="leak")
        await settle()
    assert task.cancelled()
    assert "agent pump: its task leak (forever) still runs; it is cancelled" in caplog.text


async def test_a_task_that_never_began_is_cancelled_without_a_warning() -> None:
    async with agent_code():
        task = asyncio.create_task(forever())
    assert task.cancelled()


async def test_a_failure_that_nobody_waits_for_is_logged_at_once(caplog: pytest.LogCaptureFixture) -> None:
    async with agent_code():
        kept = asyncio.create_task(boom(), name="leak")  # the agent keeps it: asyncio itself would say nothing
        await settle()
        record = next(record for record in caplog.records if "leak" in record.message)
        assert record.message == "agent pump: its task leak (boom) failed: ValueError: boom"
        assert record.exc_info is not None
        assert kept.done()


async def test_a_failure_that_the_agent_handles_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    async with agent_code():
        with pytest.raises(ValueError, match="boom"):
            await asyncio.create_task(boom())
        assert len(await asyncio.gather(boom(), boom(), return_exceptions=True)) == 2
        with pytest.raises(ExceptionGroup):
            async with asyncio.TaskGroup() as group:
                group.create_task(boom())
        await asyncio.wait([task := asyncio.create_task(boom())])
        assert task.exception()
        await settle()
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


async def test_what_ignores_its_cancellation_is_named_and_left_behind(caplog: pytest.LogCaptureFixture) -> None:
    released = asyncio.Event()

    async def stubborn() -> None:
        while not released.is_set():
            try:
                await released.wait()
            except asyncio.CancelledError:
                continue

    async with agent_code(limit_s=0.02):
        task = asyncio.create_task(stubborn(), name="stone")
        await settle()
    assert "its task stone (" in caplog.text
    assert "ignores its cancellation and is left behind" in caplog.text
    released.set()
    await task


async def test_what_fails_while_it_is_cancelled_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def clumsy() -> None:
        try:
            await forever()
        finally:
            raise ValueError("cleaning up")

    async with agent_code():
        asyncio.create_task(clumsy(), name="clumsy")
        await settle()
    assert "failed: ValueError: cleaning up" in caplog.text


async def test_an_exit_in_a_task_ends_the_task_and_not_the_process(caplog: pytest.LogCaptureFixture) -> None:
    async def leave() -> None:
        sys.exit(3)

    async with agent_code():
        asyncio.create_task(leave())
        await settle()
        with pytest.raises(RuntimeError, match=r"sys.exit\(3\)"):
            await asyncio.create_task(leave())
    assert "called sys.exit(3); only the task ends" in caplog.text


async def test_only_one_agents_tasks_can_be_cancelled() -> None:
    async with agent_code() as tasks:
        asyncio.create_task(forever())
        current_owner.set(Owner("lamp", tasks))
        other = asyncio.create_task(forever())
        await tasks.cancel_all(0.5, agent_id="pump")
        assert len(tasks) == 1
        assert not other.done()


async def test_installing_twice_changes_nothing() -> None:
    loop = asyncio.get_running_loop()
    install_task_factory(loop)
    factory = loop.get_task_factory()
    install_task_factory(loop)
    assert loop.get_task_factory() is factory
