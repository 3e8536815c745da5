"""Callers that leave while nobody reads from them.

asyncio does not look at a socket whose reading is paused, so an upload that an agent is slow to take would hold its
connection for ever after its sender is gone. The kernel can tell without reading (EPOLLRDHUP).
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import select
import socket
import struct
import termios
from collections.abc import Callable

# A longer rest of an upload is not looked at; it cannot be complete then.
_MOST_WAITING_BYTES = 8 * 1024 * 1024


class HangupWatch:
    """Tells when the other end of a socket has closed it; one watch serves all connections of a server."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._epoll = select.epoll()
        self._told: dict[int, Callable[[], None]] = {}
        loop.add_reader(self._epoll.fileno(), self._look)

    def watch(self, descriptor: int, tell: Callable[[], None]) -> None:
        """Call `tell` once if the other end closes; until `forget`."""
        if descriptor not in self._told:
            self._told[descriptor] = tell
            self._epoll.register(descriptor, select.EPOLLRDHUP | select.EPOLLONESHOT)

    def forget(self, descriptor: int) -> None:
        """Stop watching; harmless for what is not watched."""
        if self._told.pop(descriptor, None) is not None:
            # Under TLS the socket has been closed when the connection hears of it, and the kernel has forgotten it.
            with contextlib.suppress(OSError):
                self._epoll.unregister(descriptor)

    def close(self) -> None:
        """Stop watching everything."""
        self._loop.remove_reader(self._epoll.fileno())
        self._epoll.close()
        self._told.clear()

    def _look(self) -> None:
        for descriptor, _ in self._epoll.poll(0):
            tell = self._told.get(descriptor)
            if tell is not None:
                tell()


def has_waiting(sock: socket.socket, missing_bytes: int | None) -> bool:
    """Tell whether the rest of a body is already here, so that its sender had a right to close its end.

    Args:
        sock: Where it comes from; nothing is taken out of it.
        missing_bytes: What is still to come; None for a chunked body.
    """
    waiting_bytes: int = struct.unpack("i", fcntl.ioctl(sock.fileno(), termios.FIONREAD, b"\0\0\0\0"))[0]
    if missing_bytes is not None:
        return waiting_bytes >= missing_bytes
    if not 0 < waiting_bytes <= _MOST_WAITING_BYTES:
        return False
    return sock.recv(waiting_bytes, socket.MSG_PEEK | socket.MSG_DONTWAIT).endswith(b"0\r\n\r\n")
