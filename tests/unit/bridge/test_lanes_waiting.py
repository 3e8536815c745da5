"""Durable messages that wait: for a clock, for a target that comes back, for room at the other end."""

from __future__ import annotations

from pathlib import Path

import pytest

from bridge import ends, player
from bridge.envelope import Mark, read
from tests.unit.bridge.places import M, all_is_told, both, have_met, hurry, place
from tests.unit.bridge.stores import DAY_MS, HOUR_S, ManualClock
from tests.unit.bridge.wire import GATEWAY, SITE, Air, until

pytestmark = pytest.mark.timeout(60)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    hurry(monkeypatch)


async def test_what_can_expire_is_sent_as_soon_as_the_clock_is_set_after_a_boot_without_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ends, "_HELD_S", 0.05)
    air, clock = Air(), ManualClock()
    accepted_ms = clock.now_ms()
    async with place(air, tmp_path, SITE) as home:
        async with place(air, tmp_path, GATEWAY, clock=clock) as cloud:
            await have_met(cloud, home)
            home.end.link.down()
            await until(lambda: not cloud.end.other.is_there)
            await cloud.broadcast_all("orders", 3)
        clock.reboot(now_ms=accepted_ms - 5 * DAY_MS)
        async with place(air, tmp_path, GATEWAY, clock=clock) as cloud:
            home.end.link.up()
            await have_met(cloud, home)
            await until(lambda: "clock" in cloud.end.other.problem, 20)
            assert home.heard("orders") == []
            clock._now_ms = accepted_ms + 60_000  # by NTP, and nobody says so
            await until(lambda: home.heard("orders") == [0, 1, 2], 20)
            await until(lambda: cloud.end.other.problem == "", 20)


async def test_ten_minutes_of_being_refused_begin_with_the_first_refusal_and_not_while_the_platform_was_down(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(player, "_REFUSED_FOR_S", 0.2)
    async with both(tmp_path) as (_, cloud, home):
        statuses = [502] * 12 + [404, 502, 404]
        monkeypatch.setattr(player, "_FIRST_PAUSE_S", 0.05)

        async def answer() -> int:
            return statuses.pop(0) if statuses else 200

        cloud.target.answers["POST /broadcast/temp"] = answer
        await home.broadcast("temp", 1)
        await until(lambda: len(cloud.heard("temp")) == 16, 20)
        assert await cloud.store.dead_letters.list() == []


async def test_a_target_that_is_down_for_days_is_still_tried_and_then_gets_everything(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with both(tmp_path) as (_, cloud, home):
        cloud.target.refuses("POST /broadcast/temp", 502)
        await home.broadcast_all("temp", 2)
        await until(lambda: len(cloud.heard("temp")) >= 2)
        (target,) = cloud.store.inbox._schedule._targets.values()
        target.tries = 5000  # once a minute, for three days
        await until(lambda: target.tries >= 5003, 20)
        del cloud.target.answers["POST /broadcast/temp"]
        await until(lambda: 1 in cloud.heard("temp"), 20)
        assert await cloud.store.dead_letters.list() == []
    assert not [record for record in caplog.records if record.exc_info]


async def test_an_end_that_takes_no_more_is_named_at_both_ends_once_until_everything_has_come(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with both(tmp_path, inbox_count=2) as (air, cloud, home):
        cloud.target.refuses("POST /broadcast/temp", 502)
        await home.broadcast_all("temp", 6)
        await until(lambda: sum(bool(read(payload, Mark).full) for _, payload in air.of("ack/")) >= 3, 20)
        assert home.end.other.problem.startswith("lane message waits: cloud takes nothing now, it says: '")
        del cloud.target.answers["POST /broadcast/temp"]
        await until(lambda: cloud.heard("temp")[-1] == 5, 20)
        await until(lambda: home.end.other.problem == "", 20)
    assert caplog.text.count("cloud takes nothing now") <= 2  # a second time where all of this takes 10 s
    assert caplog.text.count("greenhouse: lane message: nothing is taken now: ") == 1


async def test_what_is_wrong_with_a_lane_is_shown_at_a_site_that_was_removed_and_came_again(tmp_path: Path) -> None:
    async with both(tmp_path, inbox_count=1) as (air, cloud, home):
        before = cloud.end.other
        home.end.link.down()
        air.publish("opaca/v1/greenhouse/st", b"")
        await until(lambda: not cloud.end.station.remotes, 20)
        home.end.link.up()
        await have_met(cloud, home)
        assert cloud.end.other is not before
        home.target.refuses("POST /broadcast/orders", 502)
        await cloud.broadcast_all("orders", 3)
        await until(lambda: "takes nothing now" in cloud.end.other.problem, 20)


async def test_a_disk_that_cannot_even_note_a_loss_stops_that_lane_only(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    clock = ManualClock()
    async with both(tmp_path, clock=clock) as (_, cloud, home):
        home.end.link.down()
        await until(lambda: not cloud.end.other.is_there)
        await cloud.broadcast_all("orders", 3)
        clock.go(2 * HOUR_S)
        await cloud.broadcast_all("alarm-frost", 500)
        await cloud.store._writer.run(lambda transaction: transaction.execute("PRAGMA query_only=ON").fetchall())
        home.end.link.up()
        await until(lambda: len(home.heard("alarm-frost")) == 500, 30)
        assert cloud.end.other.problem.startswith("lane message waits: the bridge cannot keep this")
        await cloud.store._writer.run(lambda transaction: transaction.execute("PRAGMA query_only=OFF").fetchall())
        await all_is_told(cloud)
        assert (await cloud.figures()).lost == {"expired": 3}
        await until(lambda: cloud.end.other.problem == "", 20)
    assert not [record for record in caplog.records if "is started again" in record.message]


async def test_what_expires_while_its_site_is_away_is_counted_without_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ends, "_EXPIRE_EVERY_S", 0.05)
    clock = ManualClock()
    async with both(tmp_path, clock=clock) as (_, cloud, home):
        home.end.link.down()
        await until(lambda: not cloud.end.other.is_there)
        await cloud.broadcast_all("orders", 600)
        clock.go(HOUR_S + 1)
        await cloud.broadcast("orders", 600)
        await until(lambda: cloud.store.outbox.waiting(SITE)[M] == 1, 20)
        assert (await cloud.figures()).lost == {"expired": 600}
        home.end.link.up()
        await all_is_told(cloud)
        assert home.heard("orders") == [600]
