"""An agent that answers, fails and streams in every odd way, for platforms that are joined by a bridge."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator
from typing import Any

from edge import errors
from edge.agents import Agent, Container, action, stream

# The longest name that an agent may have, and one of what a path must escape.
LONGEST = "日" * 200
ODDEST = "a'b(c)~!*@:,$ &=+[1]<i>\"ü"

RESULTS: dict[str, Any] = {
    "nothing": None, "zero": 0, "no": False, "empty text": "", "empty list": [], "empty object": {}, "half": 0.5,
    "negative zero": -0.0, "smallest": 5e-324, "greatest": 1.7976931348623157e308, "large exponent": 1e22,
    "beyond a double": 2**53 + 1, "200 bits": 2**200, "nul": "\0", "not a number": math.nan, "infinity": [math.inf],
    "half a pair": "\ud800", "bytes": b"x", "a set": {1}, "numbers as keys": {1: 2}, "large": "ä" * 700_000,
}  # fmt: skip


class Odd(Agent):
    """Does as it is told."""

    def __init__(self) -> None:
        super().__init__("odd")
        self._wanted: asyncio.Queue[str] = asyncio.Queue()
        self._pieces: list[str] = []
        self._count = 0

    @action
    async def give(self, what: str) -> Any:
        """Return something odd."""
        return RESULTS[what]

    @action
    async def throw(self, error: str) -> None:
        """Fail in one way or another."""
        if error == "long":
            raise ValueError("ä" * 100_000)
        if error == "SystemExit":
            raise SystemExit(3)
        raise getattr(errors, error)("because\nä")

    @action
    async def linger(self) -> None:
        """Take longer than anybody waits."""
        await asyncio.sleep(30)

    @action
    async def drop(self, text: str) -> None:
        """Let the stream `Drops` yield this; an empty one ends it."""
        self._wanted.put_nowait(text)

    @action
    async def kept(self) -> list[str]:
        """Return the pieces of what is or was fed last."""
        return self._pieces

    @action
    async def kept_bytes(self) -> int:
        """Return how much that is."""
        return self._count

    @stream(mode="GET")
    async def drops(self) -> AsyncIterator[bytes]:
        """Yield what is dropped."""
        while text := await self._wanted.get():
            yield text.encode()

    @stream(mode="GET")
    async def void(self) -> AsyncIterator[bytes]:
        """Yield nothing."""
        for piece in ():
            yield piece

    @stream(mode="GET")
    async def early(self) -> AsyncIterator[bytes]:
        """Fail before the first piece."""
        raise ValueError("too early")
        yield b""

    @stream(mode="GET")
    async def midway(self) -> AsyncIterator[bytes]:
        """Fail after it."""
        yield b"some"
        raise ValueError("midway")

    @stream(mode="GET")
    async def binary(self) -> AsyncIterator[bytes]:
        """2 MB at once."""
        yield bytes(range(256)) * 8192

    @stream(mode="POST")
    async def keep(self, pieces: AsyncIterator[bytes]) -> None:
        """Keep the pieces."""
        self._pieces, self._count = [], 0
        async for piece in pieces:
            self._pieces.append(piece[:1000].hex())
            self._count += len(piece)

    @stream(mode="POST")
    async def choke(self, pieces: AsyncIterator[bytes]) -> None:
        """Fail at the first piece."""
        async for _ in pieces:
            raise ValueError("choked")

    @stream(mode="POST")
    async def shun(self, pieces: AsyncIterator[bytes]) -> None:
        """Take none of it."""


class Named(Agent):
    """Has a name that is hard to carry."""

    @action
    async def name(self) -> str:
        """Return it."""
        return self.agent_id


def container() -> Container:
    """Make it."""
    return Container("odd", [Odd(), Named(LONGEST), Named(ODDEST)])
