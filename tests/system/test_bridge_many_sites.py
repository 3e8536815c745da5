"""A gateway of many sites connects to our broker: it sees each of them, and what each one is."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from bridge.envelope import Presence, write
from bridge.mqtt.broker import BrokerPlan, configuration_text
from bridge.mqtt.driver import Connection
from tests.system.brokers import broker
from tests.system.linked import GATEWAY, soon, station, user
from tests.unit.bridge.wire import INFO

pytestmark = pytest.mark.timeout(120)


async def test_a_gateway_that_connects_hears_of_all_its_sites_at_once(
    tmp_path: Path, at_size: Callable[[int, int], int]
) -> None:
    count = at_size(600, 1000)
    ours = configuration_text(BrokerPlan(folder=tmp_path)).splitlines()
    lines = ["allow_anonymous true", *(line for line in ours if line.startswith("max_"))]
    with broker(tmp_path / "broker", "\n".join(lines)) as mosquitto:
        async with (
            Connection(user(mosquitto, "sites"), lambda incoming: incoming.ack(), None) as sites,
            asyncio.TaskGroup() as tasks,
        ):
            for number in range(count):
                for topic, payload in (("st", write(Presence(on=1, ep=7, gw=GATEWAY))), ("up/info", INFO)):
                    tasks.create_task(sites.deliver(f"opaca/v1/site-{number}/{topic}", payload, retain=True))
        async with station(user(mosquitto, GATEWAY)) as cloud:
            await soon(lambda: len(cloud.remotes) == count, "all are seen", 20)
            await soon(lambda: all(each.info for each in cloud.remotes.values()), "all are described", 20)
        assert "being dropped" not in mosquitto.log
