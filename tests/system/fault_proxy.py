"""A stretch of network between two platforms that a test can damage."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from enum import Enum
from typing import Self


class Link(Enum):
    """What becomes of bytes."""

    WELL = "well"
    CUT = "cut"  # connections are reset, new ones too
    SILENT = "silent"  # connections stay, but nothing gets through: half open


class FaultProxy:
    """Passes TCP on to a port of this machine.

    Attributes:
        url: Where it listens.
        delay_s: How long each piece is held up.
        bytes_per_s: How quick it is, each way; None for as quick as it goes.
        attempts: How many connections were begun.
    """

    def __init__(self, target_port: int) -> None:
        self.url = ""
        self.delay_s = 0.0
        self.bytes_per_s: float | None = None
        self.attempts = 0
        self._target_port = target_port
        self._is_passing = asyncio.Event()
        self._is_passing.set()
        self._is_cut = False
        self._connections: set[asyncio.Task[None]] = set()

    @classmethod
    @asynccontextmanager
    async def before(cls, url: str) -> AsyncIterator[Self]:
        """Stand before a platform."""
        proxy = cls(int(url.rpartition(":")[2]))
        server = await asyncio.start_server(proxy._serve, "127.0.0.1", 0)
        proxy.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        try:
            yield proxy
        finally:
            server.close()
            await proxy._reset()

    async def become(self, link: Link) -> None:
        """Damage or mend the link."""
        self._is_cut = link is Link.CUT
        if link is Link.SILENT:
            self._is_passing.clear()
        else:
            self._is_passing.set()
        if link is Link.CUT:
            await self._reset()

    async def _reset(self) -> None:
        while self._connections:
            for task in list(self._connections):
                task.cancel()
            await asyncio.gather(*self._connections, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.attempts += 1
        self._connections.add(task)
        # By `become`; asyncio would complain of it in the log.
        with suppress(asyncio.CancelledError):
            await self._lead(task, reader, writer)

    async def _lead(self, task: asyncio.Task[None], reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        onward: asyncio.StreamWriter | None = None
        try:
            if self._is_cut:
                return
            await self._is_passing.wait()
            back, onward = await asyncio.open_connection("127.0.0.1", self._target_port)
            async with asyncio.TaskGroup() as both:
                both.create_task(self._pass(reader, onward))
                both.create_task(self._pass(back, writer))
        except* (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            self._connections.discard(task)
            for each in (writer, onward):
                if each is not None:
                    each.transport.abort()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while piece := await reader.read(65536 if self.bytes_per_s is None else 1):
            await asyncio.sleep(self.delay_s + (1 / self.bytes_per_s if self.bytes_per_s else 0))
            await self._is_passing.wait()
            writer.write(piece)
            await writer.drain()
        await self._is_passing.wait()
        with suppress(OSError):
            writer.write_eof()
