"""The scriptable transport does what it is told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from edge.errors import RemoteError, Unreachable
from edge.model.requests import Login, Message
from edge.transport.base import NO_OPTIONS, CallOptions, Transport
from edge.transport.fake import FakeCall, FakeTransport
from tests.unit.agents.running import until


async def test_it_answers_as_told_and_remembers_what_it_was_asked() -> None:
    fake = FakeTransport(
        invoke_answers={"Get": 5, "Fail": Unreachable("away"), "Double": lambda call: 2 * call.content["x"]},
        stream_answers={"Values": [b"a", b"b"]},
        document=b'{"a":1}',
    )
    transport: Transport = fake
    assert transport.name == "http://fake:8082"
    assert await transport.info() == b'{"a":1}'
    assert await transport.invoke("Get", {}, "a1") == 5
    assert await transport.invoke("Double", {"x": 2}, None) == 4
    with pytest.raises(Unreachable, match="away"):
        await transport.invoke("Fail", {}, None)
    with pytest.raises(RemoteError, match="no answer is scripted for Nope"):
        await transport.invoke("Nope", {}, None)
    await transport.send("a1", Message(1))
    await transport.broadcast("news", Message(2))
    async with transport.get_stream("Values", None) as pieces:
        assert [piece async for piece in pieces] == [b"a", b"b"]
    assert await transport.login(Login(username="olga")) == "token-of-olga"
    assert await transport.logout(CallOptions(login_token="x")) is True
    assert fake.called("send") == [FakeCall("send", "a1", "a1", Message(1), NO_OPTIONS)]
    assert [call.method for call in fake.calls] == (
        ["info"] + ["invoke"] * 4 + ["send", "broadcast", "get_stream", "login", "logout"]
    )


async def test_an_async_function_may_answer() -> None:
    async def answer(call: FakeCall) -> str:
        await asyncio.sleep(0)
        return call.name

    assert await FakeTransport(invoke_answers={"Who": answer}).invoke("Who", {}, None) == "Who"


async def test_other_methods_fail_as_told() -> None:
    fake = FakeTransport(
        answers={name: RemoteError(name) for name in ("info", "send", "broadcast", "post_stream", "login")}
    )

    async def pieces() -> AsyncIterator[bytes]:
        yield b"a"

    for name, call in [
        ("info", fake.info()),
        ("send", fake.send("a", Message(1))),
        ("broadcast", fake.broadcast("c", Message(1))),
        ("post_stream", fake.post_stream("s", pieces(), None)),
        ("login", fake.login(Login())),
    ]:
        with pytest.raises(RemoteError, match=name):
            await call


async def test_streams_break_where_they_are_told_to() -> None:
    fake = FakeTransport(stream_answers={"Late": [b"a", RemoteError("cut")], "Early": [RemoteError("refused")]})
    async with fake.get_stream("Late", None) as pieces:
        assert await anext(pieces) == b"a"
        with pytest.raises(RemoteError, match="cut"):
            await anext(pieces)
    with pytest.raises(RemoteError, match="refused"):
        async with fake.get_stream("Early", None):
            pytest.fail("opened")
    assert fake.open_streams == 0


async def test_calls_can_be_held() -> None:
    fake = FakeTransport(invoke_answers={"Get": 5}, hold=asyncio.Event())
    staying = asyncio.create_task(fake.invoke("Get", {}, None))
    leaving = asyncio.create_task(fake.invoke("Get", {}, None))
    await until(lambda: len(fake.calls) == 2)
    leaving.cancel()
    assert fake.hold is not None
    fake.hold.set()
    assert await staying == 5
    await asyncio.wait([leaving])
    assert fake.left_early == 1
