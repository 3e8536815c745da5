"""The local platform is connected to the parties that are seen, and stays so."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from bridge import joining as joining_module
from bridge.joining import Joining
from edge.errors import RemoteError, Unreachable
from tests.unit.bridge.wire import until


class Party:
    """Stands for a remote party."""

    def __init__(self, name: str, info: bytes | None = b"{}") -> None:
        self.name = name
        self.info = info


class Platform:
    """Stands for the local platform: `connected` are the base URLs that it knows."""

    def __init__(self) -> None:
        self.connected: set[str] = set()
        self.asked: list[str] = []
        self.described = b"one"
        self.refuses = ""
        self.events_of: asyncio.Queue[object] = asyncio.Queue()
        self.is_up = True
        self.hold: asyncio.Event | None = None
        self.problem = ""

    def explain(self, error: BaseException) -> str:
        return str(error)

    async def info(self) -> bytes:
        if not self.is_up:
            raise Unreachable("it does not answer")
        return self.described

    async def connect(self, url: str, token: str) -> bool:
        self.asked.append(f"+{url}")
        if self.refuses:
            raise RemoteError(self.refuses, None, 502)
        is_new = url not in self.connected
        self.connected.add(url)
        return is_new

    async def disconnect(self, url: str) -> bool:
        self.asked.append(f"-{url}")
        if self.hold is not None:
            await self.hold.wait()
        if self.refuses:
            raise RemoteError(self.refuses, None, 502)
        self.connected.discard(url)
        return True

    def forget_logins(self) -> None:
        pass

    @asynccontextmanager
    async def events(self, topic: str) -> AsyncIterator[AsyncIterator[object]]:
        assert topic == "/containers"
        yield self._events()

    async def _events(self) -> AsyncIterator[object]:
        while True:
            event = await self.events_of.get()
            if event is None:
                raise Unreachable("it went away")
            yield event


@asynccontextmanager
async def running(
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[tuple[Joining, Platform, dict[str, Any], list[bytes]]]:
    monkeypatch.setattr(joining_module, "_FIRST_PAUSE_S", 0.01)
    monkeypatch.setattr(joining_module, "_GATHERED_S", 0.01)
    platform, parties, described = Platform(), dict[str, Any](), list[bytes]()
    made = Joining(platform, parties, lambda name: f"u/{name}", "t", described.append)  # type: ignore[arg-type]
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(made.run())
        yield made, platform, parties, described
        task.cancel()


async def test_a_party_is_connected_when_it_has_described_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(monkeypatch) as (joining, platform, parties, _):
        parties["home"], parties["shed"] = Party("home"), Party("shed", None)
        joining.look()
        await until(lambda: platform.connected == {"u/home"})
        parties["shed"].info = b"{}"
        joining.look()
        await until(lambda: platform.connected == {"u/home", "u/shed"})
        assert joining.joined == {"home", "shed"}
        assert platform.asked == ["+u/home", "+u/shed"]


async def test_a_platform_that_refuses_is_asked_again_and_named_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with running(monkeypatch) as (joining, platform, parties, _):
        platform.refuses = "u/home answered 502"
        parties["home"] = Party("home")
        joining.look()
        await until(lambda: len(platform.asked) > 3)
        assert caplog.text.count("does not connect to u/home: u/home answered 502") == 1
        platform.refuses = ""
        await until(lambda: platform.connected)


async def test_a_party_that_is_removed_and_back_at_once_is_connected(monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(monkeypatch) as (joining, platform, parties, _):
        parties["home"] = Party("home")
        joining.look()
        await until(lambda: joining.joined)
        joining.gone(parties.pop("home"))
        parties["home"] = Party("home")
        joining.look()
        await until(lambda: platform.asked == ["+u/home", "-u/home", "+u/home"])
        assert platform.connected == {"u/home"}
        # Also if it comes back while it is being forgotten.
        platform.hold = asyncio.Event()
        joining.gone(parties.pop("home"))
        await until(lambda: platform.asked[-1] == "-u/home")
        parties["home"] = Party("home")
        joining.look()
        platform.hold.set()
        await until(lambda: platform.connected == {"u/home"} and joining.joined == {"home"})


async def test_a_platform_that_does_not_forget_a_party_is_asked_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with running(monkeypatch) as (joining, platform, parties, _):
        parties["home"] = Party("home")
        joining.look()
        await until(lambda: joining.joined)
        platform.refuses = "it has too much to do"
        joining.gone(parties.pop("home"))
        await until(lambda: platform.asked.count("-u/home") > 2)
        assert caplog.text.count("does not forget home: it has too much to do") == 1
        platform.refuses = ""
        await until(lambda: not platform.connected)
        asked = len(platform.asked)
        await asyncio.sleep(0.1)
        assert len(platform.asked) <= asked + 1


async def test_a_platform_that_was_started_anew_is_connected_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(monkeypatch) as (joining, platform, parties, described):
        parties["home"] = Party("home")
        joining.look()
        await until(lambda: platform.connected)
        platform.is_up = False
        platform.events_of.put_nowait(None)
        platform.connected.clear()
        await asyncio.sleep(0.05)
        platform.is_up, platform.described = True, b"two"
        await until(lambda: platform.connected == {"u/home"})
        assert described == [b"one", b"two"]


async def test_a_change_of_the_platform_is_told_once_for_a_burst(monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(monkeypatch) as (_, platform, _parties, described):
        await until(lambda: described)
        platform.described = b"two"
        for _ in range(5):
            platform.events_of.put_nowait("event")
        await until(lambda: described[-1] == b"two")
        assert len(described) <= 3
