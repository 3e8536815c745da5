"""Following another platform's events over a real WebSocket."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import pytest
from aiohttp import web

from edge.errors import BadAnswer, Cause, RemoteError, Unreachable
from edge.model.requests import Event, EventType
from edge.transport.http import HttpClient
from edge.transport.http_events import subscription

Talk = Callable[[web.WebSocketResponse], Awaitable[None]]
EVENT = {"id": "e", "timestamp": 7, "eventType": "SUCCESS", "route": "POST /containers"}


@asynccontextmanager
async def platform(talk: Talk) -> AsyncIterator[tuple[HttpClient, str, list[str]]]:
    """A platform that accepts a subscription, notes token and topic, and then talks."""
    noted: list[str] = []

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        noted.append(request.path)
        noted.append(request.headers.get("Authorization", ""))
        ws = web.WebSocketResponse()
        await ws.prepare(request)  # type: ignore[arg-type]
        noted.append(await ws.receive_str())
        await talk(ws)
        return ws

    runner = web.ServerRunner(web.Server(answer))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        async with HttpClient() as client:
            yield client, f"http://127.0.0.1:{runner.addresses[0][1]}/base", noted
    finally:
        await runner.cleanup()


async def test_events_come_one_by_one_and_leaving_says_goodbye() -> None:
    left = asyncio.Event()

    async def talk(ws: web.WebSocketResponse) -> None:
        await ws.send_json(EVENT)
        await ws.send_json(EVENT | {"relatedId": "c"})
        await ws.receive()
        assert ws.close_code == 1000
        left.set()

    async with platform(talk) as (client, url, noted):
        async with subscription(client, url, "abc", "/containers") as events:
            assert await anext(events) == Event(
                id="e", timestamp=7, event_type=EventType.SUCCESS, route="POST /containers"
            )
            assert (await anext(events)).related_id == "c"
        await left.wait()
    assert noted == ["/base/subscribe", "Bearer abc", "/containers"]


async def test_who_never_stops_talking_is_left_all_the_same() -> None:
    async def talk(ws: web.WebSocketResponse) -> None:
        with suppress(ConnectionError):
            while True:
                await ws.send_json(EVENT)
                await asyncio.sleep(0)

    async with platform(talk) as (client, url, _):
        async with asyncio.timeout(20):
            async with subscription(client, url, "", "/containers") as events:
                assert (await anext(events)).id == "e"


async def test_end_of_the_subscription_is_an_error() -> None:
    async def talk(ws: web.WebSocketResponse) -> None:
        await ws.close()

    async with platform(talk) as (client, url, _), subscription(client, url, "", "/send") as events:
        with pytest.raises(Unreachable, match="ended the subscription"):
            await anext(events)


@pytest.mark.parametrize("text", ["", "[]", '{"id": "e"}', "x" * 100_000])
async def test_what_is_no_event_is_an_error(text: str) -> None:
    async def talk(ws: web.WebSocketResponse) -> None:
        await ws.send_str(text)
        await ws.receive()

    async with platform(talk) as (client, url, _), subscription(client, url, "", "/send") as events:
        with pytest.raises((BadAnswer, Unreachable)):
            await anext(events)


async def test_refusal_keeps_its_status() -> None:
    async def refuse(_: web.BaseRequest) -> web.StreamResponse:
        return web.Response(status=401, text="Missing Token.")

    runner = web.ServerRunner(web.Server(refuse))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    async with HttpClient() as client:
        with pytest.raises(RemoteError) as caught:
            async with subscription(client, f"http://127.0.0.1:{runner.addresses[0][1]}", "", "/send"):
                pytest.fail("entered")
    await runner.cleanup()
    assert isinstance(caught.value.cause, Cause)
    assert caught.value.cause.status == 401


async def test_nobody_there_is_unreachable() -> None:
    with socket.socket() as bound:  # bound, but not listening
        bound.bind(("127.0.0.1", 0))
        async with HttpClient() as client:
            with pytest.raises(Unreachable, match="cannot be reached: Connection refused"):
                async with subscription(client, f"http://127.0.0.1:{bound.getsockname()[1]}", "", "/send"):
                    pytest.fail("entered")
