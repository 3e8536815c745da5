"""Platforms under test as an asynchronous caller sees them, and ways to wait for what they become."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiohttp import ClientSession

from tests.contract.running import Process, platform_process


@dataclass
class Answer:
    """What a platform answered."""

    status: int
    body: bytes
    json: Any


class Caller:
    """Calls a platform."""

    def __init__(self, session: ClientSession, process: Process) -> None:
        self.session = session
        self.process = process

    @property
    def url(self) -> str:
        return self.process.base_url

    async def ask(self, method: str, path: str, json: Any = None, **more: Any) -> Answer:
        async with self.session.request(method, self.url + path, json=json, **more) as response:
            body = await response.read()
            is_json = response.content_type == "application/json" and body
            return Answer(response.status, body, await response.json() if is_json else None)

    async def connect(self, url: str, *, back: bool = False, token: str | None = None) -> Answer:
        return await self.ask("POST", "/connections", {"url": url, "connectBack": back, "token": token})

    async def invoke(self, action: str, path: str = "", **arguments: Any) -> Answer:
        return await self.ask("POST", f"/invoke/{action}{path}", arguments)

    async def states(self) -> dict[str, str]:
        return {each["url"]: each["state"] for each in (await self.ask("GET", "/edge/connections")).json}

    async def agents(self) -> list[str]:
        return [each["agentId"] for each in (await self.ask("GET", "/agents?includeConnected=true")).json]


@asynccontextmanager
async def platform(folder: Path, containers: dict[str, str] | None = None, **settings: str) -> AsyncIterator[Caller]:
    """Run a platform as a process; it may be stopped and started by the test."""
    folder.mkdir(exist_ok=True)
    process = platform_process(folder, containers, settings)
    await asyncio.to_thread(process.__enter__)
    try:
        async with ClientSession() as session:
            yield Caller(session, process)
    finally:
        await asyncio.to_thread(process.stop)


async def restart(platform: Caller) -> None:
    """Start a platform that has ended, on the port that it had."""
    process = platform.process
    process.environment["PORT"] = str(process.address[1])
    await asyncio.to_thread(process.stop)
    await asyncio.to_thread(process.__enter__)


async def until(claim: Callable[[], Awaitable[Any]], what: str, limit_s: float = 10.0) -> float:
    """Wait until something holds, and return how many seconds that took; fails with `what` if it never does."""
    began_s = time.monotonic()
    while not await claim():
        assert time.monotonic() - began_s < limit_s, f"never so within {limit_s} s: {what}"
        await asyncio.sleep(0.02)
    return time.monotonic() - began_s
