"""What is stored of containers is what was said last, whoever writes at the same time."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest

from edge.errors import NotStored
from edge.runtime.session import Session, StoredContainer
from edge.state.database import Database
from tests.unit.deploying import wish


def stored(container_id: str = "c-1", **fields: object) -> StoredContainer:
    return StoredContainer(container_id=container_id, launcher="process", wish=wish(), **fields)  # type: ignore[arg-type]


@asynccontextmanager
async def session(path: Path, forgotten: list[str] | None = None) -> AsyncIterator[tuple[Session, Database]]:
    async with Database(path) as database:
        made = Session(database, (forgotten if forgotten is not None else []).append)
        await made.load()
        yield made, database


async def test_what_was_stored_is_read_again_in_its_order(tmp_path: Path) -> None:
    whole = stored("c-1", token="t", owner="eve", file="a.json", is_confirmed=True, launch={"pid": 1, "x": None})
    async with session(tmp_path) as (first, _):
        await first.put(whole)
        await first.put(stored("a-2"))
        await first.put(stored("b-3"))
        await first.change("c-1", owner="ann")  # keeps its place
    async with session(tmp_path) as (again, _):
        assert [each.container_id for each in again.all()] == ["c-1", "a-2", "b-3"]
        found = again.get("c-1")
        assert found is not None
        assert (found.token, found.owner, found.launch) == ("t", "ann", {"pid": 1, "x": None})


async def test_writes_that_cross_do_not_undo_each_other(tmp_path: Path) -> None:
    async with session(tmp_path) as (made, _):
        await made.put(stored())
        await asyncio.gather(
            made.change("c-1", launch={"pid": 1}),
            made.change("c-1", is_confirmed=True),
            made.change("c-1", owner="eve"),
            made.change("c-1", launch={"pid": 2}),
        )
    async with session(tmp_path) as (again, _):
        found = again.get("c-1")
        assert found is not None
        assert (found.launch, found.is_confirmed, found.owner) == ({"pid": 2}, True, "eve")


async def test_what_is_forgotten_is_not_written_again(tmp_path: Path) -> None:
    forgotten: list[str] = []
    async with session(tmp_path, forgotten) as (made, _):
        await made.put(stored())
        await asyncio.gather(made.forget("c-1"), made.change("c-1", owner="eve"), made.forget("c-1"))
        assert made.get("c-1") is None
        assert forgotten == ["c-1"]
    async with session(tmp_path) as (again, _):
        assert again.all() == ()


async def test_a_change_that_changes_nothing_is_not_written(tmp_path: Path) -> None:
    async with session(tmp_path) as (made, database):
        await made.put(stored(is_confirmed=True))
        before = (await database.read("SELECT total_changes()"))[0]
        await made.change("c-1", is_confirmed=True)
        await made.change("none", is_confirmed=True)
        assert (await database.read("SELECT total_changes()"))[0] == before


async def test_one_takes_the_place_of_another_wholly_or_not_at_all(tmp_path: Path) -> None:
    async with session(tmp_path) as (made, database):
        await made.put(stored("old", is_confirmed=True))
        await made.put(stored("new"))
        connection = database._connection
        assert connection is not None
        connection.execute(
            "CREATE TRIGGER no_old BEFORE UPDATE ON containers WHEN OLD.container_id = 'old'"
            " BEGIN SELECT RAISE(ABORT, 'disk full'); END"
        )
        with pytest.raises(NotStored):
            await made.take_over("new", "old")
        new, old = made.get("new"), made.get("old")
        assert new is not None
        assert old is not None
        assert (new.is_confirmed, old.is_removed) == (False, False)
    async with session(tmp_path) as (again, database):
        assert [(each.is_confirmed, each.is_removed) for each in again.all()] == [(True, False), (False, False)]
        await database.write(("DROP TRIGGER no_old", ()))
        await again.take_over("new", "old")
    async with session(tmp_path) as (again, _):
        assert [(each.is_confirmed, each.is_removed) for each in again.all()] == [(True, True), (True, False)]


async def test_a_dismissal_holds_without_a_disk_and_is_kept_where_there_is_one(tmp_path: Path) -> None:
    async with session(tmp_path) as (made, database):
        await made.put(stored(is_confirmed=True))
        connection = database._connection
        assert connection is not None
        connection.set_authorizer(lambda *_: sqlite3.SQLITE_DENY)
        with pytest.raises(NotStored):
            await made.dismiss("c-1")
        found = made.get("c-1")
        assert found is not None
        assert found.is_removed
        with pytest.raises(NotStored):
            await made.forget("c-1")
        assert made.get("c-1") is not None  # or nobody would try again
        connection.set_authorizer(None)
        await made.forget("c-1")
        assert made.get("c-1") is None


async def test_a_row_that_cannot_be_read_is_named_and_left_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with session(tmp_path) as (made, _):
        await made.put(stored("bad"))
        await made.put(stored("good"))
    with closing(sqlite3.connect(tmp_path / "state.sqlite3")) as connection:
        connection.execute("UPDATE containers SET record = '{\"launcher\": 1}' WHERE container_id = 'bad'")
        connection.commit()
    with caplog.at_level(logging.ERROR):
        async with session(tmp_path) as (again, database):
            assert [each.container_id for each in again.all()] == ["good"]
            assert len(await database.read("SELECT 1 FROM containers")) == 2
    assert "bad" in caplog.text


async def test_a_record_of_a_later_version_is_read_as_far_as_it_is_known(tmp_path: Path) -> None:
    async with session(tmp_path) as (made, _):
        await made.put(stored())
    with closing(sqlite3.connect(tmp_path / "state.sqlite3")) as connection:
        connection.execute("UPDATE containers SET record = json_set(record, '$.later', 1)")
        connection.commit()
    async with session(tmp_path) as (again, _):
        assert again.get("c-1") == stored()
