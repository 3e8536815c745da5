"""One forwarded TCP connection: what arrives at one end leaves at the other, as fast as the slower side takes it."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable

# A peer that is gone without a word is noticed after about two minutes; silence of a living one is never cut.
_KEEP_ALIVE = ((socket.TCP_KEEPIDLE, 60), (socket.TCP_KEEPINTVL, 20), (socket.TCP_KEEPCNT, 3))


class End(asyncio.Protocol):
    """One end of a forwarded connection.

    Reading waits while there is no other end or the other end's writing does. The end of one direction is passed on and
    leaves the other direction open; the connection ends when both directions did, or when one side breaks.
    """

    def __init__(self, on_made: Callable[[End], None], on_lost: Callable[[End], None]) -> None:
        """Args:
        on_made: Called when the connection stands.
        on_lost: Called when it is over.
        """
        self._on_made = on_made
        self._on_lost = on_lost
        self._other: End | None = None
        self._transport: asyncio.Transport | None = None
        self._has_ended = False
        self._is_lost = False

    def join(self, other: End) -> None:
        """Make this and the other one the two ends of a connection; both begin to read."""
        self._other, other._other = other, self
        for end in (self, other):
            if end._is_lost:
                self.cut()
                return
            assert end._transport is not None
            end._transport.resume_reading()

    def cut(self) -> None:
        """End the connection at once, at both ends."""
        for end in (self, self._other):
            if end is not None:
                end._reset()

    # What follows is called by asyncio.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        # Not at once: early 3.11 (Debian 12 has 3.11.2) begins to read after this call, paused or not.
        asyncio.get_running_loop().call_soon(transport.pause_reading)
        sock = transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in _KEEP_ALIVE:
            sock.setsockopt(socket.IPPROTO_TCP, option, value)
        self._on_made(self)

    def data_received(self, data: bytes) -> None:
        assert self._other is not None and self._other._transport is not None
        self._other._transport.write(data)

    def eof_received(self) -> bool:
        other = self._other
        assert other is not None and other._transport is not None and self._transport is not None
        self._has_ended = True
        if other._has_ended:
            other._transport.close()
            return False  # this end closes itself
        if not other._is_lost:
            other._transport.write_eof()
        return True

    def pause_writing(self) -> None:
        if self._other is not None and self._other._transport is not None:
            self._other._transport.pause_reading()

    def resume_writing(self) -> None:
        if self._other is not None and self._other._transport is not None:
            self._other._transport.resume_reading()

    def connection_lost(self, error: Exception | None) -> None:
        self._is_lost = True
        other = self._other
        if other is not None and other._transport is not None and not other._is_lost:
            if error is None:
                other._transport.close()
            else:
                other._reset()
        self._on_lost(self)

    def _reset(self) -> None:
        if self._transport is not None and not self._is_lost:
            # Seen as broken at the other side too: what was cut must not look complete.
            sock = self._transport.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self._transport.abort()
