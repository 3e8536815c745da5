"""Platforms under test as an asynchronous caller sees them, and ways to wait for what they become."""

from __future__ import annotations

import asyncio
import re
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiohttp import ClientSession, TCPConnector

from edge.cli.authority import CA_CERT
from tests.contract.ports import free_port
from tests.contract.running import Process, platform_process


@dataclass
class Answer:
    """What a platform answered."""

    status: int
    body: bytes
    json: Any


class Caller:
    """Calls a platform.

    Attributes:
        url: Its base URL; under TLS not that of the plain listener for its containers.
    """

    def __init__(self, session: ClientSession, process: Process) -> None:
        self.session = session
        self.process = process
        found = re.search(r"answers on (https://\S+)", process.log)
        self.url = found[1] if found else process.base_url
        tcp_port = process.environment["PORT"]
        if tcp_port != "0":  # PUBLIC_URL may lead elsewhere
            self.url = f"{self.url.partition(':')[0]}://127.0.0.1:{tcp_port}"

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
    """Run a platform as a process; it may be stopped and started by the test.

    Args:
        settings: Its variables. Without PORT, it gets one that nobody takes while it is down.
            With TLS_CERT, the caller trusts the authority that lies beside that.
    """
    folder.mkdir(exist_ok=True)
    process = platform_process(folder, containers, {"PORT": str(free_port()), **settings})
    await asyncio.to_thread(process.__enter__)
    try:
        trusted = None
        if "TLS_CERT" in settings:
            trusted = ssl.create_default_context(cafile=Path(settings["TLS_CERT"]).with_name(CA_CERT))
        async with ClientSession(connector=TCPConnector(ssl=trusted or True)) as session:
            yield Caller(session, process)
    finally:
        await asyncio.to_thread(process.stop)


@asynccontextmanager
async def guarded(folder: Path, containers: dict[str, str], **more: str) -> AsyncIterator[tuple[Caller, str]]:
    """Run a platform that asks who is calling, and log in as its administrator."""
    settings = {"REQUIRE_AUTH": "true", "HOST": "127.0.0.1", "PLATFORM_ADMIN_PWD": "secret", **more}
    async with platform(folder, containers, **settings) as caller:
        yield caller, await log_in(caller)


async def log_in(caller: Caller) -> str:
    """Log in as administrator, which later calls do as, and return the token."""
    wish = {"username": "admin", "password": "secret"}
    caller.session.headers.pop("Authorization", None)
    async with caller.session.post(f"{caller.url}/login", json=wish) as answer:
        token = await answer.text()
        assert answer.status == 200, token
    caller.session.headers["Authorization"] = f"Bearer {token}"
    return token


async def restart(platform: Caller) -> None:
    """Start a platform that has ended, on the port that it had."""
    process = platform.process
    process.environment["PORT"] = platform.url.rpartition(":")[2]
    await asyncio.to_thread(process.stop)
    await asyncio.to_thread(process.__enter__)


async def until(claim: Callable[[], Awaitable[Any]], what: str, limit_s: float = 20.0) -> float:
    """Wait until something holds, and return how many seconds that took; fails with `what` if it never does."""
    began_s = time.monotonic()
    while not await claim():
        assert time.monotonic() - began_s < limit_s, f"never so within {limit_s} s: {what}"
        await asyncio.sleep(0.02)
    return time.monotonic() - began_s


async def wait_for(caller: Caller, url: str, state: str, limit_s: float = 20.0) -> float:
    """Wait until a connection is in a state, and return how many seconds that took."""

    async def is_so() -> bool:
        return (await caller.states()).get(url) == state

    return await until(is_so, f"{url} is {state} for {caller.url}", limit_s)
