"""Fifty connected platforms with 2,000 agents, one of which is dead: what that costs, and whom."""

from __future__ import annotations

import asyncio
import json
import statistics
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from tests.system.joined import Caller, platform, until
from tests.system.strict_peer import CONTAINER, action

PLATFORMS = 50
AGENTS_EACH = 40


class Fakes:
    """Platforms in one server, each under a path of its own.

    Attributes:
        asked: Calls that are no look at what a platform is.
        looks: How often a platform was asked what it is.
        silent: The platform that takes connections and answers nothing, None if all are well.
    """

    def __init__(self) -> None:
        self.url = ""
        self.asked: list[str] = []
        self.looks = 0
        self.silent: str | None = None
        self.released = asyncio.Event()
        self._infos = {f"p{number}": json.dumps(_info(number)).encode() for number in range(PLATFORMS)}

    def urls(self) -> list[str]:
        return [f"{self.url}/{name}" for name in self._infos]

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Fakes]:
        runner = web.ServerRunner(web.Server(self._answer), shutdown_timeout=0.1)  # type: ignore[arg-type]
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0, backlog=512).start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        try:
            yield self
        finally:
            self.released.set()
            await runner.cleanup()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        _, name, route, *_ = request.path.split("/")
        if name == self.silent:
            await self.released.wait()
        if route == "info":
            self.looks += 1
            return web.Response(body=self._infos[name], content_type="application/json")
        if route == "subscribe":
            socket = web.WebSocketResponse()
            await socket.prepare(request)
            async for _ in socket:
                pass
            return socket
        self.asked.append(request.path)
        return web.json_response(name)


def _info(number: int) -> dict[str, Any]:
    agents = [
        {"agentId": f"a{number}-{each}", "agentType": "Fake", "description": "One of many.", "streams": [],
         "actions": [action(f"Do{number}", text="string"), action(f"Only{number}x{each}"), action("Common")]}
        for each in range(AGENTS_EACH)
    ]  # fmt: skip
    return {"platformId": f"p{number}", "baseUrl": f"http://p{number}", "provides": [], "connections": [],
            "containers": [{**CONTAINER, "containerId": f"c{number}", "agents": agents}],
            "runningSince": "2026-04-21T13:13:39.120Z"}  # fmt: skip


async def median_ms(work: Any, times: int = 20) -> float:
    took: list[float] = []
    for _ in range(times):
        began_s = time.perf_counter()
        await work()
        took.append((time.perf_counter() - began_s) * 1000)
    return statistics.median(took)


class Work:
    """What is measured on a platform that all fakes are connected to."""

    def __init__(self, ours: Caller) -> None:
        self._ours = ours

    async def list_all(self) -> None:
        async with self._ours.session.get(f"{self._ours.url}/agents?includeConnected=true") as response:
            await response.read()

    async def invoke_at_the_last(self) -> None:
        answer = await self._ours.invoke(f"Do{PLATFORMS - 1}", text="x")
        assert answer.json == f"p{PLATFORMS - 1}"

    async def invoke_here(self) -> None:
        assert (await self._ours.invoke("Say", text="x")).json == "x"

    async def broadcast(self) -> None:
        """A container here takes it, whatever becomes of the others."""
        assert (await self._ours.ask("POST", "/broadcast/news", {"payload": 1})).status == 200

    async def figures_ms(self) -> list[float]:
        return [await median_ms(each) for each in (self.list_all, self.invoke_at_the_last, self.invoke_here)]


async def all_are(ours: Caller, state: str, limit_s: float = 20.0) -> None:
    async def are_so() -> bool:
        return set((await ours.states()).values()) == {state}

    await until(are_so, f"all are {state}", limit_s)


async def is_away(ours: Caller, url: str) -> bool:
    return (await ours.states())[url] == "away"


@pytest.mark.timeout(60)
async def test_fifty_platforms_and_their_death(tmp_path: Path) -> None:
    async with platform(tmp_path / "ours", {"contract": "tests.contract.container:container"}) as ours:
        work = Work(ours)
        alone_bytes = ours.process.rss_bytes()
        async with Fakes().running() as fakes:
            began_s = time.perf_counter()
            answers = await asyncio.gather(*(ours.connect(url) for url in fakes.urls()))
            connected_s = time.perf_counter() - began_s
            assert [answer.body for answer in answers] == [b"true"] * PLATFORMS
            await all_are(ours, "connected")
            joined_bytes = ours.process.rss_bytes()

            looks = fakes.looks
            assert len(await ours.agents()) == PLATFORMS * AGENTS_EACH + 2
            well_ms = await work.figures_ms()
            assert fakes.looks == looks, "the list comes from memory"
            assert len(fakes.asked) == 20

            fakes.silent = "p0"
            async with asyncio.TaskGroup() as tasks:
                hanging = tasks.create_task(ours.invoke("Do0", text="x"))
                one_hangs_ms = await work.figures_ms()
                assert (await ours.ask("GET", "/agents/a0-7")).json["agentId"] == "a0-7"
                assert (await ours.ask("POST", "/send/a1-1", {"payload": 1})).status == 200
                assert not hanging.done()
                # A message that nobody takes is what a silent death is first noticed by.
                lost = tasks.create_task(work.broadcast())
                noticed_s = await until(lambda: is_away(ours, fakes.urls()[0]), "the dead one is noticed", 20)
                one_away_ms = [await median_ms(work.broadcast), *await work.figures_ms()]
                assert not hanging.done() and not lost.done()
                fakes.released.set()
        await all_are(ours, "away")
        away_ms = await median_ms(work.broadcast)
        refused = await ours.invoke("Common")
        assert (refused.status, "is away since" in refused.json["message"]) == (502, True)
    each_kib = (joined_bytes - alone_bytes) / PLATFORMS / 1024
    print(f"\n{PLATFORMS} platforms connected in {connected_s:.2f} s, {each_kib:.0f} KiB each")
    print(f"ms for the list, an invoke at the last, one here: {[round(each, 2) for each in well_ms]}")
    print(f"the same while one of them hangs: {[round(each, 2) for each in one_hangs_ms]}")
    print(
        f"it is noticed after {noticed_s:.1f} s; a broadcast, and the same, since then: "
        f"{[round(each, 2) for each in one_away_ms]}"
    )
    print(f"a broadcast while all are away: {away_ms:.2f} ms")
    assert max(well_ms + one_hangs_ms + one_away_ms) < 2_000
    assert away_ms < 2_000
