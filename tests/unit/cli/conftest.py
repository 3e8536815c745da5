"""A stand-in platform that gives the contract's answers, and the command run against it in this process."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import WSMsgType, web

from edge.cli.main import main

AGENTS = [
    {
        "agentId": "lamp",
        "agentType": "Lamp",
        "description": "A lamp.\nIt shines.",
        "actions": [
            {
                "name": "SetLevel",
                "description": "Set how bright it is.",
                "parameters": {
                    "room": {"type": "string", "required": True},
                    "level": {"type": "integer", "required": True},
                    "fade": {"type": "number", "required": False, "defaultValue": 0.5},
                    "scenes": {"type": "array", "required": False, "items": {"type": "string"}},
                },
                "result": {"type": "boolean", "required": True},
            },
            {"name": "Off", "description": None, "parameters": {}, "result": None},
        ],
        "streams": [{"name": "Light", "mode": "GET", "description": "Brightness, once a second."}],
    },
    {"agentId": "mute", "agentType": None, "description": "Says nothing.", "actions": [], "streams": []},
]
IMAGE = {
    "imageName": "lamps:1", "requires": [], "provides": [], "name": None, "version": None, "description": None,
    "provider": None, "url": None, "apiPort": 8082, "extraPorts": {}, "parameters": [], "definitions": {},
    "definitionsByUrl": {},
}  # fmt: skip
CONTAINER = {
    "containerId": "c-77", "image": IMAGE, "arguments": {}, "agents": AGENTS, "owner": "",
    "runningSince": "2026-04-21T13:13:39.120Z", "connectivity": None,
}  # fmt: skip
INFO = {
    "platformId": "p-1", "baseUrl": "http://pi:8000", "containers": [CONTAINER],
    "provides": ["config:session-policy=RESTART", "image:lamps:1"], "connections": ["http://cloud:8000"],
    "runningSince": "2026-04-21T13:13:39.120Z",
}  # fmt: skip
CALL = {"id": "e1", "timestamp": 1_776_784_419_123, "eventType": "CALL", "route": "POST /invoke/Off", "senderId": "me"}
HISTORY = [
    CALL,
    {"id": "e2", "timestamp": 1_776_784_419_124, "eventType": "FORWARD", "receiver": "http://ac", "relatedId": "e1"},
    {"id": "e3", "timestamp": 1_776_784_419_125, "eventType": "ERROR", "route": "POST /send/x", "statusCode": 404},
]


def decoded(body: bytes) -> Any:
    """A body as JSON, or as the text that it is where a route takes bare text."""
    try:
        return json.loads(body)
    except ValueError:
        return body.decode()


@dataclass
class StandIn:
    """The platform's side: what it was asked, what it answers to invoke."""

    url: str = ""
    asked: list[tuple[str, dict[str, str], Any]] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    result: Any = True
    error: tuple[int, Any] | None = None
    error_at: str = "/"
    subscribed: list[str] = field(default_factory=list)
    pieces: list[bytes] = field(default_factory=lambda: [b"1\n", b"\xff2\n"])
    # By method and path; what is no text is JSON, what is a list of bytes comes piece by piece, a coroutine is awaited.
    answers: dict[str, Any] = field(default_factory=dict)

    @property
    def last(self) -> tuple[str, dict[str, str], Any]:
        return self.asked[-1]

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.headers = dict(request.headers)
        body = await request.read()
        path = request.path
        if path != "/subscribe":
            is_stream = path.startswith("/stream")
            self.asked.append((f"{request.method} {request.raw_path.partition('?')[0]}", dict(request.query),
                               body if is_stream else decoded(body) if body else None))  # fmt: skip
        if self.error is not None and path.startswith(self.error_at):
            status, content = self.error
            text = content if isinstance(content, str) else json.dumps(content)
            return web.Response(status=status, text=text, content_type="application/json")
        answer = self.answers.get(f"{request.method} {path}")
        if callable(answer):
            answer = await answer()
        if isinstance(answer, tuple):
            return web.json_response(answer[1], status=answer[0])
        if isinstance(answer, list) and answer and isinstance(answer[0], bytes):
            return await self._stream(request, answer)
        if answer is not None:
            return web.Response(text=answer) if isinstance(answer, str) else web.json_response(answer)
        documents = {
            "/info": INFO,
            "/agents": AGENTS,
            "/history": HISTORY,
            "/containers/c-77": CONTAINER,
        }
        if path in documents:
            return web.json_response(documents[path])
        if path.startswith("/invoke/"):
            return web.json_response(self.result)
        if path.startswith("/stream/") and request.method == "GET":
            return await self._stream(request)
        if path == "/subscribe":
            return await self._subscribe(request)
        return web.Response()

    async def _stream(self, request: web.Request, pieces: list[bytes] | None = None) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for piece in self.pieces if pieces is None else pieces:
            await response.write(piece)
        return response

    async def _subscribe(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        message = await socket.receive()
        if message.type is WSMsgType.TEXT:
            self.subscribed.append(message.data)
            route = f"POST {message.data}/x"
            await socket.send_json({"id": "e", "timestamp": 0, "eventType": "SUCCESS", "route": route})
            await socket.receive()
        return socket


@dataclass
class Ran:
    """How the command ended."""

    code: int
    out: str
    err: str


Command = Callable[..., Awaitable[Ran]]


@pytest.fixture
async def platform(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[StandIn]:
    stand_in = StandIn()
    runner = web.ServerRunner(web.Server(stand_in.answer))  # type: ignore[arg-type]
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    stand_in.url = f"http://{host}:{port}"
    monkeypatch.setenv("OPACA_EDGE_URL", stand_in.url)
    monkeypatch.delenv("OPACA_EDGE_TOKEN", raising=False)
    yield stand_in
    await runner.cleanup()


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Command:
    """Run `opaca-edge` with these words, in a thread, because it has an event loop of its own."""

    async def run(*words: str) -> Ran:
        code = await asyncio.to_thread(main, words)
        captured = capsys.readouterr()
        return Ran(code, captured.out, captured.err)

    return run
