"""Bad networks between the bridge and its broker, and brokers that are away: the platforms work on, nothing is lost."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from bridge.mqtt import driver
from tests.system.brokers import Mosquitto
from tests.system.fault_proxy import FaultProxy, Link
from tests.system.joined import restart
from tests.system.linked import GATEWAY, SITE, linked, soon, station, user
from tests.system.sites import Pair, pair, until

pytestmark = pytest.mark.timeout(480)

# `retry_s`: the cap of the pauses between attempts.
_CAP_S = 2


@pytest.fixture
async def network(mosquitto: Mosquitto) -> AsyncIterator[FaultProxy]:
    """What lies between home and the broker."""
    async with FaultProxy.before(mosquitto.url) as proxy:
        yield proxy


def near(network: FaultProxy) -> int:
    """The port of this side of a network."""
    return int(network.url.rpartition(":")[2])


async def is_answered(both: Pair) -> bool:
    return (await both.cloud.invoke("Water", "/greenhouse", seconds=1)).status == 200


async def has_heard(both: Pair, count: int) -> None:
    """Wait until the cloud has heard the numbers from 0, in order and each once."""

    async def so_many() -> bool:
        return len((await both.cloud.invoke("Collected")).json) >= count

    await until(so_many, f"{count} messages came", 20.0)
    assert [each["value"] for each in (await both.cloud.invoke("Collected")).json] == list(range(count))


async def test_a_broker_that_goes_and_comes_is_no_matter_for_the_platforms(
    tmp_path: Path, mosquitto: Mosquitto, network: FaultProxy, at_size: Callable[[int, int], int]
) -> None:
    url = f"mqtt://127.0.0.1:{near(network)}"
    async with pair(tmp_path, url, cloud_broker=mosquitto.url, device=f"retry_s = {_CAP_S}") as both:
        assert (await both.home.invoke("Report", value=0)).status == 200
        await has_heard(both, 1)
        # Cut.
        await network.become(Link.CUT)
        attempts = network.attempts

        async def is_said() -> bool:
            answer = await both.home.invoke("AskCloud", city="Berlin")
            return answer.status == 502 and "the bridge has no broker" in answer.body.decode()

        await until(is_said, "it is said at once that there is no broker")
        for number in range(1, 30):
            assert (await both.home.invoke("Report", value=number)).status == 200
        away_s = at_size(3, 300)
        began_s = time.monotonic()
        await asyncio.sleep(away_s)
        assert (await both.home.invoke("TimesWatered")).status == 200
        passed_s = time.monotonic() - began_s
        # Twice for each attempt, as who hangs up may want the older version.
        assert network.attempts - attempts <= 2 * (passed_s / (_CAP_S / 2) + 4)
        await network.become(Link.WELL)
        assert await until(lambda: is_answered(both), "calls work again") < _CAP_S + 1 + 8  # on a busy machine
        await has_heard(both, 30)
        # The broker itself, killed without having kept anything, and away when home starts.
        await asyncio.to_thread(mosquitto.kill)
        await restart(both.home)
        assert (await both.home.invoke("TimesWatered")).status == 200

        async def is_kept() -> bool:
            return (await both.home.invoke("Report", value=30)).status == 200

        await until(is_kept, "the platform has found its bridge", 20.0)
        for number in range(31, 40):
            assert (await both.home.invoke("Report", value=number)).status == 200

        async def is_named() -> bool:
            return "is the broker running there?" in both.cloud.process.log

        await until(is_named, "the next attempt says what is wrong", 20.0)
        await asyncio.to_thread(mosquitto.start)
        await has_heard(both, 40)
        await until(lambda: is_answered(both), "calls work again")


async def test_a_link_that_went_silent_is_found_out_and_made_anew(mosquitto: Mosquitto, network: FaultProxy) -> None:
    async with linked(user(mosquitto, SITE, port=near(network), keep_alive_s=1, longest_pause_s=0.5)) as one:
        await one.is_up()
        await network.become(Link.SILENT)
        await one.says("nothing was heard of 127.0.0.1", "in time")
        await network.become(Link.CUT)
        await network.become(Link.WELL)
        await one.is_up()


async def test_a_network_that_is_too_slow_to_greet_stops_nobody(
    mosquitto: Mosquitto, network: FaultProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(driver, "_GREETING_S", 1.0)
    network.bytes_per_s = 1.0
    async with linked(user(mosquitto, SITE, port=near(network), longest_pause_s=0.5)) as one:
        await one.says("says nothing")
        network.bytes_per_s = None
        await network.become(Link.CUT)
        await network.become(Link.WELL)
        await one.is_up()


async def test_calls_pass_a_slow_network_and_large_ones_a_narrow_one(mosquitto: Mosquitto, network: FaultProxy) -> None:
    network.delay_s = 0.2
    at_home = replace(user(mosquitto, SITE), port=near(network))
    async with station(user(mosquitto, GATEWAY)) as cloud, station(at_home) as home:
        await soon(lambda: cloud.remotes and cloud.remotes[SITE].is_there and GATEWAY in home.remotes, "they have met")
        answers = await asyncio.gather(
            *(cloud.remotes[SITE].call("POST /invoke/Echo", body=number, limit_s=20) for number in range(20))
        )
        assert [answer.b for answer in answers] == list(range(20))
        network.delay_s = 0.05
        answer = await cloud.remotes[SITE].call("POST /invoke/Echo", body="x" * 500_000, limit_s=20)
        assert answer.b == "x" * 500_000
