"""Callers that change users, boards, containers, logins and connections of a platform until it is killed."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Self

from aiohttp import ClientError, ClientSession, ClientTimeout, web

from tests.system.joined import Answer
from tests.system.ledger import ANYTHING, Ledger

_ANSWER_S = 20.0


class Person(NamedTuple):
    """A user as it was asked for."""

    password: str
    role: str
    privileges: tuple[str, ...] = ()

    @property
    def wish(self) -> dict[str, Any]:
        return {"password": self.password, "role": self.role, "privileges": list(self.privileges)}


@dataclass
class Shop:
    """A platform, and what its customers know of it.

    Attributes:
        url: Its base URL.
        session: Carries the administrator's token.
        chance: Decides what is asked for.
        resident: A container that stays, at which users log in.
        boards: Base URLs of containers to attach, by the boards' names.
        peers: Platforms to connect to.
    """

    session: ClientSession
    chance: random.Random
    url: str = ""
    resident: str = ""
    boards: dict[str, str] = field(default_factory=dict)
    peers: list[Peer] = field(default_factory=list)
    people: Ledger[Person] = field(default_factory=Ledger)
    board_tokens: Ledger[str] = field(default_factory=Ledger)
    attached: Ledger[str] = field(default_factory=Ledger)
    processes: Ledger[str] = field(default_factory=Ledger)
    logins: Ledger[str] = field(default_factory=Ledger)
    connections: Ledger[bool] = field(default_factory=Ledger)
    newest: str = ""

    @property
    def ledgers(self) -> list[Ledger[Any]]:
        return [self.people, self.board_tokens, self.attached, self.processes, self.logins, self.connections]

    async def ask(self, method: str, path: str, json: Any = None, token: str = "") -> Answer:
        headers = {"Authorization": f"Bearer {token}"} if token else None
        limit = ClientTimeout(total=_ANSWER_S)
        async with self.session.request(method, self.url + path, json=json, headers=headers, timeout=limit) as response:
            body = await response.read()
            is_json = response.content_type == "application/json" and body
            return Answer(response.status, body, await response.json() if is_json else None)

    async def log_in(self, name: str, password: str) -> Answer:
        return await self.ask("POST", "/login", {"username": name, "password": password})


async def busy(shop: Shop) -> None:
    """Have all customers ask for one change after the other until the platform is gone."""
    customers = [
        *(_user(shop, names) for names in (("u-1", "u-2"), ("u-3", "u-4"))),
        *(_board(shop, name) for name in shop.boards),
        _processes(shop),
        _newer(shop),
        _login(shop),
        *(_connection(shop, peer) for peer in shop.peers),
    ]
    async with asyncio.TaskGroup() as tasks:
        for customer in customers:
            tasks.create_task(_until_cut(customer))


async def _until_cut(asking: AsyncIterator[object]) -> None:
    try:
        async for _ in asking:
            pass
    except (ClientError, TimeoutError, OSError):
        pass  # it was killed; the ledgers know what had no answer


async def _user(shop: Shop, names: tuple[str, ...]) -> AsyncIterator[object]:
    chance = random.Random(shop.chance.random())
    while True:
        name = chance.choice(names)
        there = shop.people.known.get(name)
        if there is None:
            made = Person(f"pw-{chance.random()}", chance.choice(("GUEST", "USER")))
            yield await shop.people.change(name, made, shop.ask("POST", "/users", {"username": name, **made.wish}))
            continue
        changed = chance.choice(
            (
                None,
                there._replace(password=f"pw-{chance.random()}"),
                there._replace(role=chance.choice(("USER", "CONTRIBUTOR"))),
                there._replace(privileges=(f"p-{chance.randrange(9)}",)),
            )
        )
        if changed is None:
            yield await shop.people.change(name, None, shop.ask("DELETE", f"/users/{name}"))
            continue
        wish = {key: value for key, value in changed.wish.items() if value != there.wish[key]}
        yield await shop.people.change(name, changed, shop.ask("PUT", f"/users/{name}", wish))


async def _board(shop: Shop, name: str) -> AsyncIterator[object]:
    """A board logs in anew, which ends its old token, attaches itself, and is detached."""
    chance = random.Random(shop.chance.random())
    while True:
        token = shop.board_tokens.known.get(name)
        if token is None or name in shop.board_tokens.open or chance.random() < 0.3:
            asking = shop.log_in(name, "sesame")
            token = await shop.board_tokens.change(name, ANYTHING, asking, lambda answer: answer.body.decode())
        assert token
        if shop.attached.known.get(name) is None or chance.random() < 0.5:
            config = {"type": "ATTACHED", "url": shop.boards[name], "key": name}
            wish = {"image": {"imageName": name}, "arguments": {}, "clientConfig": config}
            asking = shop.ask("POST", "/containers", wish, token=token)
            known = shop.attached.known.get(name)
            yield await shop.attached.change(name, known or ANYTHING, asking, lambda answer: answer.body.decode())
        else:
            asking = shop.ask("DELETE", f"/containers/{shop.attached.known[name]}", token=token)
            yield await shop.attached.change(name, None, asking)


async def _processes(shop: Shop) -> AsyncIterator[object]:
    """Containers come and go; an ID is known only once it was answered."""
    chance = random.Random(shop.chance.random())
    number = 0
    while True:
        there = [each for each, image in shop.processes.known.items() if image == "actor"]
        if len(there) < 2 or (len(there) < 3 and chance.random() < 0.5):
            number += 1
            asking, added = shop.ask("POST", "/containers", {"image": {"imageName": "actor"}}), f"new {number}"
            container_id = await shop.processes.change(added, None, asking, lambda answer: answer.body.decode())
            del shop.processes.known[added]
            assert container_id
            shop.processes.known[container_id] = "actor"
            yield container_id
        else:
            gone = chance.choice(there)
            yield await shop.processes.change(gone, None, shop.ask("DELETE", f"/containers/{gone}"))


async def _newer(shop: Shop) -> AsyncIterator[object]:
    """A container is replaced by a newer one."""
    while True:
        asking = shop.ask("PUT", "/containers", {"image": {"imageName": "updated"}})
        old = shop.newest
        shop.processes.open[old] = None
        new = await shop.processes.change("newest", None, asking, lambda answer: answer.body.decode())
        assert new
        del shop.processes.known["newest"], shop.processes.open[old]
        shop.processes.known |= {old: None, new: "updated"}
        shop.newest = new
        yield new


async def _login(shop: Shop) -> AsyncIterator[object]:
    while True:
        wish = {"username": "somebody", "password": "sesame"}
        asking = shop.ask("POST", f"/containers/login/{shop.resident}", wish)
        yield await shop.logins.change("admin", '"quoted token"', asking)
        yield await shop.logins.change("admin", None, shop.ask("POST", f"/containers/logout/{shop.resident}"))


async def _connection(shop: Shop, peer: Peer) -> AsyncIterator[object]:
    chance = random.Random(shop.chance.random())
    while True:
        back = shop.connections.known.get(peer.url)
        if back is None:
            back = chance.random() < 0.7
            wish = {"url": peer.url, "connectBack": back, "token": peer.token}
            yield await shop.connections.change(peer.url, back, shop.ask("POST", "/connections", wish))
        else:
            wish = {"url": peer.url, "connectBack": back, "token": None}
            yield await shop.connections.change(peer.url, None, shop.ask("DELETE", "/connections", wish))


class Peer:
    """A platform that can be connected to; it wants a token, and looks at who asks it to connect."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.token = f"token-of-{name}"
        self.url = ""
        self.given: dict[str, str | None] = {}
        self._client: ClientSession

    @classmethod
    @asynccontextmanager
    async def running(cls, name: str) -> AsyncIterator[Self]:
        peer = cls(name)
        async with ClientSession(timeout=ClientTimeout(total=_ANSWER_S)) as peer._client, served(peer._answer) as url:
            peer.url = url
            yield peer

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.headers.get("Authorization") != f"Bearer {self.token}":
            return web.Response(status=401)
        if request.path == "/info":
            return web.json_response(
                {"platformId": self.name, "baseUrl": self.url, "containers": [], "provides": [], "connections": [],
                 "runningSince": "2026-04-21T13:13:39.120Z"}
            )  # fmt: skip
        if request.path == "/subscribe":
            socket = web.WebSocketResponse()
            await socket.prepare(request)
            async for _ in socket:
                pass
            return socket
        wish = await request.json()
        if request.method == "DELETE":
            return web.json_response(self.given.pop(wish["url"], self) is not self)
        headers = {"Authorization": f"Bearer {wish['token']}"}
        try:
            async with self._client.get(f"{wish['url']}/info", headers=headers) as answer:
                assert answer.status == 200, "the token does not work"
        except (ClientError, TimeoutError):
            return web.Response(status=502)
        self.given[wish["url"]] = wish["token"]
        return web.json_response(True)


@asynccontextmanager
async def board(name: str) -> AsyncIterator[str]:
    """Serve a container to attach, and yield its base URL."""

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        described: dict[str, Any]
        described = {"containerId": name, "image": {"imageName": name}, "arguments": {}, "agents": [], "owner": "",
                     "runningSince": "2026-04-21T13:13:39.120Z", "connectivity": None}  # fmt: skip
        return web.json_response(described)

    async with served(answer) as url:
        yield url


@asynccontextmanager
async def served(answer: Any) -> AsyncIterator[str]:
    """Serve on a free port, and yield the base URL."""
    runner = web.ServerRunner(web.Server(answer), shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()
