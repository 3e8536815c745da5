"""The connections that shall be there again after a restart; in memory, and on the disk before it is answered."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

import msgspec
from msgspec import Struct

from edge.errors import BadInput
from edge.model.codec import decode, encode
from edge.state.database import Database

log = logging.getLogger(__name__)

# Larger descriptions are not kept over a restart.
_MAX_INFO_BYTES = 1024 * 1024


class StoredConnection(Struct, kw_only=True, frozen=True):
    """A connection as it is stored.

    Attributes:
        url: The platform's base URL, as it was connected.
        token: Sent with calls to it; None if it wants none.
        connects_back: It was asked to connect to this platform, and has a user here.
        issued_ms: When the token that it got for that user was made, since the epoch; 0 if it got none.
        key_mark: Tells under which secret that was.
        is_confirmed: It was answered with success, or is about to be; otherwise it never came about.
        is_removed: It is being ended for good.
        keeps_messages: It is a bridge, which stores messages before it takes them.
    """

    url: str
    token: str | None = None
    connects_back: bool = False
    issued_ms: int = 0
    key_mark: str = ""
    is_confirmed: bool = False
    is_removed: bool = False
    keeps_messages: bool = False


class StoredConnections:
    """The stored connections, oldest first."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._stored: dict[str, StoredConnection] = {}
        self._position = 0
        # What is written must follow from what was written before, not from what stood there when it was wanted.
        self._writing = asyncio.Lock()

    async def load(self) -> Sequence[tuple[StoredConnection, bytes]]:
        """Return what is stored, each with its last known `/info`, which may be empty.

        Rows that cannot be read are named in the log and left alone.
        """
        found: list[tuple[StoredConnection, bytes]] = []
        rows = await self._database.read("SELECT url, position, record, info FROM connections ORDER BY position")
        for url, position, record, info in rows:
            self._position = max(self._position, position)
            try:
                stored = decode(record.encode(), StoredConnection, ignored=set())
                if stored.url != url:
                    raise BadInput(f"its URL is {stored.url!r}")
            except BadInput as error:
                log.error("the stored connection to %s cannot be read: %s", url, error)
                continue
            self._stored[url] = stored
            found.append((stored, info))
        return found

    async def put(self, stored: StoredConnection, info: bytes = b"") -> None:
        """Store a connection and its `/info`, or store them anew in their place; on the disk when this returns.

        Raises:
            NotStored: it could not be kept.
        """
        async with self._writing:
            await self._put(stored, info)

    async def change(self, url: str, info: bytes | None = None, **fields: object) -> StoredConnection | None:
        """Store some fields of a connection anew, and its `/info` if that is given.

        Returns:
            What is stored now; None if there is no such connection any more.
        Raises:
            NotStored: it could not be kept.
        """
        async with self._writing:
            stored = self._stored.get(url)
            if stored is None:
                return None
            changed = msgspec.structs.replace(stored, **fields)
            if changed != stored or info is not None:
                await self._put(changed, info)
            return changed

    async def forget(self, url: str) -> None:
        """Store a connection no more.

        Raises:
            NotStored: the disk is broken; it will be there again after a restart.
        """
        async with self._writing:
            if self._stored.pop(url, None) is not None:
                await self._database.write(("DELETE FROM connections WHERE url = ?", (url,)))

    async def _put(self, stored: StoredConnection, info: bytes | None) -> None:
        self._position += 1
        kept = b"" if info is not None and len(info) > _MAX_INFO_BYTES else info
        await self._database.write(
            (
                "INSERT INTO connections (url, position, record, info) VALUES (?1, ?2, ?3, coalesce(?4, x''))"
                " ON CONFLICT (url) DO UPDATE SET record = excluded.record, info = coalesce(?4, info)",
                (stored.url, self._position, encode(stored).decode(), kept),
            )
        )
        self._stored[stored.url] = stored
