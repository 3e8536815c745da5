"""The one place that opens the database: WAL, every commit on disk before it is answered, migrations, damage set aside.

RAM is the working copy: the database is read at the start and written on change, by one thread.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sqlite3
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from edge.errors import NotStored
from edge.state.folders import make_folder

log = logging.getLogger(__name__)

T = TypeVar("T")

_FILE = "state.sqlite3"
# How long a writer waits for a reader of another program, such as a backup.
_BUSY_S = 5.0

# Where in the file it stands how it is written; SQLite itself reads a file with a later number, and writes nothing.
_WRITE_VERSION = 18
_LAST_WRITE_VERSION = 2

# No permission, no space, a broken disk, somebody else's lock: another time the same file may be read.
_NOT_THE_FILES_FAULT = frozenset(
    (
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_PROTOCOL,
        sqlite3.SQLITE_NOLFS,
        sqlite3.SQLITE_AUTH,
    )
)

# Step n brings the schema from version n to n + 1; steps are only ever added.
MIGRATIONS: tuple[str, ...] = (
    """
    CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
    CREATE TABLE containers (
        container_id TEXT PRIMARY KEY,
        position INTEGER NOT NULL,
        launcher TEXT NOT NULL,
        record TEXT NOT NULL
    ) STRICT, WITHOUT ROWID;
    """,
    # The user of a container goes with it, and logins go with their user or container, whatever removes these.
    """
    CREATE TABLE users (
        name TEXT PRIMARY KEY,
        position INTEGER NOT NULL,
        container_id TEXT REFERENCES containers ON DELETE CASCADE,
        record TEXT NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE logins (
        user_name TEXT NOT NULL,
        container_id TEXT NOT NULL,
        token TEXT NOT NULL,
        PRIMARY KEY (user_name, container_id)
    ) STRICT, WITHOUT ROWID;
    CREATE TRIGGER user_removed AFTER DELETE ON users BEGIN
        DELETE FROM logins WHERE user_name = OLD.name;
    END;
    CREATE TRIGGER user_renamed AFTER UPDATE OF name ON users BEGIN
        UPDATE logins SET user_name = NEW.name WHERE user_name = OLD.name;
    END;
    CREATE TRIGGER container_removed AFTER DELETE ON containers BEGIN
        DELETE FROM logins WHERE container_id = OLD.container_id;
    END;
    """,
    """
    CREATE TABLE connections (
        url TEXT PRIMARY KEY,
        position INTEGER NOT NULL,
        record TEXT NOT NULL,
        info BLOB NOT NULL
    ) STRICT, WITHOUT ROWID;
    """,
)


class NewerSchema(Exception):
    """The database was written by a newer version of this program."""


class Database:
    """The state of a platform in one SQLite file, as an async context manager.

    Writes run one after the other in a thread of their own; `write` returns once they are on the disk. Where the file
    cannot be opened or written to, nothing is remembered and every write is refused: the platform runs all the same.
    """

    def __init__(self, state_dir: Path) -> None:
        self._path = state_dir / _FILE
        self._connection: sqlite3.Connection | None = None
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="state")

    async def __aenter__(self) -> Self:
        """Open the file; a damaged one is set aside, named in the log, and a new one begun.

        Raises:
            NewerSchema: it was written by a newer version.
        """
        try:
            await self._in_thread(self._open)
        except (OSError, sqlite3.Error) as error:
            log.error("%s cannot be used (%s): NOTHING IS KEPT over a restart", self._path, error)
        except BaseException:
            await asyncio.to_thread(self._thread.shutdown)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await self._in_thread(self._close)
        finally:
            await asyncio.to_thread(self._thread.shutdown)

    async def read(self, query: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """Return all rows of a query; none where nothing is kept."""
        if self._connection is None:
            return []
        return await self._in_thread(lambda: self._connected().execute(query, values).fetchall())

    async def write(self, *statements: tuple[str, Sequence[object]]) -> None:
        """Carry out statements as one transaction; it is on the disk when this returns.

        A caller that is cancelled meanwhile does not undo it.

        Raises:
            NotStored: the disk is full or broken; nothing of it was kept.
        """
        if self._connection is None:
            raise NotStored(f"the platform cannot keep this: {self._path} cannot be used, see its log")
        try:
            await asyncio.shield(self._in_thread(lambda: self._commit(statements)))
        except sqlite3.Error as error:
            log.error("%s: cannot write: %s", self._path, error)
            raise NotStored(f"the platform cannot keep this: {error} ({self._path})") from error

    async def _in_thread(self, job: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, job)

    def _commit(self, statements: Sequence[tuple[str, Sequence[object]]]) -> None:
        connection = self._connected()
        try:
            connection.execute("BEGIN IMMEDIATE")
            for statement, values in statements:
                connection.execute(statement, values)
            connection.execute("COMMIT")
        except sqlite3.Error:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise

    def _connected(self) -> sqlite3.Connection:
        if self._connection is None:
            raise RuntimeError("the database is not open")
        return self._connection

    def _open(self) -> None:
        make_folder(self._path.parent)
        try:
            self._connection = self._connect()
        except (sqlite3.DatabaseError, UnicodeDecodeError) as error:  # damaged names make messages that are no text
            # An extended code has the code itself in its lowest byte.
            if isinstance(error, sqlite3.Error) and error.sqlite_errorcode & 0xFF in _NOT_THE_FILES_FAULT:
                raise
            self._set_aside(error)
            self._connection = self._connect()

    def _connect(self) -> sqlite3.Connection:
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)  # it will hold secrets
        try:
            header = os.read(descriptor, _WRITE_VERSION + 1)
        finally:
            os.close(descriptor)
        if len(header) > _WRITE_VERSION and header[_WRITE_VERSION] > _LAST_WRITE_VERSION:
            raise _damaged("it is of a kind that can only be read")
        connection = sqlite3.connect(self._path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False)
        try:
            # A damaged text shall not keep the others from being read.
            connection.text_factory = _readable
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=FULL")
            connection.execute("PRAGMA foreign_keys=ON")
            connection.execute("PRAGMA journal_size_limit=1048576")
            verdict = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
            if verdict != "ok":
                raise _damaged(verdict)
            self._migrate(connection)
            if not _expected_schema() <= _schema(connection):
                raise _damaged("its tables are not ours")
        except BaseException:
            connection.close()
            raise
        return connection

    def _migrate(self, connection: sqlite3.Connection) -> None:
        version = int(connection.execute("PRAGMA user_version").fetchone()[0])
        if version > len(MIGRATIONS):
            raise NewerSchema(
                f"{self._path} was written by a newer version (schema {version}, this one knows {len(MIGRATIONS)}):"
                " run that version, or name another folder with STATE_DIR"
            )
        for number, step in enumerate(MIGRATIONS[version:], start=version + 1):
            connection.executescript(f"BEGIN IMMEDIATE; {step} PRAGMA user_version={number}; COMMIT;")

    def _set_aside(self, error: Exception) -> None:
        stamp = time.strftime("%Y%m%d-%H%M%S")
        names = (f"{_FILE}.damaged-{stamp}{more}" for more in ("", *(f"-{number}" for number in range(2, 1000))))
        kept = next(path for path in map(self._path.with_name, names) if not path.exists())
        for suffix in ("", "-wal", "-shm"):
            part = self._path.with_name(_FILE + suffix)
            if part.exists():
                part.rename(f"{kept}{suffix}")
        log.error("%s is damaged (%s): set aside as %s, beginning anew", self._path, error, kept)

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _schema(connection: sqlite3.Connection) -> set[tuple[Any, ...]]:
    """Return tables with their columns, and what else there is; an operator may have added to it."""
    query = (
        "SELECT things.type, things.name, things.tbl_name, columns.name, columns.type, columns.pk"
        " FROM sqlite_schema AS things LEFT JOIN pragma_table_info(things.name) AS columns"
    )
    return set(connection.execute(query))


def _expected_schema() -> set[tuple[Any, ...]]:
    pattern = sqlite3.connect(":memory:")
    try:
        for step in MIGRATIONS:
            pattern.executescript(step)
        return _schema(pattern)
    finally:
        pattern.close()


def _damaged(verdict: str) -> sqlite3.DatabaseError:
    error = sqlite3.DatabaseError(verdict)
    error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
    return error


def _readable(text: bytes) -> str:
    return text.decode("utf-8", "replace")
