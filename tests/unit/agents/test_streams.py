"""GET streams: as they come, as fast as the reader, and no faster."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from edge.agents import Agent, action, stream
from edge.errors import ActionFailed, NotFound
from tests.unit.agents.running import running, until


@dataclass
class Reading:
    celsius: float


class Source(Agent):
    """GET streams of every kind."""

    def __init__(self) -> None:
        super().__init__()
        self.made = 0
        self.closed = 0
        self.closed_in = ""
        self.go = asyncio.Event()
        self.release = threading.Event()

    @stream(mode="GET")
    async def words(self) -> AsyncIterator[Any]:
        yield b"one"
        yield "grün"
        yield bytearray(b"two")
        yield memoryview(b"three")
        yield b""
        yield Reading(21.5)
        yield {"a": [1]}
        yield None

    @stream(mode="GET")
    def words_in_thread(self) -> Iterator[Any]:
        yield threading.current_thread().name
        yield {"n": 1}

    @stream(mode="GET")
    async def returned_bytes(self) -> bytes:
        return b"all"

    @stream(mode="GET")
    def returned_text(self) -> str:
        return "alles"

    @stream(mode="GET")
    def returned_list(self) -> list[int]:
        return [1, 2]

    @stream(mode="GET")
    async def returned_iterator(self) -> Iterator[bytes]:
        return iter([b"a", b"b"])

    @stream(mode="GET")
    async def returned_stream(self) -> AsyncIterator[Any]:
        return self.words()

    @stream(mode="GET")
    async def returned_dict(self) -> dict[str, int]:
        return {"a": 1}

    @stream(mode="GET")
    async def nothing(self) -> AsyncIterator[bytes]:
        return
        yield b""

    @stream(mode="GET")
    async def endless(self) -> AsyncIterator[bytes]:
        try:
            while True:
                self.made += 1
                yield b"x" * 1000
        finally:
            self.closed += 1

    @stream(mode="GET")
    async def endless_nothing(self) -> AsyncIterator[bytes]:
        while True:
            yield b""

    @stream(mode="GET")
    def endless_in_thread(self) -> Iterator[bytes]:
        try:
            while True:
                self.made += 1
                yield b"x"
        finally:
            self.closed += 1
            self.closed_in = threading.current_thread().name

    @stream(mode="GET")
    def hanging_in_thread(self) -> Iterator[bytes]:
        try:
            yield b"x"
            self.made += 1
            self.release.wait(15)
            yield b"y"
        finally:
            self.closed += 1
            self.closed_in = threading.current_thread().name

    @stream(mode="GET")
    async def slow(self) -> AsyncIterator[bytes]:
        try:
            await self.go.wait()
            yield b"late"
        finally:
            self.closed += 1

    @stream(mode="GET")
    async def fails_at_once(self) -> AsyncIterator[bytes]:
        raise ValueError("no sensor")
        yield b""

    @stream(mode="GET")
    def fails_at_once_in_thread(self) -> Iterator[bytes]:
        raise ValueError("no sensor")
        yield b""

    @stream(mode="GET")
    async def fails_later(self) -> AsyncIterator[bytes]:
        yield b"one"
        yield b"two"
        raise ValueError("unplugged")

    @stream(mode="GET")
    async def no_json(self) -> AsyncIterator[Any]:
        yield 1
        yield object()

    @stream(mode="GET")
    async def with_timeout(self) -> AsyncIterator[bytes]:
        async with asyncio.timeout(15), asyncio.TaskGroup() as group:
            ticking = group.create_task(asyncio.sleep(5))
            for _ in range(3):
                yield b"t"
                await asyncio.sleep(0)
            ticking.cancel()

    @stream(mode="GET")
    async def stubborn(self) -> AsyncIterator[bytes]:
        while not self.go.is_set():
            try:
                yield b"x"
                await self.go.wait()
            except asyncio.CancelledError:
                continue

    @action
    async def ping(self) -> str:
        return "pong"


async def pieces_of(name: str) -> list[bytes]:
    async with running(Source()) as home, home.get_stream(name, None) as pieces:
        return [piece async for piece in pieces]


async def test_pieces_are_bytes_text_or_lines_of_json() -> None:
    assert await pieces_of("Words") == [
        b"one",
        "grün".encode(),
        b"two",
        b"three",
        b'{"celsius":21.5}\n',
        b'{"a":[1]}\n',
        b"null\n",
    ]


async def test_a_sync_generator_runs_in_threads() -> None:
    assert await pieces_of("WordsInThread") == [b"home-1", b'{"n":1}\n']


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("ReturnedBytes", [b"all"]),
        ("ReturnedText", [b"alles"]),
        ("ReturnedList", [b"1\n", b"2\n"]),
        ("ReturnedIterator", [b"a", b"b"]),
        ("ReturnedDict", [b'{"a":1}\n']),
        ("Nothing", []),
    ],
)
async def test_a_method_may_return_what_is_streamed(name: str, wanted: list[bytes]) -> None:
    assert await pieces_of(name) == wanted


async def test_a_method_may_return_an_async_iterator() -> None:
    assert (await pieces_of("ReturnedStream"))[0] == b"one"


@pytest.mark.parametrize("name", ["FailsAtOnce", "FailsAtOnceInThread"])
async def test_a_failure_before_the_first_piece_is_raised_on_opening(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with running(Source()) as home:
        with pytest.raises(ActionFailed, match=f"{name} of agent 'source' failed: ValueError: no sensor"):
            async with home.get_stream(name, None):
                pytest.fail("opened")
    assert f"agent source: {name} failed" in caplog.text


async def test_a_failure_after_the_first_piece_comes_behind_the_pieces() -> None:
    async with running(Source()) as home, home.get_stream("FailsLater", None) as pieces:
        assert await anext(pieces) == b"one"
        assert await anext(pieces) == b"two"
        with pytest.raises(ActionFailed, match="unplugged"):
            await anext(pieces)


async def test_a_piece_that_is_no_json_breaks_the_stream() -> None:
    async with running(Source()) as home, home.get_stream("NoJson", None) as pieces:
        assert await anext(pieces) == b"1\n"
        with pytest.raises(ActionFailed, match="neither bytes nor JSON: object has no JSON form"):
            await anext(pieces)


@pytest.mark.parametrize("name", ["Endless", "EndlessInThread"])
async def test_an_endless_stream_is_never_far_ahead_of_its_reader(name: str) -> None:
    source = Source()
    async with running(source) as home, home.get_stream(name, None) as pieces:
        for _ in range(10):
            await anext(pieces)
        await asyncio.sleep(0.05)
        assert source.made <= 12


@pytest.mark.parametrize("name", ["Endless", "EndlessNothing", "EndlessInThread"])
async def test_an_endless_stream_leaves_the_loop_to_others(name: str) -> None:
    async with running(Source()) as home:
        seen = 0

        async def read() -> None:
            nonlocal seen
            async with home.get_stream(name, None) as pieces:
                async for _ in pieces:
                    seen += 1

        readers = [asyncio.create_task(read()) for _ in range(3)]
        await asyncio.sleep(0.01)
        longest_s = 0.0
        for _ in range(50):
            began_s = time.perf_counter()
            assert await home.invoke("Ping", {}, None) == "pong"
            await asyncio.sleep(0)
            longest_s = max(longest_s, time.perf_counter() - began_s)
        assert longest_s < 0.25
        for reader in readers:
            reader.cancel()
        await asyncio.gather(*readers, return_exceptions=True)


async def test_a_reader_that_leaves_ends_the_method() -> None:
    source = Source()
    async with running(source) as home:
        async with home.get_stream("Endless", None) as pieces:
            await anext(pieces)
        assert source.closed == 1
        made = source.made
        await asyncio.sleep(0.01)
        assert source.made == made


async def test_a_reader_that_leaves_ends_a_sync_generator_in_a_thread() -> None:
    source = Source()
    async with running(source) as home:
        async with home.get_stream("EndlessInThread", None) as pieces:
            await anext(pieces)
        assert source.closed == 1
        assert source.closed_in.startswith("home-")


async def test_a_sync_generator_that_hangs_is_closed_when_it_wakes() -> None:
    source = Source()
    async with running(source) as home:
        async with home.get_stream("HangingInThread", None) as pieces:
            await anext(pieces)
            await until(lambda: source.made == 1)
        assert source.closed == 0
        source.release.set()
        await until(lambda: source.closed == 1)
        assert source.closed_in.startswith("home-")


async def test_a_reader_that_is_cancelled_ends_the_method() -> None:
    source = Source()
    async with running(source) as home:

        async def read() -> None:
            async with home.get_stream("Slow", None) as pieces:
                await anext(pieces)

        for pause_s in (0.0, 0.3):  # while it is opened, and while it is read
            reader = asyncio.create_task(read())
            await asyncio.sleep(pause_s)
            reader.cancel()
            with pytest.raises(asyncio.CancelledError):
                await reader
        await until(lambda: source.closed >= 1)


async def test_a_stream_that_has_nothing_to_say_yet_is_open_all_the_same() -> None:
    source = Source()
    async with running(source) as home, home.get_stream("Slow", None) as pieces:
        source.go.set()
        assert [piece async for piece in pieces] == [b"late"]


async def test_timeouts_and_task_groups_around_a_yield_work() -> None:
    assert await pieces_of("WithTimeout") == [b"t"] * 3


async def test_a_method_that_ignores_that_its_reader_left_is_named(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge.agents.streams._LEAVE_S", 0.05)
    source = Source()
    async with running(source) as home:
        async with home.get_stream("Stubborn", None) as pieces:
            await anext(pieces)
        source.go.set()
    assert "agent source: stream Stubborn goes on though its reader left" in caplog.text


async def test_a_stream_that_is_being_read_breaks_when_the_container_stops() -> None:
    async with running(Source()) as home:
        reading = home.get_stream("Slow", None)
        pieces = await reading.__aenter__()
    with pytest.raises(ActionFailed, match="was stopped"):
        await anext(pieces)
    await reading.__aexit__(None, None, None)


@pytest.mark.parametrize(("name", "agent_id"), [("Nope", None), ("Nope", "source"), ("Words", "nobody")])
async def test_a_stream_that_is_not_there_is_not_found(name: str, agent_id: str | None) -> None:
    async with running(Source()) as home:
        with pytest.raises(NotFound):
            async with home.get_stream(name, agent_id):
                pytest.fail("opened")
