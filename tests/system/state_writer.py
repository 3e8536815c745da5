"""Writes to a state database and says what is committed: run by the tests, which know what must be there then.

python -m tests.system.state_writer FOLDER FIRST LAST [killed]
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sqlite3
import sys
from pathlib import Path

from edge.state.database import MIGRATIONS, Database

Statement = tuple[str, tuple[object, ...]]
_TABLES = ("facts", "containers", "users", "logins", "connections")


def statements(number: int) -> list[Statement]:
    """Return the transaction of this number; some rows are so large that there are checkpoints."""
    chance = random.Random(number)
    name, old, large = f"u-{number}", f"u-{number - 7}", chance.choice((10, 300, 20_000))
    info = chance.randbytes(chance.choice((100, 50_000, 200_000)))
    return [
        ("INSERT INTO users (name, position, record) VALUES (?, ?, ?)", (name, number, "x" * large)),
        ("DELETE FROM users WHERE name = ?", (old,)),
        ("INSERT INTO logins VALUES (?, 'c-1', ?)", (name, "t" * large)),
        ("INSERT OR REPLACE INTO facts VALUES ('count', ?)", (str(number),)),
        ("INSERT OR REPLACE INTO connections VALUES (?, ?, '{}', ?)", (f"http://{number % 3}", number, info)),
    ]


def rows_after(count: int) -> list[list[tuple[object, ...]]]:
    """Return what is in the tables after each of so many transactions; the first is before any of them."""
    database = sqlite3.connect(":memory:", isolation_level=None)
    for step in MIGRATIONS:
        database.executescript(step)
    found = [rows(database)]
    for number in range(1, count + 1):
        for statement, values in statements(number):
            database.execute(statement, values)
        found.append(rows(database))
    database.close()
    return found


def rows(database: sqlite3.Connection) -> list[tuple[object, ...]]:
    """Return all rows of all tables; instead of a large value a hash of it."""
    return [
        (table, *(hash(value) for value in row))
        for table in _TABLES
        for row in database.execute(f"SELECT * FROM {table} ORDER BY 1")
    ]


async def write(folder: Path, first: int, last: int, is_killed: bool) -> None:
    """Carry out some transactions, and say the number of each once it is committed."""
    async with Database(folder) as database:
        for number in range(first, last + 1):
            await database.write(*statements(number))
            print(number, flush=True)
        if is_killed:
            os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    asyncio.run(write(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), is_killed=sys.argv[4:] == ["killed"]))
