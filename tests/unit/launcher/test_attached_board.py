"""Boards: containers that speak HTTP/1.0 and read no chunks, here microdot itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from microdot import Microdot, Request, Response

from edge.errors import RemoteError, TooLarge
from edge.model.requests import Message
from tests.unit.launcher.stand_ins import INFO, NEVER, lab
from tests.unit.scripted import several


class Microboard:
    """A board's program as its author would write it."""

    def __init__(self) -> None:
        self.posted: list[bytes] = []
        self.headers: list[dict[str, str]] = []
        self.sent: list[Any] = []
        self.app = Microdot()
        self.app.get("/info")(self.info)
        self.app.post("/invoke/<action>/<agent>")(self.invoke)
        self.app.post("/send/<agent>")(self.send)
        self.app.post("/stream/<stream>")(self.post_stream)
        self.app.get("/stream/<stream>")(self.get_stream)

    async def info(self, request: Request) -> Any:
        return INFO

    async def invoke(self, request: Request, action: str, agent: str) -> Any:
        if action != "Blink":
            return {"statusCode": 404, "message": f"no action {action}"}, 404
        return Response(b"17", headers={"Content-Type": "application/json"})

    async def send(self, request: Request, agent: str) -> Any:
        self.sent.append(request.json)
        return b""

    async def post_stream(self, request: Request, stream: str) -> Any:
        self.headers.append({name.lower(): value for name, value in request.headers.items()})
        self.posted.append(request.body)
        return b""

    async def get_stream(self, request: Request, stream: str) -> Any:
        async def pieces() -> AsyncIterator[bytes]:
            for number in range(3):
                yield b"%d" % number

        return Response(body=pieces())


@asynccontextmanager
async def microboard() -> AsyncIterator[tuple[Microboard, str]]:
    made = Microboard()
    serving = asyncio.ensure_future(made.app.start_server(host="127.0.0.1", port=0))
    while made.app.server is None:
        await asyncio.sleep(0)
    try:
        yield made, f"http://127.0.0.1:{made.app.server.sockets[0].getsockname()[1]}"
    finally:
        made.app.shutdown()
        await asyncio.wait([serving])


async def test_board_is_attached_and_called() -> None:
    async with microboard() as (made, url), lab() as attached:
        transport = (await attached.attach(url, key="chip")).transport
        assert await transport.invoke("Blink", {}, "lamp") == 17
        with pytest.raises(RemoteError, match="404"):
            await transport.invoke("Fly", {}, "lamp")
        await transport.send("lamp", Message({"a": 1}))
        assert made.sent == [{"payload": {"a": 1}, "replyTo": ""}]
        async with transport.get_stream("steps", None) as pieces:
            assert b"".join([piece async for piece in pieces]) == b"012"


async def test_stream_to_a_board_is_collected_and_sent_with_its_length() -> None:
    async with microboard() as (made, url), lab(NEVER) as attached:
        transport = (await attached.attach(url)).transport
        await transport.post_stream("display", several(b"x" * 4000, b"y" * 96), None)
        with pytest.raises(TooLarge, match="at most 4096 bytes"):
            await transport.post_stream("display", several(b"x" * 4000, b"y" * 97), None)
        assert made.posted == [b"x" * 4000 + b"y" * 96]
        assert made.headers[0]["content-length"] == "4096"
        assert "transfer-encoding" not in made.headers[0]
        assert attached.launcher.away("c-1") is None
