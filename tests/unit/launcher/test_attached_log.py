"""What the log says of containers that go and come back: a line each, whatever happens around them."""

from __future__ import annotations

import asyncio
import logging

import pytest

from edge.errors import OutcomeUnknown
from tests.unit.launcher.stand_ins import QUICK, Board, Lab, board, call, lab, until


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage().partition(") ")[2] for record in caplog.records if "(c-1)" in record.getMessage()]


async def goes(lamp: Board, made: Lab) -> None:
    await lamp.down()
    await until(lambda: made.launcher.away("c-1"))


async def comes(lamp: Board, made: Lab) -> None:
    await lamp.up()
    await until(lambda: made.launcher.away("c-1") is None)


async def test_a_loss_and_a_return_are_a_line_each_however_many_notice(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with board() as lamp, lab() as made:
        launched = await made.attach(lamp.url)
        lamp.call_gate.clear()
        calls = [asyncio.ensure_future(call(launched)) for _ in range(20)]
        await until(lambda: lamp.asked.count("POST /invoke/Blink/lamp") == 20)
        await goes(lamp, made)
        assert {type(end) for end in await asyncio.gather(*calls, return_exceptions=True)} == {OutcomeUnknown}
        lamp.call_gate.set()
        await comes(lamp, made)
        await asyncio.gather(*(call(launched) for _ in range(20)))
    assert len(said(caplog)) == 2, said(caplog)
    assert said(caplog)[0].startswith(f"is away: {lamp.url} cannot be reached")
    assert said(caplog)[1].startswith("is back after")


async def test_one_that_attaches_anew_after_a_loss_comes_back_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with board() as lamp, board() as elsewhere, lab() as made:
        await made.attach(lamp.url, key="k")
        await goes(lamp, made)
        await made.attach(elsewhere.url, key="k")
        await made.attach(elsewhere.url, key="k")
        await lamp.up()
        await made.attach(lamp.url, key="k")
    assert [line.partition(":")[0] for line in said(caplog)] == [
        "is away",
        "is back at http",
        "moved from http",
    ]


async def test_one_that_does_nothing_but_come_and_go_fills_no_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with board() as lamp, lab(QUICK) as made:
        await made.attach(lamp.url)
        for _ in range(10):
            await goes(lamp, made)
            await comes(lamp, made)
        assert [line.split()[1] for line in said(caplog)] == ["away:", "back"] * 3 + ["and"]
        caplog.clear()
        made.put_forward(601.0)
        await until(lambda: said(caplog))
        assert said(caplog) == ["has stayed for 10 min now"]
        await goes(lamp, made)
        await comes(lamp, made)
    assert [line.split()[1] for line in said(caplog)[1:]] == ["away:", "back"]
