"""The writer: commits shared by many, jobs that fail, disks that are full, ends."""

from __future__ import annotations

import asyncio
import resource
import sqlite3
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bridge.store import Batch, Entry, Fate, Lane, LanePolicy, Numbered, Refused, Store, writer
from bridge.store.transaction import Transaction
from edge.errors import BadInput, NotStored
from tests.unit.bridge.stores import event, opened, put_many

M = Lane.MESSAGE


@contextmanager
def full_disk(folder: Path) -> Iterator[None]:
    """Let no file of a store grow."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    longest = max(path.stat().st_size for path in folder.glob("bridge.db*"))
    resource.setrlimit(resource.RLIMIT_FSIZE, (longest, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def broken(transaction: Transaction) -> None:
    transaction.execute("INSERT INTO facts VALUES ('broken', '')")
    raise RuntimeError("a mistake")


async def test_what_queues_while_a_commit_runs_shares_the_next(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        commits = 0

        def count(statement: str) -> None:
            nonlocal commits
            commits += statement == "COMMIT"

        await store._writer.run(lambda transaction: transaction.connection.set_trace_callback(count))
        await asyncio.gather(*(store.outbox.put("there", M, event(number)) for number in range(200)))
        assert 1 <= commits <= 4


async def test_a_job_that_fails_spoils_no_other(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        results = await asyncio.gather(
            store.outbox.put("there", M, event(1)),
            store._writer.run(broken),
            store.inbox.take("here", "s1", M, Batch(2, 1)),
            store.outbox.put("there", M, event(2)),
            return_exceptions=True,
        )
        assert [results[0], results[3]] == [1, 2]
        assert isinstance(results[1], NotStored)
        assert isinstance(results[2], BadInput)
        facts = await store._writer.run(lambda transaction: transaction.execute("SELECT name FROM facts").fetchall())
        assert ("broken",) not in facts
        assert store.outbox.waiting("there")[M] == 2


async def test_counters_are_right_after_a_commit_that_failed(tmp_path: Path) -> None:
    async with opened(tmp_path, policy=LanePolicy(max_count=4)) as store:
        await put_many(store, 2)

        def put_and_break(transaction: Transaction) -> None:
            transaction.touch(store._ledger.lane(transaction, "there", M))
            store._ledger.lane(transaction, "there", M).last_seq = 99
            store._ledger.lane(transaction, "new", M)
            store._ledger.stream(transaction, "new", "s1", M)
            store._losses.count(transaction, ("out", "new", M, "full"), 1, 1)
            raise sqlite3.OperationalError("no")

        with pytest.raises(NotStored):
            await store._writer.run(put_and_break)
        assert await put_many(store, 2) == [3, 4]
        assert (await store.figures()).lanes.keys() == {("there", M)}
        assert await put_many(store, 1, site="new") == [1]


async def test_a_full_disk_is_told_stops_nothing_and_ends(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with opened(tmp_path) as store:
        await put_many(store, 3)
        await store.inbox.take("here", "s1", M, Batch(0, 2, [Numbered(1, event(1)), Numbered(2, event(2))]))
        accepted = 3
        with full_disk(tmp_path):
            with pytest.raises(NotStored, match="cannot keep this"):
                while True:
                    await store.outbox.put("there", M, event(size_bytes=5000))
                    accepted += 1
            results = await asyncio.gather(*put_at_once(store, 20), return_exceptions=True)
            accepted += sum(isinstance(result, int) for result in results)
            assert {type(result) for result in results} <= {NotStored, int}
            assert len((await store.outbox.batch("there", M, 0)).events) >= 3
            (entry,) = await store.inbox.claim(1)
            await store.inbox.done(entry)
        assert await store.outbox.put("there", M, event()) == accepted + 1
        assert store.outbox.waiting("there")[M] == accepted + 1
    async with opened(tmp_path) as store:
        assert store.outbox.waiting("there")[M] == accepted + 1
        assert store.inbox.fate("here", "s1", M) == Fate(2, played=1)
    assert len([record for record in caplog.records if "cannot write" in record.message]) == 1
    assert "can be written again" in caplog.text


def put_at_once(store: Store, count: int) -> list[Coroutine[None, None, int]]:
    """Put many, at once."""
    return [store.outbox.put("there", M, event(size_bytes=5000)) for _ in range(count)]


async def test_what_was_buffered_waits_for_the_disk_to_have_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "_LATER_S", 0.01)
    monkeypatch.setattr(writer, "_LATER_AGAIN_S", 0.05)
    async with opened(tmp_path) as store:
        await put_many(store, 3)
        with full_disk(tmp_path):
            for number in range(10):
                assert await store.outbox.put("there", M, event(number, size_bytes=20_000), buffered=True) == 0
            with pytest.raises(NotStored):
                while True:
                    await store.outbox.put("there", M, event(size_bytes=5000))
            # As long as that lasts nothing more is taken for what may be in memory for a second.
            with pytest.raises(NotStored):
                await store.outbox.put("there", M, event(size_bytes=20_000), buffered=True)
        async with asyncio.timeout(15):
            while store._writer._waiting:
                await asyncio.sleep(0.01)
        events = [found for _, _, found in await store.outbox.list("there", M)]
        assert [found for found in events if len(found.body or b"") > 20_000] == [
            event(number, size_bytes=20_000) for number in range(10)
        ]


async def test_a_full_disk_plays_no_entry_that_it_cannot_expire(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await store.inbox.take("here", "s1", M, Batch(0, 1, [Numbered(1, event(), 0.001)]))
        await asyncio.sleep(0.01)
        await store._writer.run(lambda transaction: transaction.execute("PRAGMA query_only=ON").fetchall())
        assert await store.inbox.claim(1) == []
        await store._writer.run(lambda transaction: transaction.execute("PRAGMA query_only=OFF").fetchall())


async def test_a_dead_letter_that_cannot_be_kept_is_tried_again(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await store.inbox.take("here", "s1", M, Batch(0, 1, [Numbered(1, event())]))
        (entry,) = await store.inbox.claim(1)
        await store._writer.run(lambda transaction: transaction.execute("PRAGMA query_only=ON").fetchall())
        await store.inbox.dead(entry, 400, "no")
        await store._writer.run(lambda transaction: transaction.execute("PRAGMA query_only=OFF").fetchall())
    async with opened(tmp_path) as store:
        assert [found.seq for found in await store.inbox.claim(1)] == [1]


async def test_a_disk_that_is_far_too_slow_makes_callers_refuse(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "_MOST_WAITING", 5)
    async with opened(tmp_path) as store:
        results = await asyncio.gather(*put_at_once(store, 10), return_exceptions=True)
        refusals = [result for result in results if isinstance(result, Refused)]
        assert [refusal.reason for refusal in refusals] == ["busy"] * 5


async def test_a_store_that_is_opened_twice_over_is_closed_twice_over(tmp_path: Path) -> None:
    for _ in range(3):
        store = opened(tmp_path)
        async with asyncio.timeout(15), store:
            pass
        await store.__aexit__(None, None, None)


async def test_opening_can_be_given_up(tmp_path: Path) -> None:
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(opened(tmp_path).__aenter__())
        await asyncio.sleep(0)
        task.cancel()
    async with opened(tmp_path) as store:
        assert await put_many(store, 1) == [1]


async def test_what_only_reads_is_not_refused_with_what_a_full_disk_does_not_take(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await put_many(store, 3)
        await store.inbox.take("here", "s1", M, Batch(0, 1, [Numbered(1, event(1))]))
        with full_disk(tmp_path):
            with pytest.raises(NotStored):
                while True:
                    await store.outbox.put("there", M, event(size_bytes=5000))
            *refused, batch, is_known, entries = await asyncio.gather(
                *put_at_once(store, 5),
                store.outbox.batch("there", M, 0),
                store.outbox.acknowledge("there", M, 2),
                store.inbox.claim(1),
                return_exceptions=True,
            )
            assert NotStored in {type(each) for each in refused}
            assert (type(batch), is_known, [type(entry) for entry in entries]) == (Batch, True, [Entry])  # type: ignore[union-attr]
            assert store.outbox.mark("there", M) == 2
