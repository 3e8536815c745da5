"""`/subscribe`: successful events over a WebSocket (contract, section 9.3)."""

from __future__ import annotations

import logging
from contextlib import ExitStack

from aiohttp import WSMsgType
from aiohttp.web import WebSocketResponse

from edge.errors import BrokenRequest, Overloaded
from edge.http.replies import Reply
from edge.http.request import Request
from edge.runtime.platform import Platform

log = logging.getLogger(__name__)

# What browsers must be answered with where they offer subprotocols, of which the token is another.
_PROTOCOL = "opaca-edge"
_MAX_SUBSCRIBERS = 64
_MAX_TOPIC_BYTES = 4096
_PING_EVERY_S = 10.0
# What may wait for a subscriber before it is cut off (contract, Decision 17).
_MAX_WAITING_BYTES = 256 * 1024


class SubscribeHandler:
    """Handler of `/subscribe`."""

    def __init__(self, platform: Platform) -> None:
        self._history = platform.history
        self._count = 0
        # aiohttp writes down which subprotocols a client offers; browsers offer their token (`edge.api.gate`).
        logging.getLogger("aiohttp.websocket").setLevel(logging.ERROR)

    async def subscribe(self, request: Request) -> WebSocketResponse | Reply:
        """Tell a client about the topic it named last, until it leaves."""
        socket = WebSocketResponse(
            protocols=(_PROTOCOL,), heartbeat=_PING_EVERY_S, compress=False, max_msg_size=_MAX_TOPIC_BYTES
        )
        if not _is_handshake(socket, request):
            raise BrokenRequest("expected a WebSocket handshake")
        if self._count >= _MAX_SUBSCRIBERS:
            raise Overloaded(f"{_MAX_SUBSCRIBERS} clients are subscribed already; try again later")
        self._count += 1
        try:
            request.mark_endless()
            await socket.prepare(request.http)
            await self._serve(socket, _Subscriber(socket, request))
        finally:
            self._count -= 1
        return socket

    async def _serve(self, socket: WebSocketResponse, subscriber: _Subscriber) -> None:
        await socket.ping()
        with ExitStack() as topic:
            async for message in socket:
                if message.type is WSMsgType.TEXT:
                    topic.close()
                    topic.enter_context(self._history.subscribed(message.data, subscriber.push))


def _is_handshake(socket: WebSocketResponse, request: Request) -> bool:
    try:
        return bool(socket.can_prepare(request.http))
    except ValueError:  # a key that is no ASCII
        return False


class _Subscriber:
    """The sending side of one WebSocket, which never waits."""

    def __init__(self, socket: WebSocketResponse, request: Request) -> None:
        self._socket = socket
        self._transport = request.http.transport
        if self._transport is not None:
            # Above what may wait, so that writing never has to: the bound is kept here.
            self._transport.set_write_buffer_limits(high=2 * _MAX_WAITING_BYTES)

    def push(self, event: bytes) -> None:
        """Send an event now; a subscriber that does not read is cut off."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        if transport.get_write_buffer_size() + len(event) > _MAX_WAITING_BYTES:
            log.info("a subscriber does not read, %d bytes wait for it: cut off", transport.get_write_buffer_size())
            transport.abort()
            return
        # Events are sent before the answer that they tell of, in the same step of the loop. With the limits above the
        # coroutine writes and ends without waiting, so it needs no task.
        sending = self._socket.send_str(event.decode())
        try:
            sending.send(None)
        except StopIteration:
            return
        except ConnectionError:
            transport.abort()
            return
        sending.close()
        transport.abort()
