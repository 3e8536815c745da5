"""The one file of the store: new, damaged, newer, older, locked, full, of another machine."""

from __future__ import annotations

import asyncio
import logging
import os
import random
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from bridge.store import Batch, Event, Lane, LanePolicy, Numbered, Refused, WhenFull, disk, schema
from bridge.store.database import InUse, NewerSchema
from bridge.store.schema import MIGRATIONS
from edge.errors import NotStored
from tests.unit.bridge.stores import event, opened, play, put_many

M = Lane.MESSAGE
FILE = "bridge.db"


async def test_the_file_is_written_durably_in_small_pages_and_only_for_its_owner(tmp_path: Path) -> None:
    async with opened(tmp_path / "new" / "folder") as store:
        await put_many(store, 1)
        path = tmp_path / "new" / "folder" / FILE
        with closing(sqlite3.connect(path)) as other:
            assert other.execute("SELECT count(*) FROM outbox_message").fetchone() == (1,)
            assert other.execute("PRAGMA journal_mode").fetchone() == ("wal",)
            assert other.execute("PRAGMA page_size").fetchone() == (1024,)
        assert await store._writer.run(lambda tx: tx.execute("PRAGMA synchronous").fetchone()) == (2,)
        assert path.stat().st_mode & 0o777 == 0o600
        assert path.parent.stat().st_mode & 0o777 == 0o700


async def test_every_file_has_its_own_identity_and_keeps_it(tmp_path: Path) -> None:
    ids = []
    for folder in ("a", "b", "a"):
        async with opened(tmp_path / folder) as store:
            ids.append(store.store_id)
    assert ids[0] == ids[2] != ids[1]
    assert len(ids[0]) == 16


@pytest.mark.parametrize("damage", [b"", b"no database at all", b"\0" * 4096, b"SQLite format 3\0" + b"\xff" * 8000])
async def test_a_damaged_file_is_set_aside_and_named_and_a_new_store_begun(
    tmp_path: Path, damage: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async with opened(tmp_path) as store:
        await put_many(store, 3)
        before = store.store_id
    (tmp_path / FILE).write_bytes(damage)
    async with opened(tmp_path) as store:
        assert store.store_id != before
        assert await put_many(store, 1) == [1]
    if damage:
        assert "set aside as" in caplog.text
        assert len([path for path in tmp_path.iterdir() if ".damaged-" in path.name]) == 1


async def test_whatever_bits_flip_the_store_opens_and_works(
    tmp_path: Path, seed: int, at_size: Callable[[int, int], int], caplog: pytest.LogCaptureFixture
) -> None:
    async with opened(tmp_path) as store:
        await put_many(store, 50)
        events = [Numbered(seq, event(seq)) for seq in range(1, 51)]
        await store.inbox.take("here", "s1", M, Batch(0, 50, events))
    good, chance = (tmp_path / FILE).read_bytes(), random.Random(seed)
    for _ in range(at_size(40, 3000)):
        bad = bytearray(good)
        for _ in range(chance.choice([1, 3, 100])):
            bad[chance.randrange(len(bad))] ^= 1 << chance.randrange(8)
        (tmp_path / FILE).write_bytes(bad)
        async with opened(tmp_path) as store:
            try:
                await put_many(store, 1, site="new")
                await store.outbox.batch("there", M, 0)
                await store.inbox.claim(10)
            except NotStored:
                async with asyncio.timeout(15):
                    await store.damaged()
        for path in tmp_path.iterdir():
            path.unlink()


async def test_what_flipped_within_a_message_does_not_hold_up_the_others(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await store.outbox.put("there", M, Event("POST /send/lamp", b"1", {"forward": "false"}))
        await put_many(store, 1)
    with closing(sqlite3.connect(tmp_path / FILE, isolation_level=None)) as other:
        other.execute(
            "UPDATE outbox_message SET route = CAST(X'504F5354202FFF' AS TEXT), extra = X'5B' WHERE extra NOT NULL"
        )
    async with opened(tmp_path) as store:
        batch = await store.outbox.batch("there", M, 0)
        assert [numbered.event for numbered in batch.events] == [Event("POST /\ufffd", b"1"), event(1)]


async def test_damage_that_shows_later_is_told_and_the_next_start_begins_anew(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with opened(tmp_path) as store:
        await put_many(store, 200)
        await store._writer.run(lambda tx: tx.touch(store._ledger.lanes["there", M], is_written=True))
        with closing(sqlite3.connect(tmp_path / FILE)) as other:
            other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        with open(tmp_path / FILE, "r+b") as file:
            file.seek(5 * 1024)
            file.write(b"\xff" * (os.path.getsize(tmp_path / FILE) - 5 * 1024))
        await store._writer.run(lambda tx: tx.execute("PRAGMA shrink_memory").fetchall())
        with pytest.raises(NotStored, match="malformed"):
            await store._writer.run(lambda tx: tx.execute("SELECT sum(length(body)) FROM outbox_message").fetchall())
        async with asyncio.timeout(15):
            await store.damaged()
        with pytest.raises(NotStored):
            await store.outbox.put("there", M, event())
    async with opened(tmp_path) as store:
        assert await put_many(store, 1) == [201]  # 200 are reported lost
    assert "is damaged" in caplog.text


async def test_a_newer_file_is_refused_and_left_alone(tmp_path: Path) -> None:
    async with opened(tmp_path):
        pass
    with closing(sqlite3.connect(tmp_path / FILE)) as other:
        other.execute(f"PRAGMA user_version={len(MIGRATIONS) + 1}")
    with pytest.raises(NewerSchema, match="newer version"):
        async with opened(tmp_path):
            pass
    assert not [path for path in tmp_path.iterdir() if "damaged" in path.name]


async def test_an_older_file_is_migrated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with opened(tmp_path) as store:
        await put_many(store, 2)
    for module in (schema, __import__("bridge.store.database", fromlist=["MIGRATIONS"])):
        monkeypatch.setattr(module, "MIGRATIONS", (*MIGRATIONS, "CREATE TABLE more (x INTEGER) STRICT;"))
    async with opened(tmp_path) as store:
        assert store.outbox.waiting("there")[M] == 2
        assert await store._writer.run(lambda tx: tx.execute("SELECT * FROM more").fetchall()) == []


async def test_a_second_bridge_is_refused_and_told_who_has_the_file(tmp_path: Path) -> None:
    async with opened(tmp_path):
        with pytest.raises(InUse, match=f"process ID {os.getpid()}"):
            async with opened(tmp_path):
                pass
    async with opened(tmp_path):
        pass


async def test_a_file_in_the_way_of_the_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(NotStored, match="cannot be used"):
        async with opened(tmp_path / "file"):
            pass


async def test_a_disk_without_room_refuses_but_plays_and_sends_what_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(tmp_path) as store:
        await put_many(store, 3)
        await store.inbox.take("here", "s1", M, Batch(0, 2, [Numbered(1, event()), Numbered(2, event())]))
        monkeypatch.setattr(disk.Disk, "has_room", lambda *_: False)
        with pytest.raises(Refused, match="no more room") as refusal:
            await store.outbox.put("there", M, event())
        assert refusal.value.reason == "disk"
        with pytest.raises(Refused, match="no more room"):
            await store.inbox.take("here", "s1", M, Batch(2, 3, [Numbered(3, event())]))
        assert len((await store.outbox.batch("there", M, 0)).events) == 3
        assert len(await play(store)) == 2
        assert store.inbox.fate("here", "s1", M).seq == 2


async def test_a_lane_that_drops_goes_on_without_room_by_dropping_as_much(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(tmp_path, policy=LanePolicy(when_full=WhenFull.DROP_OLDEST)) as store:
        await put_many(store, 3)
        monkeypatch.setattr(disk.Disk, "has_room", lambda *_: False)
        assert await put_many(store, 2) == [4, 5]
        assert store.outbox.waiting("there")[M] == 3
        assert (await store.figures()).lanes["there", M].lost == {"disk": 2}


def test_room_is_what_is_free_above_the_floor_or_within_the_file(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "x", isolation_level=None)) as connection:
        connection.executescript("CREATE TABLE t (x BLOB); INSERT INTO t VALUES (zeroblob(1000000)); DELETE FROM t;")
        free = os.statvfs(tmp_path).f_bavail * os.statvfs(tmp_path).f_frsize
        assert disk.Disk(tmp_path, free // 2).has_room(connection, 1_000_000)
        full = disk.Disk(tmp_path, 10 * free)
        assert full.has_room(connection, 100_000)
        assert not full.has_room(connection, 2_000_000)


async def test_what_was_written_today_is_told(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        before = (await store.figures()).written_today_bytes
        await put_many(store, 10)
        after = (await store.figures()).written_today_bytes
    if before is None or after is None:
        pytest.skip("the kernel does not tell")
    assert after >= before


async def test_the_log_is_quiet_when_nothing_is_wrong(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        for _ in range(2):
            async with opened(tmp_path) as store:
                await put_many(store, 5)
    assert caplog.records == []
