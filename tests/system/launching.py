"""A launcher of native processes with images that tests make, and a registry that remembers what it was told."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

from edge.launcher.base import Launched, Order
from edge.launcher.images import ImageDirectory
from edge.launcher.process.launcher import ProcessLauncher
from edge.model.definitions import NoDefinitions
from edge.model.descriptions import AgentContainerImage, Connectivity
from edge.model.requests import PostAgentContainer
from edge.transport.http import HttpClient

PUPPET = Path(__file__).parent / "puppet.py"
PARAMETERS = [{"name": "MODE", "type": "string"}, {"name": "PASSWORD", "type": "string", "confidential": True}]


class Laboratory:
    """What a test starts containers with, and what it sees of them.

    Attributes:
        told: What the registry heard, in order: `appeared` or `vanished` and a container's ID.
        running: The last description of each container that has not vanished.
        records: What the launcher wanted to be stored, in order.
    """

    def __init__(self, folder: Path) -> None:
        self.images = folder / "images"
        self.state = folder / "state"
        self.told: list[tuple[str, str]] = []
        self.running: dict[str, Launched] = {}
        self.records: list[tuple[str, dict[str, Any]]] = []
        self.launcher: ProcessLauncher

    def appeared(self, launched: Launched) -> None:
        self.told.append(("appeared", launched.description.container_id))
        self.running[launched.description.container_id] = launched

    def vanished(self, container_id: str) -> None:
        self.told.append(("vanished", container_id))
        self.running.pop(container_id, None)

    async def on_record(self, container_id: str, record: dict[str, Any]) -> None:
        self.records.append((container_id, record))

    def image(self, name: str, command: list[str], start: str = "", **description: Any) -> Path:
        """Make an image folder; what of it is no OPACA description stands in `start` as TOML."""
        folder = self.images / name.replace("/", "-").replace(":", "-")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "image.json").write_text(json.dumps({"imageName": name, **description}))
        (folder / "start.toml").write_text(f"command = {json.dumps(command)}\n{start}")
        return folder

    def puppet(self, start: str = "", **description: Any) -> None:
        """Make the image of the puppet."""
        self.image("puppet", ["python", "-S", "-E", str(PUPPET)], start, **{"parameters": PARAMETERS, **description})

    def order(self, image_name: str = "puppet", timeout_s: float = 20.0, **fields: Any) -> Order:
        """Return an order; unknown fields are those of the wish."""
        own = {name: fields.pop(name) for name in ("container_id", "token", "owner") if name in fields}
        wish = PostAgentContainer(image=fields.pop("image", AgentContainerImage(image_name=image_name)), **fields)
        return Order(**{"container_id": str(uuid4()), **own}, wish=wish, timeout_s=timeout_s)

    async def start(self, image_name: str = "puppet", timeout_s: float = 20.0, **fields: Any) -> Puppet:
        """Start a container and return a handle to it."""
        launched = await self.launcher.start(self.order(image_name, timeout_s, **fields))
        return Puppet(self, launched)


class Puppet:
    """A running container as its callers see it."""

    def __init__(self, laboratory: Laboratory, launched: Launched) -> None:
        self.laboratory = laboratory
        self.launched = launched
        self.id = launched.description.container_id

    async def do(self, action: str, **arguments: Any) -> Any:
        """Invoke one of its actions."""
        return await self.launched.transport.invoke(action, arguments, None)

    async def pid(self) -> int:
        """The process as the launcher knows it."""
        status = await self.laboratory.launcher.status(self.id)
        assert status is not None and status.pid is not None
        return status.pid

    async def comes_back(self, after: int) -> None:
        """Wait until it runs as another process."""

        async def is_another() -> bool:
            status = await self.laboratory.launcher.status(self.id)
            return status is not None and status.state == "running" and status.pid not in (None, after)

        await until(is_another)


@asynccontextmanager
async def launching(folder: Path, **settings: Any) -> AsyncIterator[Laboratory]:
    """Run a launcher with an empty image folder."""
    laboratory = Laboratory(folder)
    async with HttpClient() as http:
        launcher = ProcessLauncher(
            images=ImageDirectory(laboratory.images),
            state_dir=laboratory.state,
            registry=laboratory,
            http=http,
            connectivity=lambda: Connectivity(public_url="http://192.168.1.7"),
            platform_url=lambda: "http://127.0.0.1:8000",
            definitions=lambda image: NoDefinitions(),
            on_record=laboratory.on_record,
            **{"search_path": os.environ["PATH"], "first_pause_s": 0.05, **settings},
        )
        async with launcher:
            laboratory.launcher = launcher
            yield laboratory


async def until(condition: Callable[[], Any], limit_s: float = 20.0) -> Any:
    """Wait until a condition, which may be a coroutine function, is true, and return what it returned."""
    give_up_s = time.monotonic() + limit_s
    while True:
        found = condition()
        if asyncio.iscoroutine(found):
            found = await found
        if found:
            return found
        assert time.monotonic() < give_up_s, "the condition did not come true"
        await asyncio.sleep(0.01)


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that ended and was not reaped does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def exists(pid: int) -> bool:
    """Whether a process is there in any state, also as a zombie."""
    return Path(f"/proc/{pid}").exists()
