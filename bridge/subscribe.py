"""`/subscribe` of remote parties: whoever follows one is told when its description has changed."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from uuid import uuid4

from aiohttp import WSMsgType
from aiohttp.web import WebSocketResponse

from bridge.remote import Remote
from edge.errors import BrokenRequest, Overloaded
from edge.http.request import Request
from edge.model.codec import encode
from edge.model.requests import Event, EventType

# Of one party; each is followed by the local platform, and its clients may follow as well.
_MAX_FOLLOWERS = 16
_MAX_TOPIC_BYTES = 4096
_PING_EVERY_S = 10.0
_STALLED_S = 30.0
_ROUTE = "POST /containers/notify"
_TOPIC = "/containers"


class Subscriptions:
    """Serves the WebSockets of those who follow remote parties."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()

    async def serve(self, remote: Remote, request: Request) -> WebSocketResponse:
        """Tell a client about a party until it leaves; the only topic with events is `/containers`."""
        socket = WebSocketResponse(heartbeat=_PING_EVERY_S, compress=False, max_msg_size=_MAX_TOPIC_BYTES)
        try:
            is_handshake = bool(socket.can_prepare(request.http))
        except ValueError:  # a key that is no ASCII
            is_handshake = False
        if not is_handshake:
            raise BrokenRequest("expected a WebSocket handshake")
        if self._counts[remote.name] >= _MAX_FOLLOWERS:
            raise Overloaded(f"{_MAX_FOLLOWERS} clients follow {remote.name} already; try again later")
        self._counts[remote.name] += 1
        follower = _Follower(socket, remote)
        remote.on_change.append(follower.changed.set)
        try:
            request.mark_endless()
            await socket.prepare(request.http)
            await socket.ping()
            async with asyncio.TaskGroup() as tasks:
                telling = tasks.create_task(follower.run(), name=f"tell who follows {remote.name}")
                async for message in socket:
                    if message.type is WSMsgType.TEXT:
                        follower.topic = message.data
                telling.cancel()
        finally:
            remote.on_change.remove(follower.changed.set)
            self._counts[remote.name] -= 1
            self._counts += Counter()  # without those that nobody follows
        return socket


class _Follower:
    """The sending side of one WebSocket.

    Attributes:
        topic: What the client wants to know of; the only one with events is `/containers`.
        changed: Set when there is something to tell; several changes at once are one event.
    """

    def __init__(self, socket: WebSocketResponse, remote: Remote) -> None:
        self.topic = ""
        self.changed = asyncio.Event()
        self._socket = socket
        self._remote = remote

    async def run(self) -> None:
        """Push an event for each change, as a platform does when one of its containers has changed."""
        while True:
            await self.changed.wait()
            self.changed.clear()
            if self._remote.is_removed:
                await self._socket.close()
                return
            if self.topic != _TOPIC:
                continue
            now_ms = time.time_ns() // 1_000_000
            event = Event(id=str(uuid4()), timestamp=now_ms, event_type=EventType.SUCCESS, route=_ROUTE)
            try:
                async with asyncio.timeout(_STALLED_S):
                    await self._socket.send_str(encode(event).decode())
            except (TimeoutError, ConnectionError):
                await self._socket.close()
                return
