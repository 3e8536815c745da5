"""A platform at home and one in the cloud, joined by nothing but a broker."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from aiohttp import ClientSession

from tests.contract.ports import free_port
from tests.contract.running import Process
from tests.system.joined import Caller, log_in, until

SITE = "greenhouse"
GATEWAY = "cloud"

DEVICE = """
[bridge]
listen = "127.0.0.1:{listen}"
{more}
[bridge.device]
site = "{site}"
gateway = "cloud"
broker = "{broker}"
{device}
"""
GATEWAY_TOML = """
[bridge]
listen = "127.0.0.1:{listen}"
{more}
[bridge.gateway]
name = "cloud"
broker = "{broker}"
{gateway}
"""


@dataclass
class Pair:
    """Both platforms.

    Attributes:
        home: The one at home.
        cloud: The one that plays the cloud.
    """

    home: Caller
    cloud: Caller

    async def are_joined(self) -> bool:
        """Whether each has the other's agents."""
        return "collector" in await self.home.agents() and "greenhouse" in await self.cloud.agents()


def configuration(folder: Path, agents: str, bridge: str) -> Path:
    """Write a configuration file with bundled agents and a bridge."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "edge.toml"
    path.write_text(f'[[bundled]]\nname = "{agents}"\nfactory = "tests.system.site_agents:{agents}"\n{bridge}')
    return path


@asynccontextmanager
async def running(folder: Path, *, auth: bool = False, **settings: str) -> AsyncIterator[Caller]:
    """Run the platform of a folder with a configuration file."""
    if auth:
        settings = {"REQUIRE_AUTH": "true", "HOST": "127.0.0.1", "PLATFORM_ADMIN_PWD": "secret", **settings}
    settings = {"PORT": "0", "STATE_DIR": str(folder / "state"), **settings}
    process = Process(["run", "--config", str(folder / "edge.toml")], folder, settings)
    await asyncio.to_thread(process.__enter__)
    try:
        async with ClientSession() as session:
            caller = Caller(session, process)
            if auth:
                await log_in(caller)
            yield caller
    finally:
        await asyncio.to_thread(process.stop)


@asynccontextmanager
async def pair(
    folder: Path,
    broker: str,
    *,
    auth: bool = False,
    cloud_broker: str = "",
    more: str = "",
    device: str = "",
    gateway: str = '[bridge.gateway.sites."*"]\nrole = "USER"\nallow = ["*"]',
) -> AsyncIterator[Pair]:
    """Run both and wait until they are joined.

    Args:
        auth: Whether both ask who is calling.
        cloud_broker: URL of the broker for the cloud's side, if another one leads there.
        more: Lines of `[bridge]` on both sides.
        device: Lines of `[bridge.device]`.
        gateway: Lines of `[bridge.gateway]`.
    """
    listens = free_port(), free_port()
    home_toml = DEVICE.format(listen=listens[0], site=SITE, broker=broker, more=more, device=device)
    cloud_toml = GATEWAY_TOML.format(listen=listens[1], broker=cloud_broker or broker, more=more, gateway=gateway)
    configuration(folder / "home", "home", home_toml)
    configuration(folder / "cloud", "cloud", cloud_toml)
    async with AsyncExitStack() as stack:
        home = await stack.enter_async_context(running(folder / "home", auth=auth))
        cloud = await stack.enter_async_context(running(folder / "cloud", auth=auth))
        both = Pair(home, cloud)
        try:
            await until(both.are_joined, "the platforms are joined", 20.0)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{home.process.log}\n{cloud.process.log}") from error
        yield both


__all__ = ["GATEWAY", "SITE", "Pair", "Process", "configuration", "log_in", "pair", "running", "until"]
