"""Stand-ins for containers that run already: real servers whose answers and faults a test sets."""

from __future__ import annotations

import asyncio
import copy
import json
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from aiohttp import web

from edge.errors import Unreachable
from edge.launcher.attached import AttachedLauncher
from edge.launcher.attached_watch import Pace
from edge.launcher.attachment import AttachedRecord
from edge.launcher.base import Launched, Order
from edge.model.codec import encode
from edge.model.descriptions import AgentContainerImage
from edge.model.requests import PostAgentContainer
from edge.transport.http import HttpClient
from tests.contract.ports import free_port

QUICK = Pace(check_s=0.05, answer_s=2.0, first_return_s=0.02, last_return_s=0.1)
NEVER = Pace(check_s=3600.0, first_return_s=3600.0, last_return_s=3600.0)

INFO: dict[str, Any] = {
    "containerId": "what-it-calls-itself",
    "image": {"imageName": "greenhouse"},
    "agents": [{"agentId": "lamp", "actions": [{"name": "Blink"}]}],
    "owner": "nobody",
    "runningSince": "2026-04-21T13:13:39.120Z",
    "connectivity": None,
}


class Board:
    """A container with one agent; counts what is asked of it.

    Attributes:
        info: What it says of itself; bytes are sent as they are.
        asked: The requests, as `GET /info`.
        tokens: The Authorization headers of the requests to `/info`.
        gate: Where `/info` waits; open at first.
    """

    def __init__(self) -> None:
        self.info: Any = copy.deepcopy(INFO)
        self.status = 200
        self.asked: list[str] = []
        self.tokens: list[str | None] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.call_gate = asyncio.Event()
        self.call_gate.set()
        self.port = free_port()
        self._runner: web.ServerRunner | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def looks(self) -> int:
        """How often it was asked for `/info`."""
        return self.asked.count("GET /info")

    async def up(self) -> None:
        """Listen, at the same port again after `down`."""
        self._runner = web.ServerRunner(web.Server(self._answer), shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port, reuse_address=True)
        await site.start()

    async def down(self) -> None:
        """Refuse connections."""
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        self.asked.append(f"{request.method} {request.path}")
        if request.path != "/info":
            await self.call_gate.wait()
            return web.json_response(None)
        self.tokens.append(request.headers.get("Authorization"))
        await self.gate.wait()
        body = self.info if isinstance(self.info, bytes) else json.dumps(self.info).encode()
        return web.Response(body=body, status=self.status, headers={"Location": "/elsewhere"})


@asynccontextmanager
async def board() -> AsyncIterator[Board]:
    made = Board()
    await made.up()
    try:
        yield made
    finally:
        made.gate.set()
        made.call_gate.set()
        await made.down()


@dataclass
class Listed:
    """A registry that remembers what it was told."""

    appearances: list[Launched] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)

    def appeared(self, launched: Launched) -> None:
        self.appearances.append(launched)

    def vanished(self, container_id: str) -> None:
        self.gone.append(container_id)


class Clock:
    """A clock that a test puts forward."""

    def __init__(self) -> None:
        self.ahead_s = 0.0

    def __call__(self) -> float:
        return time.monotonic() + self.ahead_s


@dataclass
class Lab:
    """A launcher whose checks run.

    Attributes:
        listed: What its registry was told.
        clock: Its clock.
    """

    launcher: AttachedLauncher
    listed: Listed
    clock: Clock

    async def attach(self, url: str, container_id: str = "c-1", *, timeout_s: float = 5.0, **config: Any) -> Launched:
        """Attach as the platform does: under the ID that the container has already, if it has one."""
        wanted = order(url, container_id, timeout_s=timeout_s, **config)
        wanted = replace(wanted, container_id=self.launcher.existing_id("ann", wanted.wish) or container_id)
        return await self.launcher.start(wanted)

    def attach_again(self, kept: object) -> Launched:
        """Attach c-1 from what was kept of it, as it is read back from JSON."""
        return self.launcher.attach_again(order("http://unused"), json.loads(encode(kept)))

    def kept(self, container_id: str = "c-1") -> AttachedRecord:
        kept = self.launcher.kept(container_id)
        assert kept is not None
        return kept

    async def ids(self) -> list[str]:
        return [status.id for status in await self.launcher.statuses()]

    def existing(self, key: str, owner: str = "ann") -> str | None:
        """Return the ID that a container of this key has."""
        return self.launcher.existing_id(owner, order("http://unused", key=key).wish)

    def put_forward(self, seconds: float) -> None:
        self.clock.ahead_s += seconds
        self.launcher.look_at_clock()


@asynccontextmanager
async def lab(pace: Pace = QUICK) -> AsyncIterator[Lab]:
    listed, clock = Listed(), Clock()
    async with HttpClient() as client:
        launcher = AttachedLauncher(listed, client, pace=pace, clock=clock)
        running = [asyncio.ensure_future(job()) for _, job in launcher.jobs()]
        try:
            yield Lab(launcher, listed, clock)
        finally:
            for task in running:
                task.cancel()
            await asyncio.wait(running)


def order(url: str, container_id: str = "c-1", *, owner: str = "ann", timeout_s: float = 5.0, **config: Any) -> Order:
    wish = PostAgentContainer(
        image=AgentContainerImage(image_name="asked-for"), client_config={"type": "ATTACHED", "url": url, **config}
    )
    return Order(container_id=container_id, owner=owner, token="t", wish=wish, timeout_s=timeout_s)


async def until(holds: Callable[[], object], limit_s: float = 15.0) -> None:
    """Wait until something holds."""
    async with asyncio.timeout(limit_s):
        while not holds():
            await asyncio.sleep(0.002)


async def call(launched: Launched) -> None:
    """Call the container."""
    await launched.transport.invoke("Blink", {}, "lamp")


async def refusal(launched: Launched) -> str:
    """Call a container that cannot be reached, and return what is said of it."""
    with pytest.raises(Unreachable) as caught:
        await call(launched)
    return caught.value.message


def lines(caplog: pytest.LogCaptureFixture, part: str, level: int = logging.INFO) -> list[str]:
    """Return the messages in the log that have a part."""
    return [record.getMessage() for record in caplog.records if record.levelno >= level and part in record.getMessage()]
