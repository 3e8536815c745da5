"""A platform that starts while its broker is away keeps messages for whoever it knew before."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest

from tests.system.brokers import broker
from tests.system.joined import restart
from tests.system.sites import pair, until

pytestmark = pytest.mark.timeout(60)


async def test_what_is_sent_after_a_restart_without_a_broker_arrives_when_there_is_one(tmp_path: Path) -> None:
    with broker(tmp_path / "broker") as mosquitto:
        async with pair(tmp_path, mosquitto.url) as both:
            known = tmp_path / "home" / "state" / "bridge-parties" / "greenhouse" / "cloud.json"
            await until(lambda: asyncio.to_thread(known.exists), "what is known of the cloud is kept")
            mosquitto.kill()
            os.kill(both.home.process.pid, signal.SIGKILL)
            await asyncio.to_thread(both.home.process.wait)
            await restart(both.home)

            async def is_taken() -> bool:
                return (await both.home.ask("POST", "/send/collector", {"payload": "hello"})).status == 200

            await until(is_taken, "a message is taken")
            assert (await both.home.invoke("Report", value=1)).status == 200
            assert "no broker" in (await both.home.invoke("Forecast", city="Berlin")).body.decode()
            await asyncio.to_thread(mosquitto.start)

            async def has_come() -> bool:
                return (await both.cloud.invoke("Collected")).json == ["hello", {"value": 1}]

            await until(has_come, "both arrived", 20.0)
