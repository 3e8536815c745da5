"""Brokers of another time, or in a bad mood, before a real one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

_V5 = 5


class OldBroker:
    """Passes on what speaks MQTT 3.1.1, and has one answer to what speaks MQTT 5.

    Attributes:
        port: Where it listens.
        answer: What it says to MQTT 5 before it hangs up; None says nothing and stays.
        versions: Which versions it was spoken to in.
    """

    def __init__(self, target_port: int, answer: bytes | None) -> None:
        self.port = 0
        self.answer = answer
        self.versions: list[int] = []
        self._target_port = target_port

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Look at the version in the CONNECT (MQTT 5, section 3.1.2), then decide."""
        onward: asyncio.StreamWriter | None = None
        try:
            begin = await reader.read(4096)
            version = begin[begin.index(b"MQTT") + 4]
            self.versions.append(version)
            if version == _V5:
                if self.answer is None:
                    await reader.read()
                else:
                    writer.write(self.answer)
                    await writer.drain()
                return
            back, onward = await asyncio.open_connection("127.0.0.1", self._target_port)
            onward.write(begin)
            async with asyncio.TaskGroup() as both:
                both.create_task(_pass(reader, onward))
                both.create_task(_pass(back, writer))
        except* OSError:
            pass
        finally:
            for each in (writer, onward):
                if each is not None:
                    each.close()


@asynccontextmanager
async def old_broker(target_port: int, answer: bytes | None) -> AsyncIterator[OldBroker]:
    """One that listens."""
    made = OldBroker(target_port, answer)
    connections: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        connections.add(task)
        with suppress(asyncio.CancelledError):
            await made.serve(reader, writer)
        connections.discard(task)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()
        for task in list(connections):
            task.cancel()
        await asyncio.gather(*connections, return_exceptions=True)


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while piece := await reader.read(65536):
        writer.write(piece)
        await writer.drain()
    writer.close()
