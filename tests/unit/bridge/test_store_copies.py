"""A database that is an older copy, and one that turns out to be damaged: nothing is lost unnoticed."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from bridge.store import Batch, Lane, Store
from edge.errors import NotStored
from tests.unit.bridge.stores import ManualClock, drain, event, hand_over, opened, play, put_many, spoil

M = Lane.MESSAGE


async def _copied_back(home: Path, target: Store, clock: ManualClock, *, is_last_lost: bool = False) -> None:
    """Leave a store that has sent 10 messages, 5 of them after the copy that it is replaced with.

    Args:
        is_last_lost: Whether the last one of them expired before that, and was reported.
    """
    async with opened(home, clock) as source:
        await put_many(source, 5)
        await drain(source, target)
    shutil.copytree(home, home.with_name("copy"))
    clock.go(60)
    async with opened(home, clock) as source:
        for number in range(6, 11):
            await source.outbox.put("there", M, event(number), 1.0 if is_last_lost and number == 10 else None)
        clock.go(2)
        await drain(source, target)
    shutil.rmtree(home)
    shutil.copytree(home.with_name("copy"), home)
    clock.go(60)


@pytest.mark.parametrize("is_last_lost", [False, True])
@pytest.mark.parametrize("new", [3, 5, 12])
async def test_a_file_that_was_copied_back_takes_another_name_and_loses_nothing(
    tmp_path: Path, new: int, is_last_lost: bool
) -> None:
    clock, home = ManualClock(), tmp_path / "home"
    async with opened(tmp_path / "cloud", clock) as target:
        await _copied_back(home, target, clock, is_last_lost=is_last_lost)
        async with opened(home, clock) as source:
            before = source.store_id
            for _ in range(new):  # 6, 7, ...: numbers that were given before, to messages that say the same
                await source.outbox.put("there", M, event(6))
            batch = await source.outbox.batch("there", M, source.outbox.mark("there", M))
            taken = await target.inbox.take("here", before, M, batch)
            if new <= 5:
                assert taken.mark == 10
                assert not await source.outbox.acknowledge("there", M, taken.mark, taken.fate, taken.tag)
            else:  # the batch reaches beyond the mark: what overlaps is found out by its tag
                assert not await _is_acknowledged_after_overlap(source, target, batch)
            assert source.outbox.waiting("there")[M] == new
            assert await source.renew("there")
            assert source.id_for("there") != before
        async with opened(home, clock) as source:
            assert source.id_for("there") != before == source.store_id
            await drain(source, target)
            assert source.outbox.waiting("there")[M] == 0
        played = await play(target)
    assert [entry.seq for entry in played if entry.store_id != before] == list(range(6, 6 + new))


async def _is_acknowledged_after_overlap(source: Store, target: Store, batch: Batch) -> bool:
    taken = await target.inbox.take("here", source.store_id, M, batch)
    return await source.outbox.acknowledge("there", M, taken.mark, taken.fate, taken.tag)


async def test_the_tag_of_a_mark_is_right_after_losses_repetitions_and_restarts(tmp_path: Path) -> None:
    clock = ManualClock()
    async with opened(tmp_path / "cloud", clock) as target:
        for _ in range(3):
            async with opened(tmp_path / "home", clock) as source:
                await put_many(source, 3)
                await source.outbox.put("there", M, event(), expires_in_s=1)
                clock.go(2)
                batch = await source.outbox.batch("there", M, source.outbox.mark("there", M))
                for _ in range(2):
                    taken = await target.inbox.take("here", source.store_id, M, batch)
                    assert await source.outbox.acknowledge("there", M, taken.mark, taken.fate, taken.tag)
                assert source.outbox.waiting("there")[M] == 0


async def _damage(store: Store, path: Path) -> None:
    """Spoil the outbox's pages under an open store, and have it read them."""
    spoil(path)
    with pytest.raises(NotStored):
        await store.outbox.list("there", M)
    async with asyncio.timeout(15):
        await store.damaged()


async def test_what_waited_in_a_file_that_became_damaged_is_reported_lost_by_the_next(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with opened(tmp_path / "cloud") as target, opened(tmp_path / "other") as other:
        async with opened(tmp_path / "home") as source:
            before = source.store_id
            await put_many(source, 7)
            await hand_over(source, target, await source.outbox.batch("there", M, 0, max_events=3))
            await put_many(other, 2)
            await source.inbox.take("other", other.store_id, M, await other.outbox.batch("there", M, 0))
            await _damage(source, tmp_path / "home" / "bridge.db")
        async with opened(tmp_path / "home") as source:
            assert source.store_id != before
            figures = await source.figures()
            assert figures.lanes["there", M].lost == {"damaged": 4}
            assert figures.lanes["other", M].missed == {"damaged": 2}
            assert await put_many(source, 1) == [5]
            await drain(source, target)
        missed = (await target.figures()).lanes["here", M].missed
        assert missed == {"damaged": 4}
    assert "lane message towards there: 4 messages are lost with it" in caplog.text
    assert len(list((tmp_path / "home").glob("*.damaged-????????-??????"))) == 1


async def test_what_waited_in_a_file_that_is_found_damaged_is_reported_as_far_as_it_can_be_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with opened(tmp_path) as store:
        await put_many(store, 4)
    with closing(sqlite3.connect(tmp_path / "bridge.db", isolation_level=None)) as other:
        other.execute("DROP TABLE dead")
    async with opened(tmp_path) as store:
        assert (await store.figures()).lanes["there", M].lost == {"damaged": 4}
        batch = await store.outbox.batch("there", M, 0)
        assert [(loss.why, loss.first_seq, loss.last_seq) for loss in batch.losses] == [("damaged", 1, 4)]
        assert (batch.previous_seq, batch.last_seq, list(batch.events)) == (0, 4, [])
    assert "towards there: 4 messages are lost with it" in caplog.text


async def test_what_was_written_today_counts_from_midnight_however_seldom_it_is_asked(tmp_path: Path) -> None:
    clock = ManualClock()
    async with opened(tmp_path, clock) as store:
        if (await store.figures()).written_today_bytes is None:
            pytest.skip("the kernel does not tell")
        await put_many(store, 20)
        yesterday = (await store.figures()).written_today_bytes or 0
        assert yesterday > 0
        clock.go(86_400)
        await put_many(store, 5)
        today = (await store.figures()).written_today_bytes or 0
        assert 0 < today < yesterday


async def test_losses_that_were_not_told_yet_are_told_after_the_file_became_damaged(tmp_path: Path) -> None:
    async with opened(tmp_path / "cloud") as target:
        async with opened(tmp_path / "home") as source:
            await put_many(source, 7)
            await put_many(source, 2, Lane.ALARM)
            await hand_over(source, target, await source.outbox.batch("there", M, 0, max_events=2))
            await source.outbox.drop("there", M, 4)
            await source.outbox.drop("there", Lane.ALARM)
            await _damage(source, tmp_path / "home" / "bridge.db")
        async with opened(tmp_path / "home") as source:
            figures = await source.figures()
            assert figures.lanes["there", M].lost == {"dropped": 1, "damaged": 4}
            assert figures.lanes["there", Lane.ALARM].lost == {"dropped": 2}
            for lane in (M, Lane.ALARM):
                await drain(source, target, lane)
        missed = (await target.figures()).lanes
        assert sum(missed["here", M].missed.values()) == 5
        assert sum(missed["here", Lane.ALARM].missed.values()) == 2
