"""Following the events of another platform over its WebSocket (contract, section 9.3)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager, suppress

from aiohttp import ClientError, ClientWebSocketResponse, WSMsgType, WSServerHandshakeError

from edge.errors import BadAnswer, BadInput, Cause, RemoteError, Unreachable
from edge.model.codec import decode
from edge.model.requests import Event
from edge.transport.http_session import Redirected, Session, failure

_HANDSHAKE_S = 10.0
# The platform pings every 10 s; a connection that does not answer ours for half of this is given up.
_HEARTBEAT_S = 30.0
_MAX_EVENT_BYTES = 64 * 1024
# How long leaving waits for the other end to say goodbye.
_GOODBYE_S = 1.0


@asynccontextmanager
async def subscription(
    client: Session, base_url: str, token: str, topic: str, *, heartbeat_s: float = _HEARTBEAT_S
) -> AsyncIterator[AsyncIterator[Event]]:
    """Subscribe to a topic and yield its events as they come; leaving ends the subscription.

    Args:
        topic: A slash and the first segment of a route: `/containers`.
        heartbeat_s: How often it is asked whether it is still there; half of this is waited for its answer.
    Raises:
        RemoteError: the platform refuses.
        Unreachable: no connection; inside the iteration: it ended.
        BadAnswer: inside the iteration: something that is no event.
    """
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    url = "ws" + base_url.removeprefix("http") + "/subscribe"
    try:
        async with asyncio.timeout(_HANDSHAKE_S):
            socket = await client.sockets.ws_connect(
                url,
                headers=headers,
                heartbeat=heartbeat_s,
                max_msg_size=_MAX_EVENT_BYTES,
                ssl=await client.tls(base_url),
            )
    except WSServerHandshakeError as error:
        raise RemoteError(f"{base_url} refuses to be followed", Cause(error.status, error.message)) from error
    except Redirected as elsewhere:
        raise RemoteError(f"{base_url} redirects GET /subscribe to {elsewhere}; redirects are not followed") from None
    except TimeoutError as error:
        raise Unreachable(f"{base_url} did not answer GET /subscribe in {_HANDSHAKE_S:.0f} s") from error
    except (ClientError, OSError, ValueError) as error:
        raise failure(error, "GET", base_url, "/subscribe") from error
    try:
        try:
            await socket.send_str(topic)
        except (ClientError, OSError) as error:
            raise failure(error, "GET", base_url, "/subscribe") from error
        async with aclosing(_events(socket, base_url)) as events:
            yield events
    finally:
        await _leave(socket)


async def _leave(socket: ClientWebSocketResponse) -> None:
    # aiohttp's own limit begins anew with each message: who never stops talking would never let us go.
    with suppress(TimeoutError):
        async with asyncio.timeout(_GOODBYE_S):
            await socket.close()


async def _events(socket: ClientWebSocketResponse, base_url: str) -> AsyncGenerator[Event, None]:
    while True:
        message = await socket.receive()
        if message.type is WSMsgType.TEXT:
            try:
                event = decode(message.data.encode(), Event)
            except BadInput as error:
                raise BadAnswer(f"{base_url}/subscribe: not an event: {error.message}") from error
            yield event
        elif message.type in (WSMsgType.CLOSE, WSMsgType.CLOSING, WSMsgType.CLOSED, WSMsgType.ERROR):
            raise Unreachable(f"{base_url} went away during GET /subscribe: it ended the subscription")
