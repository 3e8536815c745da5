"""The one file of the state: written at once, damaged, locked, full, newer, older."""

from __future__ import annotations

import asyncio
import logging
import random
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from edge.errors import NotStored
from edge.state import database as module
from edge.state.database import MIGRATIONS, Database, NewerSchema
from edge.state.facts import installation_id

FILE = "state.sqlite3"
FACT = ("INSERT INTO facts (name, value) VALUES (?, ?)", ("colour", "red"))


async def test_what_was_written_is_there_for_others_at_once(tmp_path: Path) -> None:
    async with Database(tmp_path) as database:
        await database.write(FACT)
        with closing(sqlite3.connect(tmp_path / FILE)) as other:
            assert other.execute("SELECT value FROM facts WHERE name = 'colour'").fetchall() == [("red",)]
            assert other.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert (await database.read("PRAGMA synchronous")) == [(2,)]
        assert (await database.read("PRAGMA foreign_keys")) == [(1,)]
    assert (tmp_path / FILE).stat().st_mode & 0o777 == 0o600


async def test_a_transaction_that_fails_half_way_changes_nothing(tmp_path: Path) -> None:
    async with Database(tmp_path) as database:
        with pytest.raises(NotStored):
            await database.write(FACT, FACT)
        assert await database.read("SELECT 1 FROM facts") == []
        await database.write(FACT)


async def test_a_caller_who_leaves_undoes_nothing(tmp_path: Path) -> None:
    async with Database(tmp_path) as database:
        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(database.write(FACT))
            await asyncio.sleep(0)
            task.cancel()
        assert await database.read("SELECT value FROM facts") == [("red",)]


async def test_writes_come_one_after_the_other(tmp_path: Path) -> None:
    async with Database(tmp_path) as database:
        await asyncio.gather(
            *(database.write(("INSERT INTO facts (name, value) VALUES (?, '')", (f"{n:03}",))) for n in range(200))
        )
        rows = await database.read("SELECT name FROM facts")
        assert len(rows) == 200


async def test_a_newer_file_is_refused_and_not_touched(tmp_path: Path) -> None:
    async with Database(tmp_path):
        pass
    _set_version(tmp_path, len(MIGRATIONS) + 1)
    before = (tmp_path / FILE).read_bytes()
    with pytest.raises(NewerSchema, match="newer version"):
        async with Database(tmp_path):
            pass
    assert (tmp_path / FILE).read_bytes() == before


async def test_an_older_file_is_brought_up_to_date_with_what_is_in_it(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / FILE)) as old:
        old.executescript(f"BEGIN; {MIGRATIONS[0]} PRAGMA user_version = 1; COMMIT;")
        old.execute(*FACT)
        old.commit()
    async with Database(tmp_path) as database:
        assert await database.read("SELECT value FROM facts") == [("red",)]
        assert await database.read("PRAGMA user_version") == [(len(MIGRATIONS),)]


async def test_a_step_that_fails_leaves_the_file_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with Database(tmp_path) as database:
        await database.write(FACT)
    monkeypatch.setattr(module, "MIGRATIONS", (*MIGRATIONS, "CREATE TABLE t (x); SELECT no_such_function();"))
    async with Database(tmp_path):
        pass
    [kept] = tmp_path.glob(f"{FILE}.damaged-*")
    with closing(sqlite3.connect(kept)) as connection:
        assert connection.execute("SELECT value FROM facts").fetchall() == [("red",)]
        assert connection.execute("PRAGMA user_version").fetchone() == (len(MIGRATIONS),)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda content: b"no database" * 1000,
        lambda content: content[:4096],
        lambda content: content[:100] + b"\xff" * 3000 + content[3100:],
        lambda content: content[:44] + b"\x00\x00\x00\x09" + content[48:],  # a schema format that nobody knows
        lambda content: content[:18] + b"\x07\x07" + content[20:],  # a journal that nobody knows
    ],
)
async def test_a_damaged_file_is_set_aside_whole(
    tmp_path: Path, spoil: Callable[[bytes], bytes], caplog: pytest.LogCaptureFixture
) -> None:
    async with Database(tmp_path) as database:
        await database.write(FACT)
    damaged = spoil((tmp_path / FILE).read_bytes())
    (tmp_path / FILE).write_bytes(damaged)
    with caplog.at_level(logging.ERROR):
        async with Database(tmp_path) as database:
            await database.write(FACT)
    kept = [path for path in tmp_path.iterdir() if path.name.startswith(f"{FILE}.damaged-") and "-wal" not in path.name]
    assert [path.read_bytes() for path in kept if not path.name.endswith("-shm")] == [damaged]
    assert str(kept[0]) in caplog.text


async def test_what_an_operator_added_is_no_damage(tmp_path: Path) -> None:
    async with Database(tmp_path) as database:
        await database.write(FACT)
    with closing(sqlite3.connect(tmp_path / FILE)) as connection:
        connection.executescript("ANALYZE; CREATE INDEX by_value ON facts (value); CREATE TABLE notes (text)")
    async with Database(tmp_path) as database:
        assert await database.read("SELECT value FROM facts") == [("red",)]


async def test_two_damaged_files_within_a_second_are_both_kept(tmp_path: Path) -> None:
    for content in (b"first" * 100, b"second" * 100):
        (tmp_path / FILE).write_bytes(content)
        async with Database(tmp_path):
            pass
    kept = {path.read_bytes() for path in tmp_path.glob(f"{FILE}.damaged-*")}
    assert kept == {b"first" * 100, b"second" * 100}


async def test_whatever_is_damaged_it_opens(tmp_path: Path, seed: int, at_size: Callable[[int, int], int]) -> None:
    """Bits that flipped anywhere: it is read, or set aside, or called newer; never does anything else happen."""
    chance = random.Random(seed)
    async with Database(tmp_path) as database:
        await installation_id(database)
        for number in range(20):
            row = (f"c-{number}", number, "{" + "x" * 300 + "}")
            await database.write(
                ("INSERT INTO containers (container_id, position, launcher, record) VALUES (?, ?, 'process', ?)", row)
            )
    whole = (tmp_path / FILE).read_bytes()
    seen = {"read": 0, "set aside": 0, "newer": 0}
    for number in range(at_size(60, 2_000)):
        folder = tmp_path / str(number)
        folder.mkdir()
        content = bytearray(whole)
        for _ in range(chance.choice((1, 3, 30))):
            content[chance.randrange(len(content) if chance.random() < 0.7 else 200)] = chance.randrange(256)
        (folder / FILE).write_bytes(content)
        try:
            async with Database(folder) as database:
                rows = await database.read("SELECT container_id, position, record FROM containers")
                assert all(isinstance(record, str) for _, _, record in rows)
                await installation_id(database)
                await database.write(("INSERT INTO facts (name, value) VALUES ('after', 'wards')", ()))
            seen["set aside" if list(folder.glob("*damaged*")) else "read"] += 1
        except NewerSchema:
            seen["newer"] += 1
    print(seen)
    assert min(seen["read"], seen["set aside"]) > 0


@pytest.mark.parametrize("is_folder", [False, True])
async def test_where_nothing_can_be_kept_it_says_so_and_refuses_to_write(
    tmp_path: Path, is_folder: bool, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "blocked").write_text("")
    state = tmp_path / "blocked" / "state"
    if is_folder:
        state = tmp_path / "state"
        (state / FILE).mkdir(parents=True)
    async with Database(state) as database:
        assert await database.read("SELECT 1 FROM facts") == []
        with pytest.raises(NotStored):
            await database.write(FACT)
    assert "NOTHING IS KEPT" in caplog.text


async def test_a_reader_of_another_program_is_waited_for(tmp_path: Path) -> None:
    async with Database(tmp_path) as database:
        with closing(sqlite3.connect(tmp_path / FILE, isolation_level=None, check_same_thread=False)) as other:
            other.execute("BEGIN IMMEDIATE")
            async with asyncio.TaskGroup() as tasks:
                writing = tasks.create_task(database.write(FACT))
                await asyncio.sleep(0.05)
                assert not writing.done()
                other.execute("COMMIT")
        assert await database.read("SELECT value FROM facts") == [("red",)]


def _set_version(folder: Path, version: int) -> None:
    with closing(sqlite3.connect(folder / FILE)) as connection:
        connection.execute(f"PRAGMA user_version = {version}")
        connection.commit()
