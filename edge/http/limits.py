"""What a connection may take: the one place where aiohttp's own limits and error pages are replaced.

aiohttp reads heads of any total size, waits for them without limit, buffers for stalled readers without limit and
answers errors in pages of its own. The classes below bound all of that (contract, Decision 17).
"""

from __future__ import annotations

import asyncio
import fcntl
import logging
import struct
import termios
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias, cast

from aiohttp import web
from aiohttp.http_exceptions import LineTooLong
from aiohttp.web_protocol import RequestHandler

from edge.http.answer import CompleteResponse
from edge.http.errors import generic_reply
from edge.http.hangup import HangupWatch, has_waiting

log = logging.getLogger(__name__)

Handler: TypeAlias = Callable[[web.BaseRequest], Awaitable[web.StreamResponse | CompleteResponse]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds of one HTTP server.

    Attributes:
        max_connections: Open at one time; one more is answered 503, or takes the place of one long idle.
        max_head_bytes: Request line and headers together.
        head_time_s: From the first byte of a head to its last; and for a TLS handshake.
        max_handshakes: Of TLS, under way at one time; one more takes the place of another.
        idle_time_s: Without a request on an open connection.
        max_body_bytes: Of one request; streams are not bounded.
        max_bodies_bytes: Of all requests being served.
        stall_bytes: What may wait for a reader that takes it slowly, or not at all.
        stall_time_s: How long a reader may take nothing.
        shutdown_time_s: Given to requests being served when the server stops.
    """

    max_connections: int = 256
    max_head_bytes: int = 16 * 1024
    head_time_s: float = 10.0
    max_handshakes: int = 64
    idle_time_s: float = 75.0
    max_body_bytes: int = 16 * 1024 * 1024
    max_bodies_bytes: int = 64 * 1024 * 1024
    stall_bytes: int = 256 * 1024
    stall_time_s: float = 30.0
    shutdown_time_s: float = 2.0


# A connection idle for longer than this may lose its place to a new one when all are taken.
_EVICTABLE_IDLE_S = 2.0
# A stalled reader must take at least this much within `stall_time_s`.
_MIN_PROGRESS_BYTES = 4096


def _raw_answer(status: int) -> bytes:
    reply = generic_reply(status, "")
    return (
        f"HTTP/1.1 {status} Refused\r\nContent-Type: application/json\r\nContent-Length: {len(reply.body)}\r\n"
        "Connection: close\r\n\r\n"
    ).encode() + reply.body


class GuardedConnection(RequestHandler):
    """One connection, with bounds on heads, on writing and on errors."""

    __slots__ = (
        "_hangups", "_head_bytes", "_head_timer", "_limits", "_raw", "_refused", "_secured", "_stall_left",
        "_stall_timer", "_watched", "idle_since",
    )  # fmt: skip

    def __init__(self, server: GuardedServer, **kwargs: Any) -> None:
        super().__init__(server, **kwargs)
        self._limits = server.limits
        self._hangups = server.hangups
        self._secured = server.secured
        self._raw: asyncio.Transport | None = None
        self._head_bytes = 0
        self._head_timer: asyncio.TimerHandle | None = None
        self._stall_timer: asyncio.TimerHandle | None = None
        self._stall_left = 0
        self._refused = False
        self._watched = -1
        self.idle_since = 0.0

    def secure(self, raw: asyncio.Transport) -> None:
        """Tell, before `connection_made`, that the connection is TLS over another transport."""
        self._raw = raw
        self._secured.add(raw)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        if not self._manager.has_room():  # type: ignore[union-attr]
            self._refused = True
            transport.write(_raw_answer(503))
            transport.close()
            return
        transport.set_write_buffer_limits(high=self._limits.stall_bytes // 4)
        self.idle_since = self._loop.time()
        super().connection_made(transport)

    def connection_lost(self, exc: BaseException | None) -> None:
        self._stop_head_timer()
        self._watch_hangup(False)
        if self._raw is not None:
            self._secured.discard(self._raw)
        if self._stall_timer is not None:
            self._stall_timer.cancel()
            self._stall_timer = None
        if not self._refused:
            super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
        # start() waits only between requests; what comes then is a head.
        if self._waiter is None or self._messages or self._upgraded or not data:
            super().data_received(data)
            return
        super().data_received(data)
        self._head_bytes += len(data)
        if not self._messages:
            self._watch_head()
            return
        self._stop_head_timer()
        self.idle_since = self._loop.time()
        if self._head_bytes > self._limits.max_head_bytes and self._is_head_too_large():
            self._refuse(431)
        self._head_bytes = 0

    def _watch_head(self) -> None:
        if self._head_bytes > self._limits.max_head_bytes:
            self._refuse(431)
        elif self._head_timer is None and self._head_bytes:
            self._head_timer = self._loop.call_later(self._limits.head_time_s, self._refuse, 408)

    def _stop_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _is_head_too_large(self) -> bool:
        message = self._messages[0][0]
        headers = getattr(message, "raw_headers", ())
        head_bytes = sum(len(name) + len(value) + 4 for name, value in headers) + len(getattr(message, "path", ""))
        return head_bytes > self._limits.max_head_bytes

    def _refuse(self, status: int) -> None:
        self._stop_head_timer()
        self._messages.clear()
        if self.transport is not None:
            self.transport.write(_raw_answer(status))
        self.force_close()

    def pause_reading(self) -> None:
        super().pause_reading()
        self._watch_hangup(True)

    def resume_reading(self, resume_parser: bool = True) -> None:
        # aiohttp asks for it with every body that is read, and would run its parser once more for it.
        if self._reading_paused:
            self._watch_hangup(False)
            super().resume_reading(resume_parser)

    def _watch_hangup(self, is_wanted: bool) -> None:
        if is_wanted and self._watched < 0 and self.transport is not None:
            self._watched = self.transport.get_extra_info("socket").fileno()
            self._hangups.watch(self._watched, self._sender_closed)
        elif not is_wanted and self._watched >= 0:
            self._hangups.forget(self._watched)
            self._watched = -1

    def _sender_closed(self) -> None:
        """End the request of a sender that left in the middle of its body."""
        request = self._current_request
        if self.transport is None or request is None:
            return
        declared = request.headers.get("Content-Length")
        missing = None if declared is None else int(declared) - request.content.total_bytes
        # What waits under TLS is not known; but there nobody is answered any more who has closed the connection.
        if self._raw is not None or not has_waiting(self.transport.get_extra_info("socket"), missing):
            self.transport.abort()

    def pause_writing(self) -> None:
        super().pause_writing()
        if self.transport is not None and self._stall_timer is None:
            self._stall_left = self._unread_bytes(self.transport)
            self._stall_timer = self._loop.call_later(self._limits.stall_time_s, self._check_stall)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._stall_timer is not None:
            self._stall_timer.cancel()
            self._stall_timer = None

    def _check_stall(self) -> None:
        self._stall_timer = None
        if self.transport is None:
            return
        left = self._unread_bytes(self.transport)
        if left > self._stall_left - _MIN_PROGRESS_BYTES:
            log.info("%s takes nothing, %d bytes wait for it: cut off", self.peername, left)
            self.transport.abort()
            return
        self._stall_left = left
        self._stall_timer = self._loop.call_later(self._limits.stall_time_s, self._check_stall)

    def _unread_bytes(self, transport: asyncio.Transport) -> int:
        """Return what the other end has not taken, here and in the kernel (which frees its space in large steps)."""
        waiting = fcntl.ioctl(transport.get_extra_info("socket").fileno(), termios.TIOCOUTQ, b"\0\0\0\0")
        encrypted = 0 if self._raw is None else self._raw.get_write_buffer_size()
        return int(struct.unpack("i", waiting)[0]) + transport.get_write_buffer_size() + encrypted

    @property
    def is_idle(self) -> bool:
        """No request is being served and none has begun to arrive."""
        return self._waiter is not None and not self._messages and not self._head_bytes and not self._upgraded

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer what could not be parsed as HTTP, in the contract's form and without details."""
        if isinstance(exc, ConnectionError):
            raise exc  # the connection is gone, or was cut on purpose; that has been told where it was done
        if status >= 500:
            log.error("request %s %s failed", request.method, request.path, exc_info=exc)
        status = 431 if isinstance(exc, LineTooLong) else status
        if request.writer.output_size > 0:
            raise ConnectionError("the answer has begun, the error cannot be sent any more")
        reply = generic_reply(status, request.path)
        response = web.Response(body=reply.body, status=status, content_type="application/json")
        response.force_close()
        return response


class GuardedServer(web.Server):
    """aiohttp's low-level server, making guarded connections."""

    def __init__(self, handler: Handler, limits: Limits) -> None:
        factory = cast(Any, partial(web.BaseRequest, loop=asyncio.get_running_loop()))
        # handler_cancellation: a client that leaves takes its call along.
        super().__init__(cast(Any, handler), handler_cancellation=True, request_factory=factory)
        self.limits = limits
        self.hangups = HangupWatch(self._loop)
        # Transports that carry TLS.
        self.secured: set[asyncio.Transport] = set()

    async def shutdown(self, timeout: float | None = None) -> None:
        """Close every connection."""
        await super().shutdown(timeout)
        for raw in list(self.secured):  # they would wait for the other end's farewell
            raw.abort()
        self.hangups.close()

    def __call__(self) -> GuardedConnection:
        return GuardedConnection(
            self,
            loop=self._loop,
            keepalive_timeout=self.limits.idle_time_s,
            access_log=None,
            max_line_size=self.limits.max_head_bytes,
            max_field_size=self.limits.max_head_bytes,
            lingering_time=5.0,
            auto_decompress=False,  # no route takes compressed bodies; what is not unpacked cannot explode
        )

    def has_room(self) -> bool:
        """Tell whether one more connection may be served; one long idle is closed for it."""
        if len(self._connections) < self.limits.max_connections:
            return True
        idle = [c for c in self._connections if isinstance(c, GuardedConnection) and c.is_idle]
        if not idle:
            return False
        oldest = min(idle, key=lambda connection: connection.idle_since)
        if self._loop.time() - oldest.idle_since < _EVICTABLE_IDLE_S:
            return False
        oldest.force_close()
        return True
