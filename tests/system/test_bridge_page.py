"""The landing page in a real browser draws the bridge: who is joined, what waits."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from tests.contract.running import platform_process
from tests.system.brokers import broker
from tests.system.browser import browser
from tests.system.sites import configuration, pair, running, until

pytestmark = pytest.mark.timeout(90)

TEXT = "document.getElementById('bridge').textContent"


async def test_the_page_draws_the_bridge_and_what_waits_while_the_broker_is_away(tmp_path: Path) -> None:
    pictures = os.environ.get("OPACA_PICTURES")
    (tmp_path / "browser").mkdir()
    with broker(tmp_path / "broker") as mosquitto:
        async with pair(tmp_path, mosquitto.url) as both, browser(tmp_path / "browser") as tab:
            await tab.go(both.home.process.base_url)
            await tab.until("document.querySelectorAll('#bridge .node.good').length === 3")
            for words in ("greenhouse", "this platform, device", "cloud", "there for", "1 agent", "on the disk"):
                await tab.until(f"{TEXT}.includes({words!r})")
            await tab.picture(Path(pictures or tmp_path) / "bridge-up.png")
            # On a telephone the drawing scrolls in its own box; the page does not grow with it.
            await tab.do("Emulation.setDeviceMetricsOverride", width=375, height=700, deviceScaleFactor=1, mobile=True)
            await tab.until("document.documentElement.scrollWidth === 375 && innerWidth === 375")
            await tab.do("Emulation.clearDeviceMetricsOverride")
            mosquitto.kill()
            for value in (1.0, 2.0, 3.0):
                assert (await both.home.invoke("Report", value=value)).status == 200
            await tab.until("document.querySelectorAll('#bridge .node.bad').length === 2")
            await tab.until(f"{TEXT}.includes('3 waiting')")
            await tab.until(f"{TEXT}.includes('is the broker running there?')")
            await tab.picture(Path(pictures or tmp_path) / "bridge-away.png")
            assert tab.complaints == []


async def test_a_bridge_whose_port_is_taken_says_by_whom_and_the_platform_runs_without(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        tcp_port = taken.getsockname()[1]
        bridge = f'[bridge]\nlisten = "127.0.0.1:{tcp_port}"\n'
        configuration(tmp_path, "home", bridge + '[bridge.device]\nsite = "home"\nbroker = "mqtt://127.0.0.1:1"\n')
        async with running(tmp_path) as home:

            async def is_told() -> bool:
                return f"port {tcp_port} is taken by" in home.process.log

            await until(is_told, "it is said who has the port")
            assert "[bridge] listen" in home.process.log
            assert "Traceback" not in home.process.log
            assert (await home.ask("GET", "/edge/bridge")).json is None


async def test_a_platform_without_bridge_shows_none(tmp_path: Path) -> None:
    with platform_process(tmp_path) as process:
        assert process.ask("GET", "/edge/bridge").json() is None
