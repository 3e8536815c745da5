"""Durable messages from one end to the other: order, windows, marks, gaps, restarts, slow targets."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest

from bridge import ends, envelope
from bridge.envelope import read
from tests.unit.bridge.places import ALARM, all_is_told, batches, both, have_met, hurry, place
from tests.unit.bridge.wire import GATEWAY, SITE, Air, settle, until

pytestmark = pytest.mark.timeout(30)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    hurry(monkeypatch)


def lost_at_random(chance: random.Random, share: float, *kinds: str) -> object:
    """A broker that loses a share of what it is given, and doubles another."""

    def change(topic: str, payload: bytes) -> list[bytes] | None:
        if not any(f"/{kind}/" in topic for kind in kinds):
            return None
        draw = chance.random()
        return [] if draw < share else [payload, payload] if draw < share * 1.5 else None

    return change


async def test_all_arrive_once_and_in_order_for_each_target_whichever_way(tmp_path: Path) -> None:
    async with both(tmp_path) as (_, cloud, home):
        await asyncio.gather(*(home.broadcast_all(f"room-{number}", 100) for number in range(3)))
        await cloud.broadcast_all("orders", 50)
        await all_is_told(home)
        await all_is_told(cloud)
        for number in range(3):
            assert cloud.heard(f"room-{number}") == list(range(100))
        assert home.heard("orders") == list(range(50))
        figures = await home.figures()
        assert (figures.waiting, figures.fate.played, figures.last_seq) == (0, 300, 300)
        assert len(set(cloud.target.keys)) == 300


async def test_a_broker_that_loses_and_doubles_changes_nothing(tmp_path: Path, seed: int) -> None:
    air = Air(changes=lost_at_random(random.Random(seed), 0.3, "ev", "ack"))  # type: ignore[arg-type]
    async with both(tmp_path, air) as (_, cloud, home):
        for first in range(0, 300, 60):
            await home.broadcast_all("temp", 60, first)
        await until(lambda: len(cloud.heard("temp")) == 300)
        air.changes = lambda topic, payload: None
        await home.broadcast("temp", 300)  # what became of the others is told once, and may have been lost
        await all_is_told(home)
        assert cloud.heard("temp") == list(range(301))
        assert (await home.figures()).fate.played == 301


async def test_no_more_than_a_window_is_under_way_until_marks_come(tmp_path: Path) -> None:
    deaf = True
    air = Air(changes=lambda topic, payload: [] if deaf and "/ack/" in topic else None)
    async with both(tmp_path, air) as (_, cloud, home):
        home.end.link.down()
        await home.broadcast_all("temp", 20 * 50)
        home.end.link.up()
        await until(lambda: len(cloud.heard("temp")) == 8 * 50)
        await settle()
        assert len({batch.z for batch in batches(air)}) == 8
        deaf = False
        await all_is_told(home)
        assert cloud.heard("temp") == list(range(1000))


async def test_a_gap_is_noticed_at_once_and_sent_again_from_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ends, "_RESEND_S", 60.0)
    lost: list[bytes] = []

    def lose_one(topic: str, payload: bytes) -> list[bytes] | None:
        if "/ev/" in topic and read(payload, envelope.Batch).p == 50 and not lost:
            lost.append(payload)
            return []
        return None

    async with both(tmp_path, Air(changes=lose_one)) as (air, cloud, home):
        home.end.link.down()
        await home.broadcast_all("temp", 200)
        home.end.link.up()
        await all_is_told(home)
        assert cloud.heard("temp") == list(range(200))
        assert lost
        assert any(read(payload, envelope.Mark).g for _, payload in air.of("ack/"))


async def test_a_lost_tail_needs_no_successor_to_be_sent_again(tmp_path: Path) -> None:
    lost: list[bytes] = []

    def lose_first(topic: str, payload: bytes) -> list[bytes] | None:
        if "/ev/" in topic and len(lost) < 2:
            lost.append(payload)
            return []
        return None

    async with both(tmp_path, Air(changes=lose_first)) as (_, cloud, home):
        await home.broadcast("temp", 1)
        await all_is_told(home)
        assert cloud.heard("temp") == [1]


async def test_a_site_that_starts_anew_goes_on_where_it_was(tmp_path: Path) -> None:
    air = Air()
    async with place(air, tmp_path, GATEWAY) as cloud:
        for first in range(0, 150, 50):
            async with place(air, tmp_path, SITE) as home:
                await have_met(cloud, home)
                await home.broadcast_all("temp", 50, first)
        async with place(air, tmp_path, SITE) as home:
            await have_met(cloud, home)
            await all_is_told(home)
    assert cloud.heard("temp") == list(range(150))


async def test_a_gateway_that_starts_anew_plays_on_and_repeats_only_what_was_in_flight(tmp_path: Path) -> None:
    air = Air()
    heard: list[object] = []
    keys: list[str] = []

    async def slowly() -> int:
        await asyncio.sleep(0.01)
        return 200

    async with place(air, tmp_path, SITE) as home:
        rounds = 0
        while len(set(keys)) < 40:
            rounds += 1
            async with place(air, tmp_path, GATEWAY) as cloud:
                cloud.target.answers["POST /broadcast/temp"] = slowly
                await have_met(cloud, home)
                if not heard:
                    await home.broadcast_all("temp", 40)
                known = set(keys)
                await until(
                    lambda cloud=cloud, known=known: (
                        len(cloud.heard("temp")) >= 12 or len(known | set(cloud.target.keys)) == 40
                    )
                )
            heard += cloud.heard("temp")
            keys += cloud.target.keys
    assert list(dict.fromkeys(heard)) == list(range(40))
    assert rounds > 2
    assert len(keys) - len(set(keys)) < rounds


async def test_a_slow_target_holds_up_neither_others_nor_alarms(tmp_path: Path) -> None:
    release = asyncio.Event()

    async def slow() -> int:
        await release.wait()
        return 200

    async with both(tmp_path) as (_, cloud, home):
        for number in range(20):
            cloud.target.answers[f"POST /broadcast/slow-{number}"] = slow
            await home.broadcast(f"slow-{number}", number)
        await until(lambda: sum(map(len, cloud.target.heard.values())) == 16)
        await home.broadcast_all("alarm-fire", 3)
        await until(lambda: cloud.heard("alarm-fire") == [0, 1, 2])
        release.set()
        await all_is_told(home)
        await all_is_told(home, ALARM)


async def test_one_slow_target_leaves_room_for_others_of_its_lane(tmp_path: Path) -> None:
    release = asyncio.Event()

    async def slow() -> int:
        await release.wait()
        return 200

    async with both(tmp_path) as (_, cloud, home):
        cloud.target.answers["POST /broadcast/slow"] = slow
        await home.broadcast_all("slow", 30)
        await home.broadcast_all("temp", 30)
        await until(lambda: cloud.heard("temp") == list(range(30)))
        assert cloud.heard("slow") == [0]
        release.set()
        await all_is_told(home)
        assert cloud.heard("slow") == list(range(30))


async def test_a_full_inbox_of_messages_takes_alarms_and_loses_nothing(tmp_path: Path) -> None:
    release = asyncio.Event()

    async def slow() -> int:
        await release.wait()
        return 200

    async with both(tmp_path, inbox_count=60) as (air, cloud, home):
        cloud.target.answers["POST /broadcast/slow"] = slow
        await home.broadcast_all("slow", 200)
        await until(lambda: any(read(payload, envelope.Mark).full for _, payload in air.of("ack/")))
        await home.broadcast("alarm-fire", 1)
        await until(lambda: cloud.heard("alarm-fire") == [1])
        assert (await cloud.figures()).to_play < 200
        release.set()
        await all_is_told(home)
        assert cloud.heard("slow") == list(range(200))


async def test_many_large_bodies_are_each_sent_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ends, "_RESEND_S", 60.0)
    async with both(tmp_path) as (air, cloud, home):
        home.end.link.down()
        payloads = [f"{number} {'x' * 200_000}" for number in range(16)]
        for payload in payloads:
            await home.broadcast("temp", payload)
        home.end.link.up()
        await all_is_told(home)
        assert cloud.heard("temp") == payloads
        assert (len(air.of("up/ev/")), cloud.end.station.passed_over) == (16, 0)
