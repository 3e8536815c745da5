"""The end of a connection: whatever ends it, the loop watches its socket no longer."""

from __future__ import annotations

import asyncio
import threading

import pytest

from bridge.mqtt.client import Broker
from bridge.mqtt.driver import Connection

_CONNACK = b"\x20\x03\x00\x00\x00"


async def test_sockets_opened_after_the_broker_hung_up_are_heard() -> None:
    async def greet_and_hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1024)
        writer.write(_CONNACK)
        await writer.drain()
        writer.close()

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.readline())
        writer.close()

    broker = await asyncio.start_server(greet_and_hang_up, "127.0.0.1", 0)
    other = await asyncio.start_server(echo, "127.0.0.1", 0)
    async with broker, other:
        tcp_port = broker.sockets[0].getsockname()[1]
        async with Connection(Broker(host="127.0.0.1", port=tcp_port, user="x"), lambda _: None, None) as connection:
            async with asyncio.timeout(15):
                await connection.ended()
            # One of these gets the number of the socket that is closed.
            for _ in range(4):
                async with asyncio.timeout(15):
                    reader, writer = await asyncio.open_connection(*other.sockets[0].getsockname())
                    writer.write(b"hello\n")
                    assert await reader.readline() == b"hello\n"
                    writer.close()
                    await writer.wait_closed()


async def test_leaving_says_goodbye_and_waits_for_nobody() -> None:
    said = asyncio.Queue[bytes]()

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1024)
        writer.write(_CONNACK)
        said.put_nowait(await reader.read())
        writer.close()

    broker = await asyncio.start_server(listen, "127.0.0.1", 0)
    async with broker:
        tcp_port = broker.sockets[0].getsockname()[1]
        async with Connection(Broker(host="127.0.0.1", port=tcp_port, user="x"), lambda _: None, None):
            pass
        async with asyncio.timeout(15):
            assert (await said.get())[:1] == b"\xe0"


async def test_who_leaves_while_it_connects_leaves_no_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    ended = asyncio.Event()
    has_connected, may_return = threading.Event(), threading.Event()

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        ended.set()
        writer.close()

    broker = await asyncio.start_server(listen, "127.0.0.1", 0)
    connection = Connection(Broker(host="127.0.0.1", port=broker.sockets[0].getsockname()[1], user="x"), print, None)
    connect = connection._client.connect

    def connect_slowly(*arguments: object, **named: object) -> None:
        connect(*arguments, **named)  # type: ignore[arg-type]
        has_connected.set()
        may_return.wait(15)

    monkeypatch.setattr(connection._client, "connect", connect_slowly)
    async with broker:
        entering = asyncio.ensure_future(connection.__aenter__())
        await asyncio.to_thread(has_connected.wait, 5)
        entering.cancel()
        await asyncio.wait([entering])
        may_return.set()
        async with asyncio.timeout(15):
            await ended.wait()
    assert entering.cancelled()
