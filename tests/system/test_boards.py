"""Boards on the network: many at once, the same one twice at once, lost and found, and under one ID for ever."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest

from tests.system.farm import Farm, boards, farm
from tests.system.joined import restart, until
from tests.unit.launcher.stand_ins import Board

pytestmark = pytest.mark.timeout(60)


async def test_thirty_boards_attach_at_once(tmp_path: Path) -> None:
    names = [f"bed-{number}" for number in range(30)]
    async with farm(tmp_path) as at, boards(30) as made:
        await at.enrol(*names)
        # Each twice, as a board does that had no answer in time.
        answers = await asyncio.gather(
            *(at.attach(name, board.url) for name, board in [*zip(names, made, strict=True)] * 2)
        )
        assert [answer.status for answer in answers] == [200] * 60
        ids = [answer.body for answer in answers]
        assert (ids[:30], len(set(ids))) == (ids[30:], 30)
        assert set(await at.ids()) == {each.decode() for each in ids}
        assert await asyncio.gather(*(at.blink(each.decode()) for each in ids[:30])) == [200] * 30
        assert [board.asked.count("POST /invoke/Blink") for board in made] == [1] * 30
        assert len(at.said(") runs")) == 30


@pytest.mark.parametrize("requires_auth", [True, False])
async def test_a_board_that_attaches_twice_at_once_has_one_id(tmp_path: Path, requires_auth: bool) -> None:
    async with farm(tmp_path, requires_auth) as at, boards(2) as (old, new):
        await at.enrol("pump")
        old.gate.clear()
        first = asyncio.ensure_future(at.attach("pump", old.url))
        await until(lambda: _asked(old), "the first one is asked what it is")
        # It got another address meanwhile.
        others = [asyncio.ensure_future(at.attach("pump", board.url)) for board in (new, old, new)]
        await at.ask("GET", "/info")
        old.gate.set()
        answers = await asyncio.gather(first, *others)
        assert [answer.status for answer in answers] == [200] * 4
        [container_id] = {answer.body.decode() for answer in answers}
        assert await at.ids() == [container_id]
        assert await at.blink(container_id) == 200
        os.kill(at.platform.process.pid, signal.SIGKILL)
        await restart(at.platform)
        assert await at.ids() == [container_id]
        assert (await at.attach("pump", old.url)).body.decode() == container_id


async def _asked(board: Board) -> int:
    return board.looks()


async def test_a_lost_access_point_is_a_line_for_each_board_and_one_for_its_return(tmp_path: Path) -> None:
    names = [f"bed-{number}" for number in range(5)]
    async with farm(tmp_path) as at, boards(5) as made:
        await at.enrol(*names)
        ids = [(await at.attach(name, board.url)).body.decode() for name, board in zip(names, made, strict=True)]
        await asyncio.gather(*(board.down() for board in made))
        assert set(await asyncio.gather(*(at.blink(each) for each in ids * 5))) == {502}
        await until(lambda: _are(at, "away"), "all are away")
        assert set(await asyncio.gather(*(at.blink(each) for each in ids * 5))) == {502}
        await asyncio.gather(*(board.up() for board in made))
        await until(lambda: _are(at, "running"), "all are back")
        assert [len(at.said(words)) for words in ("is away:", "is back", "is away since")] == [5, 5, 0]
        assert await at.ids() == ids


async def _are(at: Farm, state: str) -> bool:
    return set((await at.states()).values()) == {state}


async def test_a_token_attaches_one_board_however_fast_it_is_used(tmp_path: Path) -> None:
    async with farm(tmp_path) as at, boards(1) as (board,):
        await at.enrol("pump")
        answers = await asyncio.gather(*(at.attach("pump", board.url, f"key-{number}") for number in range(5)))
        assert sorted(answer.status for answer in answers) == [200, 403, 403, 403, 403]
        assert len(await at.ids()) == 1


async def test_a_token_keeps_few_requests_waiting_and_nobody_else(tmp_path: Path) -> None:
    async with farm(tmp_path, CONTAINER_TIMEOUT_SEC="3") as at, boards(2) as (silent, other):
        await at.enrol("stolen", "honest")
        silent.gate.clear()
        asked = [asyncio.ensure_future(at.attach("stolen", silent.url)) for _ in range(20)]
        first, _ = await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED)
        assert {each.result().status for each in first} == {503}
        assert (await at.attach("honest", other.url)).status == 200
        # The platform's time counts for it, whatever it asks for, and removing its user ends it.
        assert (await at.ask("DELETE", "/users/board-stolen")).body == b"true"
        silent.gate.set()
        statuses = [answer.status for answer in await asyncio.gather(*asked)]
        assert (statuses.count(503), 200 in statuses) == (11, False)
        assert len(await at.ids()) == 1
