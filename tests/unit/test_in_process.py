"""The road to a container in this process: as over HTTP, only that there is none."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from edge.agents import Agent, Container, Login, NotLoggedIn, action, stream
from edge.errors import (
    ActionFailed,
    BrokenRequest,
    Cause,
    NotAllowed,
    NotFound,
    OpacaError,
    OutcomeUnknown,
    ParameterMismatch,
    RemoteError,
    TooLarge,
    Unreachable,
    Unsupported,
)
from edge.model.requests import Message
from edge.transport.base import CallOptions, Transport
from edge.transport.in_process import InProcessTransport
from tests.unit.agents.running import alive

RAISED: dict[str, OpacaError] = {
    "login": NotLoggedIn("who?"),
    "rights": NotAllowed("not you"),
    "fit": ParameterMismatch("too many"),
    "failed": ActionFailed("jammed", Cause(418, "teapot")),
    "large": TooLarge("too much"),
    "unsupported": Unsupported("never"),
    "remote": RemoteError("other side", Cause(502, "away")),
}


class Lamp(Agent):
    """A lamp."""

    def __init__(self) -> None:
        super().__init__()
        self.heard: list[Any] = []
        self.taken: list[bytes] = []

    @action
    async def add(self, x: int, y: int) -> int:
        return x + y

    @action
    async def fail(self, how: str) -> None:
        raise RAISED[how]

    async def receive_message(self, message: Message) -> None:
        if message.payload == "bad":
            raise ValueError("bad message")
        self.heard.append(message.payload)

    @stream(mode="GET")
    async def values(self) -> AsyncIterator[Any]:
        yield "a"
        yield "b"

    @stream(mode="GET")
    async def broken(self) -> AsyncIterator[Any]:
        yield "a"
        raise ValueError("unplugged")

    @stream(mode="POST")
    async def take(self, pieces: AsyncIterator[bytes]) -> None:
        async for piece in pieces:
            if piece == b"bad":
                raise ValueError("bad piece")
            self.taken.append(piece)

    async def handle_login(self, login: Login, token: str) -> None:
        if login.password != "right":
            raise NotLoggedIn("wrong password")


@asynccontextmanager
async def road() -> AsyncIterator[tuple[Transport, Lamp]]:
    lamp = Lamp()
    lamp.subscribe_channel("news")
    container = Container("home", [lamp])
    async with alive(container):
        yield InProcessTransport(container), lamp


async def give(*pieces: bytes) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


async def test_its_name_is_the_containers() -> None:
    async with road() as (transport, _):
        assert transport.name == "home"


async def test_info_is_the_containers_description() -> None:
    async with road() as (transport, _):
        info = json.loads(await transport.info())
        assert info["containerId"] == "c-77"
        assert info["agents"][0]["agentId"] == "lamp"


async def test_every_kind_of_call_arrives() -> None:
    async with road() as (transport, lamp):
        assert await transport.invoke("Add", {"x": 1, "y": 2}, None) == 3
        assert await transport.invoke("Add", {"x": 1, "y": 2}, "lamp") == 3
        await transport.send("lamp", Message(1))
        await transport.broadcast("news", Message(2))
        assert lamp.heard == [1, 2]
        async with transport.get_stream("Values", None) as pieces:
            assert [piece async for piece in pieces] == [b"a", b"b"]
        await transport.post_stream("Take", give(b"c"), "lamp")
        assert lamp.taken == [b"c"]
        token = await transport.login(Login(username="olga", password="right"))
        assert await transport.logout(CallOptions(login_token=token)) is True


@pytest.mark.parametrize(
    ("how", "cause"),
    [
        ("login", Cause(401, "who?")),
        ("rights", Cause(403, "not you")),
        ("fit", Cause(500, "too many")),
        ("failed", Cause(500, "jammed", Cause(418, "teapot"))),
        ("large", Cause(413, "too much")),
        ("unsupported", Cause(501, "never")),
    ],
)
async def test_errors_carry_the_status_that_the_container_would_answer(how: str, cause: Cause) -> None:
    async with road() as (transport, _):
        with pytest.raises(RemoteError) as caught:
            await transport.invoke("Fail", {"how": how}, None)
        assert caught.value.cause == cause
        assert caught.value.message == f"container home: {cause.message}"


async def test_what_failed_behind_the_container_is_the_causes_cause() -> None:
    async with road() as (transport, _):
        with pytest.raises(RemoteError) as caught:
            await transport.invoke("Fail", {"how": "remote"}, None)
        cause = caught.value.cause
        assert cause is not None
        assert (cause.status, cause.cause) == (500, Cause(502, "away"))


async def test_what_is_not_there_is_404() -> None:
    async with road() as (transport, _):
        with pytest.raises(RemoteError) as caught:
            await transport.invoke("Nope", {}, None)
        assert caught.value.cause == Cause(404, "container 'home' has no action 'Nope'")
        with pytest.raises(RemoteError) as caught:
            await transport.send("nobody", Message(1))
        assert caught.value.cause is not None
        assert caught.value.cause.status == 404
        with pytest.raises(RemoteError) as caught:
            async with transport.get_stream("Nope", None):
                pytest.fail("opened")
        assert caught.value.cause is not None
        assert caught.value.cause.status == 404


async def test_messages_logins_and_streams_that_fail_are_told_as_well() -> None:
    async with road() as (transport, _):
        for call, status in [
            (transport.send("lamp", Message("bad")), 500),
            (transport.broadcast("news", Message("bad")), 500),
            (transport.post_stream("Take", give(b"bad"), None), 500),
            (transport.login(Login(username="olga", password="wrong")), 401),
        ]:
            with pytest.raises(RemoteError, match=r"^container home: ") as caught:
                await call
            assert caught.value.cause is not None
            assert caught.value.cause.status == status


async def test_a_stream_that_breaks_is_told_behind_its_pieces() -> None:
    async with road() as (transport, _), transport.get_stream("Broken", None) as pieces:
        assert await anext(pieces) == b"a"
        with pytest.raises(RemoteError, match="unplugged"):
            await anext(pieces)


@pytest.mark.parametrize("error", [BrokenRequest("gone"), ConnectionResetError("gone")])
async def test_a_caller_that_breaks_off_is_not_the_containers_error(error: Exception) -> None:
    async def breaks() -> AsyncIterator[bytes]:
        yield b"a"
        raise error

    async with road() as (transport, _):
        with pytest.raises(type(error), match=r"^gone$"):
            await transport.post_stream("Take", breaks(), None)


async def test_an_action_that_was_given_up_may_have_had_effects_and_is_not_tried_elsewhere() -> None:
    class Slow(Agent):
        @action
        async def wait_long(self) -> None:
            await asyncio.Event().wait()

    container = Container("home", [Slow()])
    async with alive(container):
        with pytest.raises(OutcomeUnknown, match=r"^container home: WaitLong of agent 'slow' was given up after 1 s"):
            await InProcessTransport(container).invoke("WaitLong", {}, None, CallOptions(timeout_s=1))


async def test_a_container_that_does_not_run_is_unreachable() -> None:
    with pytest.raises(Unreachable, match=r"^container home: "):
        await InProcessTransport(Container("home")).invoke("Add", {}, None)


async def test_not_found_stays_out_of_what_agents_answer() -> None:
    async with road() as (transport, _):
        RAISED["missing"] = NotFound("no such picture")
        with pytest.raises(RemoteError) as caught:
            await transport.invoke("Fail", {"how": "missing"}, None)
        assert caught.value.cause == Cause(404, "no such picture")
