"""Whether attached containers still answer: what is asked of them when, and what is said when they do not."""

from __future__ import annotations

import asyncio
import logging
import re
import socket

import pytest

from edge.errors import OutcomeUnknown, RemoteError, Unreachable
from edge.launcher.attached_watch import Pace
from tests.unit.launcher.stand_ins import NEVER, QUICK, board, call, lab, lines, order, refusal, until
from tests.unit.scripted import ok, scripted, status

# Its checks come so late that only a failed call brings one about.
ON_DOUBT = Pace(check_s=3600.0, answer_s=0.1, first_return_s=0.02, last_return_s=0.1)


async def test_silent_container_is_looked_at_again_and_again() -> None:
    async with board() as lamp, lab() as made:
        await made.attach(lamp.url)
        await until(lambda: lamp.looks() > 4)
        assert set(lamp.asked) == {"GET /info"}
        assert made.listed.appearances == []  # it says the same each time


async def test_no_look_comes_before_its_time() -> None:
    async with board() as lamp, board() as other, lab(Pace()) as made:
        await made.attach(lamp.url)
        made.put_forward(29.9)
        await call(await made.attach(other.url, "c-2"))  # lets the loop run
        assert lamp.looks() == 1
        made.put_forward(8)
        await until(lambda: lamp.looks() == 2)
        assert other.looks() == 1


async def test_container_is_never_looked_at_while_calls_succeed() -> None:
    async with board() as lamp, lab(Pace()) as made:
        launched = await made.attach(lamp.url)
        for _ in range(200):
            made.put_forward(20.0)
            await call(launched)
        async with launched.transport.get_stream("s", None) as pieces:
            async for _ in pieces:
                made.put_forward(20.0)
        assert lamp.looks() == 1
        made.put_forward(38.0)
        await until(lambda: lamp.looks() == 2)


async def test_pieces_of_a_stream_make_looks_unnecessary() -> None:
    more = asyncio.Queue[bytes]()

    async def stream(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while piece := await more.get():
            writer.write(piece)
        writer.close()

    async with scripted(ok(INFO_BYTES), stream, ok(INFO_BYTES)) as script, lab(Pace()) as made:
        launched = await made.attach(script.base_url)
        async with launched.transport.get_stream("s", None) as pieces:
            for _ in range(10):
                made.put_forward(20.0)
                await more.put(b"x")
                assert await anext(pieces) == b"x"
            assert len(script.requests) == 2
            more.put_nowait(b"")


async def test_away_container_is_answered_for_at_once_and_said_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with board() as lamp, lab() as made:
        launched = await made.attach(lamp.url)
        await lamp.down()
        await until(lambda: made.launcher.away("c-1"))
        said = [await refusal(launched) for _ in range(20)]
        date = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"
        assert re.fullmatch(rf"{lamp.url} is away since {date}: cannot be reached: Connection refused", said[0])
        with pytest.raises(Unreachable):
            async with launched.transport.get_stream("s", None):
                pass
        await lamp.up()
        await until(lambda: made.launcher.away("c-1") is None)
        await call(launched)
    assert said == said[:1] * 20
    assert len(lines(caplog, "is away", logging.WARNING)) == 1
    assert len(lines(caplog, "is back")) == 1
    assert lamp.asked.count("POST /invoke/Blink/lamp") == 1
    assert "c-1" in lines(caplog, "is back")[0]


async def test_description_is_refreshed_on_return() -> None:
    async with board() as lamp, lab() as made:
        await made.attach(lamp.url)
        await lamp.down()
        await until(lambda: made.launcher.away("c-1"))
        lamp.info["agents"][0]["agentId"] = "pump"
        await lamp.up()
        await until(lambda: made.listed.appearances)
        described = made.listed.appearances[-1].description
        assert (described.container_id, described.owner) == ("c-1", "ann")
        assert described.agents[0].agent_id == "pump"
        record = made.launcher.kept("c-1")
        assert record is not None and record.description == described


async def test_failed_call_brings_a_look_at_once() -> None:
    async with board() as lamp, lab(ON_DOUBT) as made:
        launched = await made.attach(lamp.url)
        await lamp.down()
        assert "cannot be reached: Connection refused" in await refusal(launched)
        await until(lambda: made.launcher.away("c-1"))
        assert "is away since" in await refusal(launched)


async def test_call_that_kills_the_connection_is_no_proof_of_absence() -> None:
    async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async with scripted(ok(INFO_BYTES), hang_up, ok(INFO_BYTES)) as script, lab(ON_DOUBT) as made:
        launched = await made.attach(script.base_url)
        with pytest.raises(OutcomeUnknown):
            await call(launched)
        await until(lambda: len(script.requests) == 3)
        assert script.last.line == "GET /info HTTP/1.1"
        assert made.launcher.away("c-1") is None


async def test_many_failing_calls_do_not_make_many_looks() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if script.last.line.startswith("GET /info"):
            writer.write(ok(INFO_BYTES))
        else:
            writer.close()

    pace = Pace(check_s=3600.0, first_return_s=10.0)
    async with scripted(answer) as script, lab(pace) as made:
        launched = await made.attach(script.base_url)
        made.put_forward(20)
        for _ in range(50):
            with pytest.raises(OutcomeUnknown):
                await call(launched)
            await asyncio.sleep(0)
        looks = [request for request in script.requests if request.line.startswith("GET /info")]
        assert len(looks) <= 2


async def test_error_of_an_action_says_nothing_about_the_container() -> None:
    async with scripted(ok(INFO_BYTES), status(500)) as script, lab(ON_DOUBT) as made:
        launched = await made.attach(script.base_url)
        for _ in range(3):
            with pytest.raises(RemoteError):
                await call(launched)
        assert made.launcher.away("c-1") is None
        assert len(script.requests) == 4


async def test_container_that_answers_rubbish_is_away_until_it_does_not() -> None:
    async with board() as lamp, lab() as made:
        launched = await made.attach(lamp.url)
        right, lamp.info = lamp.info, b"<html>a router</html>"
        await until(lambda: made.launcher.away("c-1"))
        assert "no description of an agent container" in await refusal(launched)
        lamp.info = right
        await until(lambda: made.launcher.away("c-1") is None)


async def test_container_that_sleeps_in_info_is_away() -> None:
    async with board() as lamp, lab(Pace(check_s=0.02, answer_s=0.05, first_return_s=0.02)) as made:
        launched = await made.attach(lamp.url)
        lamp.gate.clear()
        await until(lambda: made.launcher.away("c-1"))
        assert "did not answer GET /info in 0.05 s" in await refusal(launched)
        lamp.gate.set()
        await until(lambda: made.launcher.away("c-1") is None)


async def test_container_that_is_busy_with_a_call_is_not_away() -> None:
    """Containers of the Python SDK answer nothing while a sync action runs."""
    async with board() as lamp, lab(Pace(check_s=0.02, answer_s=0.02, first_return_s=0.02)) as made:
        launched = await made.attach(lamp.url)
        lamp.call_gate.clear()
        lamp.gate.clear()
        calling = asyncio.ensure_future(call(launched))
        await until(lambda: lamp.looks() > 5)
        assert made.launcher.away("c-1") is None
        lamp.gate.set()
        lamp.call_gate.set()
        await calling


async def test_container_that_refuses_connections_is_away_even_while_a_call_hangs() -> None:
    async with board() as lamp, lab() as made:
        launched = await made.attach(lamp.url)
        lamp.call_gate.clear()
        calling = asyncio.ensure_future(call(launched))
        await until(lambda: len(lamp.asked) > 1)
        runner = lamp._runner
        assert runner is not None
        for site in list(runner.sites):
            await site.stop()
        await until(lambda: made.launcher.away("c-1"))
        lamp.call_gate.set()
        await calling


async def test_looks_are_few_at_a_time() -> None:
    waiting = 0
    most = 0
    come_on = asyncio.Event()

    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal waiting, most
        waiting += 1
        most = max(most, waiting)
        if len(script.requests) > 40:
            await come_on.wait()
        waiting -= 1
        writer.write(ok(INFO_BYTES))

    async with scripted(answer) as script, lab(Pace()) as made:
        for number in range(40):
            await made.launcher.start(order(script.base_url, f"c-{number}", owner=f"o-{number}"))
        most = 0
        made.put_forward(40.0)
        await until(lambda: waiting >= 8)
        await asyncio.sleep(0.05)
        assert most == 8
        come_on.set()
        await until(lambda: len(script.requests) == 80)


async def test_away_container_is_forgotten_after_seven_days(caplog: pytest.LogCaptureFixture) -> None:
    async with board() as lamp, board() as other, lab(Pace(first_return_s=0.01, last_return_s=0.05)) as made:
        await made.attach(lamp.url, "c-1", key="k")
        await made.attach(other.url, "c-2")
        await lamp.down()
        made.put_forward(40.0)
        await until(lambda: made.launcher.away("c-1"))
        made.put_forward(7 * 86_400 - 60)
        away = made.launcher.away("c-1")
        assert away is not None
        pause_s = away.pause_s
        await until(lambda: away.pause_s > pause_s or away.pause_s == 0.05)
        assert made.listed.gone == []
        made.put_forward(61)
        await until(lambda: made.listed.gone)
        assert made.listed.gone == ["c-1"]
        assert await made.ids() == ["c-2"]
        assert made.existing("k") is None
        assert not await made.launcher.stop("c-1")
    assert len(lines(caplog, "c-1) is forgotten", logging.WARNING)) == 1


async def test_one_that_was_long_away_before_the_start_gets_an_hour() -> None:
    async with board() as lamp:
        async with lab(NEVER) as made:
            await made.attach(lamp.url)
            await lamp.down()
            assert await made.launcher.describe("c-1") is None
            record = made.kept()
        assert record.away_since is not None
        long_ago = type(record)(url=record.url, description=record.description, away_since="2020-01-01T00:00:00.000Z")
        async with lab(QUICK) as made:
            made.attach_again(long_ago)
            restored = made.launcher.away("c-1")
            assert restored is not None
            assert restored.since == "2020-01-01T00:00:00.000Z"
            await until(lambda: getattr(made.launcher.away("c-1"), "is_certain", False))
            made.put_forward(3500)
            away = made.launcher.away("c-1")
            assert away is not None and away.since == "2020-01-01T00:00:00.000Z"
            await until(lambda: away.pause_s == QUICK.last_return_s)  # that is several looks later
            assert made.listed.gone == []
            made.put_forward(101)
            await until(lambda: made.listed.gone == ["c-1"])


async def test_record_from_the_future_is_forgotten_in_time_all_the_same() -> None:
    async with board() as lamp:
        async with lab(NEVER) as made:
            await made.attach(lamp.url)
            record = made.kept()
        await lamp.down()
        later = type(record)(url=record.url, description=record.description, away_since="2090-01-01T00:00:00.000Z")
        async with lab() as made:
            made.attach_again(later)
            made.put_forward(QUICK.forget_after_s + 1)
            await until(lambda: made.listed.gone == ["c-1"])


# Addresses wander.


async def test_board_whose_address_another_one_got_is_away() -> None:
    async with board() as lamp, lab() as made:
        first = await made.attach(lamp.url, "c-1", key="chip-1")
        second = await made.attach(lamp.url, "c-2", key="chip-2")
        await until(lambda: made.launcher.away("c-1"))
        assert "container c-2 is at its address now" in await refusal(first)
        await call(second)
        async with board() as elsewhere:
            await call(await made.attach(elsewhere.url, "c-9", key="chip-1"))
            assert made.launcher.away("c-1") is None


async def test_board_that_names_another_ones_id_is_not_taken_for_it() -> None:
    async with board() as lamp, board() as pump, lab() as made:
        first = await made.attach(lamp.url, "c-1", key="chip-1")
        await made.attach(pump.url, "c-2", key="chip-2")
        lamp.info["containerId"] = "c-2"
        await until(lambda: made.launcher.away("c-1"))
        assert "container c-2 answers at its address" in await refusal(first)
        assert made.launcher.away("c-2") is None


async def test_strangers_container_at_the_same_address_takes_nothing_away() -> None:
    async with board() as lamp, lab() as made:
        mine = await made.launcher.start(order(lamp.url, "c-1", owner="ann"))
        await made.launcher.start(order(lamp.url, "c-2", owner="mallory", key="k"))
        looks = lamp.looks()
        await until(lambda: lamp.looks() > looks + 6)
        assert made.launcher.away("c-1") is None
        await call(mine)


async def test_silent_network_is_no_busy_loop() -> None:
    """A listener that never accepts: every look takes its time, and no more than one is under way."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listening:
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        async with board() as lamp, lab(NEVER) as made:
            await made.attach(lamp.url)
            record = made.kept()
        silent = type(record)(url=url, description=record.description)
        async with lab(Pace(check_s=0.02, answer_s=0.05, first_return_s=0.02, last_return_s=0.05)) as made:
            made.attach_again(silent)
            await until(lambda: getattr(made.launcher.away("c-1"), "is_certain", False))
            away = made.launcher.away("c-1")
            assert away is not None and "did not answer GET /info" in away.reason


INFO_BYTES = b'{"containerId":"x","image":{"imageName":"x"},"agents":[],"runningSince":"2026-04-21T13:13:39.120Z"}'
