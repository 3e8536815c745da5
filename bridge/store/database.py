"""Opens the bridge's database: locked, checked, migrated; a damaged one is set aside and a new one begun.

Everything here blocks: the writer's thread runs it.
"""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import secrets
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from bridge.store.schema import MIGRATIONS, expected_tables, tables_of

log = logging.getLogger(__name__)

# How long a commit waits for another program's: a backup, an operator with sqlite3.
_BUSY_S = 5.0
# Where in the file it stands how it is written; SQLite itself reads a file with a later number, and writes nothing.
_WRITE_VERSION = 18
_LAST_WRITE_VERSION = 2

# Begins the name of a fact: the store's ID for one site.
_FOR_SITE = "store_id "

DAMAGE = frozenset((sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB))
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


class NewerSchema(Exception):
    """The file was written by a newer version of the bridge."""


class InUse(Exception):
    """Another bridge uses the file; the message names its process."""


class Lock:
    """Holds a database while a bridge runs; the kernel frees it whenever the process dies."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = -1

    def take(self) -> None:
        """Take it, or raise `InUse`; an `OSError` if the folder cannot be written."""
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(descriptor, 200).decode("utf-8", "replace").strip() or "another process"
            os.close(descriptor)
            raise InUse(f"{self._path.parent} is in use by {holder}; stop that one, or choose another folder") from None
        except OSError:
            os.close(descriptor)
            raise
        self._descriptor = descriptor
        try:
            os.ftruncate(descriptor, 0)
            os.write(descriptor, f"the bridge with process ID {os.getpid()}\n".encode())
        except OSError:
            pass  # a full disk: held all the same, only not named

    def release(self) -> None:
        """Give it back; harmless if it is not held."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def is_damage(error: BaseException) -> bool:
    """Return whether the file itself is at fault; an extended code has the code itself in its lowest byte."""
    return isinstance(error, sqlite3.Error) and getattr(error, "sqlite_errorcode", 0) & 0xFF in DAMAGE


def make_folder(folder: Path) -> None:
    """Make a folder that only its owner may use, and those it lies in, unless they are there; on the disk then."""
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    for each in reversed(missing):
        _sync_folder(each.parent)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:  # the file system knows no such thing
            raise
    finally:
        os.close(descriptor)


def open_database(
    path: Path, load: Callable[[sqlite3.Connection], None], account: Callable[[sqlite3.Connection, Path], None]
) -> sqlite3.Connection:
    """Open the file and load it, or a new one if it is damaged, which is then named in the log.

    Args:
        path: The file.
        load: Reads what it holds; whatever makes no sense to it is damage.
        account: Writes into a new file what is lost with the one that was set aside.

    Raises:
        NewerSchema: it was written by a newer version.
        OSError, sqlite3.Error: no space, no permission, a broken disk.
    """
    try:
        return _connect(path, load)
    except (sqlite3.DatabaseError, msgspec.DecodeError, ValueError, TypeError, LookupError) as error:
        if isinstance(error, sqlite3.Error) and getattr(error, "sqlite_errorcode", 0) & 0xFF in _NOT_THE_FILES_FAULT:
            raise
        begin_anew(path, error, account)
        return _connect(path, load)


def begin_anew(path: Path, error: Exception, account: Callable[[sqlite3.Connection, Path], None]) -> None:
    """Set a damaged file aside and make a new one; arguments and errors as for `open_database`."""
    kept = _set_aside(path, error)
    _connect(path, lambda connection: account(connection, kept)).close()


def _connect(path: Path, load: Callable[[sqlite3.Connection], None]) -> sqlite3.Connection:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)  # what agents say is nobody else's
    try:
        header = os.read(descriptor, _WRITE_VERSION + 1)
    finally:
        os.close(descriptor)
    if len(header) > _WRITE_VERSION and header[_WRITE_VERSION] > _LAST_WRITE_VERSION:
        raise _damaged("it is of a kind that can only be read")
    connection = sqlite3.connect(path, timeout=_BUSY_S, isolation_level=None)
    try:
        # A damaged text shall not keep the others from being read.
        connection.text_factory = _readable
        # Only a new file takes the page size. Small pages: a message alone costs one, and the card wears by pages.
        connection.execute("PRAGMA page_size=1024")
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA journal_size_limit=4194304")
        connection.execute("PRAGMA wal_autocheckpoint=1000")
        verdict = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        if verdict != "ok":
            raise _damaged(verdict)
        _migrate(connection, path)
        if not expected_tables() <= tables_of(connection):
            raise _damaged("its tables are not ours")
        if _store_id(connection) is None:
            set_store_id(connection)
        load(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _migrate(connection: sqlite3.Connection, path: Path) -> None:
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if version > len(MIGRATIONS):
        raise NewerSchema(
            f"{path} was written by a newer version (schema {version}, this one knows {len(MIGRATIONS)}):"
            " run that version, or name another folder"
        )
    for number, step in enumerate(MIGRATIONS[version:], start=version + 1):
        connection.executescript(f"BEGIN IMMEDIATE; {step} PRAGMA user_version={number}; COMMIT;")


def set_store_id(connection: sqlite3.Connection, site: str = "") -> str:
    """Give the store another identity, for one site or, while it has none, for all; return it."""
    store_id = secrets.token_hex(8)
    name = f"{_FOR_SITE}{site}" if site else "store_id"
    connection.execute("INSERT OR REPLACE INTO facts (name, value) VALUES (?, ?)", (name, store_id))
    return store_id


def renewed_ids(connection: sqlite3.Connection) -> dict[str, str]:
    """Return the identities that the store has for single sites."""
    facts = connection.execute("SELECT name, value FROM facts").fetchall()
    return {name.removeprefix(_FOR_SITE): value for name, value in facts if name.startswith(_FOR_SITE)}


def _store_id(connection: sqlite3.Connection) -> str | None:
    row = connection.execute("SELECT value FROM facts WHERE name = 'store_id'").fetchone()
    return None if row is None else str(row[0])


def identify(connection: sqlite3.Connection, boot: str) -> tuple[str, int]:
    """Return the store's ID and the number of this boot of the machine, which it remembers."""
    facts = dict(connection.execute("SELECT name, value FROM facts").fetchall())
    number = int(facts.get("boot_number", 0))
    if facts.get("boot") != boot:
        number += 1
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany(
            "INSERT OR REPLACE INTO facts (name, value) VALUES (?, ?)",
            [("boot", boot), ("boot_number", str(number))],
        )
        connection.execute("COMMIT")
    return facts["store_id"], number


def _set_aside(path: Path, error: Exception) -> Path:
    stamp = time.strftime("%Y%m%d-%H%M%S")
    names = (f"{path.name}.damaged-{stamp}{more}" for more in ("", *(f"-{number}" for number in range(2, 1000))))
    kept = next(candidate for candidate in map(path.with_name, names) if not candidate.exists())
    for suffix in ("", "-wal", "-shm"):
        part = path.with_name(path.name + suffix)
        if part.exists():
            part.rename(f"{kept}{suffix}")
    log.error("%s is damaged (%s): set aside as %s, beginning anew; what waited in it is not sent", path, error, kept)
    return kept


def _readable(text: bytes) -> str:
    return text.decode("utf-8", "replace")


def _damaged(verdict: str) -> sqlite3.DatabaseError:
    error = sqlite3.DatabaseError(verdict)
    error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
    return error
