"""The outbox: numbers, batches, marks, bounds, expiry, what is buffered."""

from __future__ import annotations

import asyncio
import tracemalloc
from pathlib import Path

import pytest

from bridge.store import Event, Lane, LanePolicy, Refused, WhenFull
from edge.errors import NotStored
from tests.unit.bridge.stores import DAY_MS, HOUR_S, ManualClock, event, opened, put_many

M = Lane.MESSAGE


async def test_events_come_out_as_they_went_in_and_in_order(tmp_path: Path) -> None:
    full = Event("POST /send/l%C3%A4mp", b'{"payload":"\xc3\xa4"}', {"forward": "false"}, {"ContainerLoginToken": "x"})
    async with opened(tmp_path) as store:
        assert await store.outbox.put("there", M, full) == 1
        assert await store.outbox.put("there", M, Event("POST /send/lamp")) == 2
        batch = await store.outbox.batch("there", M, 0)
    assert [numbered.seq for numbered in batch.events] == [1, 2]
    assert batch.events[0].event == full
    assert batch.events[1].event == Event("POST /send/lamp")
    assert (batch.previous_seq, batch.last_seq, list(batch.losses)) == (0, 2, [])


async def test_every_lane_of_every_site_counts_for_itself(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        for site in ("a", "b"):
            for lane in Lane:
                assert await put_many(store, 2, lane, site) == [1, 2]
        assert store.outbox.waiting("a") == dict.fromkeys(Lane, 2)
        assert store.outbox.waiting("c") == dict.fromkeys(Lane, 0)
        assert store.outbox.sites() == {"a", "b"}


async def test_a_batch_ends_at_its_bounds_but_takes_one_event_of_any_size(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await put_many(store, 60)
        await store.outbox.put("there", M, event(61, size_bytes=100_000))
        first = await store.outbox.batch("there", M, 0)
        second = await store.outbox.batch("there", M, first.last_seq)
        third = await store.outbox.batch("there", M, second.last_seq)
        small = await store.outbox.batch("there", M, 0, max_events=3)
        narrow = await store.outbox.batch("there", M, 0, max_bytes=300)
        assert (await store.outbox.batch("there", M, third.last_seq)).is_empty
    assert [len(batch.events) for batch in (first, second, third, small, narrow)] == [50, 10, 1, 3, 2]
    assert (third.previous_seq, third.last_seq) == (60, 61)


async def test_what_is_acknowledged_is_not_sent_again_also_after_a_restart(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await put_many(store, 10)
        assert await store.outbox.acknowledge("there", M, 7)
        assert store.outbox.waiting("there")[M] == 3
        batch = await store.outbox.batch("there", M, 0)
        assert [numbered.seq for numbered in batch.events] == [8, 9, 10]
        assert (batch.previous_seq, batch.acknowledged_seq) == (7, 7)
    async with opened(tmp_path) as store:
        assert store.outbox.mark("there", M) == 7
        assert store.outbox.waiting("there")[M] == 3
        assert store.outbox.last_seq("there", M) == 10


async def test_marks_that_come_late_twice_or_from_nowhere_change_nothing(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await put_many(store, 10)
        assert await store.outbox.acknowledge("there", M, 5)
        assert await store.outbox.acknowledge("there", M, 5)
        assert await store.outbox.acknowledge("there", M, 3)
        assert not await store.outbox.acknowledge("there", M, 11)
        assert await store.outbox.acknowledge("nobody", M, 0)
        assert not await store.outbox.acknowledge("nobody", M, 1)
        assert store.outbox.mark("there", M) == 5
        assert store.outbox.waiting("there")[M] == 5


async def test_numbers_go_on_when_everything_was_acknowledged_and_the_store_is_opened_again(tmp_path: Path) -> None:
    for expected in ([1, 2, 3], [4, 5, 6], [7, 8, 9]):
        async with opened(tmp_path) as store:
            assert await put_many(store, 3) == expected
            await store.outbox.acknowledge("there", M, expected[-1])
            assert store.outbox.waiting("there")[M] == 0


async def test_a_full_lane_refuses_and_says_so(tmp_path: Path) -> None:
    async with opened(tmp_path, policy=LanePolicy(max_count=5)) as store:
        await put_many(store, 5)
        with pytest.raises(Refused, match="lane message towards there is full: 5 messages wait") as refusal:
            await store.outbox.put("there", M, event(6))
        assert refusal.value.reason == "full"
        await store.outbox.acknowledge("there", M, 1)
        assert await store.outbox.put("there", M, event(6)) == 6
        assert (await store.figures()).lanes["there", M].refused == 1


async def test_bytes_bound_a_lane_too(tmp_path: Path) -> None:
    async with opened(tmp_path, policy=LanePolicy(max_bytes=1000)) as store:
        with pytest.raises(Refused, match="takes 1000 bytes") as refusal:
            await store.outbox.put("there", M, event(size_bytes=1000))
        assert refusal.value.reason == "too large"
        await store.outbox.put("there", M, event(size_bytes=500))
        with pytest.raises(Refused) as refusal:
            await store.outbox.put("there", M, event(size_bytes=500))
        assert refusal.value.reason == "full"


async def test_a_lane_that_drops_keeps_the_youngest_and_accounts_for_the_others(tmp_path: Path) -> None:
    policy = LanePolicy(max_count=5, when_full=WhenFull.DROP_OLDEST)
    async with opened(tmp_path, policy=policy) as store:
        await put_many(store, 8)
        batch = await store.outbox.batch("there", M, 0)
        assert [numbered.seq for numbered in batch.events] == [4, 5, 6, 7, 8]
        (loss,) = batch.losses
        assert (loss.why, loss.first_seq, loss.last_seq, loss.count) == ("full", 1, 3, 3)
        assert (batch.previous_seq, batch.last_seq) == (0, 8)
        figures = (await store.figures()).lanes["there", M]
        assert (figures.lost, figures.waiting) == ({"full": 3}, 5)


async def test_bytes_make_a_lane_drop_too(tmp_path: Path) -> None:
    policy = LanePolicy(max_bytes=2000, when_full=WhenFull.DROP_OLDEST)
    async with opened(tmp_path, policy=policy) as store:
        for _ in range(9):
            await store.outbox.put("there", M, event(size_bytes=400))
        figures = (await store.figures()).lanes["there", M]
        assert figures.waiting_bytes <= 2000
        assert figures.waiting + figures.lost["full"] == 9
        assert figures.waiting >= 2


async def test_losses_are_reported_until_the_receiver_acknowledges_what_lay_behind_them(tmp_path: Path) -> None:
    policy = LanePolicy(max_count=2, when_full=WhenFull.DROP_OLDEST)
    async with opened(tmp_path, policy=policy) as store:
        await put_many(store, 4)
    async with opened(tmp_path, policy=policy) as store:
        for _ in range(2):
            assert [loss.count for loss in (await store.outbox.batch("there", M, 0)).losses] == [2]
        await store.outbox.acknowledge("there", M, 4)
        await put_many(store, 1)
        assert (await store.outbox.batch("there", M, 4)).losses == []
        assert (await store.figures()).lanes["there", M].lost == {"full": 2}


async def test_what_is_too_old_is_not_sent_but_accounted_for(tmp_path: Path) -> None:
    clock = ManualClock()
    async with opened(tmp_path, clock) as store:
        for seconds in (10, 1000, 10, 10, None):
            await store.outbox.put("there", M, event(), seconds)
        clock.go(100)
        batch = await store.outbox.batch("there", M, 0)
        assert [(numbered.seq, numbered.seconds_left) for numbered in batch.events] == [(2, 900.0), (5, None)]
        assert [(loss.why, loss.first_seq, loss.last_seq) for loss in batch.losses] == [
            ("expired", 1, 1),
            ("expired", 3, 4),
        ]
        assert store.outbox.waiting("there")[M] == 2


async def test_when_everything_is_lost_a_batch_still_says_so(tmp_path: Path) -> None:
    clock = ManualClock()
    async with opened(tmp_path, clock, LanePolicy(expiry_s=HOUR_S)) as store:
        await put_many(store, 3)
        clock.go(HOUR_S + 1)
        batch = await store.outbox.batch("there", M, 0)
        assert not batch.is_empty
        assert (list(batch.events), batch.last_seq, [loss.count for loss in batch.losses]) == ([], 3, [3])


async def test_a_full_lane_makes_room_by_what_has_expired(tmp_path: Path) -> None:
    clock = ManualClock()
    async with opened(tmp_path, clock, LanePolicy(max_count=3, expiry_s=10)) as store:
        await put_many(store, 3)
        clock.go(11)
        assert await store.outbox.put("there", M, event()) == 4
        assert store.outbox.waiting("there")[M] == 1


async def test_looking_for_what_has_expired_in_a_full_lane_reads_no_bodies(tmp_path: Path) -> None:
    async with opened(tmp_path, policy=LanePolicy(max_count=200, expiry_s=HOUR_S)) as store:
        await asyncio.gather(*(store.outbox.put("there", M, event(number, size_bytes=20_000)) for number in range(200)))
        tracemalloc.start()
        try:
            with pytest.raises(Refused, match="is full"):
                await store.outbox.put("there", M, event())
            assert tracemalloc.get_traced_memory()[1] < 1_000_000
        finally:
            tracemalloc.stop()


async def test_a_batch_explains_at_most_so_much_and_the_next_goes_on(tmp_path: Path) -> None:
    clock = ManualClock()
    async with opened(tmp_path, clock) as store:
        for number in range(200):
            await store.outbox.put("there", M, event(number), None if number % 2 else 10)
        clock.go(11)
        after, seqs, lost = 0, [], 0
        while not (batch := await store.outbox.batch("there", M, after, max_events=500, max_bytes=1 << 20)).is_empty:
            assert batch.previous_seq <= after
            covered = {seq for loss in batch.losses for seq in range(loss.first_seq, loss.last_seq + 1)}
            numbers = {numbered.seq for numbered in batch.events}
            assert covered | numbers >= set(range(after + 1, batch.last_seq + 1))
            lost += len(covered & set(range(after + 1, batch.last_seq + 1)))
            seqs += [numbered.seq for numbered in batch.events]
            after = batch.last_seq
        assert seqs == list(range(2, 201, 2))
        assert lost == 100


async def test_a_wrong_clock_after_a_reboot_neither_drops_nor_sends_what_can_expire(tmp_path: Path) -> None:
    clock = ManualClock()
    accepted_ms = clock.now_ms()
    async with opened(tmp_path, clock, LanePolicy(expiry_s=HOUR_S)) as store:
        await put_many(store, 2)
    clock.reboot(now_ms=accepted_ms - 5 * DAY_MS)
    async with opened(tmp_path, clock, LanePolicy(expiry_s=HOUR_S)) as store:
        held = await store.outbox.batch("there", M, 0)
        assert (held.is_empty, held.is_held) == (True, True)
        clock.reboot(now_ms=accepted_ms + DAY_MS // 2)
        batch = await store.outbox.batch("there", M, 0)
        assert (list(batch.events), [loss.count for loss in batch.losses]) == ([], [2])


async def test_a_clock_that_stood_still_while_the_machine_was_off_sends_nothing_late(tmp_path: Path) -> None:
    """It goes on where it stood, as if no time had passed: the message seems to be as good as new."""
    clock = ManualClock()
    async with opened(tmp_path, clock, LanePolicy(expiry_s=HOUR_S)) as store:
        await put_many(store, 2)
    clock.reboot(now_ms=clock.now_ms() + 1000)
    clock.was_set = False
    async with opened(tmp_path, clock, LanePolicy(expiry_s=HOUR_S)) as store:
        assert (await store.outbox.batch("there", M, 0)).is_held
        await put_many(store, 1, site="elsewhere")  # since the boot: its age is known
        assert len((await store.outbox.batch("elsewhere", M, 0)).events) == 1
        clock._now_ms += DAY_MS
        clock.was_set = True
        batch = await store.outbox.batch("there", M, 0)
        assert (list(batch.events), [loss.count for loss in batch.losses]) == ([], [2])


async def test_a_clock_that_is_set_while_the_machine_runs_ages_nothing(tmp_path: Path) -> None:
    clock = ManualClock()
    async with opened(tmp_path, clock, LanePolicy(expiry_s=HOUR_S)) as store:
        await put_many(store, 1)
        clock._now_ms += 400 * DAY_MS
        (numbered,) = (await store.outbox.batch("there", M, 0)).events
        assert numbered.seconds_left == HOUR_S


async def test_whoever_sends_is_woken_by_what_is_new(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        changed = store.outbox.changed("there")
        await put_many(store, 1, site="elsewhere")
        assert not changed.is_set()
        await put_many(store, 1)
        async with asyncio.timeout(15):
            await changed.wait()


async def test_many_producers_get_each_their_number(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        seqs = await asyncio.gather(*(store.outbox.put("there", M, event(number)) for number in range(300)))
        assert sorted(seqs) == list(range(1, 301))
        first = await store.outbox.batch("there", M, 0, max_events=1)
        assert first.events[0].event == event(seqs.index(1))


async def test_a_producer_who_leaves_undoes_nothing(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(store.outbox.put("there", M, event()))
            await asyncio.sleep(0)
            task.cancel()
        assert await store.outbox.put("there", M, event()) == 2


async def test_what_is_buffered_is_answered_at_once_and_written_soon(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        assert await store.outbox.put("there", M, event(1), buffered=True) == 0
        assert store.outbox.last_seq("there", M) == 0
        async with asyncio.timeout(15):
            await store.outbox.changed("there").wait()
        assert store.outbox.last_seq("there", M) == 1
        assert (await store.figures()).lanes["there", M].buffered == 1


async def test_what_is_buffered_goes_before_what_is_put_after_it(tmp_path: Path) -> None:
    async with opened(tmp_path, policy=LanePolicy(is_buffered=True)) as buffering:
        await buffering.outbox.put("there", M, event(1))
    async with opened(tmp_path) as store:
        await store.outbox.put("there", M, event(2), buffered=True)
        assert await store.outbox.put("there", M, event(3)) == 3
        batch = await store.outbox.batch("there", M, 0)
        assert [numbered.event for numbered in batch.events] == [event(1), event(2), event(3)]


async def test_what_is_buffered_is_on_the_disk_when_the_store_is_closed(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        for number in range(20):
            await store.outbox.put("there", M, event(number), buffered=True)
    async with opened(tmp_path) as store:
        assert store.outbox.waiting("there")[M] == 20


async def test_what_is_buffered_and_does_not_fit_is_accounted_for(tmp_path: Path) -> None:
    async with opened(tmp_path, policy=LanePolicy(max_count=3)) as store:
        for number in range(5):
            await store.outbox.put("there", M, event(number), buffered=True)
        with pytest.raises(Refused):
            await store.outbox.put("there", M, event())
        batch = await store.outbox.batch("there", M, 0)
        assert [numbered.seq for numbered in batch.events] == [1, 2, 3]
        assert [(loss.why, loss.first_seq, loss.last_seq) for loss in batch.losses] == [("full", 4, 5)]


async def test_one_message_or_all_of_a_lane_can_be_dropped_and_are_reported(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await put_many(store, 5)
        await put_many(store, 2, Lane.ALARM)
        assert [seq for seq, _, _ in await store.outbox.list("there", M)] == [1, 2, 3, 4, 5]
        assert await store.outbox.drop("there", M, 2) == 1
        assert await store.outbox.drop("there", M, 2) == 0
        assert await store.outbox.drop("there", M) == 4
        assert store.outbox.waiting("there")[Lane.ALARM] == 2
        batch = await store.outbox.batch("there", M, 0)
        assert [(loss.why, loss.first_seq, loss.last_seq) for loss in batch.losses] == [
            ("dropped", 1, 1),
            ("dropped", 2, 5),
        ]
        assert await store.outbox.put("there", M, event()) == 6


async def test_a_closed_store_refuses(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        pass
    with pytest.raises(NotStored, match="stopping"):
        await store.outbox.put("there", M, event())
    with pytest.raises(NotStored, match="stopping"):
        await store.outbox.put("there", M, event(), buffered=True)
