"""The two ends of a stream over a link: chunks one way, credit the other, a checksum at the end."""

from __future__ import annotations

import asyncio
import zlib
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import suppress

from bridge.chunks import CHUNK_BYTES, Chunk, Flag, checked, checksum, pack
from bridge.envelope import Credit, Unreadable
from bridge.mqtt.failures import LinkError
from edge.errors import Unreachable

# Chunks that may be under way; the reader says every few how far it is.
WINDOW = 8
_CREDIT_EVERY = 4
# A reader that takes nothing for so long is given up, as is a writer of which nothing is heard.
_STALL_S = 60.0
# A writer that has nothing to send says so often that it is still there.
_ALIVE_S = 15.0


class Reader:
    """Takes the chunks of one stream and hands their data on."""

    def __init__(self, party: str, tell: Callable[[Credit], None]) -> None:
        """Args:
        party: Who sends, for messages.
        tell: Sends a credit.
        """
        self._party = party
        self._tell = tell
        self._waiting: deque[bytes] = deque()
        self._some = asyncio.Event()
        self._ended = asyncio.Event()
        self._next = 0
        self._taken = 0
        self._crc = 0
        self._is_complete = False
        self._problem = ""

    def take(self, chunk: Chunk) -> None:
        """Take a chunk; one that came before is passed over."""
        if self._is_complete or self._problem or chunk.number < self._next:
            return
        if chunk.flags & Flag.BROKEN:
            self.fail(chunk.data.decode("utf-8", "replace")[:500] or "broke off")
        elif chunk.number != self._next or len(self._waiting) > 2 * WINDOW:
            self.fail("lost a part of the stream" if chunk.number != self._next else "sends more than it may")
        else:
            self._append(chunk)
        self._some.set()

    def _append(self, chunk: Chunk) -> None:
        data = chunk.data
        if chunk.flags & Flag.LAST:
            try:
                data = checked(data, self._crc)
            except Unreadable as error:
                self.fail(error.message)
                return
            self._is_complete = True
        self._next += 1
        self._crc = zlib.crc32(data, self._crc)
        self._waiting.append(data)

    def fail(self, why: str) -> None:
        """End the stream: what came is still handed on, then the reader sees an error."""
        if not self._is_complete and not self._problem:
            self._problem = why
            self._some.set()
            self._ended.set()

    def ready(self) -> None:
        """Tell the sender that it may begin, or that it may go on."""
        self._say(Credit(n=self._taken))

    def leave(self, why: str = "") -> None:
        """Tell the sender that nobody reads any more, unless it is through."""
        if not self._is_complete:
            self._say(Credit(n=self._taken, end=1, why=why))

    async def pieces(self) -> AsyncIterator[bytes]:
        """Yield the data as it comes; `Unreachable` if the stream broke, or nothing is heard of the sender."""
        silent_s = 0.0
        while True:
            while self._waiting:
                data = self._waiting.popleft()
                self._taken += 1
                if self._taken % _CREDIT_EVERY == 0:
                    self.ready()
                if data:
                    yield data
            if self._is_complete:
                return
            if self._problem:
                raise self._broken()
            self._some.clear()
            try:
                async with asyncio.timeout(_ALIVE_S):
                    await self._some.wait()
                silent_s = 0.0
            except TimeoutError:
                silent_s += _ALIVE_S
                if silent_s >= _STALL_S:
                    self.fail(f"nothing was heard of it for {silent_s:.0f} s")
                self.ready()  # what it was told last may have been lost

    async def until_broken(self) -> None:
        """Wait until the stream breaks, then raise `Unreachable`."""
        await self._ended.wait()
        raise self._broken()

    def _say(self, credit: Credit) -> None:
        try:
            self._tell(credit)
        except LinkError as error:
            self.fail(str(error))

    def _broken(self) -> Unreachable:
        return Unreachable(f"the stream of {self._party} broke off: {self._problem}")


class Writer:
    """Cuts a stream into chunks and sends them as far as the reader has room."""

    def __init__(self, party: str, send: Callable[[bytes], None]) -> None:
        """Args:
        party: Who reads, for messages.
        send: Sends a chunk.
        """
        self._party = party
        self._send = send
        self._number = 0
        self._crc = 0
        self._allowed = 0
        self._room = asyncio.Event()
        self._problem = ""
        self._is_complete = False
        self.has_left = False

    def credit(self, credit: Credit) -> None:
        """Take what the reader says."""
        if credit.end:
            self.has_left = True
            self._problem = credit.why or "the reader has left"
        self._allowed = max(self._allowed, min(credit.n, self._number) + WINDOW)
        self._room.set()

    def fail(self, why: str) -> None:
        """End the stream: nobody can be reached any more."""
        self._problem = self._problem or why
        self._room.set()

    async def write(self, data: bytes) -> None:
        """Send data, waiting for room; `Unreachable` if the reader has left or takes nothing."""
        for start in range(0, len(data), CHUNK_BYTES):
            part = data[start : start + CHUNK_BYTES]
            await self._wait_for_room()
            self._crc = zlib.crc32(part, self._crc)
            self._put(Flag.NONE, part)

    async def end(self) -> None:
        """Say that all was sent."""
        await self._wait_for_room()
        self._is_complete = True
        self._put(Flag.LAST, checksum(self._crc))

    def break_off(self, why: str) -> None:
        """Say that the stream broke at its source, unless it is through or the reader has left."""
        if not self._is_complete and not self.has_left:
            self._is_complete = True
            with suppress(Unreachable):
                self._put(Flag.BROKEN, why.encode()[:500])

    async def attend(self) -> None:
        """Let the reader know that the stream lives; raise `Unreachable` when it has left or cannot be reached."""
        sent = self._number
        while not self._problem:
            self._room.clear()
            try:
                async with asyncio.timeout(_ALIVE_S):
                    await self._room.wait()
            except TimeoutError:
                if sent == self._number < self._allowed and not self._is_complete:
                    self._put(Flag.NONE, b"")
                sent = self._number
        raise self._broken()

    def _put(self, flag: Flag, data: bytes) -> None:
        try:
            self._send(pack(flag, self._number, data))
        except LinkError as error:
            self.fail(str(error))
            raise self._broken() from error
        self._number += 1

    async def _wait_for_room(self) -> None:
        while not self._problem and self._number >= self._allowed:
            self._room.clear()
            try:
                async with asyncio.timeout(_STALL_S):
                    await self._room.wait()
            except TimeoutError:
                self._problem = f"the reader took nothing for {_STALL_S:.0f} s"
        if self._problem:
            raise self._broken()

    def _broken(self) -> Unreachable:
        return Unreachable(f"the stream to {self._party} broke off: {self._problem}")
