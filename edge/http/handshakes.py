"""TLS on a listening socket: a handshake has a time limit, only so many are under way, and who speaks http is told so.

asyncio's own TLS servers bound the time alone, so callers who never say a word could hold any number of sockets.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from types import TracebackType
from typing import Self

from edge.http.certificate import Certificate
from edge.http.handshake_failures import HandshakeFailures
from edge.http.limits import GuardedServer

# What a TLS client begins with: a record of the handshake (RFC 8446, section 5.1).
_TLS_HANDSHAKE = 22
# How long somebody who was told to speak https may take to leave.
_FAREWELL_S = 2.0
SPEAK_HTTPS = b"This port speaks https: call it by https://, not by http://.\n"
_NOT_HERE = (
    b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain;charset=UTF-8\r\nContent-Length: %d\r\n"
    b"Connection: close\r\n\r\n%b" % (len(SPEAK_HTTPS), SPEAK_HTTPS)
)


class Handshakes:
    """Makes connections of a server out of those who shake hands; a protocol factory and an async context manager."""

    def __init__(self, server: GuardedServer, certificate: Certificate) -> None:
        """Args:
        server: Serves whoever has shaken hands.
        certificate: What they are shown.
        """
        self._server = server
        self._certificate = certificate
        self._failures = HandshakeFailures()
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

    def begin(self, arrival: _Arrival, raw: asyncio.Transport) -> None:
        """Serve one who has arrived; where there are too many, one gives way."""
        if len(self._under_way) >= self._server.limits.max_handshakes:
            self._end(self._who_gives_way())
        task = self._tasks.create_task(self._receive(arrival, raw), name="TLS handshake")
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

    async def _receive(self, arrival: _Arrival, raw: asyncio.Transport) -> None:
        try:
            async with asyncio.timeout(self._server.limits.head_time_s):
                first = await arrival.first_bytes()
                if first[:1].isalpha():
                    await _send_away(arrival, raw)
                elif first[:1] == bytes([_TLS_HANDSHAKE]):
                    await self._shake_hands(raw, first)
                else:
                    raw.abort()
        except TimeoutError:
            raw.abort()

    async def _shake_hands(self, raw: asyncio.Transport, first: bytes) -> None:
        limits = self._server.limits
        early = _Early()
        loop = asyncio.get_running_loop()
        # In the turn after the one in which `start_tls` sets its protocol up, and before that protocol reads by itself.
        loop.call_soon(loop.call_soon, _feed, raw, first)
        try:
            secured = await loop.start_tls(
                raw,
                early,
                self._certificate.context,
                server_side=True,
                ssl_handshake_timeout=limits.head_time_s,
                ssl_shutdown_timeout=limits.stall_time_s,
            )
        except OSError as error:  # SSLError is one
            self._failures.note(_address(raw), error)
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


async def _send_away(arrival: _Arrival, raw: asyncio.Transport) -> None:
    """Tell somebody who speaks http that https is spoken here."""
    raw.write(_NOT_HERE)
    raw.write_eof()
    # Closed at once, with some of the request unread, the connection would be reset and the answer lost.
    raw.resume_reading()
    try:
        async with asyncio.timeout(_FAREWELL_S):
            await arrival.has_left.wait()
    finally:
        raw.abort()


def _feed(raw: asyncio.Transport, data: bytes) -> None:
    """Give what was read before TLS began to the protocol that reads now."""
    protocol = raw.get_protocol()
    if not isinstance(protocol, asyncio.BufferedProtocol):
        return  # it has ended already
    while data and not raw.is_closing():
        room = memoryview(protocol.get_buffer(len(data))).cast("B")
        size = min(len(room), len(data))
        room[:size] = data[:size]
        data = data[size:]
        protocol.buffer_updated(size)


def _address(raw: asyncio.Transport) -> str:
    peer = raw.get_extra_info("peername")
    return str(peer[0]) if peer else "?"


class _Arrival(asyncio.Protocol):
    """One who has just connected; no more is read than what tells which protocol is spoken.

    Attributes:
        has_left: Set when the connection has ended.
    """

    def __init__(self, handshakes: Handshakes) -> None:
        self._handshakes = handshakes
        self._raw: asyncio.Transport | None = None
        self._first = b""
        self._has_spoken = asyncio.Event()
        self.has_left = asyncio.Event()

    async def first_bytes(self) -> bytes:
        """Wait for what comes first and return it, empty if nothing does; after that reading is paused."""
        await self._has_spoken.wait()
        return self._first

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._raw = transport
        self._handshakes.begin(self, transport)

    def data_received(self, data: bytes) -> None:
        if self._first or self._raw is None:
            return
        self._first = data
        self._raw.pause_reading()
        self._has_spoken.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self._has_spoken.set()
        self.has_left.set()


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
