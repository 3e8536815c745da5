"""Work that goes on when who asked for it has left."""

from __future__ import annotations

import asyncio

import pytest

from edge.errors import Conflict, NotFound
from edge.runtime.errands import Errands


async def test_who_waits_gets_what_it_returns_or_raises() -> None:
    async def find() -> str:
        raise NotFound("nothing there")

    async def say() -> str:
        return "hello"

    async with Errands() as errands:
        assert await errands.run("say", say) == "hello"
        with pytest.raises(NotFound):
            await errands.run("find", find)
        assert await errands.run("say", say) == "hello"  # one that failed ends no other


async def test_it_goes_on_when_the_caller_has_left() -> None:
    gate, done = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        await gate.wait()
        done.set()

    async with Errands() as errands:
        async with asyncio.TaskGroup() as tasks:
            caller = tasks.create_task(errands.run("work", work))
            await asyncio.sleep(0)
            caller.cancel()
        assert not done.is_set()
        gate.set()
        await asyncio.wait_for(done.wait(), 15)


async def test_a_failure_that_nobody_waits_for_harms_nothing() -> None:
    async def fail() -> None:
        raise NotFound("nothing there")

    async with Errands() as errands:
        errands.start("fail", fail)
        await asyncio.sleep(0)
        await asyncio.sleep(0)


async def test_leaving_cancels_what_is_under_way_and_lets_it_clean_up() -> None:
    seen: list[str] = []

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            seen.append("cleaned up")

    async with asyncio.timeout(15), asyncio.TaskGroup() as tasks, Errands() as errands:
        errands.start("work", work)
        waiting = tasks.create_task(_outcome(errands, work))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    assert seen == ["cleaned up"] * 2
    assert waiting.result() == "cancelled"


async def _outcome(errands: Errands, work: object) -> str:
    try:
        await errands.run("work", work)  # type: ignore[arg-type]
    except asyncio.CancelledError:
        return "cancelled"
    return "done"


async def test_nothing_is_begun_while_they_end() -> None:
    """Cleaning up may want to try again some day; there is no such day any more."""
    errands = Errands()

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            errands.start("once more", work)
            with pytest.raises(Conflict):
                await errands.run("once more", work)

    async with asyncio.timeout(15):
        async with errands:
            errands.start("work", work)
            await asyncio.sleep(0)
