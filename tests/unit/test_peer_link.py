"""Following a platform: described anew when it changes, kept while it is away, found again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from edge.errors import BadAnswer, Cause, OutcomeUnknown, RemoteError, Unreachable
from edge.model.definitions import NoDefinitions
from edge.model.json_value import JsonValue
from edge.model.requests import Event, EventType
from edge.runtime.peer_description import PeerDefinitions, read_description
from edge.runtime.peer_link import PeerLink, PeerTiming
from edge.runtime.stored_connections import StoredConnection
from tests.unit.peers import QUICK, SINCE, URL, FakePlatform, info, until

GONE = Unreachable(f"{URL} cannot be reached: no route")


def link_to(peer: FakePlatform, timing: PeerTiming = QUICK) -> PeerLink:
    definitions = PeerDefinitions(URL, lambda _name, _image: NoDefinitions())
    return PeerLink(StoredConnection(url=URL), lambda _url, _token: peer, definitions, timing)


@asynccontextmanager
async def followed(peer: FakePlatform, timing: PeerTiming = QUICK) -> AsyncIterator[PeerLink]:
    link = link_to(peer, timing)
    async with asyncio.TaskGroup() as tasks:
        following = tasks.create_task(link.run())
        try:
            yield link
        finally:
            following.cancel()


def goes_away(peer: FakePlatform) -> None:
    peer.answers["info"] = peer.refuses_followers = GONE
    peer.following.put_nowait(Unreachable("it ended the subscription"))


def comes_back(peer: FakePlatform) -> None:
    del peer.answers["info"]
    peer.refuses_followers = None


async def test_an_event_brings_a_new_description() -> None:
    peer = FakePlatform(document=info("Do"))
    async with followed(peer) as link:
        await until(lambda: link.status().state == "connected")
        assert (link.status().containers, link.status().agents) == (1, 1)
        peer.document = info("Other")
        peer.changed()
        await until(lambda: "Other" in link.peer.catalogue.actions)
        assert "Do" not in link.peer.catalogue.actions


async def test_a_burst_of_events_costs_few_looks_and_logins_none() -> None:
    peer = FakePlatform(document=info("Do"))
    async with followed(peer) as link:
        await until(lambda: link.status().state == "connected")
        before = len(peer.called("info"))
        peer.following.put_nowait(
            Event(id="e", timestamp=1, event_type=EventType.SUCCESS, route="POST /containers/login/c")
        )
        await until(peer.following.empty)
        assert len(peer.called("info")) == before
        peer.hold = asyncio.Event()
        for _ in range(50):
            peer.changed()
        await until(lambda: len(peer.called("info")) == before + 1 and peer.following.empty())
        peer.hold.set()
        await asyncio.sleep(0.02)
        assert len(peer.called("info")) <= before + 2


async def test_one_that_never_stops_telling_of_changes_does_not_keep_the_platform_busy() -> None:
    looks: list[tuple[float, float]] = []
    now = asyncio.get_running_loop().time

    async def answer(_: object) -> bytes:
        began_s = now()
        await asyncio.sleep(0.02)
        looks.append((began_s, now()))
        peer.changed()
        return info(f"Do{len(looks)}")

    peer = FakePlatform(answers={"info": answer})
    async with followed(peer):
        await until(lambda: len(looks) >= 6)
    # The first ones are those of joining.
    for (began_s, ended_s), (next_s, _) in pairwise(looks[-4:]):
        assert next_s - ended_s > 3 * (ended_s - began_s)


async def test_a_peer_that_went_away_is_kept_and_comes_back(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    peer = FakePlatform(document=info("Do"), invoke_answers={"Do": 1})
    async with followed(peer) as link:
        await until(lambda: link.status().state == "connected")
        goes_away(peer)
        await until(lambda: link.status().state == "away")
        assert "Do" in link.peer.catalogue.actions
        with pytest.raises(Unreachable, match=f"{URL} is away since 20.*: {URL} cannot be reached: no route"):
            await link.road.invoke("Do", {}, None)
        assert peer.called("invoke") == []
        comes_back(peer)
        peer.document = info("Other")
        await until(lambda: link.status().state == "connected")
        assert "Other" in link.peer.catalogue.actions
    told = [record.message for record in caplog.records if "away" in record.message]
    assert len(told) == 2, "one line when it goes, one when it returns"


async def test_attempts_become_rare_and_never_come_together() -> None:
    peer = FakePlatform(document=info("Do"), refuses_followers=GONE, answers={"info": GONE})
    began: list[float] = []

    def refuse(_call: Any) -> Exception:
        began.append(asyncio.get_running_loop().time())
        return GONE

    peer.answers["info"] = refuse
    async with followed(peer, replace(QUICK, first_pause_s=0.01, longest_pause_s=0.08, shortest_pause_s=0.001)):
        await until(lambda: len(began) >= 9)
    pauses = [later - earlier for earlier, later in pairwise(began)]
    assert pauses[0] < 0.03
    assert max(pauses[4:]) > 0.03
    assert len({round(pause, 4) for pause in pauses[4:]}) > 1, "each pause is a little different"


async def test_a_call_to_one_that_is_away_has_it_looked_at() -> None:
    peer = FakePlatform(document=info("Do"), invoke_answers={"Do": 1})
    async with followed(peer, replace(QUICK, first_pause_s=60.0, longest_pause_s=60.0)) as link:
        await until(lambda: link.status().state == "connected")
        goes_away(peer)
        await until(lambda: link.status().state == "away")
        comes_back(peer)
        with pytest.raises(Unreachable):
            await link.road.invoke("Do", {}, None)
        await until(lambda: link.road.away is None)
        assert await link.road.invoke("Do", {}, None) == 1


async def test_a_call_that_finds_nobody_spares_the_others() -> None:
    peer = FakePlatform(document=info("Do"), invoke_answers={"Do": GONE})
    async with followed(peer) as link:
        await until(lambda: link.status().state == "connected")
        with pytest.raises(Unreachable, match="cannot be reached"):
            await link.road.invoke("Do", {}, None)
        assert link.road.away is not None, "nobody else waits for it"
        with pytest.raises(Unreachable, match="is away since"):
            await link.road.invoke("Do", {}, None)
        assert len(peer.called("invoke")) == 1
        await until(lambda: link.road.away is None)


async def test_one_that_tells_nothing_of_its_changes_is_looked_at_from_time_to_time() -> None:
    refusal = RemoteError("it refuses to be followed", Cause(404, None))
    peer = FakePlatform(document=info("Do"), refuses_followers=refusal)
    async with followed(peer) as link:
        await until(lambda: link.status().state == "unfollowed")
        assert link.status().reason == "it refuses to be followed"
        peer.document = info("Other")
        await until(lambda: "Other" in link.peer.catalogue.actions)


@pytest.mark.parametrize(
    ("answer", "state"),
    [(RemoteError("401", Cause(401, None)), "refused"), (b"{}", "unreadable"), (b"<html>", "unreadable")],
)
async def test_one_that_answers_wrongly_is_not_away(answer: Any, state: str) -> None:
    peer = FakePlatform(document=info("Do"), invoke_answers={"Do": 1})
    async with followed(peer) as link:
        await until(lambda: link.status().state == "connected")
        peer.answers["info"] = answer
        peer.changed()
        await until(lambda: link.status().state == state)
        assert link.status().reason != ""
        assert await link.road.invoke("Do", {}, None) == 1
        del peer.answers["info"]
        await until(lambda: link.status().state == "connected")


async def test_one_that_hangs_is_away() -> None:
    peer = FakePlatform(document=info("Do"))
    async with followed(peer, replace(QUICK, info_s=0.02)) as link:
        await until(lambda: link.status().state == "connected")
        peer.hold = asyncio.Event()
        peer.changed()
        await until(lambda: link.status().state == "away")
        assert "did not answer GET /info within 0.02 s" in link.status().reason
        peer.hold.set()
        await until(lambda: link.status().state == "connected")


async def test_calls_to_one_that_stays_away_are_given_up() -> None:
    never = asyncio.Event()

    async def hang(_call: Any) -> JsonValue:
        await never.wait()
        return None

    peer = FakePlatform(document=info("Do"), invoke_answers={"Do": hang})
    async with followed(peer) as link:
        await until(lambda: link.status().state == "connected")
        async with asyncio.TaskGroup() as tasks:
            asking = tasks.create_task(_outcome(link))
            await until(lambda: peer.called("invoke"))
            goes_away(peer)
        assert isinstance(asking.result(), OutcomeUnknown)
        assert "may have had its effect" in str(asking.result())


async def _outcome(link: PeerLink) -> Exception | None:
    try:
        await link.road.invoke("Do", {}, None)
    except OutcomeUnknown as error:
        return error
    return None


def test_a_description_is_read_strictly_first_and_then_what_is_known_of_it() -> None:
    assert read_description(URL, info("Do"))[1] == set()
    more = info("Do").replace(b'"agentId"', b'"optional":true,"agentId"')
    description, unknown = read_description(URL, more)
    assert unknown == {"optional"}
    assert description.containers[0].agents[0].agent_id == "a"


@pytest.mark.parametrize(
    ("date", "is_read"),
    [
        (f'"{SINCE}"', True), ('"2026-04-21T15:13:39.120+02:00"', True), ("1776777219", True),
        ('"2026-04-21T13:13:39Z"', False), ('"2026-04-21T13:13:39.120456Z"', False), ('""', False), ("null", False),
    ],
)  # fmt: skip
def test_dates_are_read_as_the_contract_says(date: str, is_read: bool) -> None:
    body = info("Do").replace(f'"{SINCE}"'.encode(), date.encode())
    if is_read:
        assert read_description(URL, body)[0].running_since.startswith("2026-04-21T13:13:39")
    else:
        with pytest.raises(BadAnswer, match=f"{URL}/info"):
            read_description(URL, body)


async def test_unknown_properties_are_told_once(caplog: pytest.LogCaptureFixture) -> None:
    peer = FakePlatform(document=info("Do").replace(b'"agentId"', b'"optional":true,"agentId"'))
    link = link_to(peer)
    await link.refresh()
    peer.document = peer.document.replace(b'"Do"', b'"Other"')
    await link.refresh()
    assert "Other" in link.peer.catalogue.actions
    assert caplog.text.count("optional") == 1


async def test_definitions_of_an_image_that_stays_are_kept() -> None:
    made: list[str] = []

    def definitions_of(name: str, _image: Any) -> NoDefinitions:
        made.append(name)
        return NoDefinitions()

    definitions = PeerDefinitions(URL, definitions_of)
    link = PeerLink(StoredConnection(url=URL), lambda *_: FakePlatform(), definitions, QUICK, info("Do"))
    link.take(info("Other"))
    assert made == [f"c of {URL}"]
    link.take(info("Other").replace(b'"imageName":"i"', b'"imageName":"j"'))
    assert len(made) == 2
