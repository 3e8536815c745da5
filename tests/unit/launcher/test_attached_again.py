"""A container that attaches again, from wherever it is now: it takes its own place, and nobody else's."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import pytest

from edge.errors import NotReady
from tests.unit.launcher.stand_ins import (
    NEVER,
    board,
    call,
    lab,
    order,
    refusal,
    until,
)


async def test_same_owner_and_key_keeps_the_id_at_another_address() -> None:
    async with board() as old, board() as new, lab() as made:
        await made.attach(old.url, "c-1", key="chip-7")
        assert made.existing("chip-7") == "c-1"
        assert made.existing("chip-7", owner="bob") is None
        new.info["agents"] = []
        launched = await made.attach(new.url, "c-2", key="chip-7")
        assert launched.description.container_id == "c-1"
        assert launched.description.agents == []
        await call(launched)
        assert await made.ids() == ["c-1"]
        looks = old.looks()
        await until(lambda: new.looks() > 3)
        assert old.looks() == looks
    assert new.asked.count("POST /invoke/Blink/lamp") == 1


async def test_another_owner_with_the_same_key_is_another_container() -> None:
    async with board() as lamp, board() as other, lab() as made:
        await made.launcher.start(order(lamp.url, "c-1", owner="ann", key="k"))
        await made.launcher.start(order(other.url, "c-2", owner="bob", key="k"))
        assert await made.ids() == ["c-1", "c-2"]


async def test_without_a_key_the_url_is_the_key() -> None:
    async with board() as lamp, lab() as made:
        await made.attach(lamp.url + "/", "c-1")
        assert made.launcher.existing_id("ann", order(lamp.url).wish) == "c-1"
        assert (await made.attach(lamp.url, "c-2")).description.container_id == "c-1"


async def test_failed_replacement_leaves_the_old_one() -> None:
    async with board() as lamp, lab() as made:
        launched = await made.attach(lamp.url, key="k")
        with pytest.raises(NotReady):
            await made.attach("http://127.0.0.1:1", key="k")
        await call(launched)
        record = made.launcher.kept("c-1")
    assert record is not None and record.url == lamp.url


async def test_slow_answer_does_not_replace_what_attached_later() -> None:
    async with board() as first, board() as slow, board() as quick, lab() as made:
        await made.attach(first.url, key="k")
        slow.gate.clear()
        attaching = asyncio.ensure_future(made.attach(slow.url, key="k"))
        await until(slow.looks)
        await made.attach(quick.url, key="k")
        slow.gate.set()
        launched = await attaching
        assert (launched.description.container_id, launched.transport.name) == ("c-1", quick.url)
        assert made.kept().url == quick.url


async def test_same_key_twice_at_once_gets_one_id() -> None:
    async with board() as slow, board() as quick, lab() as made:
        slow.gate.clear()
        attaching = asyncio.ensure_future(made.attach(slow.url, "c-1", key="k"))
        await until(slow.looks)
        await made.attach(quick.url, "c-2", key="k")
        slow.gate.set()
        with pytest.raises(NotReady, match="attached by another request"):
            await attaching
        assert await made.ids() == ["c-2"]


async def test_away_container_that_attaches_again_is_back_at_once() -> None:
    async with board() as lamp, board() as moved, lab() as made:
        launched = await made.attach(lamp.url, key="k")
        await lamp.down()
        await until(lambda: made.launcher.away("c-1"))
        assert "away since" in await refusal(launched)
        await call(await made.attach(moved.url, "c-9", key="k"))
        assert made.launcher.away("c-1") is None


async def test_thirty_attach_at_once() -> None:
    async with AsyncExitStack() as opened:
        boards = [await opened.enter_async_context(board()) for _ in range(30)]
        made = await opened.enter_async_context(lab(NEVER))
        launched = await asyncio.gather(
            *(made.attach(lamp.url, f"c-{number}", key=f"k-{number}") for number, lamp in enumerate(boards))
        )
        await asyncio.gather(*map(call, launched))
        assert await made.ids() == [f"c-{number}" for number in range(30)]
        assert [lamp.asked for lamp in boards] == [["GET /info", "POST /invoke/Blink/lamp"]] * 30
