"""An agent that a test watches from the inside: what it was called for, what it yields and when."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from edge.agents import Agent, Container, action, stream

FACTORY = "tests.integration.laboratory:container"

FLOOD_PIECE_BYTES = 64 * 1024


class Laboratory(Agent):
    """Waits, floods, drips and breaks on demand.

    Attributes:
        seen: What happened, in order; read by the test's thread.
        taken: Pieces that came in by the stream `Keep`.
    """

    def __init__(self) -> None:
        super().__init__("lab")
        self.seen: list[str] = []
        self.taken: list[bytes] = []
        self.flooded_bytes = 0
        self._drops: asyncio.Queue[bytes | None] = asyncio.Queue()

    async def on_stop(self) -> None:
        self.seen.append("stopped")

    @action
    async def say(self, text: str) -> str:
        return text

    @action
    async def wait(self) -> None:
        """Never ends by itself."""
        self.seen.append("waits")
        try:
            await asyncio.Event().wait()
        finally:
            self.seen.append("waits no more")

    @action
    async def learn(self, name: str) -> None:
        """Offers one more action."""
        self.add_action(self.say, name=name)

    @stream(mode="GET")
    async def drip(self) -> AsyncIterator[bytes]:
        """Yields what the test drops, until it drops None."""
        self.seen.append("drips")
        try:
            while (piece := await self._drops.get()) is not None:
                yield piece
        finally:
            self.seen.append("drips no more")

    @stream(mode="GET")
    async def flood(self) -> AsyncIterator[bytes]:
        """Yields without end."""
        piece = bytes(FLOOD_PIECE_BYTES)
        try:
            while True:
                self.flooded_bytes += len(piece)
                yield piece
        finally:
            self.seen.append("floods no more")

    @stream(mode="GET")
    async def none(self) -> AsyncIterator[bytes]:
        """Yields nothing."""
        for piece in ():
            yield piece

    @stream(mode="GET")
    async def snap(self) -> AsyncIterator[bytes]:
        """Breaks after its first piece."""
        yield b"first"
        raise RuntimeError("it snapped")

    @stream(mode="POST")
    async def keep(self, pieces: AsyncIterator[bytes]) -> None:
        """Keeps every piece as it comes."""
        self.taken.clear()
        try:
            async for piece in pieces:
                self.taken.append(piece)
        except Exception as error:
            self.seen.append(f"keep broke: {type(error).__name__}")
            raise
        except asyncio.CancelledError:
            self.seen.append("keep was cancelled")
            raise
        self.seen.append("kept")

    @stream(mode="POST")
    async def clog(self, pieces: AsyncIterator[bytes]) -> None:
        """Takes one piece and no more."""
        await anext(pieces)
        self.seen.append("clogged")
        try:
            await asyncio.Event().wait()
        finally:
            self.seen.append("clogged no more")

    @stream(mode="POST")
    async def refuse(self, pieces: AsyncIterator[bytes]) -> None:
        """Fails after the first piece."""
        await anext(pieces)
        raise RuntimeError("it is full")

    def drop(self, piece: bytes | None) -> None:
        """Let `Drip` yield a piece; to be called on the platform's loop."""
        self._drops.put_nowait(piece)


class Sized(Agent):
    """Streams of a size that the caller's side names in advance."""

    def __init__(self) -> None:
        super().__init__("sized")
        self._size_bytes = 0
        self._taken_bytes = 0

    @action
    async def resize(self, size: int) -> None:
        self._size_bytes = size

    @action
    async def taken(self) -> int:
        return self._taken_bytes

    @stream(mode="GET")
    async def source(self) -> AsyncIterator[bytes]:
        left = self._size_bytes
        piece = bytes(range(256)) * 512
        while left > 0:
            yield piece[:left]
            left -= len(piece)

    @stream(mode="POST")
    async def sink(self, pieces: AsyncIterator[bytes]) -> None:
        self._taken_bytes = 0
        async for piece in pieces:
            self._taken_bytes += len(piece)


# The laboratory of the platform under test in this process; there is one at a time.
LATEST: list[Laboratory] = []


def container() -> Container:
    """Make the container, with empty memories."""
    laboratory = Laboratory()
    LATEST[:] = [laboratory]
    return Container("laboratory", [laboratory, Sized()])
