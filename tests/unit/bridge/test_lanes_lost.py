"""Durable messages that are refused, too late, or too many: kept, reported, and accounted for at both ends."""

from __future__ import annotations

from pathlib import Path

import pytest

from bridge import envelope, player
from bridge.config import LaneSettings
from bridge.envelope import read
from bridge.store import Refused
from edge.errors import NotStored
from tests.unit.bridge.places import ALARM, TELEMETRY, all_is_told, both, have_met, hurry, place
from tests.unit.bridge.stores import HOUR_S, ManualClock
from tests.unit.bridge.wire import GATEWAY, SITE, Air, until

pytestmark = pytest.mark.timeout(30)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    hurry(monkeypatch)


@pytest.mark.parametrize("status", [400, 413, 422])
async def test_what_is_refused_for_good_is_a_dead_letter_at_once_and_can_be_played_again(
    tmp_path: Path, status: int
) -> None:
    async with both(tmp_path) as (_, cloud, home):
        cloud.target.refuses("POST /broadcast/temp", status)
        await home.broadcast_all("temp", 2)
        await all_is_told(home)
        letters = await cloud.store.dead_letters.list()
        assert [(letter.status, letter.why, letter.seq) for letter in letters] == [
            (status, f"{status}: no, {status}", seq) for seq in (1, 2)
        ]
        assert (await home.figures()).fate.dead == 2
        del cloud.target.answers["POST /broadcast/temp"]
        assert await cloud.store.dead_letters.replay(letters[0].letter_id)
        assert await cloud.store.dead_letters.drop(letters[1].letter_id)
        await until(lambda: cloud.heard("temp") == [0, 1, 0])
        assert cloud.target.keys[-1] == f"{cloud.target.keys[0]}/1"
        assert await cloud.store.dead_letters.list() == []


@pytest.mark.parametrize("status", [401, 403, 404])
async def test_what_is_refused_in_a_way_that_may_pass_is_tried_for_a_while_first(
    tmp_path: Path, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with both(tmp_path) as (_, cloud, home):
        cloud.target.refuses("POST /broadcast/temp", status)
        await home.broadcast_all("temp", 2)
        await until(lambda: len(cloud.heard("temp")) >= 4)
        assert await cloud.store.dead_letters.list() == []
        assert set(cloud.heard("temp")) == {0}
        monkeypatch.setattr(player, "_REFUSED_FOR_S", 0.0)
        await until(lambda: 1 in cloud.heard("temp"))
        await all_is_told(home)
        assert (await home.figures()).fate.dead == 2


@pytest.mark.parametrize("status", [0, 500, 502, 503])
async def test_a_target_that_is_down_is_tried_until_it_is_back(tmp_path: Path, status: int) -> None:
    async with both(tmp_path) as (_, cloud, home):
        cloud.target.refuses("POST /broadcast/temp", status)
        await home.broadcast_all("temp", 3)
        await until(lambda: len(cloud.heard("temp")) >= 4)
        del cloud.target.answers["POST /broadcast/temp"]
        await all_is_told(home)
        assert list(dict.fromkeys(cloud.heard("temp"))) == [0, 1, 2]
        assert (await home.figures()).fate.played == 3


async def test_what_the_bridge_itself_cannot_play_ends_as_a_dead_letter_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def fail() -> int:
        raise ValueError("a bug")

    monkeypatch.setattr(player, "_REFUSED_FOR_S", 0.05)
    async with both(tmp_path) as (_, cloud, home):
        cloud.target.answers["POST /broadcast/temp"] = fail
        await home.broadcast("temp", 1)
        await all_is_told(home)
        (letter,) = await cloud.store.dead_letters.list()
        assert (letter.status, letter.why) == (500, "ValueError: a bug")
    assert len([record for record in caplog.records if record.exc_info]) == 1


async def test_what_expires_before_it_is_sent_is_reported_to_the_other_end(tmp_path: Path) -> None:
    clock = ManualClock()
    async with both(tmp_path, clock=clock) as (_, cloud, home):
        home.end.link.down()
        await until(lambda: not cloud.end.other.is_there)
        await cloud.broadcast_all("orders", 3)
        clock.go(HOUR_S + 1)
        await cloud.broadcast("orders", 3)
        home.end.link.up()
        await all_is_told(cloud)
        assert home.heard("orders") == [3]
        assert (await cloud.figures()).lost == {"expired": 3}
        assert (await home.figures()).missed == {"expired": 3}


async def test_what_expires_before_it_is_played_is_reported_to_who_accepted_it(tmp_path: Path) -> None:
    clock = ManualClock()
    async with both(tmp_path, clock=clock) as (_, cloud, home):
        home.target.refuses("POST /broadcast/orders", 502)
        await cloud.broadcast("orders", 1)
        await until(lambda: len(home.heard("orders")) >= 2)
        clock.go(HOUR_S + 1)
        await all_is_told(cloud)
        assert (await cloud.figures()).fate.expired == 1
        assert (await home.figures()).missed == {"expired": 1}


async def test_nothing_expires_upwards_and_alarms_last_a_week_downwards(tmp_path: Path) -> None:
    clock = ManualClock()
    async with both(tmp_path, clock=clock) as (_, cloud, home):
        home.end.link.down()
        await until(lambda: not cloud.end.other.is_there)
        await home.broadcast("temp", 1)
        await cloud.broadcast("alarm-frost", 1)
        clock.go(6 * 24 * HOUR_S)
        home.end.link.up()
        await until(lambda: home.heard("alarm-frost") == [1] and cloud.heard("temp") == [1])
        home.end.link.down()
        await until(lambda: not cloud.end.other.is_there)
        await cloud.broadcast("alarm-frost", 2)
        clock.go(8 * 24 * HOUR_S)
        home.end.link.up()
        await all_is_told(cloud, ALARM)
        assert home.heard("alarm-frost") == [1]


async def test_a_machine_that_boots_without_a_clock_plays_nothing_late_and_asks_nobody_to_wait(tmp_path: Path) -> None:
    air, clock, at_home = Air(), ManualClock(), ManualClock()
    async with place(air, tmp_path, GATEWAY, clock=clock) as cloud:
        async with place(air, tmp_path, SITE, clock=at_home) as home:
            await have_met(cloud, home)
            home.target.refuses("POST /broadcast/orders", 502)
            home.target.refuses("POST /broadcast/alarm-frost", 502)
            await cloud.broadcast("orders", 1)
            await cloud.broadcast("alarm-frost", 1)
            await until(lambda: home.heard("orders") and home.heard("alarm-frost"))
        at_home.reboot(now_ms=1_000_000)
        clock.go(2 * HOUR_S)
        async with place(air, tmp_path, SITE, clock=at_home) as home:
            await have_met(cloud, home)
            await until(lambda: home.heard("alarm-frost") == [1])
            await all_is_told(cloud)
            assert home.heard("orders") == []


async def test_telemetry_drops_its_oldest_and_both_ends_know_how_many(tmp_path: Path) -> None:
    lanes = {"telemetry": LaneSettings(channels=("t-*",), max_mb=0.005)}
    async with both(tmp_path, lanes=lanes) as (_, cloud, home):
        home.end.link.down()
        await home.broadcast_all("t-level", 200)
        figures = await home.figures(TELEMETRY)
        assert figures.waiting + figures.lost["full"] == 200
        home.end.link.up()
        await all_is_told(home, TELEMETRY)
        heard = cloud.heard("t-level")
        assert heard == list(range(200 - len(heard), 200))
        assert (await cloud.figures(TELEMETRY)).missed == {"full": 200 - len(heard)}
        assert (await home.figures(TELEMETRY)).fate.skipped == 200 - len(heard)


async def test_a_lane_full_by_bytes_refuses_who_asks_and_loses_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    lanes = {"message": LaneSettings(max_mb=0.005)}
    async with both(tmp_path, lanes=lanes) as (_, cloud, home):
        home.end.link.down()
        accepted = 0
        with pytest.raises(Refused, match="is full"):
            for number in range(200):
                await home.broadcast("temp", number)
                accepted += 1
        with pytest.raises(Refused):
            await home.broadcast("temp", 200)
        assert caplog.text.count("are refused") == 1  # once for the whole burst
        home.end.link.up()
        await all_is_told(home)
        assert cloud.heard("temp") == list(range(accepted))
        assert (await home.figures()).refused == 2


async def test_a_disk_without_room_refuses_at_the_source_and_says_so_to_the_other_end(tmp_path: Path) -> None:
    air = Air()
    async with place(air, tmp_path, SITE) as home:
        async with place(air, tmp_path, GATEWAY, floor_bytes=1 << 60) as cloud:
            await have_met(cloud, home)
            with pytest.raises(NotStored, match="no more room"):
                await cloud.broadcast("orders", 1)
            await home.broadcast("temp", 1)
            await until(lambda: any(read(payload, envelope.Mark).full for _, payload in air.of("ack/")))
            assert cloud.heard("temp") == []
        async with place(air, tmp_path, GATEWAY) as cloud:
            await have_met(cloud, home)
            await all_is_told(home)
            assert cloud.heard("temp") == [1]


async def test_a_buffered_lane_answers_before_it_writes_and_delivers_all_the_same(tmp_path: Path) -> None:
    async with both(tmp_path, lanes={"message": LaneSettings(is_buffered=True)}) as (_, cloud, home):
        await home.broadcast_all("temp", 40)
        await all_is_told(home)
        assert cloud.heard("temp") == list(range(40))
        assert (await home.figures()).buffered == 40
