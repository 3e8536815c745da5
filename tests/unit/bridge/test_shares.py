"""What all sites share no single one takes from the others, whatever it does with its own part."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest

from bridge import answers, calls, large, streams
from bridge.chunks import Flag, cut, pack
from bridge.envelope import Answer, Credit, Request, write
from bridge.tasks import Tasks
from tests.unit.bridge.wire import Air, End, end, settle, until

GREEDY, QUIET = "greedy", "quiet"


@dataclass
class Three:
    """A gateway with two sites."""

    air: Air
    cloud: End
    sites: dict[str, End]


@asynccontextmanager
async def three() -> AsyncIterator[Three]:
    air = Air()
    async with Tasks() as tasks:
        cloud = end(air, tasks, is_gateway=True)
        sites = {name: end(air, tasks, is_gateway=False, site=name) for name in (GREEDY, QUIET)}
        for each in (cloud, *sites.values()):
            each.link.up()
        await until(lambda: len(cloud.station.remotes) == 2)
        await until(lambda: all(each.station.remotes and each.other.is_there for each in sites.values()))
        await settle()
        yield Three(air, cloud, sites)


async def endless() -> AsyncIterator[bytes]:
    while True:
        yield b"x"
        await asyncio.sleep(0.01)


async def test_a_site_with_many_streams_leaves_some_to_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "_MAX_OF_PARTY", 3)
    async with three() as all_three:
        all_three.cloud.executor.platform.source = endless
        greedy, quiet = all_three.sites[GREEDY].other, all_three.sites[QUIET]
        # Whatever its own bridge would let it do.
        opened = [await greedy.call("GET /stream/Values", limit_s=5, sid=f"S{number}") for number in range(4)]
        assert [answer.s for answer in opened] == [200, 200, 200, 503]
        assert "3 streams from and to greedy pass already" in str(opened[-1].b)
        async with quiet.streams.opened(quiet.other, "GET /stream/Values", {}, {}).source as pieces:
            assert await anext(pieces) == b"x"


async def test_credits_of_one_site_for_streams_that_nobody_has_push_out_none_of_another() -> None:
    async with three() as all_three:
        for name, ids in ((QUIET, ["Sleft"]), (GREEDY, [f"S{number}" for number in range(500)] + ["S" * 500])):
            for sid in ids:
                all_three.air.publish(f"opaca/v1/{name}/up/sc/{sid}", write(Credit(end=1)))
        await settle()
        left = all_three.cloud.streams._left
        assert list(left[QUIET]) == ["Sleft"]
        assert len(left[GREEDY]) <= 16
        assert "S" * 500 not in left[GREEDY]


async def test_large_bodies_that_one_site_begins_push_out_none_of_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(large, "_MAX_ASSEMBLIES", 4)
    async with three() as all_three:
        first, *rest = list(cut(b"x" * 50_000))
        kept = all_three.cloud.station.large
        kept.received(QUIET, "Lmine", first)
        for number in range(50):
            for name in (GREEDY, "another"):
                kept.received(name, f"L{number}", pack(Flag.NONE, 0, b"begun"))
        for chunk in rest:
            kept.received(QUIET, "Lmine", chunk)
        assert kept.whole(QUIET, b'{"sm":"Lmine"}') == b"x" * 50_000
        assert len(kept._assemblies) <= 4


async def test_large_answers_leave_room_on_the_way_to_the_broker_for_small_ones(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(calls, "_FIRST_RETRY_S", 0.02)
    monkeypatch.setattr(calls, "_LONGEST_RETRY_S", 0.02)
    async with three() as all_three:

        async def answer(request: Request) -> Answer:
            return Answer(id=request.id, b="x" * 100_000 if request.route.endswith("Large") else "small")

        all_three.cloud.play = answer
        all_three.cloud.link.is_crowded = True
        async with asyncio.TaskGroup() as tasks:
            large_one = tasks.create_task(all_three.sites[GREEDY].other.call("POST /invoke/Large", limit_s=20))
            assert (await all_three.sites[QUIET].other.call("POST /invoke/Small", limit_s=20)).b == "small"
            await until(lambda: len(all_three.air.of("up/rq")) >= 4)
            assert not large_one.done()
            all_three.cloud.link.is_crowded = False
        assert large_one.result().b == "x" * 100_000
        assert len(all_three.cloud.played) == 2


async def test_calls_of_one_site_that_never_end_keep_no_other_from_calling(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "_MAX_OF_PARTY", 2)
    monkeypatch.setattr(answers, "_MAX_RUNNING", 3)
    async with three() as all_three:
        ends = asyncio.Event()

        async def hang(request: Request) -> Answer:
            await ends.wait()
            return Answer(id=request.id, b="done")

        all_three.cloud.play = hang

        def call(name: str) -> asyncio.Task[Answer]:
            return tasks.create_task(all_three.sites[name].other.call("POST /invoke/Water", limit_s=20))

        async with asyncio.TaskGroup() as tasks:
            begun = [call(GREEDY) for _ in range(2)]
            await until(lambda: len(all_three.cloud.played) == 2)
            refused = await call(GREEDY)
            assert (refused.s, "2 calls of greedy are executed already" in str(refused.b)) == (503, True)
            begun.append(call(QUIET))
            await until(lambda: len(all_three.cloud.played) == 3)
            assert (await call(QUIET)).s == 503  # no more in all
            ends.set()
        assert [call.result().b for call in begun] == ["done"] * 3
        all_three.cloud.play = None
        for name in (GREEDY, QUIET):  # what has ended counts no more
            assert (await all_three.sites[name].other.call("POST /invoke/Water", limit_s=20)).s == 200


async def test_rubbish_of_one_site_is_named_a_little_and_that_of_another_all_the_same(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with three() as all_three:
        for number in range(300):
            all_three.air.publish(f"opaca/v1/{GREEDY}/up/sm/L{number}", b"none")
        all_three.air.publish(f"opaca/v1/{QUIET}/up/rq", b"no request")
        await settle()
        assert caplog.text.count(f"/{GREEDY}/up/sm/") == 20
        assert caplog.text.count(f"/{QUIET}/up/rq: not a request") == 1


async def test_where_there_is_only_one_it_may_have_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "_MAX_OF_PARTY", 1)
    monkeypatch.setattr(answers, "_MAX_RUNNING", 2)
    async with three() as all_three:
        quiet, gateway = all_three.sites[QUIET], all_three.cloud.station.remotes[QUIET]
        quiet.play = lambda request: asyncio.sleep(60, Answer(id=request.id))
        async with asyncio.TaskGroup() as tasks:
            begun = [tasks.create_task(gateway.call("POST /invoke/Water", limit_s=20)) for _ in range(2)]
            await until(lambda: len(quiet.played) == 2)
            assert (await gateway.call("POST /invoke/Water", limit_s=20)).s == 503
            for call in begun:
                call.cancel()
