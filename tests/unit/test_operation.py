"""The routes under `/edge/`: what an operator sees of containers, their output and images."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, cast
from uuid import UUID

import pytest
from aiohttp import ClientSession
from jsonschema import Draft202012Validator

from edge.agents import Agent, Container, action
from edge.api.openapi.models import schemas
from edge.api.openapi.operations import OPERATIONS
from edge.api.operation import OperationHandlers
from edge.errors import NotFound, Unsupported
from edge.http.caller import Caller, Role
from edge.http.dispatch import Dispatcher
from edge.http.limits import Limits
from edge.http.replies import Kind
from edge.http.request import Request
from edge.http.routes import Route, RouteTable
from edge.http.server import HttpServer, listen
from edge.launcher.base import (
    ContainerState,
    ContainerStatus,
    Inspectable,
    Launched,
    Limit,
    OfferedImage,
    OfferedParameter,
)
from edge.launcher.bundled import BundledLauncher
from edge.launcher.images import ImageDirectory
from edge.model.descriptions import Connectivity
from edge.runtime.platform import Platform

SINCE = "2026-04-21T13:13:39.120Z"
PUMP = ContainerStatus(
    id="c-1",
    name="pump",
    image="pump:1.2",
    launcher="process",
    state=ContainerState.RESTARTING,
    reason="killed by signal 9; started again in 2 s",
    since=SINCE,
    pid=4711,
    host_port=20_001,
    memory_bytes=12_345_678,
    cpu_seconds=1.5,
    restarts=3,
    last_exit="killed by signal 9",
    limits=(
        Limit(name="memory_mb", value=64, enforced_by="cgroup v2"),
        Limit(name="cpu_percent", value=50.0, enforced_by=None),
    ),
)
IMAGE = OfferedImage(
    folder="pump",
    kind="start.toml",
    name="pump",
    version="1.2",
    description="Waters.",
    parameters=(OfferedParameter(name="KEY", type="string", required=True, confidential=True, default=None),),
)
BROKEN = OfferedImage(folder="new", kind="start.toml", problem="there is no start.toml")


class Kept:
    """A launcher with one container whose output is a list of lines."""

    def __init__(self) -> None:
        self.lines = [f"line {number}" for number in range(200)]
        self.pieces: asyncio.Queue[bytes] = asyncio.Queue()
        self.has_reader_left = asyncio.Event()

    async def statuses(self) -> list[ContainerStatus]:
        return [PUMP]

    async def log(self, container_id: str, lines: int) -> list[str] | None:
        return self.lines[len(self.lines) - lines :] if container_id == "c-1" else None

    @asynccontextmanager
    async def follow(self, container_id: str, lines: int) -> AsyncIterator[AsyncIterator[bytes]]:
        async def pieces() -> AsyncIterator[bytes]:
            yield "".join(f"{line}\n" for line in self.lines[len(self.lines) - lines :]).encode()
            while True:
                yield await self.pieces.get()

        try:
            yield pieces()
        finally:
            self.has_reader_left.set()


class Elsewhere:
    """A launcher that keeps no output."""

    async def statuses(self) -> list[ContainerStatus]:
        return []

    async def log(self, container_id: str, lines: int) -> list[str] | None:
        if container_id == "board":
            raise Unsupported("an attached container keeps its own log")
        return None

    @asynccontextmanager
    async def follow(self, container_id: str, lines: int) -> AsyncIterator[AsyncIterator[bytes]]:
        raise NotFound(container_id)
        yield


class Images:
    async def offered(self) -> list[OfferedImage]:
        return [IMAGE, BROKEN]


class Everybody:
    def admit(self, request: Request, route: Route | None) -> Caller:
        return Caller(name="", role=Role.ADMIN)


def platform_with(*launchers: Any, images: Any = None) -> Platform:
    return cast(Platform, SimpleNamespace(launchers=launchers, images=images))


@asynccontextmanager
async def serving(platform: Platform) -> AsyncIterator[tuple[ClientSession, str]]:
    handlers = OperationHandlers(platform)
    table = RouteTable(
        Route(method="GET", path=path, handler=handler, role=Role.USER, produces=produces, has_cors=False)
        for path, handler, produces in (
            ("/edge/containers", handlers.containers, Kind.JSON),
            ("/edge/containers/{id}/log", handlers.log, Kind.OCTETS),
            ("/edge/images", handlers.images, Kind.JSON),
        )
    )
    listening = listen("127.0.0.1", 0)
    async with (
        HttpServer(Dispatcher(table, Everybody(), Limits()), [listening], Limits()),
        ClientSession() as session,
    ):
        yield session, f"http://127.0.0.1:{listening.getsockname()[1]}"


@pytest.fixture
async def kept() -> Kept:
    return Kept()


def is_described(path: str, document: Any) -> bool:
    schema = OPERATIONS["GET", path].result or {}
    root = {**schema, "components": {"schemas": schemas()}}
    return bool(Draft202012Validator(root).is_valid(document))


async def test_containers_of_all_launchers_are_told_as_the_document_says(kept: Kept) -> None:
    async with serving(platform_with(Elsewhere(), kept, kept)) as (session, url):
        document = await (await session.get(f"{url}/edge/containers")).json()
    assert [each["id"] for each in document] == ["c-1", "c-1"]
    assert document[0]["state"] == "restarting"
    assert document[0]["limits"][1] == {"name": "cpu_percent", "value": 50.0, "enforced_by": None}
    assert is_described("/edge/containers", document)
    del document[0]["reason"]
    assert not is_described("/edge/containers", document)


async def test_images_are_told_as_the_document_says() -> None:
    async with serving(platform_with(images=Images())) as (session, url):
        document = await (await session.get(f"{url}/edge/images")).json()
    assert [(each["folder"], each["problem"]) for each in document] == [("pump", None), ("new", BROKEN.problem)]
    assert is_described("/edge/images", document)


async def test_platform_without_images_offers_none() -> None:
    async with serving(platform_with()) as (session, url):
        assert await (await session.get(f"{url}/edge/images")).json() == []


@pytest.mark.parametrize(("query", "first", "count"), [("", "line 100", 100), ("?lines=3", "line 197", 3)])
async def test_log_is_the_newest_lines_as_plain_text(kept: Kept, query: str, first: str, count: int) -> None:
    kept.lines[-1] = "<script>alert(1)</script>"
    async with serving(platform_with(Elsewhere(), kept)) as (session, url):
        answer = await session.get(f"{url}/edge/containers/c-1/log{query}", headers={"Accept": "text/html"})
        lines = (await answer.text()).splitlines()
    assert answer.headers["Content-Type"] == "text/plain;charset=UTF-8"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert (lines[0], len(lines), lines[-1]) == (first, count, kept.lines[-1])


async def test_pages_of_other_origins_may_not_read_a_log(kept: Kept) -> None:
    async with serving(platform_with(kept)) as (session, url):
        answer = await session.get(f"{url}/edge/containers/c-1/log", headers={"Origin": "http://evil.example"})
    assert "Access-Control-Allow-Origin" not in answer.headers


async def test_followed_log_comes_piece_by_piece_until_the_reader_leaves(kept: Kept) -> None:
    async with serving(platform_with(kept)) as (session, url):
        answer = await session.get(f"{url}/edge/containers/c-1/log?follow=true&lines=1")
        assert await answer.content.readany() == b"line 199\n"
        for number in range(3):
            kept.pieces.put_nowait(b"new %d\n" % number)
            assert await answer.content.readany() == b"new %d\n" % number
        assert answer.headers["Content-Type"] == "text/plain;charset=UTF-8"
        answer.close()
        await kept.has_reader_left.wait()


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        ("nobody/log", 404, "there is no container nobody"),
        ("nobody/log?follow=true", 404, "there is no container nobody"),
        ("board/log", 501, "an attached container keeps its own log"),
        ("c-1/log?lines=-1", 400, "lines=-1: expected 0 to 10000"),
        ("c-1/log?lines=10001", 400, "expected 0 to 10000"),
        ("c-1/log?follow=perhaps", 400, "follow='perhaps'"),
    ],
)
async def test_log_that_cannot_be_read_is_explained(kept: Kept, path: str, status: int, words: str) -> None:
    async with serving(platform_with(Elsewhere(), kept)) as (session, url):
        answer = await session.get(f"{url}/edge/containers/{path}")
        assert answer.status == status
        assert words in (await answer.json())["message"]


# Bundled containers


class Lamp(Agent):
    @action
    async def shine(self) -> None:
        """Shine."""


class Poller(Agent):
    """Its background work fails at once."""

    def __init__(self) -> None:
        super().__init__("poller")
        self.start_task(self.poll)

    async def poll(self) -> None:
        raise OSError("unplugged")


class Watched:
    """The registry's side: what was told."""

    def __init__(self) -> None:
        self.told = asyncio.Event()

    def appeared(self, launched: Launched) -> None:
        self.told.set()

    def vanished(self, container_id: str) -> None:
        self.told.clear()


@pytest.fixture
def factory(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """What `attempts:container` returns or raises, call by call; the last one again and again."""
    results: list[Any] = [Container("lamps:2", [Lamp()])]

    def container() -> Container:
        result = results.pop(0) if len(results) > 1 else results[0]
        if isinstance(result, Exception):
            raise result
        return cast(Container, result)

    import sys

    module = ModuleType("attempts")
    module.container = container  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "attempts", module)
    yield results


@asynccontextmanager
async def bundled(registry: Watched) -> AsyncIterator[BundledLauncher]:
    launcher = BundledLauncher(
        UUID(int=1), "", registry, lambda: Connectivity(public_url="http://h"), lambda container_id: cast(Any, None)
    )
    launcher.declare("lamps", "attempts:container", {})
    async with asyncio.TaskGroup() as tasks:
        jobs = [tasks.create_task(job()) for _, job in launcher.jobs()]
        yield launcher
        for job in jobs:
            job.cancel()


async def only(launcher: Inspectable) -> ContainerStatus:
    (status,) = await launcher.statuses()
    return status


async def test_bundled_container_starts_runs_and_is_removed(factory: list[Any]) -> None:
    registry = Watched()
    async with bundled(registry) as launcher:
        assert (await only(launcher)).state is ContainerState.STARTING
        await registry.told.wait()
        running = await only(launcher)
        assert (running.state, running.image, running.name, running.reason) == ("running", "lamps:2", "lamps", "")
        assert (running.memory_bytes, running.pid, running.restarts) == (None, None, 0)
        await launcher.stop(running.id)
        stopped = await only(launcher)
        assert (stopped.state, stopped.reason) == ("stopped", "removed; it runs again when the platform starts again")


async def test_bundled_container_that_fails_says_why_and_when_it_is_tried_again(factory: list[Any]) -> None:
    factory[:] = [ValueError("no such pin"), Container("lamps", [Lamp()])]
    registry = Watched()
    async with bundled(registry) as launcher:
        await launcher.all_tried(5)
        failed = await only(launcher)
        assert (failed.state, failed.last_exit) == ("restarting", "ValueError: no such pin")
        assert failed.reason == "ValueError: no such pin; started again in about 1 s"
        await registry.told.wait()
        again = await only(launcher)
        assert (again.state, again.restarts, again.reason) == ("running", 1, "")
        assert again.last_exit == "ValueError: no such pin"


async def test_bundled_container_whose_background_work_fails_is_degraded(factory: list[Any]) -> None:
    factory[:] = [Container("lamps", [Poller()])]
    async with bundled(Watched()) as launcher, asyncio.timeout(15):
        while (degraded := await only(launcher)).state is not ContainerState.DEGRADED:
            await asyncio.sleep(0.01)
        assert degraded.reason == "poller.poll failed: OSError: unplugged"


async def test_bundled_container_says_where_its_output_is(factory: list[Any]) -> None:
    async with bundled(Watched()) as launcher:
        container_id = (await only(launcher)).id
        assert await launcher.log("other", 1) is None
        with pytest.raises(Unsupported, match="the platform's own log"):
            await launcher.log(container_id, 1)
        with pytest.raises(Unsupported, match="the platform's own log"):
            async with launcher.follow(container_id, 1):
                pass
        with pytest.raises(NotFound):
            async with launcher.follow("other", 1):
                pass


# Images


async def test_image_folders_are_told_with_parameters_and_problems(tmp_path: Path) -> None:
    pump, plain, broken = (tmp_path / name for name in ("pump-1.2", "plain", "broken"))
    for folder in (pump, plain, broken):
        folder.mkdir()
    parameters = [
        {"name": "PIN", "type": "integer", "required": True},
        {"name": "KEY", "confidential": True, "defaultValue": "hunter2"},
        {"name": "ROOM", "defaultValue": "kitchen"},
    ]
    description = {"imageName": "pump", "version": "1.2", "description": "Waters.", "parameters": parameters}
    (pump / "image.json").write_text(json.dumps(description))
    (pump / "start.toml").write_text('command = ["python", "main.py"]\nenv = { TOKEN_FILE = "/etc/secret" }\n')
    (plain / "package.json").write_text('{"name": "plain", "main": "main.js"}')
    (broken / "image.json").write_text("{}")
    async with serving(platform_with(images=ImageDirectory(tmp_path))) as (session, url):
        text = await (await session.get(f"{url}/edge/images")).text()
    document = json.loads(text)
    assert [(each["folder"], each["kind"], each["name"]) for each in document] == [
        ("plain", "package.json", "plain"),
        ("pump-1.2", "start.toml", "pump"),
        ("broken", "start.toml", None),
    ]
    assert [(each["name"], each["default"]) for each in document[1]["parameters"]] == [
        ("PIN", None),
        ("KEY", None),
        ("ROOM", "kitchen"),
    ]
    assert document[2]["problem"] == "there is no start.toml"
    assert "secret" not in text
    assert "hunter2" not in text
    assert is_described("/edge/images", document)
