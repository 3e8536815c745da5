"""A platform that forgives nothing: it decodes strictly, and complains of what a strict decoder would refuse.

It has the habits of the reference that a peer must live with (contract, section 12): it asks for a description without
its token, holds streams back until 8 KiB have gathered, ends a broadcast at the first success, and inserts names into
paths as they are.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Self

from aiohttp import ClientError, ClientSession, WSMsgType, web

_DATE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
_HELD_BACK_BYTES = 8192
_JSON_TYPE = "application/json; charset=UTF-8"

# What may come with a call, by lower-case name; more is an error, as in a proxy that lets only known headers through.
_CALL_HEADERS = {"host", "accept", "accept-encoding", "user-agent", "content-type", "sender-id", "authorization",
                 "content-length", "transfer-encoding"}  # fmt: skip
_HANDSHAKE_HEADERS = {"host", "accept", "accept-encoding", "user-agent", "authorization", "upgrade", "connection",
                      "sec-websocket-key", "sec-websocket-version"}  # fmt: skip

# The models: field -> kind. `?` may be null, `~` may be missing; everything else must be there.
_MODELS: dict[str, dict[str, str]] = {
    "RuntimePlatform": {"platformId": "str", "baseUrl": "str", "containers": "[AgentContainer]", "provides": "[str]",
                        "connections": "[str]", "runningSince": "date"},
    "AgentContainer": {"containerId": "str", "image": "Image", "arguments": "{str}", "agents": "[Agent]",
                       "owner": "str?", "runningSince": "date", "connectivity": "Connectivity?"},
    "Connectivity": {"publicUrl": "str", "apiPortMapping": "int", "extraPortMappings": "{Port}"},
    "Image": {"imageName": "str", "requires": "[str]", "provides": "[str]", "name": "str?", "version": "str?",
              "description": "str?", "provider": "str?", "url": "str?", "apiPort": "int", "extraPorts": "{Port}",
              "parameters": "[ImageParameter]", "definitions": "{any}", "definitionsByUrl": "{str}"},
    "Port": {"protocol": "str?", "description": "str?"},
    "ImageParameter": {"name": "str?", "type": "str?", "required": "bool", "confidential": "bool",
                       "defaultValue": "str?"},
    "Agent": {"agentId": "str", "agentType": "str?", "description": "str?", "actions": "[Action]",
              "streams": "[Stream]"},
    "Action": {"name": "str", "description": "str?", "parameters": "{Parameter}", "result": "Parameter?"},
    "Parameter": {"type": "str", "required": "bool", "defaultValue": "any~", "items": "Items~"},
    "Items": {"type": "str", "items": "Items~"},
    "Stream": {"name": "str", "mode": "str", "description": "str?"},
    "ConnectionRequest": {"url": "str", "connectBack": "bool", "token": "str?"},
    "Message": {"payload": "any", "replyTo": "str?"},
    "Event": {"id": "str", "timestamp": "int", "eventType": "str", "route": "str~", "senderId": "str~",
              "relatedId": "str~"},
    "Login": {"username": "str", "password": "str"},
    "User": {"username": "str", "password": "str", "role": "str", "privileges": "[str]"},
    "ErrorResponse": {"statusCode": "int?", "message": "str?", "cause": "ErrorResponse~"},
}  # fmt: skip
_SCALARS: dict[str, Any] = {"str": str, "int": int, "bool": bool}


def faults(value: Any, kind: str, where: str = "$") -> list[str]:
    """Return why a strict decoder would refuse a value; empty if it would not."""
    bare = kind.rstrip("?~")
    if value is None:
        return [] if kind.endswith("?") or bare == "any" else [f"{where} is null"]
    if bare == "any":
        return []
    if bare == "date":
        return [] if isinstance(value, str) and _DATE.fullmatch(value) else [f"{where} is no date: {value!r}"]
    if bare in _SCALARS:
        return [] if type(value) is _SCALARS[bare] else [f"{where} is no {bare}: {value!r}"]
    if bare.startswith("["):
        if not isinstance(value, list):
            return [f"{where} is no list"]
        return [fault for i, item in enumerate(value) for fault in faults(item, bare[1:-1], f"{where}[{i}]")]
    if not isinstance(value, dict):
        return [f"{where} is no object"]
    if bare.startswith("{"):
        return [fault for key, item in value.items() for fault in faults(item, bare[1:-1], f"{where}.{key}")]
    model = _MODELS[bare]
    found = [f"{where} has the unknown property {key}" for key in value.keys() - model.keys()]
    for name, expected in model.items():
        if name in value:
            found += faults(value[name], expected, f"{where}.{name}")
        elif not expected.endswith("~"):
            found.append(f"{where}.{name} is missing")
    return found


def action(name: str, **parameters: str) -> dict[str, Any]:
    described = {each: {"type": kind, "required": True} for each, kind in parameters.items()}
    return {"name": name, "description": None, "parameters": described, "result": {"type": "string", "required": True}}


AGENT = {
    "agentId": "far agent", "agentType": None, "description": None,
    "actions": [action("Far", text="string"), action("Fail"), action("A/B c?ä", box="Box")],
    "streams": [{"name": "Drip", "mode": "GET", "description": None},
                {"name": "Keep", "mode": "POST", "description": None}],
}  # fmt: skip
BOX = {"type": "object", "properties": {"width": {"type": "integer"}}, "required": ["width"]}
CONTAINER = {
    "containerId": "far container",
    "image": {"imageName": "far", "requires": [], "provides": [], "name": None, "version": None, "description": None,
              "provider": None, "url": None, "apiPort": 8082, "extraPorts": {}, "parameters": [],
              "definitions": {"Box": BOX}, "definitionsByUrl": {}},
    "arguments": {}, "agents": [AGENT], "owner": "", "runningSince": "2026-04-21T13:13:39.120Z",
    "connectivity": {"publicUrl": "http://127.0.0.1", "apiPortMapping": 8082, "extraPortMappings": {}},
}  # fmt: skip


@dataclass
class StrictPeer:
    """The platform.

    Attributes:
        token: What callers must show; empty if it does not ask.
        complaints: What others did that it cannot live with.
        asked: Method and raw path of every call, in order.
        connected: What it knows of platforms that it connected to, by base URL; None where it has lost that.
        tokens: What it was given to call them with.
        messages: What was sent or broadcast to it.
        taken: Bytes that were streamed to it.
        connects: Whether it carries out requests to connect, or answers them with an error.
        containers: What `/info` says of them.
        hold: If set to an event, answers to requests to connect wait for it.
        redirects_to: Where it sends callers instead of answering them; empty if it answers.
        subscribers: Who follows it.
        drops: What its stream `Drip` yields.
        refreshed: How often it asked anew what another platform is.
        headers: What else may come with a call.
        users: Passwords and roles; empty if it has no users. Calls then need the token of a login.
        asked_by: Who called each route last.
    """

    token: str = ""
    url: str = ""
    complaints: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    connected: dict[str, Any] = field(default_factory=dict)
    tokens: dict[str, str | None] = field(default_factory=dict)
    messages: list[Any] = field(default_factory=list)
    taken: bytes = b""
    connects: bool = True
    redirects_to: str = ""
    hold: asyncio.Event | None = None
    containers: list[dict[str, Any]] = field(default_factory=lambda: [CONTAINER])
    subscribers: set[web.WebSocketResponse] = field(default_factory=set)
    drops: asyncio.Queue[bytes | None] = field(default_factory=asyncio.Queue)
    refreshed: int = 0
    headers: frozenset[str] = frozenset()
    users: dict[str, dict[str, Any]] = field(default_factory=dict)
    asked_by: dict[str, str] = field(default_factory=dict)
    _logins: dict[str, str] = field(default_factory=dict)
    _client: ClientSession | None = None
    _followers: dict[str, asyncio.Task[None]] = field(default_factory=dict)

    @classmethod
    @asynccontextmanager
    async def running(cls, **settings: Any) -> AsyncIterator[Self]:
        """Serve on a free port."""
        peer = cls(**settings)
        runner = web.ServerRunner(web.Server(peer._answer), shutdown_timeout=0.1)  # type: ignore[arg-type]
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        peer.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        async with ClientSession() as peer._client:
            try:
                yield peer
            finally:
                for follower in peer._followers.values():
                    follower.cancel()
                await asyncio.gather(*peer._followers.values(), return_exceptions=True)
                await runner.cleanup()

    def info(self) -> dict[str, Any]:
        return {"platformId": "strict", "baseUrl": self.url, "containers": self.containers, "provides": [],
                "connections": [*self.connected], "runningSince": "2026-04-21T13:13:39.120Z"}  # fmt: skip

    async def tell_change(self) -> None:
        """Push the event of a container that described itself anew."""
        for socket in list(self.subscribers):
            await socket.send_json(
                {"id": "e", "timestamp": 1, "eventType": "SUCCESS", "route": "POST /containers/notify"}
            )

    async def refresh(self, url: str) -> None:
        """Ask a platform what it is, without a token; one that does not answer is forgotten but for its name."""
        assert self._client is not None
        self.refreshed += 1
        try:
            async with self._client.get(f"{url}/info", headers=self._headers(None)) as answer:
                self.connected[url] = self._checked(await answer.json(), "RuntimePlatform") if answer.ok else None
        except (ClientError, OSError):
            self.connected[url] = None

    async def broadcast(self, channel: str, payload: Any) -> str | None:
        """Broadcast to the connected platforms; the first that takes it is the last one asked."""
        for url in self.connected:
            message = {"payload": payload, "replyTo": None}
            status, _ = await self.call(url, "POST", f"/broadcast/{channel}?forward=false", message)
            if status < 400:
                return url
        return None

    async def call(self, url: str, method: str, path: str, body: Any = None) -> tuple[int, bytes]:
        """Make a call as the reference does: names stand in the path as they are, nothing is escaped."""
        address, slash, base = url.removeprefix("http://").partition("/")
        host, _, port = address.partition(":")
        path = slash + base + path
        reader, writer = await asyncio.open_connection(host, int(port))
        content = b"" if body is None else json.dumps(body).encode()
        lines = [f"{method} {path} HTTP/1.1", f"Host: {host}:{port}", "Connection: close"]
        lines += [f"{name}: {value}" for name, value in self._headers(self.tokens.get(url)).items()]
        lines.append(f"Content-Length: {len(content)}")
        writer.write(("\r\n".join(lines) + "\r\n\r\n").encode() + content)
        head, _, rest = (await reader.read(-1)).partition(b"\r\n\r\n")
        writer.close()
        status = int(head.split()[1])
        if status in (400, 404, 502) and b"application/json" in head and b'"statusCode"' in rest:
            self._checked(json.loads(rest), "ErrorResponse")
        return status, rest

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        raw_path, _, query = request.raw_path.partition("?")
        self.asked.append(f"{request.method} {raw_path}")
        if self.redirects_to:
            return web.Response(status=307, headers={"Location": self.redirects_to + request.raw_path})
        is_handshake = raw_path == "/subscribe"
        self._judge_headers(request, _HANDSHAKE_HEADERS if is_handshake else _CALL_HEADERS | self.headers, is_handshake)
        shown = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if self.users and raw_path == "/login":
            return await self._login(request)
        if (self.token and shown != self.token) or (self.users and shown not in self._logins):
            return web.Response(status=401, text="Missing Token.")
        self.asked_by[f"{request.method} {raw_path}"] = self._logins.get(shown, "")
        if self.users and raw_path.startswith("/users"):
            return await self._make_user(request)
        if is_handshake:
            return await self._subscribe(request)
        first = raw_path.split("/")[1]
        if first == "info":
            return web.json_response(self.info())
        if first == "token":
            return web.Response(text=self.token)
        if first == "connections":
            return await self._connections(request)
        self._judge_query(first, query)
        if first in ("send", "broadcast"):
            self.messages.append(self._checked(await request.json(), "Message")["payload"])
            return web.Response()
        if first == "invoke":
            return await self._invoke(request)
        if first == "stream" and request.method == "GET":
            return await self._drip(request)
        if first == "stream":
            self.taken = await request.read()
            return web.Response()
        self._complain(f"unknown route {request.method} {raw_path}")
        return web.Response(status=404)

    async def _login(self, request: web.Request) -> web.StreamResponse:
        login = self._checked(await request.json(), "Login")
        if self.users.get(login["username"], {}).get("password") != login["password"]:
            return web.json_response(
                {"timestamp": 1, "status": 403, "error": "Forbidden", "path": "/login"}, status=403
            )
        token = f"token-{len(self._logins)}"
        self._logins[token] = login["username"]
        return web.Response(text=token)

    async def _make_user(self, request: web.Request) -> web.StreamResponse:
        user = self._checked(await request.json(), "User")
        if request.method == "POST" and user["username"] in self.users:
            return web.Response(status=409, text="it exists")
        self.users[user["username"]] = user
        return web.json_response({}, status=201)

    async def _invoke(self, request: web.Request) -> web.StreamResponse:
        arguments = await request.json()
        if request.path.startswith("/invoke/Fail"):
            error = {"statusCode": 500, "message": "it is broken", "cause": None}
            return web.json_response(error, status=500)
        return web.json_response({"arguments": arguments, "path": request.raw_path})

    async def _drip(self, request: web.Request) -> web.StreamResponse:
        """Yield what the test drops, but hold small pieces back."""
        response = web.StreamResponse(headers={"Content-Type": "application/octet-stream"})
        await response.prepare(request)
        held = b""
        while (piece := await self.drops.get()) is not None:
            held += piece
            if len(held) >= _HELD_BACK_BYTES:
                await response.write(held)
                held = b""
        await response.write(held)
        return response

    async def _connections(self, request: web.Request) -> web.StreamResponse:
        wish = self._checked(await request.json(), "ConnectionRequest")
        url = wish["url"]
        if request.method == "DELETE":
            known = self.connected.pop(url, self) is not self
            self.tokens.pop(url, None)
            if follower := self._followers.pop(url, None):
                follower.cancel()
            return web.json_response(known)
        if self.hold is not None:
            await self.hold.wait()
        if not self.connects:
            return web.json_response({"statusCode": 500, "message": "not today", "cause": None}, status=500)
        if url in self.connected:
            return web.json_response(False)
        assert self._client is not None
        async with self._client.get(f"{url}/info", headers=self._headers(wish["token"])) as answer:
            if not answer.ok:
                return web.json_response({"statusCode": 502, "message": "no info", "cause": None}, status=502)
            self.connected[url] = self._checked(await answer.json(), "RuntimePlatform")
        self.tokens[url] = wish["token"]
        self._followers[url] = asyncio.create_task(self._follow(url))
        return web.json_response(True)

    async def _follow(self, url: str) -> None:
        """Read events until the platform ends them; then never again."""
        assert self._client is not None
        token = self.tokens[url]
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        async with self._client.ws_connect(f"{url}/subscribe", headers=headers) as socket:
            await socket.send_str("/containers")
            async for message in socket:
                if message.type is WSMsgType.TEXT:
                    self._checked(json.loads(message.data), "Event")
                    await self.refresh(url)

    async def _subscribe(self, request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse(heartbeat=10)
        await socket.prepare(request)
        async for message in socket:
            if message.data != "/containers":
                self._complain(f"unknown topic {message.data}")
            self.subscribers.add(socket)
        self.subscribers.discard(socket)
        return socket

    def _judge_headers(self, request: web.Request, known: set[str], is_handshake: bool) -> None:
        names = [name.lower() for name in request.headers]
        for name in names:
            if name not in known or names.count(name) > 1:
                self._complain(f"unexpected header {name} on {request.method} {request.raw_path}")
        if request.headers.get("Accept-Encoding") not in (None, "identity"):
            self._complain("wants answers compressed")
        if is_handshake:
            return
        if request.headers.get("Content-Type") != _JSON_TYPE:
            self._complain(f"Content-Type {request.headers.get('Content-Type')} on {request.raw_path}")
        if not request.headers.get("sender-id", "").startswith("http://"):
            self._complain(f"no sender-id on {request.method} {request.raw_path}")

    def _judge_query(self, first: str, query: str) -> None:
        names = [pair.partition("=")[0] for pair in query.split("&")]
        expected = {"forward", "timeout"} if first == "invoke" else {"forward"}
        if set(names) - {"containerId"} != expected or len(names) != len(set(names)) or "forward=false" not in query:
            self._complain(f"unexpected query {query} of {first}")

    def _headers(self, token: str | None) -> dict[str, str]:
        headers = {"Content-Type": _JSON_TYPE, "sender-id": self.url}
        return {**headers, "Authorization": f"Bearer {token}"} if token else headers

    def _checked(self, value: Any, model: str) -> Any:
        self.complaints += [f"{model}: {fault}" for fault in faults(value, model)]
        return value

    def _complain(self, what: str) -> None:
        self.complaints.append(what)
