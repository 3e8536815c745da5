"""The threads of a container: few, lazy, never in the way."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from edge.agents.workers import Workers
from edge.errors import ActionFailed
from tests.unit.agents.running import until


@asynccontextmanager
async def workers(**limits: float) -> AsyncIterator[tuple[Workers, threading.Event]]:
    """Workers, and an event that ends what hangs in them."""
    made = Workers("home", **limits)  # type: ignore[arg-type]
    released = threading.Event()
    try:
        yield made, released
    finally:
        released.set()
        made.close()


def threads() -> int:
    return sum(thread.name.startswith("home-") for thread in threading.enumerate())


async def test_a_call_runs_in_a_thread_and_gives_its_value() -> None:
    async with workers() as (pool, _):
        value, error = await pool.run("a.b", lambda: threading.current_thread().name)
        assert (value, error) == ("home-1", None)


async def test_what_a_call_raises_is_given_back_whatever_it_is() -> None:
    async with workers() as (pool, _):
        for kind in (ValueError, StopIteration, SystemExit, KeyboardInterrupt):

            def fail(kind: type[BaseException] = kind) -> None:
                raise kind("no")

            _, error = await pool.run("a.b", fail)
            assert type(error) is kind
        assert await pool.run("a.b", lambda: 1) == (1, None)


async def test_threads_start_when_they_are_needed_and_are_used_again() -> None:
    async with workers() as (pool, _):
        assert threads() == 0
        for _ in range(5):
            await pool.run("a.b", lambda: None)
        assert threads() == 1


async def test_there_are_never_more_threads_than_the_limit() -> None:
    async with workers() as (pool, released):
        names: set[str] = set()

        def work() -> None:
            names.add(threading.current_thread().name)
            released.wait(15)

        calls = [asyncio.create_task(pool.run("a.b", work)) for _ in range(10)]
        await until(lambda: len(names) == 4)
        await asyncio.sleep(0.05)
        assert threads() == 4
        released.set()
        await asyncio.gather(*calls)
        assert threads() == 4


async def test_who_waits_too_long_is_told_what_the_threads_are_busy_with_and_since_when() -> None:
    async with workers(limit=2, patience_s=0.05) as (pool, released):
        hanging = [asyncio.create_task(pool.run(f"pump.Run{i}", lambda: released.wait(15))) for i in (1, 2)]
        await until(lambda: len(pool.busy_with()) == 2)
        with pytest.raises(ActionFailed) as caught:
            await pool.run("lamp.Blink", lambda: None)
        text = caught.value.message
        assert "all 2 threads of container 'home' are busy with pump.Run1 (since 0 s), pump.Run2 (since 0 s)" in text
        released.set()
        await asyncio.gather(*hanging)
        assert await pool.run("lamp.Blink", lambda: "well") == ("well", None)


async def test_only_so_many_calls_wait() -> None:
    async with workers(limit=1, waiting_limit=3) as (pool, released):
        first = asyncio.create_task(pool.run("a.b", lambda: released.wait(15)))
        await until(pool.busy_with)
        waiting = [asyncio.create_task(pool.run("a.b", lambda: None)) for _ in range(3)]
        await asyncio.sleep(0)
        with pytest.raises(ActionFailed, match="3 calls wait already"):
            await pool.run("a.b", lambda: None)
        released.set()
        await asyncio.gather(first, *waiting)


async def test_calls_wait_in_order() -> None:
    async with workers(limit=1) as (pool, released):
        done: list[int] = []
        calls: list[asyncio.Task[Any]] = [asyncio.create_task(pool.run("a.b", lambda: released.wait(15)))]
        await until(pool.busy_with)
        calls += [asyncio.create_task(pool.run("a.b", functools.partial(done.append, n))) for n in range(5)]
        released.set()
        await asyncio.gather(*calls)
        assert done == [0, 1, 2, 3, 4]


async def test_a_cancelled_call_keeps_its_thread_until_it_ends() -> None:
    async with workers(limit=1, patience_s=0.05) as (pool, released):
        call = asyncio.create_task(pool.run("pump.Run", lambda: released.wait(15)))
        await until(pool.busy_with)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        with pytest.raises(ActionFailed, match=r"pump\.Run"):
            await pool.run("a.b", lambda: None)
        released.set()
        await until(lambda: not pool.busy_with())
        assert await pool.run("a.b", lambda: 1) == (1, None)


async def test_a_call_that_is_cancelled_while_it_waits_takes_no_thread() -> None:
    async with workers(limit=1) as (pool, released):
        first = asyncio.create_task(pool.run("a.b", lambda: released.wait(15)))
        await until(pool.busy_with)
        ran: list[int] = []
        cancelled = [asyncio.create_task(pool.run("a.b", lambda: ran.append(1))) for _ in range(3)]
        last = asyncio.create_task(pool.run("a.b", lambda: ran.append(2)))
        await asyncio.sleep(0)
        for call in cancelled:
            call.cancel()
        # One is cancelled in the very step in which a thread becomes free.
        released.set()
        await asyncio.gather(first, last)
        assert ran == [2]
        assert pool.busy_with() == []


async def test_context_variables_are_carried_over() -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable")
    variable.set("mine")
    async with workers() as (pool, _):
        assert await pool.run("a.b", variable.get) == ("mine", None)


async def test_idle_threads_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge.agents.workers._IDLE_S", 0.01)
    async with workers() as (pool, _):
        await pool.run("a.b", lambda: None)
        await until(lambda: threads() == 0)
        assert await pool.run("a.b", lambda: 1) == (1, None)


async def test_closing_ends_the_threads_that_are_free_and_the_others_when_they_are() -> None:
    pool, released = Workers("home"), threading.Event()
    await pool.run("a.b", lambda: None)
    call = asyncio.create_task(pool.run("a.b", lambda: released.wait(15)))
    await until(pool.busy_with)
    pool.close()
    with pytest.raises(ActionFailed, match="has stopped"):
        await pool.run("a.b", lambda: None)
    released.set()
    await call
    await until(lambda: threads() == 0)


async def test_closing_sends_away_who_waits() -> None:
    async with workers(limit=1) as (pool, released):
        first = asyncio.create_task(pool.run("a.b", lambda: released.wait(15)))
        await until(pool.busy_with)
        waiting = asyncio.create_task(pool.run("a.b", lambda: None))
        await asyncio.sleep(0)
        pool.close()
        with pytest.raises(ActionFailed, match="has stopped"):
            await waiting
        released.set()
        await first


def test_a_thread_ends_even_if_the_loop_ended_first() -> None:
    released = threading.Event()

    async def main() -> None:
        pool = Workers("gone")
        call = asyncio.create_task(pool.run("a.b", lambda: released.wait(15)))
        while not pool.busy_with():
            await asyncio.sleep(0)
        call.cancel()
        pool.close()

    asyncio.run(main())
    released.set()
    (thread,) = [thread for thread in threading.enumerate() if thread.name == "gone-1"] or [None]
    if thread is not None:
        thread.join(2)
        assert not thread.is_alive()


async def test_a_machine_without_a_thread_to_spare_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    async with workers() as (pool, _):
        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", refuse)
            with pytest.raises(ActionFailed, match="can't start new thread"):
                await pool.run("a.b", lambda: None)
        assert await pool.run("a.b", lambda: 1) == (1, None)


_HANGS = """
import asyncio, threading
from edge.agents.workers import Workers

async def main():
    pool = Workers("home")
    task = asyncio.get_running_loop().create_task(pool.run("pump.Run", threading.Event().wait))
    await asyncio.sleep(0.05)
    task.cancel()

asyncio.run(main())
print("over")
"""


def test_a_call_that_hangs_does_not_keep_the_interpreter_from_ending(run_python: Callable[[str], str]) -> None:
    assert run_python(_HANGS) == "over\n"


@pytest.fixture
def run_python() -> Callable[[str], str]:
    def run(source: str) -> str:
        done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, timeout=20, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run
