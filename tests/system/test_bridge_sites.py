"""Sites come, go, change and are removed; what they measure is read by clients that know nothing of all this."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator

import pytest
from aiohttp import ClientPayloadError

from tests.system.foreign_clients import publish, subscribed
from tests.system.joined import Caller, restart, until
from tests.system.roads import Roads, roads

pytestmark = pytest.mark.timeout(60)

DEVICE = 'telemetry = ["temp", "humidity/air"]\nretain_telemetry = true\n'
BOARD = {
    "platformId": "board", "baseUrl": "http://board.invalid", "provides": [], "connections": [],
    "runningSince": "2026-04-21T13:13:39.120Z",
    "containers": [{
        "containerId": "board", "image": {"imageName": "board"}, "arguments": {}, "runningSince":
        "2026-04-21T13:13:39.120Z", "agents": [{"agentId": "foreign-board", "actions": [
            {"name": "Blink", "parameters": {}, "result": {"type": "string"}}], "streams": []}],
    }],
}  # fmt: skip


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Roads]:
    with roads(tmp_path_factory.mktemp("sites"), device=DEVICE) as both:
        yield both


async def tell(caller: Caller, channel: str, payload: object) -> None:
    assert (await caller.ask("POST", f"/broadcast/{channel}", {"payload": payload})).status == 200


async def test_values_of_the_configured_channels_are_read_by_plain_clients(running: Roads) -> None:
    async with running.callers() as (home, cloud):
        with subscribed(running.broker, "opaca/v1/greenhouse/up/tm/#") as plain:
            for payload in (21.5, {"value": 22, "unit": "°C"}, "warm", None, [1, "ä"]):
                await tell(home, "temp", payload)
            # What an agent broadcasts goes the same way.
            body = {"channel": "temp", "payload": 23}
            assert (await home.ask("POST", "/invoke/Tell/at-home", body)).status == 200
            await tell(home, "secret", 1)
            await tell(cloud, "temp", "from above")
            await tell(home, "temp", "the last")

            async def are_all_read() -> bool:
                return (f"{TEMP}", '"the last"') in plain.heard

            await until(are_all_read, "all values were read")
            values = ["21.5", '{"value":22,"unit":"°C"}', '"warm"', "null", '[1,"ä"]', "23", '"the last"']
            assert plain.heard == [(TEMP, value) for value in values]
        # Kept by the broker for who comes later.
        with subscribed(running.broker, "opaca/v1/+/up/tm/+") as late:

            async def is_read() -> bool:
                return late.heard == [(TEMP, '"the last"')]

            await until(is_read, "the last value was read")


TEMP = "opaca/v1/greenhouse/up/tm/temp"


async def test_a_foreign_client_that_keeps_to_the_topics_is_a_site(running: Roads) -> None:
    """All that it takes is two retained messages, and an answer to each request."""
    base = "opaca/v1/board-7"
    async with running.callers() as (_, cloud):
        with subscribed(running.broker, f"{base}/dn/#") as board:
            await asyncio.to_thread(publish, running.broker, f"{base}/up/info", json.dumps(BOARD), retain=True)
            await asyncio.to_thread(publish, running.broker, f"{base}/st", '{"on":1,"ep":77}', retain=True)

            async def is_seen() -> bool:
                return "foreign-board" in await cloud.agents()

            await until(is_seen, "the board is seen")
            async with asyncio.TaskGroup() as tasks:
                call = tasks.create_task(cloud.invoke("Blink", "/foreign-board"))

                async def is_asked() -> bool:
                    return any(topic == f"{base}/dn/rq/cloud" for topic, _ in board.heard)

                await until(is_asked, "the board is asked")
                request = json.loads(next(text for topic, text in board.heard if topic.endswith("/rq/cloud")))
                assert (request["route"], request["ep"]) == ("POST /invoke/Blink/foreign-board", 77)
                answer = json.dumps({"id": request["id"], "b": "blinked"})
                await asyncio.to_thread(publish, running.broker, f"{base}/up/rs/cloud", answer)
            assert (call.result().status, call.result().json) == (200, "blinked")
            await asyncio.to_thread(publish, running.broker, f"{base}/st", '{"on":0,"ep":77}', retain=True)

            async def is_away() -> bool:
                answer = await cloud.invoke("Blink", "/foreign-board")
                return answer.status == 502 and "board-7 is away since" in answer.body.decode()

            await until(is_away, "the board is away")
            # Removed for good, it is not shown any more.
            await asyncio.to_thread(publish, running.broker, f"{base}/st", retain=True)
            await asyncio.to_thread(publish, running.broker, f"{base}/up/info", retain=True)

            async def is_removed() -> bool:
                return "foreign-board" not in await cloud.agents()

            await until(is_removed, "the board is removed")
            assert running.bridge_url("cloud", "board-7") not in (await cloud.ask("GET", "/connections")).json


@pytest.mark.leaves_things
async def test_a_site_that_goes_is_named_with_the_time_and_comes_back(running: Roads) -> None:
    """Last: it stops and starts both platforms."""
    async with running.callers() as (home, cloud):
        await asyncio.to_thread(home.process.stop)

        async def is_away() -> bool:
            answer = await cloud.invoke("HomeOnly", value=1)
            return answer.status == 502 and "greenhouse is away since 20" in answer.body.decode()

        await until(is_away, "it is away")
        assert "at-home" in await cloud.agents()  # what is known of it stays
        assert (await cloud.ask("POST", "/send/at-home", {"payload": "while you were away"})).status == 200
        read = await cloud.ask("GET", "/stream/Read/at-home")
        assert (read.status, "greenhouse is away since 20" in read.body.decode()) == (502, True)
        await restart(home)

        async def is_back() -> bool:
            return (await cloud.invoke("HomeOnly", value=2)).status == 200

        await until(is_back, "it is back", 20.0)

        async def came() -> bool:
            return (await home.invoke("Heard", "/at-home")).json == ["while you were away"]

        await until(came, "what was sent meanwhile came")

        # The same for the cloud: home says so, and is joined again without being told to.
        await asyncio.to_thread(cloud.process.stop)

        async def cloud_is_away() -> bool:
            answer = await home.invoke("CloudOnly", value=1)
            return answer.status == 502 and "cloud is away since 20" in answer.body.decode()

        await until(cloud_is_away, "the cloud is away")
        await restart(cloud)

        async def are_joined() -> bool:
            one = await home.invoke("CloudOnly", value=3)
            other = await cloud.invoke("HomeOnly", value=3)
            return one.status == other.status == 200

        await until(are_joined, "both are joined again", 20.0)


async def test_a_platform_that_dies_without_a_word_is_away_as_soon_as_the_broker_notices(running: Roads) -> None:
    async with running.callers() as (home, cloud):
        linger = {"seconds": 60}
        async with asyncio.TaskGroup() as tasks:
            call = tasks.create_task(cloud.ask("POST", "/invoke/Linger/at-home", linger))

            async def has_begun() -> bool:
                return bool((await home.invoke("Begun", "/at-home")).json)

            await until(has_begun, "the action has begun")
            async with cloud.session.get(f"{cloud.url}/stream/Ticks/at-home") as stream:
                assert await stream.content.readline() == b"0\n"
                assert home.process._popen is not None
                home.process._popen.kill()
                # A stream that broke off does not read like one that ended.
                with pytest.raises(ClientPayloadError):
                    await stream.content.read()
        answer = call.result()
        assert answer.status == 502
        assert "greenhouse went away during POST /invoke/Linger/at-home, which may have had its effect" in (
            answer.body.decode()
        )
