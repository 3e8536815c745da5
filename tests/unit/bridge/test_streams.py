"""Streams between a gateway and a site: every byte in order, no faster than the reader, and a true end."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from bridge import pipes, streams
from bridge.access import Access
from bridge.chunks import CHUNK_BYTES, Flag, pack, unpack
from bridge.pipes import WINDOW
from edge.errors import BrokenRequest, OpacaError, OutcomeUnknown, Overloaded, RemoteError, Unreachable
from tests.unit.bridge.wire import Air, End, joined, settle, until

SIZES = (0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 5 * 1024 * 1024)
MB = 1024 * 1024


class Body:
    """Stands for a caller's request."""

    def __init__(self, pieces: AsyncIterator[bytes]) -> None:
        self.pieces = lambda: pieces


def body_of(size: int) -> bytes:
    return random.Random(size).randbytes(size)


async def in_pieces(body: bytes, size: int = 70_001) -> AsyncIterator[bytes]:
    for start in range(0, len(body), size):
        yield body[start : start + size]


async def endless() -> AsyncIterator[bytes]:
    while True:
        yield b"x" * CHUNK_BYTES
        await asyncio.sleep(0)


async def read_all(reading: End, route: str = "GET /stream/Values/pump") -> bytes:
    reply = reading.streams.opened(reading.other, route, {"forward": "false"}, {})
    async with reply.source as pieces:
        return b"".join([piece async for piece in pieces])


async def feed(feeding: End, pieces: AsyncIterator[bytes]) -> None:
    body = Body(pieces)
    query = {"forward": "false", "containerId": "c1"}
    await feeding.streams.fed(feeding.other, "POST /stream/Feed/pump", query, {}, body)  # type: ignore[arg-type]


def chunks(air: Air) -> list[bytes]:
    return [payload for _, payload in air.of("sm/S")]


async def idle(*ends: End) -> None:
    """Wait until no end has a stream any more."""
    await until(lambda: not any(end.streams.count or end.executor.platform.open_streams for end in ends))


@pytest.mark.parametrize("is_upwards", [False, True], ids=["gateway reads site", "site reads gateway"])
@pytest.mark.parametrize("size", SIZES)
async def test_what_an_agent_sends_arrives_to_the_byte(size: int, is_upwards: bool) -> None:
    async with joined() as (_, cloud, home):
        reading, sending = (home, cloud) if is_upwards else (cloud, home)
        sending.executor.platform.source = lambda: in_pieces(body_of(size))
        assert await read_all(reading) == body_of(size)
        assert sending.executor.platform.asked == [("/stream/Values/pump", [("forward", "false")])]
        await idle(cloud, home)


@pytest.mark.parametrize("is_upwards", [False, True], ids=["gateway feeds site", "site feeds gateway"])
@pytest.mark.parametrize("size", SIZES)
async def test_what_a_caller_sends_arrives_to_the_byte(size: int, is_upwards: bool) -> None:
    async with joined() as (_, cloud, home):
        feeding, taking = (home, cloud) if is_upwards else (cloud, home)
        await feed(feeding, in_pieces(body_of(size)))
        assert bytes(taking.executor.platform.taken) == body_of(size)
        ((stream, agent_id, options),) = taking.executor.platform.asked
        assert (stream, agent_id, options.forward, options.container_id) == ("Feed", "pump", False, "c1")
        await idle(cloud, home)


async def test_a_source_is_no_faster_than_its_reader() -> None:
    async with joined() as (air, cloud, home):
        home.executor.platform.source = endless
        async with cloud.streams.opened(cloud.other, "GET /stream/Values", {}, {}).source as pieces:
            await settle()
            assert len(chunks(air)) == WINDOW
            for _ in range(WINDOW):
                await anext(pieces)
            await settle()
            assert len(chunks(air)) <= 2 * WINDOW
            await until(lambda: len(chunks(air)) == 2 * WINDOW)
        await idle(cloud, home)


async def test_a_caller_is_no_faster_than_the_agent() -> None:
    async with joined() as (air, cloud, home):
        home.executor.platform.is_deaf = True
        async with asyncio.TaskGroup() as tasks:
            feeding = tasks.create_task(feed(cloud, endless()))
            await until(lambda: len(chunks(air)) == WINDOW)
            await settle()
            assert len(chunks(air)) == WINDOW
            feeding.cancel()
        await idle(cloud, home)  # the agent that takes nothing is left alone when its caller has gone


async def test_a_reader_that_leaves_ends_the_source() -> None:
    async with joined() as (_, cloud, home):
        home.executor.platform.source = endless
        async with cloud.streams.opened(cloud.other, "GET /stream/Values", {}, {}).source as pieces:
            await anext(pieces)
            assert home.executor.platform.open_streams == 1
        await idle(cloud, home)


async def test_a_reader_that_leaves_before_the_stream_is_open_ends_the_source() -> None:
    async with joined() as (_, cloud, home):
        home.executor.platform.source = endless
        async with asyncio.TaskGroup() as tasks:
            reading = tasks.create_task(read_all(cloud))
            while not cloud.other.calls.count:
                await asyncio.sleep(0)
            assert not home.played
            reading.cancel()
        await until(lambda: home.played)
        await idle(cloud, home)


async def test_a_reader_that_leaves_while_the_answer_is_on_its_way_ends_the_source() -> None:
    async with joined() as (air, cloud, home):
        home.executor.platform.source = endless
        air.changes = lambda topic, payload: [] if "/rs" in topic else None
        async with asyncio.TaskGroup() as tasks:
            reading = tasks.create_task(read_all(cloud))
            await until(lambda: home.executor.platform.open_streams)
            reading.cancel()
        await idle(cloud, home)


@pytest.mark.parametrize("how", ["breaks", "leaves"])
async def test_a_caller_that_goes_in_the_middle_ends_the_agents_stream(how: str) -> None:
    async with joined() as (_, cloud, home):

        async def half() -> AsyncIterator[bytes]:
            yield b"half"
            await until(lambda: home.executor.platform.taken)
            if how == "breaks":
                raise BrokenRequest("the body broke off")
            await asyncio.Event().wait()

        async with asyncio.TaskGroup() as tasks:
            feeding = tasks.create_task(outcome(feed(cloud, half())))
            await until(lambda: home.executor.platform.taken)
            if how == "leaves":
                feeding.cancel()
        await idle(cloud, home)
        platform = home.executor.platform
        assert (bytes(platform.taken), platform.taken_all) == (b"half", 0)
        if how == "breaks":
            assert isinstance(feeding.result(), BrokenRequest)


async def test_a_source_that_breaks_is_no_finished_stream() -> None:
    async with joined() as (_, cloud, home):

        async def breaking() -> AsyncIterator[bytes]:
            yield b"half"
            raise Unreachable("the agent went away")

        home.executor.platform.source = breaking
        async with cloud.streams.opened(cloud.other, "GET /stream/Values", {}, {}).source as pieces:
            assert await anext(pieces) == b"half"
            with pytest.raises(Unreachable, match="the stream of greenhouse broke off: the agent went away"):
                await anext(pieces)
        await idle(cloud, home)


@pytest.mark.parametrize("how", ["site's link", "gateway's link"])
async def test_streams_end_when_the_link_does(how: str) -> None:
    async with joined() as (_, cloud, home):
        home.executor.platform.source = endless
        async with asyncio.TaskGroup() as tasks:
            feeding = tasks.create_task(outcome(feed(cloud, endless())))
            async with cloud.streams.opened(cloud.other, "GET /stream/Values", {}, {}).source as pieces:
                await anext(pieces)
                await until(lambda: home.executor.platform.taken)
                (home if how == "site's link" else cloud).link.down()
                with pytest.raises(Unreachable, match="the link was lost"):
                    async for _piece in pieces:
                        pass
            cloud.other.calls.give_up("went away")
        assert isinstance(feeding.result(), OpacaError)
        await idle(cloud, home)


@pytest.mark.parametrize("change", ["a chunk is lost", "two chunks are swapped", "a byte is turned", "the end is lost"])
async def test_a_damaged_stream_is_no_finished_one(change: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipes, "_ALIVE_S", 0.02)
    monkeypatch.setattr(pipes, "_STALL_S", 0.06)
    async with joined() as (air, cloud, home):
        held: list[bytes] = []

        def damage(topic: str, payload: bytes) -> list[bytes] | None:
            if "/sm/" not in topic:
                return None
            chunk = unpack(payload)
            if chunk.number == 2 and change == "a chunk is lost":
                return []
            if chunk.number == 2 and change == "two chunks are swapped":
                held.append(payload)
                return []
            if chunk.number == 2 and change == "a byte is turned":
                return [payload[:9] + bytes([payload[9] ^ 1]) + payload[10:]]
            if chunk.flags & Flag.LAST and change == "the end is lost":
                return []
            return [payload, held.pop()] if held else None

        air.changes = damage
        home.executor.platform.source = lambda: in_pieces(body_of(5 * CHUNK_BYTES))
        with pytest.raises(Unreachable, match=r"lost a part|checksum|nothing was heard"):
            await read_all(cloud)
        await idle(cloud, home)


async def test_a_doubled_chunk_is_taken_once() -> None:
    async with joined() as (air, cloud, home):
        air.changes = lambda topic, payload: [payload, payload] if "/s" in topic else None
        home.executor.platform.source = lambda: in_pieces(body_of(MB))
        assert await read_all(cloud) == body_of(MB)


async def test_a_lost_credit_is_said_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipes, "_ALIVE_S", 0.01)
    async with joined() as (air, cloud, home):
        lost = [5]

        def lose(topic: str, payload: bytes) -> list[bytes] | None:
            if "/sc/" not in topic or not lost[0]:
                return None
            lost[0] -= 1
            return []

        air.changes = lose
        home.executor.platform.source = lambda: in_pieces(body_of(MB))
        assert await read_all(cloud) == body_of(MB)


async def test_a_stream_that_has_nothing_to_say_lives_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipes, "_ALIVE_S", 0.01)
    monkeypatch.setattr(pipes, "_STALL_S", 0.2)
    async with joined() as (air, cloud, home):

        async def rare() -> AsyncIterator[bytes]:
            yield b"one"
            await until(lambda: len(chunks(air)) > 30)
            yield b"two"

        home.executor.platform.source = rare
        assert await read_all(cloud) == b"onetwo"


async def test_a_reader_that_takes_nothing_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipes, "_STALL_S", 0.02)
    async with joined() as (_, cloud, home):
        home.executor.platform.source = endless
        async with cloud.streams.opened(cloud.other, "GET /stream/Values", {}, {}).source as pieces:
            await until(lambda: not home.executor.platform.open_streams)
            with pytest.raises(Unreachable, match="the reader took nothing for 0 s"):
                async for _piece in pieces:
                    pass


async def test_what_a_party_may_not_read_is_403() -> None:
    async with joined() as (_, cloud, home):
        home.executor.access = Access("USER", ["invoke/*"])
        for attempt in (read_all(cloud), feed(cloud, in_pieces(b"x"))):
            error = await outcome(attempt)
            assert isinstance(error, RemoteError)
            assert error.status == 403
            assert error.cause is not None
            assert "is not among what this platform allows: invoke/*" in str(error.cause.message)
        assert home.executor.platform.asked == []
        await idle(cloud, home)


@pytest.mark.parametrize("route", ["GET /stream/", "POST /stream/a/", "GET /stream/a/b/c"])
async def test_a_route_that_names_no_stream_is_refused(route: str) -> None:
    async with joined() as (_, cloud, home):
        answer = await cloud.other.call(route, limit_s=1, sid="Sx")
        assert answer.s in (400, 403)
        assert home.executor.platform.asked == []


async def test_a_stream_without_a_usable_id_is_refused() -> None:
    async with joined() as (_, cloud, _home):
        for sid in ("", "Lx", "S" * 65):
            assert (await cloud.other.call("GET /stream/Values", limit_s=1, sid=sid)).s == 400


async def test_an_id_that_another_stream_has_is_refused_and_disturbs_nobody() -> None:
    """Else the first one would not be counted any more: who uses one ID again and again had as many as it liked."""
    async with joined() as (_, cloud, home):
        home.executor.platform.source = endless
        async with cloud.streams.opened(cloud.other, "GET /stream/Values", {}, {}).source as pieces:
            await anext(pieces)
            ((_name, sid),) = home.streams._writers
            for route in ("GET /stream/Values", "POST /stream/Feed"):
                answer = await cloud.other.call(route, limit_s=1, sid=sid)
                assert (answer.s, answer.b["message"]) == (400, "another stream has this ID")  # type: ignore[index, call-overload]
            assert (home.streams.count, home.executor.platform.open_streams) == (1, 1)
            await anext(pieces)
        await idle(cloud, home)


async def test_a_party_that_was_never_there_is_said_so_at_once() -> None:
    async with joined() as (air, cloud, _home):
        air.publish("opaca/v1/shed/st", b'{"on":0,"ep":1}')
        await until(lambda: "shed" in cloud.station.remotes)
        shed = cloud.station.remotes["shed"]
        with pytest.raises(Unreachable, match="shed is away since"):
            async with cloud.streams.opened(shed, "GET /stream/Values", {}, {}).source:
                pass
        with pytest.raises(Unreachable, match="shed is away since"):
            body = Body(in_pieces(b"x"))
            await cloud.streams.fed(shed, "POST /stream/Feed", {}, {}, body)  # type: ignore[arg-type]


async def test_no_more_streams_pass_than_there_is_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "_MAX_STREAMS", 1)
    async with joined() as (_, cloud, home):
        home.executor.platform.source = endless
        async with cloud.streams.opened(cloud.other, "GET /stream/Values", {}, {}).source as pieces:
            await anext(pieces)
            assert isinstance(await outcome(read_all(cloud)), Overloaded)
        await idle(cloud, home)


async def test_a_source_may_take_long_to_open_and_is_left_at_once_by_a_reader_that_leaves(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    may_open, waiting = asyncio.Event(), 0

    @asynccontextmanager
    async def open_late(path: str, query: Any = ()) -> AsyncIterator[AsyncIterator[bytes]]:
        nonlocal waiting
        waiting += 1
        try:
            await may_open.wait()
        finally:
            waiting -= 1
        yield in_pieces(b"abc")

    async with joined() as (_, cloud, home):
        monkeypatch.setattr(home.executor.platform, "open", open_late)
        leaving = asyncio.create_task(read_all(cloud))
        staying = asyncio.create_task(read_all(cloud))
        await until(lambda: waiting == 2)
        leaving.cancel()
        await until(lambda: waiting == home.streams.count == cloud.streams.count == 1)
        may_open.set()
        assert await staying == b"abc"
        await idle(cloud, home)


async def test_an_answer_that_says_the_outcome_is_unknown_reads_so() -> None:
    async with joined() as (_, cloud, home):
        home.other.answers.epoch = 1
        error = await outcome(read_all(cloud))
        assert isinstance(error, OutcomeUnknown)
        assert "earlier connection" in error.message


async def test_a_chunk_of_nobodys_stream_is_passed_over() -> None:
    async with joined() as (air, cloud, home):
        air.publish("opaca/v1/greenhouse/up/sm/Sx", pack(Flag.NONE, 0, b"x"))
        air.publish("opaca/v1/greenhouse/up/sm/Sx", b"x")
        air.publish("opaca/v1/greenhouse/up/sc/Sx", b"x")
        await settle()
        home.executor.platform.source = lambda: in_pieces(b"well")
        assert await read_all(cloud) == b"well"


async def outcome(attempt: object) -> BaseException | None:
    """Return what an attempt raises."""
    try:
        await attempt  # type: ignore[misc]
    except OpacaError as error:
        return error
    return None
