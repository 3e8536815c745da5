"""A site that has a right to be there and means ill: what it can fill with its batches is bounded, and only its own."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from bridge import envelope
from bridge.envelope import write
from bridge.store import Lane
from tests.unit.bridge.places import M, Place, both, hurry
from tests.unit.bridge.stores import opened
from tests.unit.bridge.wire import GATEWAY, SITE, until

pytestmark = pytest.mark.timeout(60)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    hurry(monkeypatch)


async def say(home: Place, batch: envelope.Batch, lane: Lane = M) -> None:
    """Send a batch, no faster than they are taken."""
    home.end.link.send(home.end.other.wires.event(lane.word), write(batch))
    await asyncio.sleep(0)


async def test_a_site_that_names_ever_other_stores_leaves_only_so_many_in_memory(tmp_path: Path) -> None:
    async with both(tmp_path) as (_, cloud, home):
        inbox, relay_end = cloud.store.inbox, cloud.relay.end_of(cloud.end.other, cloud.end.station)
        for number in range(150):
            await say(home, envelope.Batch(st=f"store {number}", p=0, z=1))
            await until(lambda number=number: inbox.fate(SITE, f"store {number}", M).seq == 1, 20)
        assert len(inbox.all_taken(SITE)) <= 32
        await until(lambda: len(relay_end._told) <= 33, 20)
        assert inbox.fate(SITE, "store 149", M).skipped == 1
    async with opened(tmp_path / GATEWAY) as again:
        assert len(again.inbox.all_taken(SITE)) <= 32


async def test_reasons_that_a_site_makes_up_are_counted_as_one(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with both(tmp_path) as (_, cloud, home):
        made_up = [envelope.Lost(why=f"reason\n{number}", a=number, z=number) for number in range(1, 300)]
        known = envelope.Lost(why="expired", a=300, z=300)
        await say(home, envelope.Batch(st="abc", p=0, z=301, lost=[*made_up, known]))
        await until(lambda: cloud.store.inbox.fate(SITE, "abc", M).seq == 301, 20)
        assert (await cloud.figures()).missed == {"other": 299, "expired": 1, "unexplained": 1}
    assert "\n" not in "".join(record.getMessage() for record in caplog.records)


@pytest.mark.parametrize("tick", [1 << 62, (1 << 63) - 1, 10**30, -(10**30)])
async def test_ticks_from_beyond_all_time_neither_fail_nor_make_what_follows_old(
    tmp_path: Path, tick: int, caplog: pytest.LogCaptureFixture
) -> None:
    async with both(tmp_path) as (_, cloud, home):
        route = "POST /send/x"
        for number, said in ((1, 1), (2, tick), (2, 2)):
            event = envelope.Event(n=number, route=route, x=60.0)
            await say(home, envelope.Batch(st="abc", p=number - 1, z=number, u=said, ev=[event]))
        await until(lambda: cloud.store.inbox.fate(SITE, "abc", M).played == 2, 20)
        assert (await cloud.figures()).missed == {}
    assert not [record for record in caplog.records if record.exc_info]


@pytest.mark.parametrize(
    "route", ["POST /invoke/Water/pump", "GET /stream/Values", "POST /send/a%2Fb", "POST /send/" + "x" * 10_000]
)
async def test_only_messages_are_played_from_a_lane(tmp_path: Path, route: str) -> None:
    async with both(tmp_path) as (_, cloud, home):
        events = [envelope.Event(n=1, route=route), envelope.Event(n=2, route="POST /send/pump")]
        await say(home, envelope.Batch(st="abc", p=0, z=2, ev=events))
        await until(lambda: cloud.store.inbox.fate(SITE, "abc", M).dead == 1, 20)
        await until(lambda: "POST /send/pump" in cloud.target.heard)
        assert route not in cloud.target.heard
        (letter,) = await cloud.store.dead_letters.list()
        assert (letter.status, letter.why) == (400, f"{route[:200]!r} is no message that a bridge carries")
        assert len(letter.event.route) <= envelope.LONGEST_ROUTE + 1
