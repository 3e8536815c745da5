"""Accepted = stored + reported lost: whatever is dropped, whenever, whatever of the traffic gets lost."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from bridge.store import Batch, Lane, LanePolicy, Store, WhenFull
from bridge.store.losses import Bursts, Total
from edge.errors import NotStored
from tests.unit.bridge.stores import ManualClock, event, opened, put_many

M = Lane.MESSAGE


async def _deliver_the_rest(source: Store, target: Store, arrived: list[int]) -> None:
    """Carry over what still waits, on a link that works."""
    while not (batch := await source.outbox.batch("there", M, source.outbox.mark("there", M))).is_empty:
        taken = await target.inbox.take("here", source.store_id, M, batch)
        await source.outbox.acknowledge("there", M, taken.mark)
    while entries := await target.inbox.claim(50):
        for entry in entries:
            arrived.append(entry.seq)
            await target.inbox.done(entry)


@pytest.mark.timeout(300)
async def test_every_message_arrives_once_or_is_reported_lost_over_a_bad_link(
    tmp_path: Path, seed: int, at_size: Callable[[int, int], int]
) -> None:
    """Batches and marks are lost, doubled, late and out of order; lanes overflow, messages expire, ends restart."""
    chance, clock = random.Random(seed), ManualClock()
    policy = LanePolicy(max_count=40, when_full=WhenFull.DROP_OLDEST)
    source, target = opened(tmp_path / "out", clock, policy), opened(tmp_path / "in")
    await source.__aenter__()
    await target.__aenter__()
    accepted, arrived = 0, []
    batches: list[Batch] = []
    after = 0
    for _ in range(at_size(1500, 30_000)):
        what = chance.random()
        if what < 0.45:
            for _ in range(chance.randint(1, 10)):
                await source.outbox.put("there", M, event(accepted), chance.choice([None, None, 5]), buffered=False)
                accepted += 1
        elif what < 0.65:
            batch = await source.outbox.batch("there", M, after, max_events=chance.choice([1, 7, 50]))
            if not batch.is_empty and chance.random() < 0.8:
                batches.append(batch)
            after = batch.last_seq
        elif what < 0.85 and batches:
            batch = batches[chance.randrange(len(batches))]
            if chance.random() < 0.8:
                batches.remove(batch)
            taken = await target.inbox.take("here", source.store_id, M, batch)
            if taken.is_gap or chance.random() < 0.7:
                assert await source.outbox.acknowledge("there", M, taken.mark, taken.fate)
        elif what < 0.9:
            after = source.outbox.mark("there", M)
        elif what < 0.93:
            clock.go(chance.random() * 4)
        elif what < 0.98:
            for entry in await target.inbox.claim(20):
                arrived.append(entry.seq)
                await target.inbox.done(entry)
        elif what < 0.99:
            await source.__aexit__(None, None, None)
            source = opened(tmp_path / "out", clock, policy)
            await source.__aenter__()
        else:
            await target.__aexit__(None, None, None)
            target = opened(tmp_path / "in")
            await target.__aenter__()
    await _deliver_the_rest(source, target, arrived)
    fate = target.inbox.fate("here", source.store_id, M)
    missed = (await target.figures()).lanes["here", M].missed
    assert accepted == source.outbox.last_seq("there", M) == fate.seq
    assert arrived == sorted(set(arrived))
    assert accepted == len(arrived) + fate.skipped + fate.expired
    assert sum(missed.values()) == fate.skipped + fate.expired
    assert min(len(arrived), fate.skipped) > 50
    assert missed.keys() == {"full", "expired"}
    await source.__aexit__(None, None, None)
    await target.__aexit__(None, None, None)


async def test_a_loss_is_told_once_for_each_burst(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    told: list[Total] = []
    async with opened(tmp_path, policy=LanePolicy(max_count=2, when_full=WhenFull.DROP_OLDEST)) as store:
        store.on_loss(told.append)
        await put_many(store, 50)
    assert [(total.site, total.lane, total.why) for total in told] == [("there", M, "full")]
    assert len([record for record in caplog.records if "loses messages: full" in record.message]) == 1


async def test_whoever_is_told_of_a_loss_and_fails_stops_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(total: Total) -> None:
        raise RuntimeError("no")

    async with opened(tmp_path, policy=LanePolicy(max_count=1, when_full=WhenFull.DROP_OLDEST)) as store:
        store.on_loss(fail)
        assert await put_many(store, 3) == [1, 2, 3]
    assert "whoever is told of losses failed" in caplog.text


def test_a_burst_ends_with_a_pause(caplog: pytest.LogCaptureFixture) -> None:
    now_s = 0.0
    bursts = Bursts(lambda: now_s)
    with caplog.at_level(logging.WARNING):
        for now_s in (0.0, 9.0, 18.0, 40.0):  # noqa: B007 - the clock above reads it
            bursts.saw(Total("out", "there", M, "full", 1))
    assert len(caplog.records) == 2


async def test_totals_are_kept_for_ever(tmp_path: Path) -> None:
    policy = LanePolicy(max_count=2, when_full=WhenFull.DROP_OLDEST)
    for count in (3, 8):
        async with opened(tmp_path, policy=policy) as store:
            await put_many(store, 5)
            await store.outbox.acknowledge("there", M, store.outbox.last_seq("there", M) - 2)
            assert (await store.figures()).lanes["there", M].lost == {"full": count}


async def test_what_is_refused_is_no_loss(tmp_path: Path) -> None:
    async with opened(tmp_path, policy=LanePolicy(max_count=1)) as store:
        await put_many(store, 1)
        with pytest.raises(NotStored):
            await put_many(store, 1)
        figures = (await store.figures()).lanes["there", M]
        assert (figures.lost, figures.refused, figures.last_seq) == ({}, 1, 1)
