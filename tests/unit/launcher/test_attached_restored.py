"""Attached containers over a start of the platform: what is stored, and what it is attached from again."""

from __future__ import annotations

import pytest

from edge.errors import Undecodable
from edge.launcher.attachment import AttachedRecord
from edge.model.codec import decode, encode
from tests.unit.launcher.stand_ins import NEVER, board, call, lab, order, refusal, until


async def test_record_holds_what_is_needed_to_attach_again() -> None:
    async with board() as lamp, lab(NEVER) as made:
        launched = await made.attach(lamp.url, key="k", token="secret")
        record = made.kept()
    assert decode(encode(record), AttachedRecord) == record
    assert (record.url, record.key, record.token, record.push) == (lamp.url, "k", "secret", False)
    assert record.description == launched.description
    assert "secret" not in repr(record)


async def test_restored_container_is_listed_as_it_was_without_being_asked() -> None:
    async with board() as lamp:
        async with lab(NEVER) as made:
            before = await made.attach(lamp.url, key="k")
            record = made.kept()
        await lamp.down()
        async with lab() as made:
            again = made.attach_again(record)
            assert again.description == before.description
            assert made.existing("k") == "c-1"
            away = made.launcher.away("c-1")
            assert away is not None and "since the platform started" in away.reason
            await until(lambda: (made.launcher.away("c-1") or away).is_certain)
            assert "Connection refused" in await refusal(again)
            assert await made.ids() == ["c-1"]


async def test_restored_container_that_answers_is_called_at_once_and_described_anew() -> None:
    async with board() as lamp:
        async with lab(NEVER) as made:
            await made.attach(lamp.url, key="k")
            record = made.kept()
        lamp.info["agents"] = []
        async with lab() as made:
            again = made.attach_again(record)
            await call(again)
            await until(lambda: made.launcher.away("c-1") is None)
            await until(lambda: made.listed.appearances)
            assert made.listed.appearances[0].description.agents == []


async def test_restored_sleeper_stays_asleep() -> None:
    async with lab() as made:
        await made.attach("http://127.0.0.1:1", push=True)
        record = made.kept()
    async with lab() as made:
        again = made.attach_again(record)
        assert "sleeps" in await refusal(again)
        assert made.launcher.away("c-1") is None
    assert again.description.image == order("http://x").wish.image


async def test_extra_ports_survive_being_stored() -> None:
    async with board() as lamp:
        lamp.info["image"]["extraPorts"] = {"8100": {"protocol": "TCP", "description": "page"}}
        async with lab(NEVER) as made:
            before = await made.attach(lamp.url)
            kept = made.kept()
        async with lab() as made:
            assert made.attach_again(kept).description == before.description


@pytest.mark.parametrize(
    "record",
    [None, [], {}, {"url": "http://pi"}, {"url": 5, "description": 7}, {"url": "http://pi", "description": {}}],
)
async def test_record_that_cannot_be_read_is_said(record: object) -> None:
    async with lab() as made:
        with pytest.raises(Undecodable):
            made.launcher.attach_again(order("http://unused"), record)
        assert await made.ids() == []
