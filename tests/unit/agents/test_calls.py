"""Actions of agents that behave, and of agents that do not: only the caller is told, and the log."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import math
import sys
import threading
import time
from dataclasses import dataclass
from typing import Any

import pytest

from edge.agents import Agent, action
from edge.errors import ActionFailed, NotFound, NotLoggedIn, OutcomeUnknown, ParameterMismatch, RemoteError, Unreachable
from edge.transport.base import CallOptions
from tests.unit.agents.running import running, until


class NoText(Exception):
    def __str__(self) -> str:
        raise RuntimeError("not even this")


@dataclass
class Box:
    width: float = 1.0


class Worker(Agent):
    """Good and bad actions."""

    def __init__(self, agent_id: str | None = None) -> None:
        super().__init__(agent_id)
        self.began = 0
        self.cancelled = 0
        self.release = threading.Event()
        self.free = asyncio.Event()

    @action
    async def add(self, x: int, y: int = 2) -> int:
        return x + y

    @action
    def add_in_thread(self, x: int, y: int = 2) -> str:
        return f"{x + y} in {threading.current_thread().name}"

    @action
    async def box(self, box: Box) -> Box:
        return box

    @action
    async def fail(self) -> None:
        raise ValueError("it is broken")

    @action
    def fail_in_thread(self) -> None:
        raise LookupError("not there")

    @action
    async def raise_it(self, kind: str) -> None:
        kinds: dict[str, BaseException] = {
            "exit": SystemExit(3),
            "group": ExceptionGroup("several", [ValueError("one")]),
            "base group": BaseExceptionGroup("several", [SystemExit(1)]),
            "own text fails": NoText(),
            "surrogate": ValueError("\ud800"),
            "long": ValueError("x" * 5000),
            "recursion": RecursionError("too deep"),
            "stop": StopIteration("over"),
        }
        raise kinds[kind]

    @action
    def exit_in_thread(self) -> None:
        sys.exit(3)

    @action
    async def wait_for_cancelled(self) -> None:
        other = asyncio.get_running_loop().create_future()
        other.cancel()
        await other

    @action
    async def give(self, what: str) -> Any:
        return {"nan": {"values": [1.0, math.nan]}, "object": object(), "surrogate": "\ud800", "keys": {1: 2}}[what]

    @action
    async def wait(self) -> None:  # type: ignore[override]
        self.began += 1
        try:
            await self.free.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise

    @action
    async def ignore_cancel(self) -> None:
        self.began += 1
        while not self.free.is_set():
            try:
                await self.free.wait()
            except asyncio.CancelledError:
                self.cancelled += 1

    @action
    def hang(self) -> str:
        self.began += 1
        self.release.wait(15)
        return "woken"

    @action
    async def refuse(self, how: str) -> None:
        raise {"login": NotLoggedIn("who?"), "fit": ParameterMismatch("too much"), "failed": ActionFailed("jammed")}[
            how
        ]

    @action
    async def nested(self) -> None:
        raise RemoteError("the other one failed")

    @action
    def give_coroutine(self) -> Any:
        return self.add(1)


async def test_an_async_action_runs_on_the_loop() -> None:
    async with running(Worker()) as home:
        assert await home.invoke("Add", {"x": 1}, None) == 3
        assert await home.invoke("Add", {"x": 1, "y": 1}, "worker") == 2


async def test_a_sync_action_runs_in_a_thread() -> None:
    async with running(Worker()) as home:
        assert await home.invoke("AddInThread", {"x": 1}, None) == "3 in home-1"


async def test_a_sync_method_that_gives_a_coroutine_is_awaited() -> None:
    async with running(Worker()) as home:
        assert await home.invoke("GiveCoroutine", {}, None) == 3


async def test_objects_come_in_and_go_out_as_json() -> None:
    async with running(Worker()) as home:
        assert await home.invoke("Box", {"box": {"width": 2}}, None) == {"width": 2.0}


async def test_the_first_agent_that_offers_an_action_is_taken() -> None:
    class Other(Agent):
        @action
        async def add(self, a: str) -> str:
            return a

        @action
        async def only_here(self) -> str:
            return self.agent_id

    async with running(Other("one"), Worker("two"), Other("three")) as home:
        assert await home.invoke("OnlyHere", {}, None) == "one"
        assert await home.invoke("Add", {"x": 1}, "two") == 3
        with pytest.raises(ParameterMismatch):
            await home.invoke("Add", {"x": 1}, None)


@pytest.mark.parametrize(("name", "agent_id"), [("Nope", None), ("Nope", "worker"), ("Add", "nobody")])
async def test_what_is_not_there_is_not_found(name: str, agent_id: str | None) -> None:
    async with running(Worker()) as home:
        with pytest.raises(NotFound, match="has no"):
            await home.invoke(name, {}, agent_id)


async def test_what_an_action_raises_reaches_the_caller_without_traceback_and_the_log_with_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with running(Worker()) as home:
        with pytest.raises(ActionFailed) as caught:
            await home.invoke("Fail", {}, None)
        assert caught.value.message == "Fail of agent 'worker' failed: ValueError: it is broken"
    record = next(record for record in caplog.records if record.levelno == logging.ERROR)
    assert record.message == "agent worker: Fail failed: ValueError: it is broken"
    assert 'raise ValueError("it is broken")' in caplog.text


async def test_what_a_sync_action_raises_reaches_the_caller() -> None:
    async with running(Worker()) as home:
        with pytest.raises(ActionFailed, match="FailInThread of agent 'worker' failed: LookupError: not there"):
            await home.invoke("FailInThread", {}, None)


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("exit", "SystemExit: 3"),
        ("group", "ValueError: one"),
        ("base group", "SystemExit: 1"),
        ("own text fails", "NoText: <its text cannot be read>"),
        ("surrogate", r"ValueError: \\ud800"),
        ("long", "ValueError: x{1000}…$"),
        ("recursion", "RecursionError: too deep"),
        ("stop", "RuntimeError: coroutine raised StopIteration"),
    ],
)
async def test_whatever_an_action_raises_only_the_call_fails(kind: str, told: str) -> None:
    async with running(Worker()) as home:
        with pytest.raises(ActionFailed, match=told) as caught:
            await home.invoke("RaiseIt", {"kind": kind}, None)
        caught.value.message.encode()
        assert await home.invoke("Add", {"x": 1}, None) == 3


async def test_an_exit_in_a_thread_only_fails_the_call() -> None:
    async with running(Worker()) as home:
        with pytest.raises(ActionFailed, match="SystemExit: 3"):
            await home.invoke("ExitInThread", {}, None)


async def test_an_agent_that_waits_for_something_cancelled_has_failed() -> None:
    async with running(Worker()) as home:
        with pytest.raises(ActionFailed, match="CancelledError"):
            await home.invoke("WaitForCancelled", {}, None)


@pytest.mark.parametrize(
    ("what", "told"),
    [
        ("nan", r"not JSON: nan is no JSON number at values\[1\]"),
        ("object", "not JSON: object has no JSON form"),
        ("surrogate", "not JSON: text with a lone surrogate"),
        ("keys", "not JSON: key 1 is no text"),
    ],
)
async def test_a_result_that_is_no_json_is_named(what: str, told: str, caplog: pytest.LogCaptureFixture) -> None:
    async with running(Worker()) as home:
        with pytest.raises(ActionFailed, match=f"Give of agent 'worker' returned what is {told}"):
            await home.invoke("Give", {"what": what}, None)
    assert "agent worker: Give failed" in caplog.text


@pytest.mark.parametrize(
    ("how", "kind"), [("login", NotLoggedIn), ("fit", ParameterMismatch), ("failed", ActionFailed)]
)
async def test_an_agents_own_answer_passes_as_it_is(
    how: str, kind: type[Exception], caplog: pytest.LogCaptureFixture
) -> None:
    async with running(Worker()) as home:
        with pytest.raises(kind) as caught:
            await home.invoke("Refuse", {"how": how}, None)
        assert type(caught.value) is kind
    assert caplog.records == []


async def test_a_call_that_failed_elsewhere_is_a_failure_here() -> None:
    async with running(Worker()) as home:
        with pytest.raises(ActionFailed, match="the other one failed"):
            await home.invoke("Nested", {}, None)


async def test_the_same_failure_is_not_logged_a_thousand_times(caplog: pytest.LogCaptureFixture) -> None:
    async with running(Worker()) as home:
        for _ in range(1000):
            with pytest.raises(ActionFailed):
                await home.invoke("Fail", {}, None)
        assert len(caplog.records) == 1
    assert caplog.records[-1].message == "agent worker: Fail failed 999 more times with ValueError, not logged"


async def test_an_action_is_given_up_after_its_time_and_cancelled() -> None:
    worker = Worker()
    async with running(worker) as home:
        with pytest.raises(OutcomeUnknown, match="Wait of agent 'worker' was given up after 1 s"):
            await home.invoke("Wait", {}, None, CallOptions(timeout_s=1))
        await until(lambda: worker.cancelled == 1)


async def test_an_action_that_ends_in_time_gives_its_result() -> None:
    async with running(Worker()) as home:
        options = CallOptions(timeout_s=5)
        assert await home.invoke("Add", {"x": 1}, None, options) == 3
        with pytest.raises(ActionFailed, match="it is broken"):
            await home.invoke("Fail", {}, None, options)


async def test_an_action_that_ignores_its_cancellation_is_given_up_all_the_same(
    caplog: pytest.LogCaptureFixture,
) -> None:
    worker = Worker()
    async with running(worker) as home:
        with pytest.raises(OutcomeUnknown):
            await home.invoke("IgnoreCancel", {}, None, CallOptions(timeout_s=1))
        await until(lambda: worker.cancelled == 1)
    assert "call of IgnoreCancel" in caplog.text  # named when the container stops
    worker.free.set()


async def test_a_sync_action_that_hangs_is_given_up_and_its_thread_named(caplog: pytest.LogCaptureFixture) -> None:
    worker = Worker()
    async with running(worker) as home:
        with pytest.raises(OutcomeUnknown, match="its thread runs on"):
            await home.invoke("Hang", {}, None, CallOptions(timeout_s=1))
        assert await home.invoke("AddInThread", {"x": 1}, None) == "3 in home-2"
    assert "container home: a thread is left behind, busy with worker.Hang (since 1 s)" in caplog.text
    worker.release.set()


async def test_sync_actions_that_hang_harm_neither_async_ones_nor_other_containers(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("edge.agents.workers.PATIENCE_S", 0.05)
    hanging, well = Worker(), Worker()
    async with running(hanging) as home, running(well) as other:
        calls = [asyncio.create_task(home.invoke("Hang", {}, None)) for _ in range(4)]
        await until(lambda: hanging.began == 4)
        with pytest.raises(ActionFailed, match=r"all 4 threads .* are busy with worker\.Hang \(since 0 s\)"):
            await home.invoke("AddInThread", {"x": 1}, None)
        assert "all 4 threads" in caplog.text
        assert await home.invoke("Add", {"x": 1}, None) == 3
        assert "3 in" in await other.invoke("AddInThread", {"x": 1}, None)
        hanging.release.set()
        assert await asyncio.gather(*calls) == ["woken"] * 4


async def test_a_caller_that_leaves_cancels_the_action() -> None:
    worker = Worker()
    async with running(worker) as home:
        for options in (CallOptions(), CallOptions(timeout_s=60)):
            call = asyncio.create_task(home.invoke("Wait", {}, None, options))
            await until(lambda: worker.began == worker.cancelled + 1)
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
            await until(lambda: worker.began == worker.cancelled)


async def test_calls_under_way_end_when_the_container_stops() -> None:
    worker = Worker()
    async with running(worker) as home:
        calls = [
            asyncio.create_task(home.invoke("Wait", {}, None)),
            asyncio.create_task(home.invoke("Wait", {}, None, CallOptions(timeout_s=60))),
        ]
        await until(lambda: worker.began == 2)
    for call in calls:
        with pytest.raises(ActionFailed, match="container 'home' has stopped"):
            await call
    assert worker.cancelled == 2


async def test_a_container_that_does_not_run_is_unreachable() -> None:
    async with running(Worker()) as home:
        pass
    with pytest.raises(Unreachable, match="does not run"):
        await home.invoke("Add", {"x": 1}, None)


async def test_the_callers_context_variables_reach_sync_and_async_actions() -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable")

    class Reader(Agent):
        @action
        async def read(self) -> str:
            return variable.get()

        @action
        def read_in_thread(self) -> str:
            return variable.get()

    variable.set("mine")
    async with running(Reader()) as home:
        assert await home.invoke("Read", {}, None) == "mine"
        assert await home.invoke("ReadInThread", {}, None) == "mine"


async def test_a_thousand_calls_at_once_are_answered() -> None:
    async with running(Worker()) as home:
        results = await asyncio.gather(*(home.invoke("Add", {"x": n, "y": 0}, None) for n in range(1000)))
        assert results == list(range(1000))


async def test_a_call_costs_little() -> None:
    """The whole platform has some 50 µs for one (design, section 8); this leaves room on a slow machine."""
    async with running(Worker()) as home:
        for _ in range(3):
            began_s = time.perf_counter()
            for _ in range(5000):
                await home.invoke("Add", {"x": 1, "y": 2}, "worker")
            cost_us = (time.perf_counter() - began_s) / 5000 * 1e6
            if cost_us < 25:
                return
        pytest.fail(f"a call costs {cost_us:.0f} µs")
