"""What is too large for one message comes in chunks, both ways, or is said not to have come."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from bridge import calls, large
from bridge.chunks import CHUNK_BYTES, Flag, checksum, cut, pack, unpack
from bridge.envelope import Answer, Request, Unreadable
from bridge.large import MAX_BODY_BYTES, MAX_WHOLE_BYTES
from edge.errors import TooLarge
from tests.unit.bridge.wire import Air, joined, settle, until

ROUTE = "POST /invoke/Echo/pump"
KB = 1024


def text_of(size: int) -> str:
    return random.Random(size).randbytes(size // 2).hex()


def chunk_topics(air: Air) -> list[str]:
    return [topic for topic, _ in air.of("sm/L")]


@pytest.mark.parametrize("size", [10, 65 * KB, 300 * KB, MAX_BODY_BYTES])
@pytest.mark.parametrize("is_upwards", [False, True], ids=["gateway to site", "site to gateway"])
async def test_bodies_of_any_size_come_as_they_were(size: int, is_upwards: bool) -> None:
    async with joined() as (air, cloud, home):
        asking, asked = (home, cloud) if is_upwards else (cloud, home)

        async def echo(request: Request) -> Answer:
            return Answer(id=request.id, b=request.b)

        asked.play = echo
        body = text_of(size)
        assert (await asking.other.call(ROUTE, body=body, limit_s=5)).b == body
        assert bool(chunk_topics(air)) == (size > MAX_WHOLE_BYTES)
        assert all(len(payload) <= MAX_WHOLE_BYTES for _, payload in air.said)
        if size > MAX_WHOLE_BYTES:
            assert {topic.split("/")[3] for topic in chunk_topics(air)} == {"up", "dn"}
            assert max(len(payload) for _, payload in air.of("sm/L")) <= CHUNK_BYTES + 16
        assert not cloud.station.large._assemblies
        assert not home.station.large._assemblies


def lost(number: int, payload: bytes) -> list[bytes]:
    return [] if number == 3 else [payload]


def doubled(number: int, payload: bytes) -> list[bytes]:
    return [payload, payload] if number == 3 else [payload]


def turned(number: int, payload: bytes) -> list[bytes]:
    return [payload[:-1] + bytes([payload[-1] ^ 1])] if number == 3 else [payload]


def endless(number: int, payload: bytes) -> list[bytes]:
    return [pack(Flag.NONE, number, payload[5:])]


def swapped() -> Callable[[int, bytes], list[bytes]]:
    held: list[bytes] = []

    def swap(number: int, payload: bytes) -> list[bytes]:
        if number == 3:
            held.append(payload)
            return []
        return [payload, held.pop()] if held else [payload]

    return swap


@pytest.mark.parametrize("harm", [lost, doubled, turned, endless, swapped()], ids=lambda harm: harm.__name__)
@pytest.mark.parametrize("way", ["dn", "up"], ids=["of a request", "of an answer"])
async def test_damaged_chunks_are_no_message_and_it_is_sent_again(
    way: str,
    harm: Callable[[int, bytes], list[bytes]],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(calls, "_FIRST_RETRY_S", 0.02)
    async with joined() as (air, cloud, home):

        async def echo(request: Request) -> Answer:
            return Answer(id=request.id, b=request.b)

        home.play = echo
        harmed: list[str] = []

        def change(topic: str, payload: bytes) -> list[bytes] | None:
            if f"/{way}/sm/L" not in topic:
                return None
            if not harmed:
                harmed.append(topic)
            return harm(unpack(payload).number, payload) if topic == harmed[0] else None

        air.changes = change
        body = text_of(200 * KB)
        assert (await cloud.other.call(ROUTE, body=body, limit_s=5)).b == body
        assert len(home.played) == 1
        assert len({topic for topic in chunk_topics(air) if f"/{way}/" in topic}) == 2
        assert "chunks" in caplog.text


async def test_what_is_above_the_limit_is_refused_before_any_of_it_is_sent() -> None:
    async with joined() as (air, cloud, home):
        with pytest.raises(TooLarge, match=str(MAX_BODY_BYTES)):
            await cloud.other.call(ROUTE, body="x" * (3 * MAX_BODY_BYTES), limit_s=5)
        assert chunk_topics(air) == []
        assert home.played == []


async def test_an_answer_above_the_limit_is_413_and_the_link_lives(monkeypatch: pytest.MonkeyPatch) -> None:
    async with joined() as (_, cloud, home):

        async def much(request: Request) -> Answer:
            return Answer(id=request.id, b="x" * (3 * MAX_BODY_BYTES))

        home.play = much
        answer = await cloud.other.call(ROUTE, limit_s=5)
        assert (answer.s, str(MAX_BODY_BYTES) in str(answer.b)) == (413, True)
        again = await cloud.other.calls.call(home.played[0], 5)
        assert (again.s, len(home.played)) == (413, 1)


async def test_messages_that_never_become_whole_take_bounded_room() -> None:
    async with joined() as (air, cloud, home):
        body = b"x" * (3 * CHUNK_BYTES)
        for number in range(50):
            air.publish(f"opaca/v1/greenhouse/up/sm/L{number}", next(cut(body)))
        await settle()
        assert len(cloud.station.large._assemblies) <= large._MAX_PER_PARTY
        for number in range(400):
            air.publish("opaca/v1/greenhouse/up/sm/Lz", pack(Flag.NONE, number, b"x" * CHUNK_BYTES))
            await settle()
        held = sum(len(each.body) for each in cloud.station.large._assemblies.values())
        assert held <= 3 * MAX_BODY_BYTES
        assert (await cloud.other.call(ROUTE, limit_s=5)).s == 200
        assert len(home.played) == 1


@pytest.mark.parametrize("is_ours", [True, False], ids=["our link", "its link"])
async def test_what_has_begun_to_come_is_given_up_when_its_connection_ends(is_ours: bool) -> None:
    async with joined() as (air, cloud, home):
        air.publish("opaca/v1/greenhouse/up/sm/La", next(cut(b"x" * (3 * CHUNK_BYTES))))
        await settle()
        assert cloud.station.large._assemblies
        (cloud if is_ours else home).link.down()
        await settle()
        assert not cloud.station.large._assemblies


async def test_a_message_that_names_chunks_of_nobody_is_passed_over(caplog: pytest.LogCaptureFixture) -> None:
    async with joined() as (air, cloud, home):
        air.publish("opaca/v1/greenhouse/dn/rq/cloud", b'{"sm":"Lnone"}')
        await until(lambda: "whose chunks did not all come" in caplog.text)
        assert home.played == []
        assert (await cloud.other.call(ROUTE, limit_s=5)).s == 200


@pytest.mark.parametrize("size", [0, 1, CHUNK_BYTES, CHUNK_BYTES + 1, 5 * CHUNK_BYTES])
def test_a_body_is_cut_into_chunks_that_fit_together_again(size: int) -> None:
    body = random.Random(size).randbytes(size)
    chunks = [unpack(each) for each in cut(body)]
    assert [chunk.number for chunk in chunks] == list(range(len(chunks)))
    assert [bool(chunk.flags & Flag.LAST) for chunk in chunks] == [False] * (len(chunks) - 1) + [True]
    assert b"".join(chunk.data for chunk in chunks)[:-4] == body


@pytest.mark.parametrize("payload", [b"", b"\x00\x00", pack(Flag.LAST, 0, checksum(1)[:3])])
async def test_what_is_no_chunk_is_no_harm(payload: bytes, caplog: pytest.LogCaptureFixture) -> None:
    async with joined() as (air, cloud, _):
        air.publish("opaca/v1/greenhouse/up/sm/Lx", payload)
        await until(lambda: "chunk" in caplog.text)
        with pytest.raises(Unreadable):
            cloud.station.large.whole("greenhouse", b'{"sm":"Lx"}')
