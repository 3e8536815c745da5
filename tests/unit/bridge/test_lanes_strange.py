"""Durable lanes with spoilt bodies, files that were copied back, and peers that say what makes no sense."""

from __future__ import annotations

import asyncio
import logging
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from bridge import ends, envelope, player
from bridge.config import LaneSettings
from bridge.envelope import write
from bridge.store import Event
from edge.errors import ParameterMismatch, TooLarge
from edge.model.codec import MAX_DEPTH, decode, encode
from edge.model.requests import Message
from tests.unit.bridge.places import M, all_is_told, both, have_met, hurry, place
from tests.unit.bridge.wire import GATEWAY, SITE, Air, settle, until

pytestmark = pytest.mark.timeout(30)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    hurry(monkeypatch)


async def test_a_body_that_spoilt_in_the_database_holds_up_nobody_and_is_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with both(tmp_path) as (_, cloud, home):
        home.end.link.down()
        await home.broadcast_all("temp", 5)
        with closing(sqlite3.connect(tmp_path / SITE / "bridge.db")) as other, other:
            other.execute("UPDATE outbox_message SET body = X'7B7D7D7B' WHERE id & 0xFF = 2")
            other.execute("UPDATE outbox_message SET body = NULL WHERE id & 0xFF = 4")
        home.end.link.up()
        await all_is_told(home)
        assert cloud.heard("temp") == [0, 2, None, 4]
        assert (await home.figures()).lost == {"unreadable": 1}
        assert (await cloud.figures()).missed == {"unreadable": 1}
    assert "message 2 of lane message (POST /broadcast/temp) cannot be read" in caplog.text


async def test_a_body_that_spoilt_where_it_waits_to_be_played_becomes_a_dead_letter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(player, "_REFUSED_FOR_S", 0.05)
    async with both(tmp_path) as (_, cloud, home):
        cloud.target.refuses("POST /broadcast/temp", 502)
        await home.broadcast_all("temp", 3)
        await until(lambda: len(cloud.heard("temp")) > 2)
        with closing(sqlite3.connect(tmp_path / GATEWAY / "bridge.db")) as other, other:
            other.execute("UPDATE inbox_message SET body = X'7B7D7D7B' WHERE id & 0xFF = 2")
        del cloud.target.answers["POST /broadcast/temp"]
        await all_is_told(home)
        assert list(dict.fromkeys(cloud.heard("temp"))) == [0, 2]
        (letter,) = await cloud.store.dead_letters.list()
        assert (letter.seq, letter.event.body) == (2, b"{}}{")


async def test_a_body_as_deep_as_may_be_passes_between_others(tmp_path: Path) -> None:
    deep: object = 1
    for _ in range(MAX_DEPTH - 1):  # the message around it is one level more
        deep = [deep]
    async with both(tmp_path) as (_, cloud, home):
        home.end.link.down()
        for payload in (1, deep, 2):
            await home.broadcast("temp", payload)
        home.end.link.up()
        await all_is_told(home)
        assert cloud.heard("temp") == [1, deep, 2]


async def test_a_large_body_passes_and_one_that_is_too_large_is_refused_before_it_is_accepted(tmp_path: Path) -> None:
    async with both(tmp_path) as (_, cloud, home):
        await home.broadcast("temp", "x" * 500_000)
        # As few bytes as a client may write it with, it comes within the limit.
        grown = decode(b'{"payload": [%b]}' % b",".join([b"1e15"] * 200_000), Message).payload
        for payload in ("x" * 1_100_000, grown):
            with pytest.raises(TooLarge, match="at most 1048576"):
                await home.broadcast("temp", payload)
        await home.broadcast("temp", "y")
        await all_is_told(home)
        assert cloud.heard("temp") == ["x" * 500_000, "y"]
        assert (await home.figures()).lost == {}


@pytest.mark.parametrize("name", ["a%2Fb", "..", "x" * 5000])
async def test_a_name_that_the_other_end_would_not_play_is_refused_before_it_is_accepted(
    tmp_path: Path, name: str
) -> None:
    async with both(tmp_path) as (_, _, home):
        with pytest.raises(ParameterMismatch, match="nothing that a bridge carries"):
            await home.broadcast(name, 1)
        assert (await home.figures()).last_seq == 0


async def test_a_message_larger_than_its_whole_lane_is_too_large_and_not_to_be_tried_again(tmp_path: Path) -> None:
    lanes = {"message": LaneSettings(max_mb=0.01)}
    async with both(tmp_path, lanes=lanes) as (_, cloud, home):
        with pytest.raises(TooLarge, match="lane message towards cloud takes 10000 bytes, this message alone has 10"):
            await home.broadcast("temp", "x" * 10_000)
        await home.broadcast("temp", "x" * 9_000)
        await until(lambda: cloud.heard("temp") == ["x" * 9_000])


async def test_what_an_older_version_accepted_and_nobody_takes_is_dropped_and_reported(tmp_path: Path) -> None:
    async with both(tmp_path) as (_, cloud, home):
        home.end.link.down()
        for payload in ("x" * 500_000, "x" * 2_500_000, "y"):
            await home.store.outbox.put(GATEWAY, M, Event("POST /broadcast/temp", encode({"payload": payload})))
        home.end.link.up()
        await all_is_told(home)
        assert cloud.heard("temp") == ["x" * 500_000, "y"]
        assert (await home.figures()).lost == {"too large": 1}


async def test_a_database_that_was_copied_back_is_found_out_by_either_end(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ends, "_RESEND_S", 60.0)  # it goes on at once
    air = Air()
    async with place(air, tmp_path, GATEWAY) as cloud:
        async with place(air, tmp_path, SITE) as home:
            await have_met(cloud, home)
            await home.broadcast_all("temp", 5)
            await all_is_told(home)
        shutil.copytree(tmp_path / SITE, tmp_path / "copy")
        async with place(air, tmp_path, SITE) as home:
            await have_met(cloud, home)
            await home.broadcast_all("temp", 5, 5)
            await all_is_told(home)
        shutil.rmtree(tmp_path / SITE)
        shutil.copytree(tmp_path / "copy", tmp_path / SITE)
        async with place(air, tmp_path, SITE, is_up=False) as home:
            before = home.store.store_id
            for number in range(100, 120):
                event = Event("POST /broadcast/temp", b'{"payload":%d}' % number)
                await home.store.outbox.put(GATEWAY, M, event)
            home.end.link.up()
            await until(lambda: len(cloud.heard("temp")) >= 30)
            await until(lambda: home.store.outbox.waiting(GATEWAY)[M] == 0)
            assert home.store.id_for(GATEWAY) != before
    assert cloud.heard("temp") == [*range(10), *range(100, 120)]
    assert "restored from an older copy" in caplog.text


async def test_an_end_that_lost_its_record_begins_where_the_other_one_is(tmp_path: Path) -> None:
    air = Air()
    async with place(air, tmp_path, SITE) as home:
        async with place(air, tmp_path, GATEWAY) as cloud:
            await have_met(cloud, home)
            await home.broadcast_all("temp", 5)
            await all_is_told(home)
        shutil.rmtree(tmp_path / GATEWAY)
        async with place(air, tmp_path, GATEWAY) as cloud:
            await have_met(cloud, home)
            # Nothing waits, but the lane's end is told.
            await until(lambda: cloud.store.inbox.fate(SITE, home.store.store_id, M).seq == 5)
            await home.broadcast("temp", 5)
            await until(lambda: cloud.heard("temp") == [5])
            assert (await cloud.figures()).missed == {}


@pytest.mark.parametrize(
    "marks",
    [
        [envelope.Mark(st="", n=1 << 60)],
        [envelope.Mark(st="", n=-5, f=[-1, 1 << 62, 0, 0])],
        [envelope.Mark(st="", n=2, k=7), envelope.Mark(st="", n=3, k=8)],
        [envelope.Mark(st="", n=3, g=1, full="x" * 100_000, f=[1] * 1000)],
        [envelope.Mark(st="another store", n=3)],
    ],
)
async def test_marks_that_make_no_sense_lose_nothing_and_renew_the_store_for_that_party_only_and_once_at_most(
    tmp_path: Path, marks: list[envelope.Mark], caplog: pytest.LogCaptureFixture
) -> None:
    mute = True
    air = Air(changes=lambda topic, payload: [] if mute and "/ev/" in topic else None)
    async with both(tmp_path, air) as (_, cloud, home):
        own = home.store.store_id
        ids = {own}
        await home.broadcast_all("temp", 3)
        for mark in marks * 3:
            said = envelope.Mark(
                st=mark.st or home.store.id_for(GATEWAY), n=mark.n, g=mark.g, full=mark.full, f=mark.f, k=mark.k
            )
            cloud.end.link.send(home.end.other.wires.event("message").replace("/up/ev/", "/dn/ack/"), write(said))
            await until(lambda: not home.relay.end_of(home.end.other, home.end.station)._marks.qsize())
            await settle()
            ids.add(home.store.id_for(GATEWAY))
        assert len(ids) <= 2
        assert home.store.id_for("another") == own
        assert caplog.text.count("was never sent from here") == len(ids) - 1
        if not any(mark.g for mark in marks):
            assert home.store.outbox.waiting(GATEWAY)[M] == 3
            mute = False
            await until(lambda: cloud.heard("temp") == [0, 1, 2])


@pytest.mark.parametrize(
    "change",
    [
        {"p": -1},
        {"z": 1 << 62},
        {"a": 1 << 62},
        {"t": 1 << 62},
        {"st": ""},
        {"st": "x" * 65},
        {"ev": [envelope.Event(n=1, route="POST /send/x"), envelope.Event(n=1, route="POST /send/x")]},
        {"ev": [envelope.Event(n=99, route="POST /send/x")]},
    ],
)
async def test_batches_that_make_no_sense_are_named_and_the_lane_goes_on(
    tmp_path: Path, change: dict[str, object], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    async with both(tmp_path) as (_, cloud, home):
        fields = {"st": "abc", "p": 0, "z": 3, "ev": [], "a": 0, "t": 0} | change
        batch = envelope.Batch(**fields)  # type: ignore[arg-type]
        home.end.link.send(home.end.other.wires.event("message"), write(batch))
        await until(lambda: "greenhouse: lane message: " in caplog.text)
        await home.broadcast("temp", 1)
        await until(lambda: cloud.heard("temp") == [1])
    assert not [record for record in caplog.records if record.exc_info]


async def test_hostile_numbers_within_a_batch_are_bounded(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with both(tmp_path) as (_, cloud, home):
        for number, seconds in enumerate((1e300, -1e300, 0.0)):
            batch = envelope.Batch(
                st="abc", p=number * 2, z=number * 2 + 2, t=1 << 52,
                ev=[envelope.Event(n=number * 2 + 1, route="POST /send/x", x=seconds)],
                lost=[envelope.Lost(why="y" * 10_000, a=number * 2 + 2, z=number * 2 + 2, bytes=1 << 62)],
            )  # fmt: skip
            home.end.link.send(home.end.other.wires.event("message"), write(batch))
        await until(lambda: cloud.store.inbox.fate(SITE, "abc", M).seq == 6)
        await until(lambda: cloud.target.heard["POST /send/x"] == [None])
        async with asyncio.timeout(5):
            while (await cloud.figures()).missed != {"other": 3, "expired": 2}:
                await asyncio.sleep(0.01)
    assert not [record for record in caplog.records if record.exc_info]
