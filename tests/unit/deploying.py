"""A deployment with everything real but its launcher, which does as a test says."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edge.errors import NotFound
from edge.launcher.base import Launched, Order
from edge.model.definitions import NoDefinitions
from edge.model.descriptions import AgentContainer, AgentContainerImage
from edge.model.json_value import JsonValue
from edge.model.requests import PostAgentContainer
from edge.runtime.deployment import Deployment
from edge.runtime.directory import Directory
from edge.runtime.errands import Errands
from edge.runtime.logins import Logins
from edge.runtime.provisions import Provisions
from edge.runtime.revival import Revival
from edge.runtime.session import Session
from edge.runtime.tenants import Tenants
from edge.runtime.tokens import Tokens
from edge.runtime.users import Users
from edge.state.database import Database
from edge.transport.fake import FakeTransport

CONTAINER = "INSERT INTO containers (container_id, position, launcher, record) VALUES (?, 1, 'process', ?)"


def wish(image_name: str = "pump", **client_config: JsonValue) -> PostAgentContainer:
    return PostAgentContainer(image=AgentContainerImage(image_name), client_config=client_config or None)


def launched(container_id: str, image_name: str = "pump", launcher: str = "process") -> Launched:
    description = AgentContainer(
        container_id=container_id,
        image=AgentContainerImage(image_name),
        running_since="2026-04-21T13:13:39.120Z",
    )
    return Launched(description=description, transport=FakeTransport(), definitions=NoDefinitions(), launcher=launcher)


@dataclass
class Stage:
    """A launcher of processes as the deployment sees it.

    Attributes:
        failures: What starting raises, by image.
        exclusive: Images of which two cannot run at once.
        required: What images require.
        hold: If set to an event, a start waits for it.
        end_hold: If set to an event, what was stopped is gone only when it is set.
        running: What runs: container -> image.
        told: What was asked of it, in order.
        records: What was handed to `start` and `adopt`, by container.
    """

    name = "process"
    keeps_on_failure = False
    deployment: Deployment | None = None
    failures: dict[str, Exception] = field(default_factory=dict)
    exclusive: set[str] = field(default_factory=set)
    required: dict[str, list[str]] = field(default_factory=dict)
    hold: asyncio.Event | None = None
    end_hold: asyncio.Event | None = None
    running: dict[str, str] = field(default_factory=dict)
    told: list[str] = field(default_factory=list)
    records: dict[str, Any] = field(default_factory=dict)
    adoptable: set[str] = field(default_factory=set)

    def check(self, wanted: PostAgentContainer) -> None:
        self.told.append("check")

    def identity(self, wanted: PostAgentContainer) -> str | None:
        return None

    def existing_id(self, owner: str, wanted: PostAgentContainer) -> str | None:
        return None

    async def requirements(self, wanted: PostAgentContainer) -> Sequence[str]:
        if wanted.image.image_name == "unknown":
            raise NotFound("there is no image unknown")
        return self.required.get(wanted.image.image_name, [])

    async def is_exclusive(self, wanted: PostAgentContainer) -> bool:
        return wanted.image.image_name in self.exclusive

    async def start(
        self, order: Order, *, is_kept: bool = False, record: Mapping[str, JsonValue] | None = None
    ) -> Launched:
        image = order.wish.image.image_name
        self.told.append(f"start {image}{' kept' if is_kept else ''}")
        self.records[order.container_id] = record
        if self.hold is not None:
            await self.hold.wait()
        if image in self.failures:
            raise self.failures[image]
        self.running[order.container_id] = image
        found = launched(order.container_id, image)
        assert self.deployment is not None
        self.deployment.appeared(found)
        return found

    async def adopt(self, order: Order, record: Mapping[str, JsonValue]) -> Launched | None:
        self.told.append(f"adopt {order.wish.image.image_name}")
        self.records[order.container_id] = record
        if order.container_id not in self.adoptable:
            return None
        self.running[order.container_id] = order.wish.image.image_name
        found = launched(order.container_id, order.wish.image.image_name)
        assert self.deployment is not None
        self.deployment.appeared(found)
        return found

    async def suspend(self, container_id: str) -> None:
        self.told.append(f"suspend {self.running.pop(container_id)}")

    async def stop(self, container_id: str) -> bool:
        self.told.append(f"stop {self.running.get(container_id, 'nothing')}")
        return self.running.pop(container_id, None) is not None

    async def until_gone(self, container_id: str) -> None:
        if self.end_hold is not None:
            await self.end_hold.wait()

    async def describe(self, container_id: str) -> Launched | None:
        return launched(container_id) if container_id in self.running else None

    def kept(self, container_id: str) -> None:
        """It stores by itself."""

    async def kill_strays(self, container_ids: Sequence[str]) -> int:
        self.told.append(f"kill {len(container_ids)}")
        return len(container_ids)

    async def kill_others(self, container_ids: Sequence[str]) -> int:
        self.told.append(f"kill others than {len(container_ids)}")
        return 0

    def attach_again(self, order: Order, record: JsonValue) -> Launched:
        self.told.append(f"attach {order.wish.image.image_name}")
        return launched(order.container_id, order.wish.image.image_name, "attached")


@dataclass
class Works:
    """A deployment under test and its surroundings."""

    deployment: Deployment
    directory: Directory
    session: Session
    database: Database
    errands: Errands
    logins: Logins
    stage: Stage
    path: Path

    def revival(self) -> Revival:
        return Revival(self.deployment, self.session, self.stage, self.stage, 10.0)

    def rows(self) -> list[str]:
        """The IDs on the disk."""
        connection = sqlite3.connect(self.path / "state.sqlite3")
        try:
            return [row[0] for row in connection.execute("SELECT container_id FROM containers ORDER BY position")]
        finally:
            connection.close()

    def listed(self) -> list[str]:
        return [container.container_id for container in self.directory.containers]

    def break_disk(self, is_broken: bool = True) -> None:
        """Let every write fail from now on, as on a full disk, or no more."""
        connection = self.database._connection
        assert connection is not None
        writes = (sqlite3.SQLITE_INSERT, sqlite3.SQLITE_UPDATE, sqlite3.SQLITE_DELETE)

        def judge(action: int, *_: object) -> int:
            return sqlite3.SQLITE_DENY if action in writes else sqlite3.SQLITE_OK

        connection.set_authorizer(judge if is_broken else None)


@asynccontextmanager
async def works(path: Path) -> AsyncIterator[Works]:
    directory = Directory()
    async with Database(path) as database, Errands() as errands:
        users = Users(database, errands)
        session = Session(database, users.container_gone)
        await session.load()
        await users.load()
        logins = Logins(directory, database)
        await logins.load()
        tenants = Tenants(users, Tokens(b"k" * 32), session, "admin", False)
        deployment = Deployment(directory, Provisions(directory, ["config:x"]), session, logins, tenants, errands, 10.0)
        stage = Stage(deployment)
        deployment.use_for_updates("NATIVE", stage)
        yield Works(deployment, directory, session, database, errands, logins, stage, path)


async def until(holds: Any, what: str = "it holds", limit_s: float = 15.0) -> None:
    """Wait until something holds."""
    try:
        async with asyncio.timeout(limit_s):
            while not holds():
                await asyncio.sleep(0.002)
    except TimeoutError:
        raise AssertionError(f"never so: {what}") from None
