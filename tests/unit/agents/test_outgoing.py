"""Calls from agents to the platform, and through it to other agents."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest

from edge.agents import Agent, Container, action
from edge.errors import ActionFailed, CalleeError, Cause, NotFound, OutcomeUnknown, ParameterMismatch, RemoteError
from edge.model.requests import Message
from edge.transport.base import CallOptions
from edge.transport.fake import FakeTransport
from edge.transport.in_process import InProcessTransport
from tests.unit.agents.running import alive, running


@dataclass
class Box:
    width: float


class Caller(Agent):
    """Calls others."""

    @action
    async def ask(self, action: str, arguments: dict[str, Any]) -> Any:
        return await self.invoke(action, arguments=arguments)


async def test_an_action_is_invoked_through_the_platform() -> None:
    fake = FakeTransport(invoke_answers={"Add": lambda call: call.content["x"] + 1})
    caller = Caller()
    async with running(caller, platform=fake):
        assert await caller.invoke("Add", x=1) == 2
        await caller.invoke("Add", agent_id="a", container_id="c", timeout_s=5, x=1)
    first, second = fake.calls
    assert (first.name, first.agent_id, first.content) == ("Add", None, {"x": 1})
    assert first.options == CallOptions(sender_id="c-77", forward=True)
    assert second.agent_id == "a"
    assert second.options == CallOptions(container_id="c", timeout_s=5, sender_id="c-77", forward=True)


async def test_arguments_whose_names_clash_can_be_given_in_a_mapping() -> None:
    fake = FakeTransport(invoke_answers={"Set": None})
    caller = Caller()
    async with running(caller, platform=fake):
        await caller.invoke("Set", arguments={"agent_id": "x", "timeout_s": 1, "action": "y"}, self_=2)
    assert fake.calls[0].content == {"agent_id": "x", "timeout_s": 1, "action": "y", "self_": 2}


async def test_arguments_and_payloads_may_be_objects() -> None:
    fake = FakeTransport(invoke_answers={"Put": None})
    caller = Caller()
    async with running(caller, platform=fake):
        await caller.invoke("Put", box=Box(1.5), boxes=(Box(1), Box(2)))
        await caller.send("b", Box(2.5), reply_to="me")
        await caller.broadcast("news", [Box(3)])
    put, sent, told = fake.calls
    assert put.content == {"box": {"width": 1.5}, "boxes": [{"width": 1}, {"width": 2}]}
    assert (sent.name, sent.content) == ("b", Message({"width": 2.5}, "me"))
    assert (told.name, told.content) == ("news", Message([{"width": 3}]))


async def test_what_is_no_json_is_refused_before_it_leaves() -> None:
    fake = FakeTransport()
    caller = Caller()
    async with running(caller, platform=fake):
        with pytest.raises(ParameterMismatch, match=r"arguments of Put: object has no JSON form.* at box"):
            await caller.invoke("Put", box=object())
    assert fake.calls == []


async def test_streams_are_read_and_sent_through_the_platform() -> None:
    fake = FakeTransport(stream_answers={"Values": [b"a", b"b"]})
    caller = Caller()

    async def pieces() -> AsyncIterator[bytes]:
        yield b"c"
        yield b"d"

    async with running(caller, platform=fake):
        async with caller.open_stream("Values", agent_id="s") as values:
            assert fake.open_streams == 1
            assert [piece async for piece in values] == [b"a", b"b"]
        assert fake.open_streams == 0
        await caller.post_stream("Take", pieces())
    assert fake.calls[1].content == b"cd"


async def test_errors_look_the_same_in_the_process_and_over_http() -> None:
    """The platform in this process raises its own errors, HTTP gives a RemoteError: agents see the latter."""
    fake = FakeTransport(
        invoke_answers={"Nope": NotFound("no such action"), "Slow": OutcomeUnknown("late")},
        stream_answers={"Nope": [NotFound("no such stream")]},
    )
    caller = Caller()
    async with running(caller, platform=fake):
        with pytest.raises(RemoteError) as caught:
            await caller.invoke("Nope")
        assert caught.value.cause == Cause(404, "no such action")
        with pytest.raises(RemoteError):
            async with caller.open_stream("Nope"):
                pytest.fail("opened")
        with pytest.raises(OutcomeUnknown):
            await caller.invoke("Slow")


async def test_a_call_that_fails_is_the_callers_failure_not_its_answer() -> None:
    fake = FakeTransport(invoke_answers={"Nope": NotFound("no such action")})
    async with running(Caller(), platform=fake) as home:
        with pytest.raises(ActionFailed, match="Ask of agent 'caller' failed: RemoteError: no such action") as caught:
            await home.invoke("Ask", {"action": "Nope", "arguments": {}}, None)
        assert caught.value.cause == Cause(404, "no such action")


async def test_without_a_platform_calls_say_so() -> None:
    caller = Caller()
    async with running(caller):
        with pytest.raises(CalleeError, match="container 'home' runs without a platform"):
            await caller.invoke("Add")


async def test_an_agent_without_container_says_so() -> None:
    with pytest.raises(RuntimeError, match="belongs to no container yet"):
        await Caller().invoke("Add")


async def test_tasks_that_the_platform_starts_on_the_way_are_not_the_agents() -> None:
    started: list[asyncio.Task[Any]] = []

    async def housekeeping() -> None:
        await asyncio.Event().wait()

    def answer(call: Any) -> None:
        started.append(asyncio.create_task(housekeeping()))

    fake = FakeTransport(invoke_answers={"Do": answer})
    async with running(Caller(), platform=fake) as home:
        await home.invoke("Ask", {"action": "Do", "arguments": {}}, None)
        assert len(home.life.tasks) == 0
    assert type(started[0]) is asyncio.Task
    assert not started[0].done()
    started[0].cancel()


async def test_an_agent_calls_another_of_its_own_container() -> None:
    class Adder(Agent):
        @action
        async def add(self, x: int, values: list[int]) -> int:
            values.append(0)
            return x + 1

    container = Container("home", [Caller(), Adder()])
    values = [1]
    async with alive(container, InProcessTransport(container)):
        asked = {"action": "Add", "arguments": {"x": 1, "values": values}}
        assert await container.invoke("Ask", asked, None) == 2
    assert values == [1]
