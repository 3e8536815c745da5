"""A connected platform that does what a test says, and what connections need around them."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edge.errors import Unreachable
from edge.launcher.supervision import supervise
from edge.model.codec import encode
from edge.model.definitions import NoDefinitions
from edge.model.descriptions import (
    Action,
    AgentContainer,
    AgentContainerImage,
    AgentDescription,
    RuntimePlatform,
)
from edge.model.requests import ConnectionRequest, Event, EventType
from edge.runtime.connections import Connections
from edge.runtime.directory import Directory
from edge.runtime.peer_link import Dial, PeerTiming
from edge.runtime.platform import PlatformFacts
from edge.runtime.provisions import Provisions
from edge.runtime.stored_connections import StoredConnections
from edge.state.database import Database
from edge.transport.fake import FakeTransport

URL = "http://peer:8000"
OWN = "http://here:8000"
SINCE = "2026-04-21T13:13:39.120Z"
QUICK = PeerTiming(
    info_s=0.2, connect_s=0.2, first_pause_s=0.01, longest_pause_s=0.05, shortest_pause_s=0.005, lost_after_s=0.05,
    upkeep_s=60.0,
)  # fmt: skip


def info(*actions: str, provides: tuple[str, ...] = (), platform_id: str = "p") -> bytes:
    """The description of a platform with one agent."""
    agents = [AgentDescription(agent_id="a", actions=[Action(name=name) for name in actions])]
    image = AgentContainerImage(image_name="i")
    container = AgentContainer(container_id="c", image=image, agents=agents, running_since=SINCE)
    return encode(
        RuntimePlatform(
            platform_id=platform_id, base_url=URL, containers=[container], provides=[*provides], running_since=SINCE
        )
    )


def token(issued_s: float, expires_s: float | None, subject: str = "x") -> str:
    """A token as platforms write it; nobody here looks at its signature."""
    claims = {"sub": subject, "iat": issued_s, **({} if expires_s is None else {"exp": expires_s})}
    payload = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return f"eyJhbGciOiJIUzI1NiJ9.{payload}.c2ln"


@dataclass
class FakePlatform(FakeTransport):
    """A `PlatformTransport`: `answers` may also hold `connect`, `disconnect` and `fresh_token`.

    Attributes:
        managed: What it was asked to connect to or disconnect from: method and wish.
        following: What ends when its followers leave; put an event or an error there.
        refuses_followers: Raised at whoever wants to follow it.
        keeps_messages: Whether it stores what it takes.
    """

    name: str = URL
    managed: list[tuple[str, ConnectionRequest]] = field(default_factory=list)
    following: asyncio.Queue[Event | Exception] = field(default_factory=asyncio.Queue)
    refuses_followers: Exception | None = None
    followers: int = 0
    keeps_messages: bool = False

    async def connect(self, wish: ConnectionRequest, relate_to: str | None = None) -> bool:
        return await self._managed("connect", wish)

    async def disconnect(self, wish: ConnectionRequest, relate_to: str | None = None) -> bool:
        return await self._managed("disconnect", wish)

    async def fresh_token(self) -> str:
        return str(await self._said("fresh_token", ""))

    def changed(self) -> None:
        """Tell followers that containers have changed."""
        self.following.put_nowait(
            Event(id="e", timestamp=1, event_type=EventType.SUCCESS, route="POST /containers/notify")
        )

    @asynccontextmanager
    async def events(self, topic: str) -> AsyncIterator[AsyncIterator[Event]]:
        if self.refuses_followers is not None:
            raise self.refuses_followers
        self.followers += 1
        try:
            yield self._events()
        finally:
            self.followers -= 1

    async def _events(self) -> AsyncIterator[Event]:
        while True:
            event = await self.following.get()
            if isinstance(event, Exception):
                raise event
            yield event

    async def _managed(self, method: str, wish: ConnectionRequest) -> bool:
        self.managed.append((method, wish))
        return bool(await self._said(method, True))

    async def _said(self, method: str, default: Any) -> Any:
        answer = self.answers.get(method, default)
        answer = answer() if callable(answer) else answer
        if asyncio.iscoroutine(answer):
            answer = await answer
        if isinstance(answer, Exception):
            raise answer
        return answer


class FakeUsers:
    """Users of platforms, in memory.

    Attributes:
        users: Whose role each has.
    """

    def __init__(self, issues: bool = True) -> None:
        self.users: dict[str, str] = {}
        self.made = 0
        self.error: Exception | None = None
        self._issues = issues
        self.key_mark = "first key" if issues else ""

    async def make(self, name: str, role_of: str) -> str | None:
        if self.error is not None:
            raise self.error
        self.made += 1
        self.users[name] = role_of
        return f"token-{self.made}" if self._issues else None

    async def remove(self, name: str) -> None:
        self.users.pop(name, None)


@dataclass
class Laboratory:
    """Connections to fake platforms, with what stands around them."""

    connections: Connections
    directory: Directory
    users: FakeUsers
    stored: StoredConnections
    platforms: dict[str, FakePlatform]
    dialled: list[tuple[str, str]]
    facts: PlatformFacts


@asynccontextmanager
async def laboratory(
    folder: Path,
    *,
    users: FakeUsers | None = None,
    timing: PeerTiming = QUICK,
    are_kept: bool = True,
    dial: Dial | None = None,
) -> AsyncIterator[Laboratory]:
    """Run connections with a database in a folder; unknown platforms are unreachable."""
    directory, users = Directory(), users or FakeUsers()
    platforms: dict[str, FakePlatform] = {URL: FakePlatform(document=info("Do"))}
    dialled: list[tuple[str, str]] = []
    facts = PlatformFacts(OWN, directory, Provisions(directory, ()))

    def dial_fakes(url: str, token: str) -> FakePlatform:
        dialled.append((url, token))
        nobody = FakePlatform(name=url, answers={"info": Unreachable(f"{url} cannot be reached: no route")})
        return platforms.get(url, nobody)

    async with Database(folder) as database:
        stored = StoredConnections(database)
        async with Connections(
            facts=facts,
            directory=directory,
            stored=stored,
            users=users,
            dial=dial or dial_fakes,
            definitions_of=lambda _name, _image: NoDefinitions(),
            supervise=supervise,
            timing=timing,
        ) as connections:
            await connections.restore(are_kept=are_kept)
            yield Laboratory(connections, directory, users, stored, platforms, dialled, facts)


async def until(claim: Callable[[], object]) -> None:
    """Wait until something holds."""
    async with asyncio.timeout(15):
        while not claim():
            await asyncio.sleep(0.002)
