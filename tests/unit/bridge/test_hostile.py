"""Whatever is written on a broker: nothing fails, nothing grows without a bound, and a good call works afterwards."""

from __future__ import annotations

import asyncio
import json
import random
import string
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from bridge import chunks
from bridge.chunks import Flag, pack
from bridge.config import LaneSettings
from bridge.envelope import Answer, Batch, Credit, Event, Mark, Presence, Request, Unreadable, read, write
from bridge.mqtt.topics import Topics, is_site
from bridge.remote import inflated
from bridge.store import Clock
from tests.unit.bridge.places import Place, both, have_met, hurry, place
from tests.unit.bridge.wire import GATEWAY, INFO, SITE, Air, settle, until

NASTY: list[Any] = [
    None, True, -1, 0, 2**31, 2**53 + 1, 2**63, 2**64, -(2**70), 10**400, 1e308, -1e308, 0.1, "", " ", "\x00",
    "\x1b[2J",
    "x" * 70_000, "ä\u2028\U0001f4a5", "POST /invoke/../x", "GET /stream/a", "PING", "L", "S1", "../..", "NaN", [], {},
    [[]] * 50, {"": {}}, {"a": [1, {"b": None}]}, list(range(1000)), "\ud800",
]  # fmt: skip
RAW = [
    b"", b"\x00", b"{", b"[", b"null", b"NaN", b'{"on":NaN}', b'{"on":1e999}', b"\xff\xfe", b"{}" * 100, b"[" * 5000,
    b'{"b":' * 3000, b'"' + b"\\u0000" * 2000 + b'"', b'{"sm":"L"}', b'{"sm":"Lnobody"}', b'{"sm":"L' + b"x" * 60_000,
    zlib.compress(bytes(8_000_000)), zlib.compress(INFO)[:-3], b'{"on":1,"on":2,"ep":3}', bytes(range(256)) * 200,
]  # fmt: skip
GOOD: dict[str, Callable[[], Any]] = {
    "st": lambda: Presence(on=1, ep=7, h="h", st="store", sw="s", m="m"),
    "up/info": lambda: json.loads(INFO),
    "up/rq": lambda: Request(id="r1", ep=1, route="POST /invoke/Water", b={"seconds": 1}, t=5, x=30.0, sid="S1"),
    "up/rs/cloud": lambda: Answer(id="r1", s=200, b=1, t=5),
    "up/ev/message": lambda: Batch(st="other", p=0, z=1, ev=[Event(n=1, route="POST /send/x")], t=5),
    "up/ack/message": lambda: Mark(st="other", n=1, f=[1, 0, 0, 0]),
    "up/sc/S1": lambda: Credit(n=3),
}
ENDINGS = [*GOOD, "up/sm/S1", "up/sm/Labc", "up/ev/nolane", "up/ack/", "up/x/y/z", "dn/rq/cloud", "up", "", "up/tm/t"]
PARTIES = [SITE, SITE, SITE, "stranger", "_gw/cloud", "_gw", "Nobody", "", "a" * 65, "x/y", "-"]


def spoilt(rng: random.Random, good: bytes) -> bytes:
    """A message with some of its values, or some of its bytes, replaced."""
    if rng.random() < 0.5:
        raw = bytearray(good)
        for _ in range(rng.randint(1, 8)):
            raw[rng.randrange(len(raw))] = rng.randrange(256)
        return bytes(raw[: rng.randint(0, len(raw))] if rng.random() < 0.3 else raw)
    value = json.loads(good)
    for key in rng.sample(list(value), rng.randint(1, len(value))):
        value[key] = rng.choice(NASTY)
    if rng.random() < 0.3:
        value[rng.choice(string.ascii_letters)] = rng.choice(NASTY)
    return json.dumps(value).encode("utf-8", "surrogatepass")


def chunk(rng: random.Random) -> bytes:
    """A chunk that lies about its number, its end or its checksum."""
    number, data = rng.choice([0, 0, 1, 2, 2**32 - 1]), rng.randbytes(rng.choice([0, 3, 4, 100, 20_000]))
    if rng.random() < 0.2:
        return struct.pack(">BI", rng.randrange(256), number)[: rng.randint(0, 5)] + data
    return pack(rng.choice([Flag.NONE, Flag.LAST, Flag.BROKEN]), number, data)


def message(rng: random.Random) -> tuple[str, bytes]:
    """A topic of the scheme, or almost one, and what may be found there."""
    ending = rng.choice(ENDINGS)
    topic = f"opaca/{rng.choice(['v1'] * 8 + ['v2', 'v0'])}/{rng.choice(PARTIES)}/{ending}"
    if "/sm/" in ending and rng.random() < 0.8:
        return topic, chunk(rng)
    if ending in GOOD and rng.random() < 0.8:
        good = GOOD[ending]()
        return topic, spoilt(rng, json.dumps(good).encode() if isinstance(good, dict) else write(good))
    return topic, rng.choice(RAW)


async def can_still_work(cloud: Place, home: Place) -> None:
    """Calls and messages go both ways, once the site has said anew who it is."""
    home.end.link.down()
    home.end.link.up()
    await until(lambda: SITE in cloud.end.station.remotes and cloud.end.station.remotes[SITE].is_there)
    await settle()
    for station, name in ((cloud.end.station, SITE), (home.end.station, GATEWAY)):
        assert (await station.remotes[name].call("POST /invoke/A", limit_s=5)).s == 200
    await home.broadcast("good", "from home")
    await until(lambda: cloud.heard("good") == ["from home"])


@pytest.mark.parametrize("number", range(4))
async def test_nothing_that_is_written_on_a_broker_does_harm(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    at_size: Callable[[int, int], int],
    seed: int,
    number: int,
) -> None:
    hurry(monkeypatch)
    rng = random.Random(seed + number)
    async with both(tmp_path) as (air, cloud, home):
        cloud.target.refuses("POST /send/x", 400)
        cloud.end.link.manners.filters.append("#")  # type: ignore[attr-defined] - a broker without an access list
        for _ in range(at_size(2000, 30_000)):
            if rng.random() < 0.05:  # else most would be from nobody
                air.publish(f"opaca/v1/{SITE}/st", write(Presence(on=1, ep=rng.randrange(9))))
            elif rng.random() < 0.05:
                mark = Mark(
                    st=cloud.store.store_id, n=rng.choice([0, 1, 2**50, -1]), f=[1, 2, 3, 4], k=rng.randrange(9)
                )
                air.publish(f"opaca/v1/{SITE}/up/ack/message", write(mark))
            air.publish(*message(rng))
            if rng.random() < 0.1:
                await settle()
        await settle()
        station = cloud.end.station
        assert len(station.large._assemblies) <= 16
        assert len(station.remotes) <= 3
        assert station.passed_over > 100
        await can_still_work(cloud, home)
    failures = [each.getMessage() for each in caplog.records if each.exc_info or "failed" in each.getMessage()]
    assert not failures
    assert len(caplog.records) < 1000


def test_texts_that_are_no_topic_of_ours_are_told_apart_from_those_that_are(
    seed: int, at_size: Callable[[int, int], int]
) -> None:
    rng, topics = random.Random(seed), Topics("opaca")
    words = [
        "opaca",
        "v1",
        "v2",
        "_gw",
        "home",
        "st",
        "up",
        "dn",
        "ev",
        "",
        "+",
        "#",
        "\x00",
        "..",
        "ä",
        "x" * 65_000,
        "rq",
    ]
    for _ in range(at_size(3000, 100_000)):
        topic = "/".join(rng.choices(words, k=rng.randint(0, 9)))
        address = topics.read(topic)
        if address is not None:
            assert is_site(address.party)
            assert topic.startswith("opaca/v1/")
            assert len(topic.split("/")) <= 6


def test_whatever_was_flipped_in_a_message_it_is_read_or_refused(seed: int, at_size: Callable[[int, int], int]) -> None:
    rng = random.Random(seed)
    kinds = [Presence, Request, Answer, Batch, Mark, Credit]
    goods = [write(GOOD[each]()) for each in GOOD if each != "up/info"]
    for _ in range(at_size(3000, 100_000)):
        payload = rng.choice(RAW) if rng.random() < 0.1 else spoilt(rng, rng.choice(goods))
        try:
            write(read(payload, rng.choice(kinds)))
        except Unreadable:
            pass


def test_chunks_are_read_or_refused_and_a_bomb_does_not_go_off(seed: int) -> None:
    rng = random.Random(seed)
    for _ in range(2000):
        try:
            chunks.unpack(chunk(rng))
        except Unreadable:
            pass
    with pytest.raises(Unreadable, match="above"):
        inflated(zlib.compress(bytes(50_000_000)))


async def test_a_site_that_floods_is_counted_and_holds_up_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hurry(monkeypatch)
    async with both(tmp_path) as (air, cloud, home):
        batch = write(Batch(st="flood", p=0, z=1, ev=[Event(n=1, route="POST /send/x")], t=5))
        for number in range(5000):
            air.publish(f"opaca/v1/{SITE}/up/ev/message", batch)
            air.publish(
                f"opaca/v1/{SITE}/up/rq", write(Request(id=str(number), ep=cloud.end.station._epoch, route="POST /x"))
            )
        await settle()
        assert len(cloud.end.played) < 5000
        assert cloud.end.station.passed_over > 1000
        await can_still_work(cloud, home)


async def test_names_that_are_kept_are_short_whatever_a_site_says(tmp_path: Path) -> None:
    """What was asked is remembered by its ID, also if it was refused: long ones would be a way into our memory."""
    long = "x" * 100
    async with both(tmp_path) as (air, cloud, home):
        site, epoch = f"opaca/v1/{SITE}", cloud.end.station._epoch
        for topic, message in (
            ("up/rq", Request(id=long, ep=epoch, route="POST /invoke/A")),
            ("up/ev/message", Batch(st=long, p=0, z=1, ev=[Event(n=1, route="POST /broadcast/never")])),
            ("st", Presence(on=1, ep=3, st=long)),
            ("st", Presence(on=1, ep=3, m=long)),
            ("st", Presence(on=1, ep=3, sw=long * 3)),
            ("st", Presence(on=1, ep=3, h=long * 30)),
        ):
            air.publish(f"{site}/{topic}", write(message))
        await until(lambda: cloud.end.station.passed_over == 6)
        assert not cloud.end.played
        assert long not in repr([*cloud.store.inbox.all_taken(SITE), cloud.end.other.presence])
        await can_still_work(cloud, home)


async def test_a_site_that_is_somebody_else_all_the_time_takes_no_memory_and_fills_no_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with both(tmp_path) as (air, cloud, home):
        tasks = len(asyncio.all_tasks())
        for number in range(1000):
            air.publish(f"opaca/v1/{SITE}/st", write(Presence(on=1, ep=number + 1, m="ab"[number % 2])))
            if number % 10 == 0:
                await settle()
        await settle()
        assert len(asyncio.all_tasks()) < tasks + 20
        assert cloud.end.station.problem_with(cloud.end.other).startswith("two machines")
        assert len(caplog.records) < 100
        await can_still_work(cloud, home)


class _SetClock(Clock):
    """A time of day that is hours off, and set while it is used."""

    def __init__(self) -> None:
        super().__init__()
        self.off_s = 10 * 3600.0

    def now_ms(self) -> int:
        return super().now_ms() + int(self.off_s * 1000)


async def test_clocks_that_are_hours_off_or_set_meanwhile_make_nothing_old(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hurry(monkeypatch)
    air, clock, lanes = Air(), _SetClock(), {"message": LaneSettings(expires_s=60)}
    async with (
        place(air, tmp_path, GATEWAY, lanes=lanes) as cloud,
        place(air, tmp_path, SITE, lanes=lanes, clock=clock) as home,
    ):
        await have_met(cloud, home)
        for number, off_s in enumerate((10 * 3600.0, -10 * 3600.0, 5 * 3600.0)):
            clock.off_s = off_s
            await home.broadcast("up", number)
            await cloud.broadcast("down", number)
            await until(lambda count=number + 1: len(cloud.heard("up")) == len(home.heard("down")) == count)
        answer = await cloud.end.other.call("POST /invoke/A", limit_s=5, begin_within_s=1)
        assert answer.s == 200


async def test_a_batch_that_was_under_way_for_long_has_grown_old(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hurry(monkeypatch)
    async with both(tmp_path) as (air, cloud, _):
        topic, now_ms = f"opaca/v1/{SITE}/up/ev/message", 1_000_000
        for number, made_ms in ((1, now_ms), (2, now_ms - 100_000), (3, now_ms + 50)):
            event = Event(n=number, route="POST /broadcast/late", b=msgspec.Raw(b'{"payload":%d}' % number), x=60.0)
            air.publish(topic, write(Batch(st="s", p=number - 1, z=number, ev=[event], t=5, u=made_ms)))
            await settle()
        await until(lambda: 3 in cloud.heard("late"))
        assert cloud.heard("late") == [1, 3]
