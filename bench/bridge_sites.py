"""A platform at home and one in the cloud, joined by a bridge over a real Mosquitto, as processes under measurement."""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.servers import Server, free_port, running
from tests.system.brokers import broker

_JOINED_S = 30.0
_DEVICE = (
    '[bridge]\nlisten = "127.0.0.1:{listen}"\n[bridge.device]\nsite = "greenhouse"\ngateway = "cloud"\n'
    'broker = "{broker}"\n'
)
_GATEWAY = (
    '[bridge]\nlisten = "127.0.0.1:{listen}"\n[bridge.gateway]\nname = "cloud"\nbroker = "{broker}"\n'
    '[bridge.gateway.sites."*"]\nrole = "USER"\nallow = ["*"]\n'
)
_LANES = '[bridge.lanes.alarm]\nchannels = ["alarms"]\n'


@dataclass(frozen=True)
class Site:
    """A platform with what it keeps, started as often as one likes.

    Attributes:
        name: `home` or `cloud`.
        folder: Its configuration and state.
        tcp_port: Of its API.
        bridge: Its `[bridge]` section; empty for none.
    """

    name: str
    folder: Path
    tcp_port: int
    bridge: str

    @property
    def state(self) -> Path:
        """Its state directory."""
        return self.folder / "state"

    @contextmanager
    def running(self) -> Iterator[Server]:
        """Run it, on all cores."""
        self.folder.mkdir(parents=True, exist_ok=True)
        config = self.folder / "bench.toml"
        factory = f'[[bundled]]\nname = "{self.name}"\nfactory = "bench.bridge_agents:{self.name}"\n'
        config.write_text(factory + self.bridge)
        command = [sys.executable, "-m", "edge", "run", "--config", str(config)]
        environment = {"PORT": str(self.tcp_port), "STATE_DIR": str(self.state), "LOG_LEVEL": "warning"}
        with running(self.name, command, self.tcp_port, environment) as server:
            for thread in os.listdir(f"/proc/{server.process.pid}/task"):
                os.sched_setaffinity(int(thread), range(os.cpu_count() or 1))
            yield server

    def ask(self, path: str, **arguments: Any) -> Any:
        """Invoke an action here."""
        return call(f"http://127.0.0.1:{self.tcp_port}/invoke/{path}", arguments)

    def agents(self) -> list[str]:
        """Return the IDs of all agents, also of connected platforms."""
        url = f"http://127.0.0.1:{self.tcp_port}/agents?includeConnected=true"
        return [each["agentId"] for each in call(url)]

    def bridge_status(self) -> Any:
        """Return what the bridge says of itself."""
        url, token = ((self.state / name).read_text().strip() for name in ("bridge-address", "bridge-token"))
        return call(f"{url}/_bridge/status", token=token)


@contextmanager
def two_sites() -> Iterator[tuple[Site, Site]]:
    """Yield home and cloud, with a broker between them; neither runs yet."""
    with tempfile.TemporaryDirectory() as text, broker(Path(text, "broker")) as mosquitto:
        device = _DEVICE.format(listen=free_port(), broker=mosquitto.url) + _LANES
        gateway = _GATEWAY.format(listen=free_port(), broker=mosquitto.url)
        yield (
            Site("home", Path(text, "home"), free_port(), device),
            Site("cloud", Path(text, "cloud"), free_port(), gateway),
        )


@contextmanager
def joined() -> Iterator[tuple[Site, Site, Server, Server]]:
    """Run both and wait until each has the other's agents."""
    with two_sites() as (home, cloud), ExitStack() as stack:
        servers = stack.enter_context(home.running()), stack.enter_context(cloud.running())
        wait_until(lambda: "clerk" in home.agents() and "burst" in cloud.agents(), _JOINED_S)
        yield home, cloud, *servers


def wait_until(claim: Any, limit_s: float) -> None:
    """Wait until something holds."""
    give_up_s = time.monotonic() + limit_s
    while not claim():
        if time.monotonic() > give_up_s:
            raise SystemExit(f"nothing came of it within {limit_s:.0f} s")
        time.sleep(0.05)


def call(url: str, body: Any = None, token: str = "") -> Any:
    """Return what a URL answers, as JSON."""
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
    request = urllib.request.Request(url, None if body is None else json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=600) as answer:
        return json.loads(answer.read())
