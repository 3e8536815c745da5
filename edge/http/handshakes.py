"""TLS on a listening socket: a handshake has a time limit, and only so many are under way at once.

asyncio's own TLS servers bound the time alone, so callers who never say a word could hold any number of sockets.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from types import TracebackType
from typing import Self

from edge.http.certificate import Certificate
from edge.http.limits import GuardedServer

log = logging.getLogger(__name__)


class Handshakes:
    """Makes connections of a server out of those who shake hands; a protocol factory and an async context manager."""

    def __init__(self, server: GuardedServer, certificate: Certificate) -> None:
        """Args:
        server: Serves whoever has shaken hands.
        certificate: What they are shown.
        """
        self._server = server
        self._certificate = certificate
        self._tasks = asyncio.TaskGroup()
        # Oldest first.
        self._under_way: dict[asyncio.Task[None], asyncio.Transport] = {}

    def __call__(self) -> asyncio.Protocol:
        return _Arrival(self)

    async def __aenter__(self) -> Self:
        await self._tasks.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for task in list(self._under_way):
            self._end(task)
        await self._tasks.__aexit__(kind, error, trace)

    def begin(self, raw: asyncio.Transport) -> None:
        """Shake hands with one who has arrived; where there are too many, one gives way."""
        if len(self._under_way) >= self._server.limits.max_handshakes:
            self._end(self._who_gives_way())
        task = self._tasks.create_task(self._shake_hands(raw), name="TLS handshake")
        self._under_way[task] = raw
        task.add_done_callback(lambda ended: self._under_way.pop(ended, None))

    def _who_gives_way(self) -> asyncio.Task[None]:
        """Return the oldest handshake of the address that has most of them."""
        addresses = {task: _address(raw) for task, raw in self._under_way.items()}
        busiest = Counter(addresses.values()).most_common(1)[0][0]
        return next(task for task, address in addresses.items() if address == busiest)

    def _end(self, task: asyncio.Task[None]) -> None:
        self._under_way.pop(task).abort()
        task.cancel()

    async def _shake_hands(self, raw: asyncio.Transport) -> None:
        limits = self._server.limits
        early = _Early()
        try:
            secured = await asyncio.get_running_loop().start_tls(
                raw,
                early,
                self._certificate.context,
                server_side=True,
                ssl_handshake_timeout=limits.head_time_s,
                ssl_shutdown_timeout=limits.stall_time_s,
            )
        except OSError as error:  # SSLError is one, and so is running out of time
            log.debug("no TLS with %s: %s", _address(raw), error)
            raw.abort()
            return
        if secured is None or secured.is_closing():
            raw.abort()
            return
        connection = self._server()
        connection.secure(raw)
        secured.set_protocol(connection)
        connection.connection_made(secured)
        early.hand_over(connection)


def _address(raw: asyncio.Transport) -> str:
    peer = raw.get_extra_info("peername")
    return str(peer[0]) if peer else "?"


class _Arrival(asyncio.Protocol):
    """One who has just connected; nothing is read before TLS begins."""

    def __init__(self, handshakes: Handshakes) -> None:
        self._handshakes = handshakes

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._handshakes.begin(transport)


class _Early(asyncio.Protocol):
    """Keeps what comes in the same step of the loop in which the handshake ends."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._is_over = False

    def data_received(self, data: bytes) -> None:
        self._pieces.append(data)

    def eof_received(self) -> None:
        self._is_over = True

    def hand_over(self, connection: asyncio.Protocol) -> None:
        """Give the connection what came."""
        for piece in self._pieces:
            connection.data_received(piece)
        if self._is_over:
            connection.eof_received()
