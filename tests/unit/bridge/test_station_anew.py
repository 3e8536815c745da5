"""Who is there is learned anew with each connection: what happened meanwhile, nobody has told."""

from __future__ import annotations

import asyncio

import pytest

from bridge import station
from bridge.answers import PING
from bridge.envelope import Answer, Presence, Request, write
from bridge.mqtt.driver import Incoming
from edge.errors import Unreachable
from tests.unit.bridge.wire import INFO, joined, settle, until

ST = "opaca/v1/greenhouse/st"
UP_INFO = "opaca/v1/greenhouse/up/info"


async def test_a_site_that_was_removed_while_nobody_looked_is_forgotten_when_somebody_does() -> None:
    async with joined() as (air, cloud, home):
        gone = list[str]()
        cloud.station.on_gone.append(lambda remote: gone.append(remote.name))
        home.link.down()
        cloud.link.down()
        air.publish(ST, write(Presence(on=0, ep=0, gone=1)), retain=True)
        air.publish(UP_INFO, b"", retain=True)
        for _ in range(2):  # the second time it is nobody
            cloud.link.up()
            await settle()
            assert (gone, cloud.station.remotes) == (["greenhouse"], {})
            cloud.link.down()
        cloud.link.up()
        home.link.up()
        await until(lambda: cloud.station.remotes and cloud.other.is_there)
        assert (await cloud.other.call(PING, limit_s=1)).s == 204


async def test_who_is_not_seen_again_on_a_new_connection_is_away() -> None:
    """A broker that was started anew without having kept anything knows nobody."""
    async with joined() as (air, cloud, home):
        cloud.link.down()
        home.link.down()
        air.retained.clear()
        cloud.link.up()
        await settle()
        assert not cloud.other.is_there
        assert cloud.other.info is not None
        with pytest.raises(Unreachable, match="is away since"):
            await cloud.other.call(PING, limit_s=1)
        assert not air.of("dn/rq")
        home.link.up()
        await until(lambda: cloud.other.is_there)
        assert (await cloud.other.call(PING, limit_s=1)).s == 204


async def test_who_connected_anew_and_went_while_nobody_looked_is_away() -> None:
    async with joined() as (_, cloud, home):
        cloud.link.down()
        home.link.down()
        home.link.up()
        await settle()
        home.link.down()
        cloud.link.up()
        await settle()
        assert not cloud.other.is_there
        with pytest.raises(Unreachable, match="is away since"):
            cloud.other.check_there()


async def test_a_call_under_way_goes_on_when_only_our_own_connection_broke() -> None:
    async with joined() as (_, cloud, home):
        released = asyncio.Event()

        async def slow(request: Request) -> Answer:
            await released.wait()
            return Answer(id=request.id, b="done")

        home.play = slow
        since_s = cloud.other.there_since_s
        async with asyncio.TaskGroup() as tasks:
            call = tasks.create_task(cloud.other.call("POST /invoke/Water", limit_s=5))
            await until(lambda: home.played)
            cloud.link.down()
            assert not cloud.other.is_there
            cloud.link.up()
            await until(lambda: cloud.other.is_there and home.other.is_there)
            released.set()
        assert (call.result().b, len(home.played)) == ("done", 1)
        assert (cloud.other.there_since_s, cloud.other.away_since_s) == (since_s, None)


async def test_whoever_was_seen_before_we_are_introduced_is_greeted_once_and_not_counted_as_rubbish() -> None:
    """Brokers send what they keep before they confirm the subscription."""
    async with joined() as (air, cloud, home):
        cloud.link.down()
        home.link.down()
        home.link.up()
        await settle()
        air.said.clear()
        for topic, payload in list(air.retained.items()):
            if topic.endswith(("/st", "/up/info")) and "_gw" not in topic:
                cloud.link.manners.on_message(Incoming(topic, payload, True, lambda: None))
        cloud.link.up()
        await settle()
        assert cloud.other.is_there
        assert len(air.of("dn/rs")) == 1
        assert cloud.station.passed_over == 0


async def test_a_link_that_breaks_is_no_end_of_what_is_known() -> None:
    async with joined() as (_, cloud, home):
        cloud.link.down("no route")
        with pytest.raises(Unreachable, match="no route"):
            cloud.other.check_there()
        await settle()
        assert not home.other.is_there
        cloud.link.up()
        await until(lambda: home.other.is_there)
        await settle()
        assert (await home.other.call(PING, limit_s=1)).s == 204
        assert (await cloud.other.call(PING, limit_s=1)).s == 204


async def test_what_a_site_is_may_come_before_it_says_that_it_is_there() -> None:
    """In which order a broker sends what it keeps is its own affair."""
    async with joined() as (air, cloud, _home):
        cloud.link.down()
        gone = write(Presence(on=0, ep=0, gone=1))
        for name in ("barn", "shed", "attic"):
            air.retained[f"opaca/v1/{name}/up/info"] = INFO.replace(b"pump", name.encode())
        air.retained["opaca/v1/attic/up/info"] = b"no JSON"
        for name in ("barn", "attic"):
            air.retained[f"opaca/v1/{name}/st"] = write(Presence(on=1, ep=5))
        air.retained["opaca/v1/shed/st"] = gone
        cloud.link.up()
        await settle()
        described = {name: remote.agent_ids() for name, remote in cloud.station.remotes.items()}
        assert described == {"greenhouse": {"pump"}, "barn": {"barn"}, "attic": set()}
        assert cloud.station.remotes["attic"].is_there


async def test_descriptions_of_whom_nobody_sees_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(station, "MAX_REMOTES", 3)
    async with joined() as (air, cloud, _home):
        for number in range(10):
            air.publish(f"opaca/v1/site-{number}/up/info", INFO if number else bytes(20_000))
        await settle()
        assert list(cloud.station._early) == ["site-7", "site-8", "site-9"]
        air.publish("opaca/v1/site-9/up/info", b"")
        await settle()
        assert list(cloud.station._early) == ["site-7", "site-8"]
        cloud.link.down()
        assert not cloud.station._early


async def test_that_a_party_is_heard_ends_no_other_complaint_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(station, "_HEARD_S", 0.05)
    async with joined() as (_, cloud, home):
        home.link.down()
        await until(lambda: not cloud.other.is_there)
        home.link.up()
        await until(lambda: cloud.other.is_there)
        cloud.other.complain("lane message waits: its disk is full")
        await until(lambda: cloud.station._listening["greenhouse"].done())
        assert cloud.station.problem_with(cloud.other) == "lane message waits: its disk is full"


async def test_who_was_heard_before_and_is_not_since_it_came_again_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(station, "_HEARD_S", 0.05)
    async with joined() as (air, cloud, home):
        home.link.down()
        await until(lambda: not cloud.other.is_there)
        air.changes = lambda topic, payload: [] if "/up/rs/" in topic else None
        home.link.up()
        await until(lambda: "nothing of it is heard" in cloud.station.problem_with(cloud.other))
        air.changes = lambda topic, payload: None
        await until(lambda: not cloud.station.problem_with(cloud.other))
