"""Calls over HTTP when the network or the other party misbehaves, and streams."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator

import pytest

from edge.errors import (
    Cause,
    OpacaError,
    OutcomeUnknown,
    RemoteError,
    TooLarge,
    Unreachable,
)
from edge.model.requests import Message
from edge.transport.base import CallOptions
from edge.transport.http import HttpClient, Kind
from tests.unit.scripted import Reply, calling, ok, scripted, several, status

# What the network does.


async def test_refused_connection_is_unreachable() -> None:
    with socket.socket() as bound:  # bound, but not listening
        bound.bind(("127.0.0.1", 0))
        async with HttpClient() as client:
            transport = client.transport(f"http://127.0.0.1:{bound.getsockname()[1]}")
            with pytest.raises(Unreachable, match="cannot be reached"):
                await transport.send("a", Message(1))


@pytest.mark.parametrize("host", ["nobody.invalid", "a" * 70 + ".invalid"])
async def test_unknown_host_is_unreachable(host: str) -> None:
    async with HttpClient() as client:
        with pytest.raises(Unreachable, match="cannot be reached"):
            await client.transport(f"http://{host}").send("a", Message(1))


async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.close()


async def reset(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def talk_nonsense(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"SSH-2.0-OpenSSH_9.2\r\n\r\n")
    writer.close()


async def break_off(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n[1,")
    writer.close()


async def shout(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 50_000 + b"\r\nContent-Length: 4\r\n\r\nnull")
    writer.close()


@pytest.mark.parametrize("reply", [hang_up, reset, talk_nonsense, break_off, shout])
async def test_lost_answer_leaves_the_outcome_unknown_and_is_not_asked_again(reply: Reply) -> None:
    async with calling(reply) as (transport, script):
        with pytest.raises(OutcomeUnknown, match="went away"):
            await transport.invoke("A", {}, None)
    assert len(script.requests) == 1


@pytest.mark.parametrize("reply", [hang_up, reset, talk_nonsense, break_off, shout])
async def test_lost_answer_to_get_is_unreachable(reply: Reply) -> None:
    async with calling(reply) as (transport, _):
        with pytest.raises(Unreachable, match="went away"):
            await transport.info()


async def test_connections_are_used_again() -> None:
    async with calling(ok()) as (transport, script):
        for _ in range(3):
            await transport.invoke("A", {}, None)
            await transport.send("a", Message(1))
        assert script.connections == 1


async def test_connection_that_the_server_ended_is_not_used_for_an_action() -> None:
    ended = asyncio.Event()

    async def answer_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(2)
        writer.write(ok(b"1"))
        await writer.drain()
        writer.get_extra_info("socket")
        writer.close()
        ended.set()

    async with calling(answer_once) as (transport, script):
        for _ in range(5):
            assert await transport.invoke("A", {}, None) == 1
            await ended.wait()
            ended.clear()
        assert script.connections == 5


async def test_each_connected_call_of_an_event_is_told() -> None:
    told: list[tuple[str, str]] = []
    async with scripted(ok()) as script, HttpClient(lambda *args: told.append(args)) as client:
        transport = client.transport(script.base_url)
        await transport.invoke("A", {}, None, CallOptions(relate_to="e1"))
        await transport.invoke("A", {}, None, CallOptions(relate_to="e2"))
        await transport.invoke("A", {}, None)
        with pytest.raises(Unreachable):
            await client.transport("http://nobody.invalid").invoke("A", {}, None, CallOptions(relate_to="e3"))
        assert script.connections == 1
    assert told == [(script.base_url, "e1"), (script.base_url, "e2")]


async def test_event_is_told_before_the_answer_comes() -> None:
    told = asyncio.Event()

    async def wait_for_it(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await told.wait()
        writer.write(ok())

    async with scripted(wait_for_it) as script, HttpClient(lambda *_: told.set()) as client:
        await client.transport(script.base_url).invoke("A", {}, None, CallOptions(relate_to="e1"))


async def test_cancelled_call_hangs_up() -> None:
    async def never(_: asyncio.StreamReader, __: asyncio.StreamWriter) -> None:
        await _.readexactly(1000)

    async with calling(never) as (transport, script):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await transport.invoke("A", {}, None)
        await script.gone.wait()


async def test_client_must_be_open() -> None:
    with pytest.raises(RuntimeError, match="not open"):
        await HttpClient().transport("http://127.0.0.1:1").info()


# Streams.


async def test_each_piece_of_a_stream_comes_at_once_and_leaving_hangs_up() -> None:
    more = asyncio.Event()

    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for piece in (b"1", b"2", b"3"):
            writer.write(b"1\r\n" + piece + b"\r\n")
            await more.wait()
            more.clear()
        await reader.readexactly(1)

    async with calling(drip) as (transport, script):
        async with transport.get_stream("s", None) as pieces:
            seen = []
            async for piece in pieces:
                seen.append(piece)
                more.set()
                if len(seen) == 3:
                    break
            assert seen == [b"1", b"2", b"3"]
        await script.gone.wait()


async def test_stream_that_does_not_exist_fails_on_entering() -> None:
    async with calling(status(404)) as (transport, _):
        with pytest.raises(RemoteError):
            async with transport.get_stream("s", None):
                pytest.fail("entered")


async def test_stream_that_breaks_off_says_so() -> None:
    async with calling(break_off) as (transport, _), transport.get_stream("s", None) as pieces:
        assert await anext(pieces) == b"[1,"
        with pytest.raises(Unreachable, match="went away during GET /stream/s"):
            await anext(pieces)


async def test_error_of_the_consumer_is_not_mistaken_for_one_of_the_source() -> None:
    async with calling(ok(b"x")) as (transport, _):
        with pytest.raises(OSError, match="disk full"):
            async with transport.get_stream("s", None):
                raise OSError("disk full")


async def test_stream_is_posted_chunk_by_chunk() -> None:
    arrived = asyncio.Event()

    async def take_one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert await reader.readexactly(8) == b"3\r\none\r\n"
        arrived.set()
        assert await reader.readexactly(13) == b"3\r\ntwo\r\n0\r\n\r\n"
        writer.write(ok())

    async def pieces() -> AsyncIterator[bytes]:
        yield b"one"
        await arrived.wait()
        yield b""
        yield b"two"

    async with calling(ok(b"{}"), take_one) as (transport, script):
        await transport.info()
        await transport.post_stream("s", pieces(), "a")
    assert script.last.headers["transfer-encoding"] == "chunked"
    assert script.last.headers["content-type"] == "application/json; charset=UTF-8"


async def test_empty_stream_is_posted() -> None:
    async with calling(ok(b"{}")) as (transport, script):
        await transport.post_stream("s", several(), None)
    assert script.last.line == "POST /stream/s?forward=false HTTP/1.1"
    assert script.last.body == b""


async def test_no_piece_is_taken_before_the_connection_stands() -> None:
    async def pieces() -> AsyncIterator[bytes]:
        pytest.fail("asked for a piece")
        yield b""

    async with HttpClient() as client:
        transport = client.transport("http://nobody.invalid", kind=Kind.PLATFORM)
        with pytest.raises(Unreachable):
            await transport.post_stream("s", pieces(), None)


async def test_source_that_breaks_is_named_and_the_target_sees_no_end() -> None:
    class Broken(OpacaError):
        pass

    async def pieces() -> AsyncIterator[bytes]:
        yield b"one"
        raise Broken("the caller left")

    seen = bytearray()

    async def take(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        while piece := await reader.read(100):
            seen.extend(piece)
        raise ConnectionError

    async with calling(take, kind=Kind.PLATFORM) as (transport, script):
        with pytest.raises(Broken, match="the caller left"):
            await transport.post_stream("s", pieces(), None)
        await script.gone.wait()
    assert bytes(seen) == b"3\r\none\r\n"


async def test_target_that_refuses_early_ends_the_upload() -> None:
    async def refuse(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(status(404, b"no such stream"))

    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b"x"
            await asyncio.sleep(0.001)

    async with calling(refuse, kind=Kind.PLATFORM) as (transport, _):
        with pytest.raises(RemoteError) as caught:
            await transport.post_stream("s", endless(), None)
    assert caught.value.cause == Cause(404, "no such stream")


async def test_board_gets_a_short_stream_whole() -> None:
    board = b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n{}"
    async with calling(board) as (transport, script):
        await transport.post_stream("s", several(b"a" * 2048, b"b" * 2048), None)
        assert script.last.headers["content-length"] == "4096"
        assert script.last.body == b"a" * 2048 + b"b" * 2048
        with pytest.raises(TooLarge, match="at most 4096 bytes"):
            await transport.post_stream("s", several(b"a" * 4097), None)
    assert len(script.requests) == 2  # the first asked how the board speaks


async def test_target_that_has_enough_ends_the_upload() -> None:
    async def accept(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(ok())

    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b"x"
            await asyncio.sleep(0.001)

    async with calling(accept, kind=Kind.PLATFORM) as (transport, script):
        await transport.post_stream("s", endless(), None)
        await script.gone.wait()
