"""POST streams: piece by piece or at once, and a caller that breaks off."""

from __future__ import annotations

import logging
import threading
from collections.abc import AsyncIterator
from typing import Any

import pytest

from edge.agents import Agent, stream
from edge.errors import ActionFailed, NotFound, ParameterMismatch, TooLarge
from tests.unit.agents.running import running


class Sink(Agent):
    """POST streams of every kind."""

    def __init__(self) -> None:
        super().__init__()
        self.got: list[Any] = []

    @stream(mode="POST")
    async def piecewise(self, pieces: AsyncIterator[bytes]) -> None:
        async for piece in pieces:
            self.got.append(piece)

    @stream(mode="POST")
    async def whole(self, content: bytes) -> None:
        self.got.append(content)

    @stream(mode="POST")
    def whole_in_thread(self, content: bytes) -> None:
        self.got.append((threading.current_thread().name, content))

    @stream(mode="POST")
    async def text(self, content: str) -> None:
        self.got.append(content)

    @stream(mode="POST")
    async def stops_early(self, pieces: AsyncIterator[bytes]) -> None:
        async for piece in pieces:
            self.got.append(piece)
            return

    @stream(mode="POST")
    async def fails(self, pieces: AsyncIterator[bytes]) -> None:
        await anext(pieces)
        raise ValueError("full")


async def give(*pieces: bytes) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


async def taken(name: str, pieces: AsyncIterator[bytes]) -> list[Any]:
    sink = Sink()
    async with running(sink) as home:
        await home.post_stream(name, pieces, None)
    return sink.got


async def test_a_post_stream_comes_piece_by_piece() -> None:
    assert await taken("Piecewise", give(b"a", b"", b"b")) == [b"a", b"b"]


async def test_a_post_stream_comes_at_once() -> None:
    assert await taken("Whole", give(b"a", b"b")) == [b"ab"]
    assert await taken("Whole", give()) == [b""]
    assert await taken("Text", give("grün".encode()[:3], "grün".encode()[3:])) == ["grün"]


async def test_a_sync_method_gets_a_post_stream_in_a_thread() -> None:
    assert await taken("WholeInThread", give(b"a")) == [("home-1", b"a")]


async def test_a_method_may_stop_early() -> None:
    assert await taken("StopsEarly", give(b"a", b"b")) == [b"a"]


async def test_text_that_is_no_utf8_is_refused() -> None:
    with pytest.raises(ParameterMismatch, match="UTF-8"):
        await taken("Text", give(b"\xff"))


async def test_what_is_collected_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge.agents.pieces.LARGEST_COLLECTED_BYTES", 10)
    assert await taken("Whole", give(b"x" * 10)) == [b"x" * 10]
    with pytest.raises(TooLarge, match="at most 10 bytes"):
        await taken("Whole", give(b"x" * 6, b"x" * 5))


async def test_what_a_post_method_raises_is_told_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(ActionFailed, match="Fails of agent 'sink' failed: ValueError: full"):
        await taken("Fails", give(b"a"))
    assert "agent sink: Fails failed" in caplog.text


@pytest.mark.parametrize("name", ["Piecewise", "Whole"])
async def test_a_caller_that_breaks_off_is_not_the_agents_failure(name: str, caplog: pytest.LogCaptureFixture) -> None:
    async def breaks() -> AsyncIterator[bytes]:
        yield b"a"
        raise ConnectionResetError("gone")

    with pytest.raises(ConnectionResetError, match="gone"):
        await taken(name, breaks())
    assert [record for record in caplog.records if record.levelno > logging.INFO] == []


class Source(Agent):
    """Sends."""

    @stream(mode="GET")
    async def words(self) -> AsyncIterator[bytes]:
        yield b"one"


async def test_the_two_modes_are_not_mixed_up() -> None:
    async with running(Source(), Sink()) as home:
        with pytest.raises(NotFound, match="for GET only"):
            await home.post_stream("Words", give(b"a"), None)
        with pytest.raises(NotFound, match="for POST only"):
            async with home.get_stream("Whole", None):
                pytest.fail("opened")
