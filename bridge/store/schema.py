"""The tables, their versions, and the statements that exist once for each lane.

A row's ID is the number of its lane (or stream) and its own number in one integer, and each class of lanes has tables
of its own: so what a device stores is always appended at the end of a tree, which costs one page of 1 KiB.
"""

from __future__ import annotations

import sqlite3
from functools import cache
from typing import Any, NamedTuple

from bridge.store.lanes import Lane

# Enough for a thousand messages a second during 34 years.
SEQ_BITS = 40
LAST_SEQ = (1 << SEQ_BITS) - 1
# What a row counts for in the bounds beside its content: keys, times, its share of the tree.
ROW_BYTES = 64

_OUTBOX = """
    CREATE TABLE outbox_{lane} (
        id INTEGER PRIMARY KEY,
        route TEXT NOT NULL,
        body BLOB,
        extra BLOB,
        at_s INTEGER NOT NULL,
        due_ms INTEGER,
        boot INTEGER,
        expires_ms INTEGER
    ) STRICT;
"""
_INBOX = """
    CREATE TABLE inbox_{lane} (
        id INTEGER PRIMARY KEY,
        route TEXT NOT NULL,
        body BLOB,
        extra BLOB,
        at_s INTEGER NOT NULL,
        due_ms INTEGER,
        boot INTEGER,
        expires_ms INTEGER,
        replay INTEGER
    ) STRICT;
"""
_OTHERS = """
    CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
    CREATE TABLE lanes (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        site TEXT NOT NULL,
        lane INTEGER NOT NULL,
        last_seq INTEGER NOT NULL,
        mark INTEGER NOT NULL,
        fate TEXT NOT NULL,
        UNIQUE (site, lane)
    ) STRICT;
    CREATE TABLE losses (
        id INTEGER PRIMARY KEY,
        last_seq INTEGER NOT NULL,
        why TEXT NOT NULL,
        size INTEGER NOT NULL,
        since_ms INTEGER NOT NULL,
        until_ms INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE totals (
        side TEXT NOT NULL,
        site TEXT NOT NULL,
        lane INTEGER NOT NULL,
        why TEXT NOT NULL,
        count INTEGER NOT NULL,
        size INTEGER NOT NULL,
        PRIMARY KEY (side, site, lane, why)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE streams (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        site TEXT NOT NULL,
        store TEXT NOT NULL,
        lane INTEGER NOT NULL,
        started INTEGER NOT NULL,
        mark INTEGER NOT NULL,
        played INTEGER NOT NULL,
        dead INTEGER NOT NULL,
        expired INTEGER NOT NULL,
        skipped INTEGER NOT NULL,
        UNIQUE (site, store, lane)
    ) STRICT;
    CREATE TABLE dead (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        stream INTEGER NOT NULL,
        seq INTEGER NOT NULL,
        route TEXT NOT NULL,
        body BLOB,
        extra BLOB,
        size INTEGER NOT NULL,
        replay INTEGER NOT NULL,
        status INTEGER NOT NULL,
        why TEXT NOT NULL,
        died_ms INTEGER NOT NULL
    ) STRICT;
"""

# Step n brings the schema from version n to n + 1; steps are only ever added.
MIGRATIONS: tuple[str, ...] = (
    _OTHERS + "".join(table.format(lane=lane.word) for lane in Lane for table in (_OUTBOX, _INBOX)),
    "ALTER TABLE streams ADD COLUMN tag INTEGER NOT NULL DEFAULT 0;",
)


def row_id(number: int, seq: int) -> int:
    """Return the ID of a row: `seq` of the lane or stream with that number."""
    return number << SEQ_BITS | seq


def seq_of(identity: int) -> int:
    """Return a row's number in its lane."""
    return identity & LAST_SEQ


class Statements(NamedTuple):
    """What is asked of the tables of one lane."""

    put: str
    read: str
    oldest: str
    before: str
    one: str
    delete: str
    total: str
    due: str


@cache
def outbox_statements(lane: Lane) -> Statements:
    """Return the statements on the outbox's table for a lane."""
    return _statements(f"outbox_{lane.word}")


@cache
def inbox_statements(lane: Lane) -> Statements:
    """Return the statements on the inbox's table for a lane."""
    return _statements(f"inbox_{lane.word}", ", replay")


def _statements(table: str, more: str = "") -> Statements:
    content, deadline = "id, route, body, extra", f"due_ms, boot, expires_ms{more}"
    # Not stored: with three bytes less, four messages of 200 bytes fit into a page instead of three.
    size = f"{ROW_BYTES} + length(CAST(route AS BLOB)) + coalesce(length(body), 0) + coalesce(length(extra), 0)"
    shown = f"{content}, {size}, at_s * 1000, {deadline}"
    columns = f"{content}, at_s, {deadline}"
    marks = ", ".join("?" * (columns.count(",") + 1))
    return Statements(  # the table's name comes from the enumeration above
        put=f"INSERT INTO {table} ({columns}) VALUES ({marks})",  # noqa: S608
        read=f"SELECT {shown} FROM {table} WHERE id > ? AND id <= ? ORDER BY id",  # noqa: S608
        oldest=f"SELECT id, {size}, at_s * 1000 FROM {table} WHERE id > ? AND id <= ? ORDER BY id LIMIT ?",  # noqa: S608
        before=f"SELECT max(id) FROM {table} WHERE id > ? AND id <= ?",  # noqa: S608
        one=f"SELECT route, body, extra, at_s FROM {table} WHERE id = ?",  # noqa: S608
        delete=f"DELETE FROM {table} WHERE id > ? AND id <= ?",  # noqa: S608
        total=f"SELECT count(*), coalesce(sum({size}), 0) FROM {table} WHERE id > ? AND id <= ?",  # noqa: S608
        due=f"SELECT id, {size}, at_s * 1000, due_ms, boot, expires_ms FROM {table}"  # noqa: S608
        " WHERE id > ? AND id <= ? AND expires_ms NOT NULL ORDER BY id",
    )


def tables_of(connection: sqlite3.Connection) -> set[tuple[Any, ...]]:
    """Return the tables of a database with their columns; an operator may have added to ours."""
    query = (
        "SELECT things.type, things.name, columns.name, columns.type, columns.pk"
        " FROM sqlite_schema AS things JOIN pragma_table_info(things.name) AS columns WHERE things.type = 'table'"
    )
    return set(connection.execute(query))


def expected_tables() -> set[tuple[Any, ...]]:
    """Return the tables that a file of this version has."""
    pattern = sqlite3.connect(":memory:")
    try:
        for step in MIGRATIONS:
            pattern.executescript(step)
        return tables_of(pattern)
    finally:
        pattern.close()
