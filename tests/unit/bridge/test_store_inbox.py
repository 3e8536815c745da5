"""The inbox: each once, gaps, order, what could not be played, what expires, what is told to the sender."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from bridge.store import Batch, Fate, Lane, LanePolicy, Loss, Numbered, Refused
from edge.errors import BadInput
from tests.unit.bridge.stores import DAY_MS, HOUR_S, ManualClock, drain, event, hand_over, opened, play, put_many

M = Lane.MESSAGE


def batch_of(first: int, last: int, previous: int | None = None, **more: float) -> Batch:
    """Events of one target."""
    events = [Numbered(seq, event(seq), more.get("seconds_left")) for seq in range(first, last + 1)]
    return Batch(first - 1 if previous is None else previous, last, events, sent_ms=int(more.get("sent_ms", 0)))


async def test_a_batch_that_comes_twice_is_taken_once(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        for _ in range(2):
            taken = await store.inbox.take("here", "s1", M, batch_of(1, 3))
            assert (taken.mark, taken.is_gap) == (3, False)
        assert (await store.inbox.take("here", "s1", M, batch_of(2, 5))).mark == 5
        assert [entry.seq for entry in await play(store)] == [1, 2, 3, 4, 5]


async def test_after_a_gap_nothing_is_taken_and_the_mark_says_where_to_begin(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        assert await store.inbox.take("here", "s1", M, batch_of(3, 4)) == await store.inbox.take(
            "here", "s1", M, batch_of(3, 4)
        )
        await store.inbox.take("here", "s1", M, batch_of(1, 2))
        taken = await store.inbox.take("here", "s1", M, batch_of(5, 6))
        assert (taken.mark, taken.is_gap) == (2, True)
        assert store.inbox.waiting("here")[M] == 2


async def test_marks_count_for_each_store_and_lane_and_site(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        for site, store_id, lane in (("a", "s1", M), ("a", "s2", M), ("b", "s1", M), ("a", "s1", Lane.ALARM)):
            assert (await store.inbox.take(site, store_id, lane, batch_of(1, 2))).mark == 2
        assert store.inbox.sites() == {"a", "b"}
        assert set(store.inbox.all_taken("a")) == {("s1", M), ("s2", M), ("s1", Lane.ALARM)}


async def test_what_was_taken_is_there_after_a_restart_and_the_mark_too(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await store.inbox.take("here", "s1", M, batch_of(1, 3))
        (entry,) = await store.inbox.claim(1)
        await store.inbox.done(entry)
    async with opened(tmp_path) as store:
        assert store.inbox.fate("here", "s1", M) == Fate(3, played=1)
        assert (await store.inbox.take("here", "s1", M, batch_of(1, 3))).mark == 3
        assert [entry.seq for entry in await play(store)] == [2, 3]


async def test_one_event_of_a_target_is_in_flight_while_other_targets_go_on(tmp_path: Path) -> None:
    events = [Numbered(seq, event(seq, f"POST /send/agent{seq % 2}")) for seq in range(1, 5)]
    async with opened(tmp_path) as store:
        await store.inbox.take("here", "s1", M, Batch(0, 4, events))
        first = await store.inbox.claim(10)
        assert [entry.seq for entry in first] == [1, 2]
        assert await store.inbox.claim(10) == []
        await store.inbox.done(first[1])
        assert [entry.seq for entry in await store.inbox.claim(10)] == [4]


async def test_what_is_tried_again_keeps_its_place(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await store.inbox.take("here", "s1", M, batch_of(1, 2))
        (entry,) = await store.inbox.claim(1)
        await store.inbox.again(entry, 0.05, "403", is_refused=True)
        assert await store.inbox.claim(1) == []
        async with asyncio.timeout(15):
            await store.inbox.ready()
        (again,) = await store.inbox.claim(10)
        assert (again.seq, again.tries, again.refused_for_s > 0) == (1, 1, True)
        await store.inbox.again(again, 0.0, "502")
        (again,) = await store.inbox.claim(10)
        assert (again.seq, again.tries, again.refused_for_s) == (1, 2, 0.0)
        assert again.idempotency_key == "here/s1/message/1"


async def test_an_alarm_is_claimed_before_whatever_waits(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        for lane in (Lane.TELEMETRY, Lane.MESSAGE):
            for number in range(20):
                numbered = Numbered(number + 1, event(number, f"POST /send/a{number}"))
                await store.inbox.take("here", "s1", lane, Batch(number, number + 1, [numbered]))
        await store.inbox.take("here", "s1", Lane.ALARM, batch_of(1, 1))
        claimed = await store.inbox.claim(9)
        assert claimed[0].lane is Lane.ALARM
        assert {entry.lane for entry in claimed[1:]} == {Lane.MESSAGE, Lane.TELEMETRY}
        assert {entry.lane for entry in await store.inbox.claim(5, (Lane.TELEMETRY,))} == {Lane.TELEMETRY}


async def test_whoever_waits_is_woken_by_what_comes(tmp_path: Path) -> None:
    async with opened(tmp_path) as store, asyncio.timeout(15), asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(store.inbox.ready())
        await asyncio.sleep(0)
        assert not waiting.done()
        await store.inbox.take("here", "s1", M, batch_of(1, 1))
        await waiting


async def test_a_claim_that_is_given_up_gives_the_entries_back(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await store.inbox.take("here", "s1", M, batch_of(1, 1))
        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(store.inbox.claim(1))
            await asyncio.sleep(0)
            task.cancel()
        assert [entry.seq for entry in await store.inbox.claim(1)] == [1]


async def test_a_full_inbox_takes_no_more_until_something_was_played(tmp_path: Path) -> None:
    async with opened(tmp_path, inbox_count=3) as store:
        await store.inbox.take("here", "s1", M, batch_of(1, 3))
        with pytest.raises(Refused, match="3 messages of here wait"):
            await store.inbox.take("here", "s1", M, batch_of(4, 5))
        assert (await store.inbox.take("elsewhere", "s1", M, batch_of(1, 1))).mark == 1
        assert store.inbox.fate("here", "s1", M).seq == 3
        await play(store)
        async with asyncio.timeout(15):
            while store.inbox.waiting("here")[M]:
                await asyncio.sleep(0.01)
        assert (await store.inbox.take("here", "s1", M, batch_of(4, 5))).mark == 5


async def test_what_has_expired_is_not_played_but_told_to_the_sender(tmp_path: Path) -> None:
    clock = ManualClock()
    async with opened(tmp_path, clock) as store:
        await store.inbox.take("here", "s1", M, batch_of(1, 2, seconds_left=HOUR_S))
        await store.inbox.take("here", "s1", M, batch_of(3, 3), age_s=10)
        clock.go(HOUR_S + 1)
        assert [entry.seq for entry in await store.inbox.claim(10)] == [3]
        assert store.inbox.fate("here", "s1", M) == Fate(3, expired=2)
        assert (await store.figures()).lanes["here", M].missed == {"expired": 2}


async def test_how_long_a_batch_was_under_way_counts(tmp_path: Path) -> None:
    clock = ManualClock()
    async with opened(tmp_path, clock) as store:
        await store.inbox.take("here", "s1", M, batch_of(1, 1, seconds_left=60), age_s=45)
        (entry,) = await store.inbox.claim(1)
        assert entry.seconds_left == 15


async def test_a_process_that_was_killed_still_knows_what_expires_when(tmp_path: Path) -> None:
    clock = ManualClock()
    async with opened(tmp_path, clock) as store:
        await store.inbox.take("here", "s1", M, batch_of(1, 1, seconds_left=60))
    clock.go(20)
    async with opened(tmp_path, clock) as store:
        (entry,) = await store.inbox.claim(1)
        assert entry.seconds_left == 40


@pytest.mark.parametrize(("away_ms", "seconds_left"), [(20_000, 40.0), (61_000, None)])
async def test_after_a_reboot_what_can_expire_waits_for_the_senders_clock(
    tmp_path: Path, away_ms: int, seconds_left: float | None
) -> None:
    clock, sent_ms = ManualClock(), 1_600_000_000_000
    events = [Numbered(1, event(1, "POST /send/pump"), 60.0), Numbered(2, event(2, "POST /send/lamp"))]
    async with opened(tmp_path, clock) as store:
        await store.inbox.take("here", "s1", M, Batch(0, 2, events, sent_ms=sent_ms))
    clock.reboot(now_ms=clock.now_ms() - 300 * DAY_MS)
    async with opened(tmp_path, clock) as store:
        assert [entry.seq for entry in await store.inbox.claim(10)] == [2]
        store.inbox.clock_known("elsewhere", sent_ms)
        assert await store.inbox.claim(10) == []
        store.inbox.clock_known("here", sent_ms + away_ms)
        claimed = await store.inbox.claim(10)
        assert [entry.seconds_left for entry in claimed] == ([] if seconds_left is None else [seconds_left])


async def test_an_entry_that_expires_while_it_is_tried_is_counted(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await store.inbox.take("here", "s1", M, batch_of(1, 2))
        (entry,) = await store.inbox.claim(1)
        await store.inbox.expired(entry)
        assert store.inbox.fate("here", "s1", M) == Fate(2, expired=1)
        assert [entry.seq for entry in await store.inbox.claim(1)] == [2]


async def test_what_did_not_come_is_counted_exactly_whatever_the_sender_says_of_it(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await store.inbox.take("here", "s1", M, batch_of(1, 5))
        # The sender dropped 3 to 9, not knowing that 3 to 5 had arrived; of 12 it says nothing.
        losses = [Loss(M, "full", 3, 9, size_bytes=700)]
        later = Batch(2, 13, [Numbered(10, event()), Numbered(11, event()), Numbered(13, event())], losses)
        taken = await store.inbox.take("here", "s1", M, later)
        assert taken.fate == Fate(13, skipped=5)
        assert (await store.figures()).lanes["here", M].missed == {"full": 4, "unexplained": 1}
        assert (await store.inbox.take("here", "s1", M, later)).fate == taken.fate


async def test_an_inbox_that_lost_its_file_goes_on_where_it_acknowledged(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    async with opened(tmp_path / "a") as source:
        await put_many(source, 6)
        async with opened(tmp_path / "b") as target:
            await hand_over(source, target, await source.outbox.batch("there", M, 0, max_events=4))
            batch = await source.outbox.batch("there", M, 4)
        async with opened(tmp_path / "c") as fresh:
            taken = await hand_over(source, fresh, batch)
            assert (taken.mark, taken.is_gap, taken.fate) == (6, False, Fate(6))
            assert [entry.seq for entry in await play(fresh)] == [5, 6]


async def test_an_outbox_whose_file_is_new_is_another_one(tmp_path: Path) -> None:
    async with opened(tmp_path / "in") as target:
        for folder in ("a", "b"):
            async with opened(tmp_path / folder) as source:
                await put_many(source, 3)
                await drain(source, target)
        assert len(await play(target)) == 6


async def test_a_copied_store_can_become_another_one_and_loses_nothing(tmp_path: Path) -> None:
    async with opened(tmp_path / "in") as target, opened(tmp_path / "out") as source:
        await put_many(source, 3)
        await target.inbox.take("here", source.store_id, M, batch_of(1, 9))  # of the original, which went on
        batch = await source.outbox.batch("there", M, 0)
        taken = await target.inbox.take("here", source.store_id, M, batch)
        assert not await source.outbox.acknowledge("there", M, taken.mark)
        before = source.store_id
        assert await source.renew("there")
        assert source.id_for("there") != before == source.id_for("elsewhere") == source.store_id
        assert not await source.renew("there")  # it cannot show itself as a copy twice
        await drain(source, target)
        assert source.outbox.waiting("there")[M] == 0
        assert len(await play(target)) == 12


async def test_what_is_dropped_by_hand_leaves_its_marks(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await store.inbox.take("here", "s1", M, batch_of(1, 3))
        (entry,) = await store.inbox.claim(1)
        assert await store.inbox.drop("elsewhere", M) == await store.inbox.drop("here", Lane.ALARM) == 0
        assert await store.inbox.drop("here", M) == 3
        await store.inbox.done(entry)
        assert await store.inbox.claim(1) == []
        assert (await store.inbox.take("here", "s1", M, batch_of(1, 3))).mark == 3
        assert store.inbox.fate("here", "s1", M) == Fate(3, expired=3)
        await store.inbox.take("here", "s1", M, batch_of(4, 4))
        assert [entry.seq for entry in await store.inbox.claim(10)] == [4]


async def test_a_site_that_keeps_changing_its_store_leaves_a_bounded_number_behind(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        for number in range(40):
            await store.inbox.take("here", f"s{number}", M, batch_of(1, 1))
            await play(store)
            await store.inbox.take("here", f"s{number}", M, batch_of(2, 2))
            await play(store)
        async with asyncio.timeout(15):
            while store.inbox.waiting("here")[M]:
                await asyncio.sleep(0.01)
        await store.inbox.take("here", "last", M, batch_of(1, 1))
        assert (await store.inbox.take("here", "last", M, batch_of(1, 1))).mark == 1
        async with opened(tmp_path / "other") as busy:
            for number in range(128):
                await busy.inbox.take("here", f"s{number}", M, batch_of(1, 1))
            with pytest.raises(Refused, match="changed its store 128 times"):
                await busy.inbox.take("here", "one more", M, batch_of(1, 1))


NONSENSE = [
    Batch(-1, 3),
    Batch(3, 2),
    Batch(0, 1 << 41),
    Batch(0, 1, acknowledged_seq=1 << 41),
    Batch(0, 2, [Numbered(2, event()), Numbered(1, event())]),
    Batch(0, 2, [Numbered(1, event()), Numbered(1, event())]),
    Batch(1, 2, [Numbered(1, event())]),
    Batch(0, 2, [Numbered(3, event())]),
    Batch(0, 2, losses=[Loss(M, "full", 2, 1)]),
    Batch(0, 2, losses=[Loss(M, "full", 0, 1)]),
    Batch(0, 2, losses=[Loss(M, "full", 1, 2, size_bytes=-1)]),
]


@pytest.mark.parametrize("batch", NONSENSE)
async def test_a_batch_that_contradicts_itself_is_refused_and_changes_nothing(tmp_path: Path, batch: Batch) -> None:
    async with opened(tmp_path) as store:
        with pytest.raises(BadInput):
            await store.inbox.take("here", "s1", M, batch)
        assert (await store.inbox.take("here", "s1", M, batch_of(1, 1))).fate == Fate(1)


async def test_the_sender_can_account_for_everything_by_what_it_is_told(tmp_path: Path) -> None:
    clock = ManualClock()
    async with opened(tmp_path / "out", clock, LanePolicy(max_count=8)) as source, opened(tmp_path / "in") as target:
        await put_many(source, 8)
        await source.outbox.drop("there", M, 2)
        await drain(source, target)
        (played,) = await target.inbox.claim(1)
        await target.inbox.done(played)
        (dead,) = await target.inbox.claim(1)
        await target.inbox.dead(dead, 400, "no")
        (expired,) = await target.inbox.claim(1)
        await target.inbox.expired(expired)
        (again,) = await target.inbox.claim(1)
        await target.inbox.again(again, 60)
        await put_many(source, 1)
        batch = await source.outbox.batch("there", M, 8)
        await hand_over(source, target, batch)
        fate = (await source.figures()).lanes["there", M].fate
        assert fate == Fate(9, played=1, dead=1, expired=1, skipped=1)
        waiting = target.inbox.waiting("here")[M]
        assert source.outbox.last_seq("there", M) == fate.played + fate.dead + fate.expired + fate.skipped + waiting
