"""The containers that shall be there again after a restart; in memory, and on the disk before it is answered."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence

import msgspec
from msgspec import Struct

from edge.errors import BadInput
from edge.model.codec import decode, encode
from edge.model.json_value import JsonValue
from edge.model.requests import PostAgentContainer
from edge.state.database import Database

log = logging.getLogger(__name__)


class StoredContainer(Struct, kw_only=True, frozen=True):
    """A container as it is stored.

    Attributes:
        container_id: Its ID.
        launcher: What keeps it running.
        wish: What was asked for.
        token: What calls between it and the platform carry.
        owner: Whose it is.
        attached_by: The board's user who attached it; empty if it was somebody else.
        file: The file of DEFAULT_IMAGE_DIRECTORY it came from; None if somebody asked for it.
        is_confirmed: Its ID was answered, or is about to be; otherwise it never came up.
        is_removed: It is being stopped for good.
        launch: What its launcher needs to find it again.
    """

    container_id: str
    launcher: str
    wish: PostAgentContainer
    token: str = ""
    owner: str = ""
    attached_by: str = ""
    file: str | None = None
    is_confirmed: bool = False
    is_removed: bool = False
    launch: JsonValue = None


class Session:
    """The stored containers, oldest first."""

    def __init__(self, database: Database, on_forget: Callable[[str], None]) -> None:
        """Args:
        on_forget: Is told of each container that is stored no more; what the database has of it is gone with it.
        """
        self._database = database
        self._on_forget = on_forget
        self._stored: dict[str, StoredContainer] = {}
        self._position = 0
        # What is written must follow from what was written before, not from what stood there when it was wanted.
        self._writing = asyncio.Lock()

    async def load(self) -> None:
        """Read what is stored; rows that cannot be read are named in the log and left alone."""
        rows = await self._database.read("SELECT container_id, position, record FROM containers ORDER BY position")
        for container_id, position, record in rows:
            self._position = max(self._position, position)
            try:
                stored = decode(record.encode(), StoredContainer, ignored=set())
                if stored.container_id != container_id:
                    raise BadInput(f"its ID is {stored.container_id!r}")
                self._stored[container_id] = stored
            except BadInput as error:
                log.error("the stored container %s cannot be read: %s", container_id, error)

    def all(self) -> Sequence[StoredContainer]:
        """Return what is stored."""
        return tuple(self._stored.values())

    def get(self, container_id: str) -> StoredContainer | None:
        """Return a stored container, None if there is none of that ID."""
        return self._stored.get(container_id)

    async def put(self, stored: StoredContainer) -> None:
        """Store a container, or store it anew in its place; on the disk when this returns.

        Raises:
            NotStored: it could not be kept.
        """
        async with self._writing:
            await self._put(stored)

    async def change(self, container_id: str, **fields: object) -> None:
        """Store some fields of a container anew; one that is not stored is left alone.

        Raises:
            NotStored: it could not be kept.
        """
        async with self._writing:
            stored = self._stored.get(container_id)
            changed = None if stored is None else msgspec.structs.replace(stored, **fields)
            if changed is not None and changed != stored:
                await self._put(changed)

    async def take_over(self, container_id: str, old_id: str) -> None:
        """Store that a container came up in the place of another, which is to be stopped for good: both or neither.

        Raises:
            NotStored: it could not be kept.
        """
        async with self._writing:
            changed = []
            if (new := self._stored.get(container_id)) is not None:
                changed.append(msgspec.structs.replace(new, is_confirmed=True))
            if (old := self._stored.get(old_id)) is not None:
                changed.append(msgspec.structs.replace(old, is_removed=True))
            await self._put(*changed)

    async def dismiss(self, container_id: str) -> None:
        """Store that a container is to be stopped for good; as long as the platform runs that holds in any case.

        Raises:
            NotStored: it could not be kept: the container would be started again with the platform.
        """
        async with self._writing:
            stored = self._stored.get(container_id)
            if stored is not None and not stored.is_removed:
                self._stored[container_id] = removed = msgspec.structs.replace(stored, is_removed=True)
                await self._put(removed)

    async def forget(self, container_id: str) -> None:
        """Store a container no more.

        Raises:
            NotStored: the disk is full or broken; it is stored as before.
        """
        async with self._writing:
            if container_id in self._stored:
                await self._database.write(("DELETE FROM containers WHERE container_id = ?", (container_id,)))
                del self._stored[container_id]
                self._on_forget(container_id)

    async def _put(self, *changed: StoredContainer) -> None:
        statements = []
        for stored in changed:
            self._position += 1
            statements.append(
                (
                    "INSERT INTO containers (container_id, position, launcher, record) VALUES (?, ?, ?, ?)"
                    " ON CONFLICT (container_id) DO UPDATE SET launcher = excluded.launcher, record = excluded.record",
                    (stored.container_id, self._position, stored.launcher, encode(stored).decode()),
                )
            )
        await self._database.write(*statements)
        self._stored.update((stored.container_id, stored) for stored in changed)
