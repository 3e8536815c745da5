"""Two platforms and the bridge between them, each a process of its own, whose agents send and take without pause."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiohttp import ClientError, ClientSession

from tests.contract.ports import free_port
from tests.contract.running import Process
from tests.system.brokers import Mosquitto
from tests.system.couriers import LANES, SENDERS
from tests.system.joined import Caller, until
from tests.system.sites import DEVICE, GATEWAY_TOML

PER_SECOND = 500
_SETTLED_S = 120.0


@dataclass
class Town:
    """Everything that runs.

    Attributes:
        home: The platform of the senders, with the bridge inside.
        gateway: The bridge beside the platform of the takers.
        cloud: That platform.
    """

    home: Process
    gateway: Process
    cloud: Process
    broker: Mosquitto
    session: ClientSession

    async def killed_for(self, seconds: float, longest_s: float, chance: random.Random) -> Counter[str]:
        """Kill one of the four at random moments; returns how often each was."""
        kills: Counter[str] = Counter()
        end_s = time.monotonic() + seconds
        victims = ["home", "broker", "gateway", "cloud"]
        while time.monotonic() < end_s:
            await asyncio.sleep(chance.uniform(0.1, longest_s))
            victim = victims[kills.total()] if kills.total() < len(victims) else chance.choice(victims)
            kills[victim] += 1
            down_s = chance.choice((0.0, chance.uniform(0.0, longest_s / 3)))
            if victim == "broker":
                self.broker.kill()
                await asyncio.sleep(down_s)
                await asyncio.to_thread(self.broker.start)
            else:
                await self._kill(getattr(self, victim), down_s)
        return kills

    async def settled(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Stop the senders and wait until nothing waits anywhere; returns each side's figures, by lane."""
        for number in range(SENDERS):
            async with self.session.post(f"{self.home.base_url}/invoke/Rest/sender-{number}", json={}) as answer:
                assert answer.status == 200, await answer.text()

        async def is_empty() -> bool:
            home, cloud = await self._lanes(self.home, "cloud"), await self._lanes(self.gateway, "greenhouse")
            are_sent = all(lane["acknowledged"] == lane["accepted"] for lane in home.values())
            return (
                bool(home)
                and home.keys() == cloud.keys()
                and are_sent
                and not any(lane["waiting"] + lane["to_play"] for lane in (*home.values(), *cloud.values()))
            )

        try:
            await until(is_empty, "nothing waits", _SETTLED_S)
        except AssertionError as error:
            logs = f"{self.home.log[-3000:]}\n{self.gateway.log[-3000:]}\n{self.cloud.log[-3000:]}"
            lanes = [await self._lanes(self.home, "cloud"), await self._lanes(self.gateway, "greenhouse")]
            raise AssertionError(f"{error}\n{lanes}\n{logs}") from error
        return await self._lanes(self.home, "cloud"), await self._lanes(self.gateway, "greenhouse")

    async def _kill(self, process: Process, down_s: float) -> None:
        os.kill(process.pid, signal.SIGKILL)
        await asyncio.to_thread(process.wait)
        with (process.folder / "log.all").open("a") as log:
            log.write(process.log)
        await asyncio.sleep(down_s)
        if process is self.gateway:
            process.start()
        else:
            await asyncio.to_thread(process.__enter__)

    async def _lanes(self, process: Process, party: str) -> dict[str, Any]:
        folder = process.folder / "state"
        url, token = (folder / "bridge-address").read_text().strip(), (folder / "bridge-token").read_text().strip()
        try:
            headers = {"Authorization": f"Bearer {token}"}
            async with self.session.get(f"{url}/_bridge/status", headers=headers) as answer:
                status = json.loads(await answer.text())
        except ClientError:
            return {}
        return {lane["lane"]: lane for lane in status["lanes"] if lane["site"] == party}


@asynccontextmanager
async def running_town(folder: Path) -> AsyncIterator[Town]:
    """Start everything, and wait until the first message has arrived."""
    broker = Mosquitto(folder / "broker")
    broker.start()
    cloud_port = free_port()
    gateway_toml = GATEWAY_TOML.format(
        listen=free_port(),
        broker=broker.url,
        more=f'platform = "http://127.0.0.1:{cloud_port}"',
        gateway='[bridge.gateway.sites."*"]\nrole = "USER"\nallow = ["*"]',
    )
    device_toml = DEVICE.format(listen=free_port(), site="greenhouse", broker=broker.url, more="", device="") + LANES
    home = _process("run", folder / "home", _bundled("senders", folder / "home", PER_SECOND) + device_toml)
    cloud = _process("run", folder / "cloud", _bundled("takers", folder / "cloud"), cloud_port)
    gateway = _process("bridge", folder / "gateway", gateway_toml)
    try:
        async with ClientSession() as session:
            await asyncio.to_thread(cloud.__enter__)
            gateway.start()
            await asyncio.to_thread(home.__enter__)
            town = Town(home, gateway, cloud, broker, session)

            async def are_joined() -> bool:
                return "listener" in await Caller(session, home).agents()

            await until(are_joined, "the platforms are joined", 20.0)
            (folder / "home" / "go").touch()
            yield town
    finally:
        for process in (home, gateway, cloud):
            await asyncio.to_thread(process.stop)
        broker.kill()


def _process(verb: str, folder: Path, toml: str, tcp_port: int | None = None) -> Process:
    folder.mkdir(parents=True)
    (folder / "edge.toml").write_text(toml)
    arguments = [*{"run": ["run"], "bridge": ["bridge", "run"]}[verb], "--config", str(folder / "edge.toml")]
    settings = {"PORT": str(tcp_port or free_port()), "STATE_DIR": str(folder / "state")}
    return Process(arguments, folder, settings)


def _bundled(name: str, folder: Path, per_second: float | None = None) -> str:
    parameters = f'folder = "{folder}"' + ("" if per_second is None else f", per_second = {per_second}")
    return f'[[bundled]]\nname = "{name}"\nfactory = "tests.system.couriers:{name}"\nparameters = {{ {parameters} }}\n'
