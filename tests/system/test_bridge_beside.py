"""The bridge and the platform beside it that asks who is calling: in one process with it, and in one of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession

from bridge.config import BrokerSettings
from bridge.envelope import Presence, write
from bridge.mqtt.driver import Connection
from tests.contract.certificates import certified
from tests.contract.running import Process
from tests.system.brokers import Mosquitto
from tests.system.joined import until

pytestmark = pytest.mark.timeout(60)

INFO = (
    b'{"platformId":"p","baseUrl":"http://cloud:8000","containers":[],"provides":[],"connections":[],'
    b'"runningSince":"2026-04-21T13:13:39.120Z"}'
)
DEVICE = '[bridge]\nlisten = "127.0.0.1:0"\n{more}[bridge.device]\nsite = "home"\ngateway = "cloud"\nbroker = "{url}"\n'
USERS = {"REQUIRE_AUTH": "true", "HOST": "127.0.0.1", "PORT": "0"}


@asynccontextmanager
async def gateway(mosquitto: Mosquitto) -> AsyncIterator[None]:
    """Somebody whom the bridge takes for the cloud."""
    settings = BrokerSettings(host="127.0.0.1", port=mosquitto.port, user="cloud")
    opened = await asyncio.to_thread(settings.open)
    async with Connection(opened, lambda incoming: incoming.ack(), None, is_v5=True) as cloud:
        for kind, said in (("info", INFO), ("st", write(Presence(on=1, ep=1, kind="gateway")))):
            await cloud.deliver(f"opaca/v1/_gw/cloud/{kind}", said, retain=True)
        yield


def config(folder: Path, mosquitto: Mosquitto, more: str = "") -> list[str]:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "edge.toml").write_text(DEVICE.format(url=mosquitto.url, more=more))
    return ["--config", str(folder / "edge.toml")]


async def status(folder: Path) -> dict[str, Any]:
    """What the bridge says of itself; empty before it says anything."""
    try:
        url, token = [(folder / "state" / f"bridge-{each}").read_text().strip() for each in ("address", "token")]
    except FileNotFoundError:
        return {}
    async with (
        ClientSession() as session,
        session.get(f"{url}/_bridge/status", headers={"Authorization": f"Bearer {token}"}) as answer,
    ):
        said: dict[str, Any] = await answer.json()
        return said


async def test_inside_a_platform_with_tls_it_needs_no_password_and_no_authority(
    tmp_path: Path, mosquitto: Mosquitto
) -> None:
    folder = tmp_path / "home"
    words = config(folder, mosquitto)
    settings = {**USERS, "STATE_DIR": str(folder / "state"), **await asyncio.to_thread(certified, folder / "tls")}
    process = Process(["run", *words], folder, settings)
    await asyncio.to_thread(process.__enter__)
    try:
        async with gateway(mosquitto):

            async def is_joined() -> bool:
                return any(site["joined"] for site in (await status(folder)).get("sites", []))

            await until(is_joined, "the platform is connected to the cloud")
        assert "the password of admin is" in process.log
        said = await status(folder)
        assert (said["platform_problem"], said["platform"].partition(":")[0]) == ("", "http")
    finally:
        await asyncio.to_thread(process.stop)


async def test_alone_with_a_wrong_password_it_says_so_and_where_the_right_one_goes(
    tmp_path: Path, mosquitto: Mosquitto
) -> None:
    platform = Process(
        ["run"], tmp_path, {**USERS, "STATE_DIR": str(tmp_path / "platform"), "PLATFORM_ADMIN_PWD": "right"}
    )
    await asyncio.to_thread(platform.__enter__)
    folder = tmp_path / "bridge"
    more = f'platform = "{platform.base_url}"\npassword_file = "admin"\nstate_dir = "state"\n'
    words = config(folder, mosquitto, more)
    alone = Process(["bridge", "run", *words], folder, {"STATE_DIR": str(folder / "state")})
    try:
        (folder / "admin").touch(0o600)
        (folder / "admin").write_text("wrong\n")
        alone.start()

        async def says() -> str:
            return str((await status(folder)).get("platform_problem", ""))

        await until(says, "it says that something is wrong")
        assert "is the password of admin that in [bridge] password_file?" in await says()
        await asyncio.to_thread(alone.stop)
        (folder / "admin").write_text("right\n")
        alone.start()

        async def is_used() -> bool:
            return 'route="POST /login" status=200' in platform.log and not await says()

        async with gateway(mosquitto):
            await until(is_used, "it logs in")
        await asyncio.to_thread(platform.stop)
        await until(says, "it says that the platform is gone")
        assert "cannot be reached" in await says()
    finally:
        for process in (alone, platform):
            await asyncio.to_thread(process.stop)
