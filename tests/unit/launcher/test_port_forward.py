"""Extra ports of containers: bytes go through unchanged, ends are passed on, slow sides slow the other one down."""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from edge.launcher.listeners import listening_ports
from edge.launcher.port_forward import Forward, PortForwards
from tests.unit.launcher.stand_ins import lines, until

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
MEGABYTE = b"0123456789abcdef" * 65_536


@asynccontextmanager
async def no_files(host: str, port: int, base_url: str) -> AsyncIterator[None]:
    yield


@asynccontextmanager
async def target(serve: Serve) -> AsyncIterator[int]:
    """A container's extra port."""
    done: set[asyncio.StreamWriter] = set()

    async def serve_one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        done.add(writer)
        try:
            await serve(reader, writer)
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve_one, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for writer in done:
            if not writer.transport.is_closing():
                writer.transport.abort()


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while piece := await reader.read(65_536):
        writer.write(piece)
        await writer.drain()


@asynccontextmanager
async def forwarding(serve: Serve, port: int) -> AsyncIterator[PortForwards]:
    async with target(serve) as target_port, PortForwards(no_files) as forwards:
        await forwards.forward("c-1", "127.0.0.1", port, target_port)
        yield forwards


async def connect(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", port)


async def test_bytes_go_through_both_ways(unused_tcp_port: int) -> None:
    async with forwarding(echo, unused_tcp_port):
        reader, writer = await connect(unused_tcp_port)
        for text in (b"a", b"\x00\xff" * 1000):
            writer.write(text)
            assert await reader.readexactly(len(text)) == text
        writer.close()


async def test_large_transfers_arrive_whole_on_many_connections(unused_tcp_port: int) -> None:
    async def there_and_back() -> bool:
        reader, writer = await connect(unused_tcp_port)
        writer.write(MEGABYTE)
        writer.write_eof()
        back = await reader.read(-1)
        writer.close()
        return back == MEGABYTE

    async with forwarding(echo, unused_tcp_port):
        assert all(await asyncio.gather(*(there_and_back() for _ in range(10))))


async def test_end_of_one_direction_leaves_the_other_open(unused_tcp_port: int) -> None:
    async def answer_after_the_end(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        question = await reader.read(-1)
        writer.write(b"answer to " + question)
        await writer.drain()

    async with forwarding(answer_after_the_end, unused_tcp_port):
        reader, writer = await connect(unused_tcp_port)
        writer.write(b"question")
        writer.write_eof()
        assert await reader.read(-1) == b"answer to question"
        writer.close()


async def test_end_from_the_container_leaves_the_callers_direction_open(unused_tcp_port: int) -> None:
    received = asyncio.get_running_loop().create_future()

    async def speak_first(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"hello")
        writer.write_eof()
        received.set_result(await reader.read(-1))

    async with forwarding(speak_first, unused_tcp_port):
        reader, writer = await connect(unused_tcp_port)
        assert await reader.read(-1) == b"hello"
        writer.write(b"late")
        writer.write_eof()
        assert await received == b"late"
        writer.close()


async def test_slow_reader_slows_the_sender_down(unused_tcp_port: int) -> None:
    sent = 0
    go_on = asyncio.Event()

    async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        while sent < 64 * len(MEGABYTE):
            writer.write(MEGABYTE)
            await writer.drain()
            sent += len(MEGABYTE)
            go_on.set()

    async with forwarding(flood, unused_tcp_port):
        reader, writer = await connect(unused_tcp_port)
        # Kernel and asyncio buffers fill up; then nothing moves any more.
        while True:
            go_on.clear()
            try:
                async with asyncio.timeout(0.3):
                    await go_on.wait()
            except TimeoutError:
                break
        assert sent < 40 * len(MEGABYTE)
        size = 0
        while piece := await reader.read(1 << 20):
            size += len(piece)
        assert size == 64 * len(MEGABYTE)
        writer.close()


async def test_broken_connection_of_the_container_does_not_look_complete(unused_tcp_port: int) -> None:
    async def break_off(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"half")
        await writer.drain()
        await reader.readexactly(1)
        sock = writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()

    async with forwarding(break_off, unused_tcp_port):
        reader, writer = await connect(unused_tcp_port)
        assert await reader.readexactly(4) == b"half"
        writer.write(b"x")
        with pytest.raises(ConnectionResetError):
            await reader.read(-1)
        writer.close()


async def test_caller_that_leaves_is_gone_for_the_container(unused_tcp_port: int) -> None:
    ended = asyncio.Event()

    async def wait_for_end(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.read(-1)
        finally:
            ended.set()

    async with forwarding(wait_for_end, unused_tcp_port):
        _, writer = await connect(unused_tcp_port)
        writer.write(b"x")
        await writer.drain()
        writer.transport.abort()
        async with asyncio.timeout(15):
            await ended.wait()


async def test_nobody_at_the_containers_port_cuts_the_caller(unused_tcp_port_factory: Callable[[], int]) -> None:
    host_port, dead_port = unused_tcp_port_factory(), unused_tcp_port_factory()
    async with PortForwards(no_files) as forwards:
        await forwards.forward("c-1", "127.0.0.1", host_port, dead_port)
        for _ in range(3):
            reader, writer = await connect(host_port)
            with pytest.raises(ConnectionResetError):
                await reader.read(1)
            writer.close()


async def test_listener_on_the_other_loopback_is_found(unused_tcp_port: int) -> None:
    try:
        listening = socket.create_server(("::1", 0), family=socket.AF_INET6)
    except OSError:
        pytest.skip("this machine has no IPv6")

    async def speak(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"six")
        writer.close()

    server = await asyncio.start_server(speak, sock=listening)
    async with PortForwards(no_files) as forwards:
        await forwards.forward("c-1", "127.0.0.1", unused_tcp_port, listening.getsockname()[1])
        reader, writer = await connect(unused_tcp_port)
        assert await reader.read(-1) == b"six"
        writer.close()
    server.close()


async def test_connections_are_bounded(unused_tcp_port: int, caplog: pytest.LogCaptureFixture) -> None:
    async with (
        target(echo) as target_port,
        asyncio.TaskGroup() as tasks,
        Forward(tasks, "127.0.0.1", unused_tcp_port, target_port, most=2) as forward,
    ):
        held = [await connect(unused_tcp_port) for _ in range(2)]
        for reader, writer in held:
            writer.write(b"x")
            assert await reader.readexactly(1) == b"x"
        for _ in range(5):
            reader, writer = await connect(unused_tcp_port)
            with pytest.raises(ConnectionResetError):
                await reader.readexactly(1)
            writer.close()
        assert forward.refused == 5
        assert len(lines(caplog, "more are refused")) == 1
        held[0][1].close()
        await until(lambda: len(forward.open) == 1)
        reader, writer = await connect(unused_tcp_port)
        writer.write(b"y")
        assert await reader.readexactly(1) == b"y"
        writer.close()
        held[1][1].close()


async def test_taken_port_is_said(unused_tcp_port: int) -> None:
    async with target(echo) as target_port, PortForwards(no_files) as forwards:
        with pytest.raises(OSError, match="in use"):
            await forwards.forward("c-1", "127.0.0.1", target_port, unused_tcp_port)


async def test_drop_cuts_one_container_and_no_other(unused_tcp_port_factory: Callable[[], int]) -> None:
    first, second = unused_tcp_port_factory(), unused_tcp_port_factory()
    async with target(echo) as target_port, PortForwards(no_files) as forwards:
        await forwards.forward("c-1", "127.0.0.1", first, target_port)
        await forwards.forward("c-2", "127.0.0.1", second, target_port)
        cut, cut_writer = await connect(first)
        kept, kept_writer = await connect(second)
        for reader, writer in ((cut, cut_writer), (kept, kept_writer)):
            writer.write(b"x")
            await reader.readexactly(1)
        await forwards.drop("c-1")
        await forwards.drop("c-1")
        with pytest.raises(ConnectionResetError):
            await cut.readexactly(1)
        with pytest.raises(ConnectionRefusedError):
            await connect(first)
        kept_writer.write(b"y")
        assert await kept.readexactly(1) == b"y"
        await forwards.forward("c-3", "127.0.0.1", first, target_port)  # the port is free again
        cut_writer.close()
        kept_writer.close()


async def test_leaving_cuts_everything_in_the_middle_of_a_transfer(unused_tcp_port: int) -> None:
    async def flood(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            writer.write(MEGABYTE)
            await writer.drain()

    async with asyncio.timeout(15):
        async with forwarding(flood, unused_tcp_port):
            reader, writer = await connect(unused_tcp_port)
            await reader.readexactly(100)
    with pytest.raises(ConnectionResetError):
        while await reader.read(1 << 20):
            pass
    writer.close()


# Which port to forward to.


def test_ports_of_a_process_are_seen() -> None:
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("0.0.0.0", 0)) as all_addresses:
        own = {sock.getsockname()[1] for sock in (one, all_addresses)}
        assert own <= listening_ports([os.getpid()])
        with socket.create_connection(one.getsockname()) as client:
            assert client.getsockname()[1] not in listening_ports([os.getpid()])
        assert own.isdisjoint(listening_ports([]))
        assert own.isdisjoint(listening_ports([os.getppid(), 2**22 - 1]))


async def test_port_is_forwarded_once_the_container_listens_on_its_own(unused_tcp_port: int) -> None:
    ours = [os.getpid()]
    async with target(echo) as target_port, PortForwards(no_files) as forwards:
        seen = False

        def processes() -> list[int]:
            nonlocal seen
            started, seen = seen, True
            return ours if started else []

        forwards.forward_when_needed("c-1", "127.0.0.1", unused_tcp_port, target_port, processes)
        await until(lambda: _is_open(unused_tcp_port))
        reader, writer = await connect(unused_tcp_port)
        writer.write(b"x")
        assert await reader.readexactly(1) == b"x"
        writer.close()


async def test_port_of_another_containers_process_is_not_used(unused_tcp_port: int) -> None:
    looks = 0

    def processes() -> list[int]:
        nonlocal looks
        looks += 1
        return [os.getppid()]

    async with target(echo) as target_port, PortForwards(no_files) as forwards:
        forwards.forward_when_needed("c-1", "127.0.0.1", unused_tcp_port, target_port, processes)
        await until(lambda: looks >= 2)
        assert not _is_open(unused_tcp_port)
        await forwards.drop("c-1")


async def test_container_that_listens_on_the_host_port_itself_is_left_alone(caplog: pytest.LogCaptureFixture) -> None:
    looks = 0

    def processes() -> list[int]:
        nonlocal looks
        looks += 1
        return [os.getpid()]

    async with target(echo) as own_port, target(echo) as other_port, PortForwards(no_files) as forwards:
        forwards.forward_when_needed("c-1", "127.0.0.1", own_port, other_port, processes)
        forwards.forward_when_needed("c-1", "127.0.0.1", own_port, own_port, processes)
        await until(lambda: not any("of container c-1" in task.get_name() for task in asyncio.all_tasks()))
        assert (looks, lines(caplog, "cannot be served")) == (1, [])
        reader, writer = await connect(own_port)
        writer.write(b"x")
        assert await reader.readexactly(1) == b"x"
        writer.close()


async def test_files_are_served_until_the_container_goes() -> None:
    told: list[tuple[object, ...]] = []

    @asynccontextmanager
    async def files(host: str, port: int, base_url: str) -> AsyncIterator[None]:
        told.append((host, port, base_url))
        yield
        told.append(("over",))

    async with PortForwards(files) as forwards:
        await forwards.serve_files("c-1", "0.0.0.0", 8082, "http://127.0.0.1:20001")
        assert told == [("0.0.0.0", 8082, "http://127.0.0.1:20001")]
        await forwards.drop("c-1")
        assert told[1:] == [("over",)]


def _is_open(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
