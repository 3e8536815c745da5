"""Each call of OPACA's common API through a bridge and a real Mosquitto, from the cloud to home and from home out."""

from __future__ import annotations

import asyncio
import io
import json
import os
import signal
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from aiohttp import WSMsgType

from tests.system.joined import Caller, until
from tests.system.roads import Roads, roads

pytestmark = pytest.mark.timeout(60)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Roads]:
    with roads(tmp_path_factory.mktemp("roads")) as both:
        yield both


@dataclass
class Road:
    """One direction.

    Attributes:
        here: Who asks.
        there: Who is asked.
        agent: Who answers.
        spare: Another agent there, in a container of its own.
        own: An action that only the asked side has.
        url: The asked side's base URL, at the bridge beside who asks.
        token: What opens that.
    """

    here: Caller
    there: Caller
    agent: str
    spare: str
    own: str
    url: str
    token: str
    all: Roads

    async def at_bridge(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        headers = {"Authorization": f"Bearer {self.token}"}
        async with self.here.session.request(method, self.url + path, json=body, headers=headers) as answer:
            is_json = answer.content_type == "application/json"
            return answer.status, await answer.json() if is_json else await answer.text()

    async def streams_there(self) -> int:
        """How many streams the bridge on the other side carries."""
        side = "home" if self.agent == "at-home" else "cloud"
        headers = {"Authorization": f"Bearer {self.all.bridge_token(side)}"}
        url = self.all.bridge_url(side, "_bridge/status")
        async with self.here.session.get(url, headers=headers) as answer:
            return int((await answer.json())["streams"])

    async def heard(self) -> list[Any]:
        return list((await self.there.invoke("Heard", f"/{self.agent}")).json)


@pytest.fixture(params=["cloud to home", "home to cloud"])
async def road(request: pytest.FixtureRequest, running: Roads) -> AsyncIterator[Road]:
    async with running.callers() as (home, cloud):
        if request.param == "cloud to home":
            url, token = running.bridge_url("cloud", "greenhouse"), running.bridge_token("cloud")
            yield Road(cloud, home, "at-home", "home-spare", "HomeOnly", url, token, running)
        else:
            url, token = running.bridge_url("home", "cloud"), running.bridge_token("home")
            yield Road(home, cloud, "in-cloud", "cloud-spare", "CloudOnly", url, token, running)


async def test_an_action_is_found_wherever_it_is(road: Road) -> None:
    place = road.own.removesuffix("Only").lower()
    assert (await road.here.invoke(road.own, value=3)).json == f"{place} got 3"
    assert (await road.here.invoke("Echo", f"/{road.agent}", value={"a": [1, None, "ä"]})).json == {"a": [1, None, "ä"]}
    # Also for an agent that invokes.
    own = "in-cloud" if place == "home" else "at-home"
    asked = {"action": road.own, "value": 4}
    assert (await road.here.ask("POST", f"/invoke/Ask/{own}", asked)).json == f"{place} got 4"


async def test_who_must_not_be_asked_is_not(road: Road) -> None:
    assert (await road.here.invoke(road.own, "?forward=false", value=3)).status == 404
    assert (await road.here.invoke(road.own, "/nobody", value=3)).status == 404
    assert (await road.here.invoke("Nothing", f"/{road.agent}")).status == 404
    assert (await road.here.ask("POST", f"/send/{road.agent}?forward=false", {"payload": 0})).status == 404
    assert (
        await road.here.ask("POST", "/broadcast/news?forward=false", {"payload": f"not for {road.agent}"})
    ).status == 200
    assert (await road.here.ask("GET", f"/stream/Read/{road.agent}?forward=false")).status == 404
    assert f"not for {road.agent}" not in await road.heard()


async def test_parameters_that_do_not_fit_are_400_before_anything_is_sent(road: Road) -> None:
    assert (await road.here.invoke("Level", f"/{road.agent}", percent=40)).json == 40
    for wrong in ({"percent": "much"}, {}, {"percent": 1, "more": 2}):
        assert (await road.here.invoke("Level", f"/{road.agent}", **wrong)).status == 400


async def test_an_action_that_fails_says_why(road: Road) -> None:
    failed = await road.here.invoke("Fail", f"/{road.agent}")
    assert failed.status == 502
    # The platform there says what its agent said, and the platform here says who said so.
    causes = [failed.json]
    while "cause" in causes[-1]:
        causes.append(causes[-1]["cause"])
    assert [each["statusCode"] for each in causes] == [502, 502, 500]
    assert road.url in causes[0]["message"]
    assert "the pump is stuck" in causes[-1]["message"]


async def test_many_calls_at_once_get_each_its_own_answer(road: Road) -> None:
    values = [f"{number} {'x' * (number * 10)}" for number in range(150)]
    answers = await asyncio.gather(*(road.here.invoke("Echo", f"/{road.agent}", value=value) for value in values))
    assert [answer.json for answer in answers] == values


async def test_a_container_is_chosen_by_its_id(road: Road) -> None:
    containers = (await road.there.ask("GET", "/containers")).json
    ids = {each["agents"][0]["agentId"]: each["containerId"] for each in containers}
    assert (await road.here.invoke("Echo", f"?containerId={ids[road.spare]}", value=1)).json == 1
    assert (await road.here.invoke(road.own, f"?containerId={ids[road.agent]}", value=1)).status == 200
    assert (await road.here.invoke(road.own, f"?containerId={ids[road.spare]}", value=1)).status == 404
    assert (await road.here.invoke("Echo", "?containerId=nothing", value=1)).status == 404
    assert (
        await road.here.ask("POST", f"/send/{road.spare}?containerId={ids[road.spare]}", {"payload": 1})
    ).status == 200


@pytest.mark.parametrize("road", ["home to cloud"], indirect=True)
async def test_a_call_that_times_out_is_executed_once(road: Road) -> None:
    before = (await road.there.invoke("Begun", f"/{road.agent}")).json
    began_s = time.monotonic()
    late = await road.here.invoke("Linger", f"/{road.agent}?timeout=1", seconds=30)
    assert (late.status, time.monotonic() - began_s < 20) == (502, True)
    assert (await road.there.invoke("Begun", f"/{road.agent}")).json == before + 1
    # One that takes longer than the first pause before it is asked again.
    assert (await road.here.invoke("Linger", f"/{road.agent}?timeout=20", seconds=2.3)).json == before + 2


async def test_messages_arrive(road: Road) -> None:
    mine = f"from {road.agent}'s friend"
    assert (
        await road.here.ask("POST", f"/send/{road.agent}", {"payload": {"mine": mine}, "replyTo": "x"})
    ).status == 200
    assert (await road.here.ask("POST", "/broadcast/news", {"payload": [mine]})).status == 200
    assert (await road.here.ask("POST", "/broadcast/other", {"payload": mine})).status == 200

    async def came() -> bool:
        heard = await road.heard()
        return {"mine": mine} in heard and [mine] in heard

    await until(came, "both messages came")
    heard = await road.heard()
    assert (heard.count({"mine": mine}), heard.count([mine]), mine in heard) == (1, 1, False)
    assert (await road.here.ask("POST", "/send/nobody", {"payload": 1})).status == 404


async def test_what_an_agent_broadcasts_is_heard_on_the_other_side_and_never_comes_back(road: Road) -> None:
    teller = {"at-home": "in-cloud", "in-cloud": "at-home"}[road.agent]
    told = f"told by {teller}"
    assert (await road.here.invoke("Tell", f"/{teller}", channel="news", payload=told)).status == 200

    async def came() -> bool:
        return told in await road.heard()

    await until(came, "it is heard")
    await road.here.ask("POST", f"/send/{road.agent}", {"payload": "after it"})

    async def later_came() -> bool:
        return "after it" in await road.heard()

    await until(later_came, "what was sent later came as well")
    assert (await road.heard()).count(told) == 1
    assert (await road.here.invoke("Heard", f"/{teller}")).json.count(told) <= 1


async def test_streams_pass_in_both_modes(road: Road) -> None:
    read = await road.here.ask("GET", f"/stream/Read/{road.agent}")
    assert (read.status, read.body) == (200, b"".join(bytes([number]) * 10_000 for number in range(30)))
    assert (await road.here.ask("POST", f"/stream/Feed/{road.agent}", data=b"x" * 300_000)).status == 200
    assert (await road.there.invoke("Fed", f"/{road.agent}")).json == 300_000
    assert (await road.here.ask("GET", f"/stream/Nothing/{road.agent}")).status == 404


async def test_a_live_stream_comes_as_it_is_made_and_ends_with_its_reader(road: Road) -> None:
    async with road.here.session.get(f"{road.here.url}/stream/Ticks/{road.agent}") as response:
        for number in range(20):
            assert await response.content.readline() == f"{number}\n".encode()
        assert await road.streams_there() == 1

    async def has_ended() -> bool:
        return await road.streams_there() == 0

    await until(has_ended, "the stream has ended on the other side")


def file_of(body: Any) -> dict[str, Any]:
    """What is sent instead of `json` if it is large."""
    return {"data": io.BytesIO(json.dumps(body).encode()), "headers": {"Content-Type": "application/json"}}


async def test_agents_and_info_of_the_other_side_are_seen(road: Road) -> None:
    assert {road.agent, road.spare} <= set(await road.here.agents())
    described = (await road.here.ask("GET", f"/agents/{road.agent}")).json
    assert described == (await road.there.ask("GET", f"/agents/{road.agent}")).json
    assert road.url in (await road.here.ask("GET", "/connections")).json
    info = (await road.there.ask("GET", "/info")).json
    status, seen = await road.at_bridge("GET", "/info")
    assert (status, seen["containers"], seen["baseUrl"]) == (200, info["containers"], info["baseUrl"])
    status, agents = await road.at_bridge("GET", "/agents")
    assert {each["agentId"] for each in agents} == {road.agent, road.spare}


async def test_a_large_body_passes_both_ways_and_one_too_large_is_refused(road: Road) -> None:
    large = "ä" * 200_000
    assert (await road.here.ask("POST", f"/invoke/Echo/{road.agent}", **file_of({"value": large}))).json == large
    refused = await road.here.ask("POST", f"/invoke/Echo/{road.agent}", **file_of({"value": "x" * 1_100_000}))
    assert (refused.status, refused.json["cause"]["statusCode"]) == (502, 413)


@pytest.mark.parametrize("road", ["cloud to home"], indirect=True)
async def test_a_call_that_the_broker_held_back_is_not_executed_when_its_time_is_over(road: Road) -> None:
    """Whatever was under way while everything stood still is not done a minute later, when nobody expects it."""
    before = (await road.there.invoke("Begun", f"/{road.agent}")).json
    process = road.all.broker._process
    assert process is not None
    os.kill(process.pid, signal.SIGSTOP)
    try:
        async with asyncio.TaskGroup() as tasks:
            call = tasks.create_task(road.here.invoke("Linger", f"/{road.agent}?timeout=1", seconds=0))
            await asyncio.sleep(1.5)
            os.kill(process.pid, signal.SIGCONT)
    finally:
        os.kill(process.pid, signal.SIGCONT)
    assert call.result().status == 502
    said = call.result().json["cause"]
    assert "s late and is not executed now: the outcome is unknown" in said["message"]
    assert said["cause"] == {"statusCode": 504, "message": "the outcome is unknown"}

    async def answers_again() -> bool:
        return (await road.here.invoke("Echo", f"/{road.agent}", value=1)).status == 200

    await until(answers_again, "calls pass again")
    assert (await road.there.invoke("Begun", f"/{road.agent}")).json == before


async def test_who_follows_a_site_is_told_of_events_there(road: Road) -> None:
    """Last, as the other side loses its spare container."""
    headers = {"Authorization": f"Bearer {road.token}"}
    async with road.here.session.ws_connect(road.url + "/subscribe", headers=headers, autoping=False) as socket:
        await socket.send_str("/containers")
        await socket.ping()
        while (await socket.receive(timeout=20)).type is not WSMsgType.PONG:  # then the topic has been read
            pass
        containers = (await road.there.ask("GET", "/containers")).json
        spare = next(each for each in containers if each["agents"][0]["agentId"] == road.spare)
        assert (await road.there.ask("DELETE", f"/containers/{spare['containerId']}")).json is True
        event = await socket.receive_json(timeout=20)
        assert (event["eventType"], event["route"]) == ("SUCCESS", "POST /containers/notify")

    async def is_gone() -> bool:
        return road.spare not in await road.here.agents()

    await until(is_gone, "the change is followed")
    assert (await road.here.invoke("Echo", f"/{road.spare}", value=1)).status == 404


async def test_a_platform_that_disconnects_is_disconnected_until_it_connects_again(road: Road) -> None:
    """Last of all: the user's own platform forgets the other side by the ordinary route, and learns it again."""
    forget = {"url": road.url, "connectBack": False}
    assert (await road.here.ask("DELETE", "/connections", forget)).json is True
    assert (await road.here.ask("GET", "/connections")).json == []
    assert (await road.here.invoke(road.own, value=1)).status == 404
    # What it is may be read on this machine; what it offers is for who shows the token.
    assert (await road.here.connect(road.url)).json is True
    refused = await road.here.invoke(road.own, value=1)
    assert (refused.status, refused.json["cause"]["statusCode"]) == (502, 401)
    assert (await road.here.connect(road.url, token=road.token)).json is False
    assert (await road.here.invoke(road.own, value=1)).status == 200
    # Also for who believes that the other side was connected back, which it was not.
    assert (await road.here.ask("DELETE", "/connections", {**forget, "connectBack": True})).json is True
    assert (await road.here.ask("GET", "/connections")).json == []
    assert (await road.here.connect(road.url, token=road.token, back=True)).json is True
    assert (await road.here.invoke(road.own, value=1)).status == 200
