"""Platforms whose bridge is refused, or whose broker keeps next to nothing: they work on, and say why."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.contract.ports import free_port
from tests.contract.running import Process
from tests.system.brokers import Mosquitto, broker
from tests.system.joined import Caller, until
from tests.system.linked import SITE, guarded
from tests.system.sites import DEVICE, configuration, pair, running

pytestmark = pytest.mark.timeout(60)


async def test_a_broker_that_keeps_next_to_nothing_loses_no_message(tmp_path: Path) -> None:
    lines = "allow_anonymous true\nmax_inflight_messages 1\nmax_queued_messages 1"
    with broker(tmp_path / "broker", lines) as mosquitto:
        async with pair(tmp_path, mosquitto.url) as both:
            for number in range(25):
                assert (await both.home.invoke("Report", value=number)).status == 200

            async def all_came() -> bool:
                return [each["value"] for each in (await both.cloud.invoke("Collected")).json] == list(range(25))

            await until(all_came, "all came, in order and once", 30.0)


async def test_a_platform_whose_bridge_is_refused_works_and_its_command_says_why(
    tmp_path: Path,
) -> None:
    with broker(tmp_path / "broker", guarded(tmp_path / "files")) as mosquitto:
        await is_refused_and_says_so(tmp_path, mosquitto)


async def is_refused_and_says_so(tmp_path: Path, mosquitto: Mosquitto) -> None:
    secret = tmp_path / "home" / "password"
    more = 'password_file = "password"\nretry_s = 1'
    configuration(
        tmp_path / "home",
        "home",
        DEVICE.format(listen=free_port(), more="", site=SITE, broker=mosquitto.url, device=more),
    )
    secret.write_text("wrong")
    secret.chmod(0o644)
    async with running(tmp_path / "home") as home:

        async def says(words: str) -> bool:
            return words in home.process.log

        await until(lambda: says("run chmod 600"), "it says what is wrong with the file")
        assert (await home.invoke("TimesWatered")).status == 200
        secret.chmod(0o600)
        await until(lambda: says("refuses user 'home'"), "it says that it is refused")
        status = await asyncio.to_thread(command, home, "status")
        assert "refuses user 'home'" in status
        tested = await asyncio.to_thread(command, home, "test", 1)
        assert "FAILED" in tested
        assert "opaca-edge broker add" in tested
        secret.write_text("right")
        await until(lambda: says(f"home: connected to 127.0.0.1:{mosquitto.port}"), "it is connected", 20.0)
        assert "Traceback" not in home.process.log


def command(platform: Caller, verb: str, status: int = 0) -> str:
    """What `opaca-edge bridge` says on the machine of a platform."""
    folder = platform.process.folder
    words = ["bridge", verb, "--config", str(folder / "edge.toml"), "--state-dir", str(folder / "state")]
    process = Process(words, folder, {"COLUMNS": "400"})
    process.log_file = folder / f"{verb}.log"
    process.start()
    assert process.wait() == status, process.log
    return process.log
