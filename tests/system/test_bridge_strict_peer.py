"""The bridge beside a platform that forgives nothing: what works with it works with the Java platform."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import ClientSession

from tests.contract.running import Process
from tests.system.brokers import Mosquitto
from tests.system.joined import Caller, until
from tests.system.sites import DEVICE, GATEWAY_TOML, configuration, running
from tests.system.strict_peer import AGENT, CONTAINER, StrictPeer

pytestmark = pytest.mark.timeout(60)

# By which a platform of ours drops what a bridge repeats; a platform that knows it not passes it over.
KNOWN = frozenset({"idempotency-key"})


@asynccontextmanager
async def bridged(
    folder: Path, mosquitto: Mosquitto, peer: StrictPeer, more: str = "", gateway: str = ""
) -> AsyncIterator[tuple[Caller, str]]:
    """A platform at home, the peer as the cloud, a bridge beside it: home, and its base URL as the peer knows it."""
    home_toml = DEVICE.format(listen=0, site="greenhouse", broker=mosquitto.url, more="", device="")
    configuration(folder / "home", "home", home_toml)
    gateway = gateway or '[bridge.gateway.sites."*"]\nrole = "USER"\nallow = ["*"]'
    more = f'platform = "{peer.url}"\n{more}'
    cloud = folder / "cloud"
    cloud.mkdir()
    (cloud / "edge.toml").write_text(GATEWAY_TOML.format(listen=0, broker=mosquitto.url, more=more, gateway=gateway))
    process = Process(
        ["bridge", "run", "--config", str(cloud / "edge.toml")], cloud, {"STATE_DIR": str(cloud / "state")}
    )
    try:
        await asyncio.to_thread(process.start)
        async with running(folder / "home") as home:

            async def are_joined() -> bool:
                assert process.is_running(), process.log
                return bool(peer.connected) and "far agent" in await home.agents()

            try:
                await until(are_joined, "they are joined", 20.0)
            except AssertionError as error:
                raise AssertionError(f"{error}\n{home.process.log}\n{process.log}") from error
            (url,) = peer.connected
            yield home, url
    finally:
        await asyncio.to_thread(process.stop)


async def test_both_directions_work_to_the_letter(tmp_path: Path, mosquitto: Mosquitto) -> None:
    async with StrictPeer.running(headers=KNOWN) as peer, bridged(tmp_path, mosquitto, peer) as (home, url):
        assert url.endswith("/greenhouse")
        assert peer.connected[url]["containers"][0]["agents"][0]["agentId"] == "greenhouse"

        # Home asks the cloud.
        assert (await home.ask("GET", "/agents/far%20agent")).json == AGENT
        answer = await home.invoke("Far", text="ä")
        assert answer.json["arguments"] == {"text": "ä"}
        assert answer.json["path"].startswith("/invoke/Far?")
        answer = await home.ask("POST", "/invoke/Far/far%20agent?timeout=7&containerId=far%20container", {"text": "x"})
        assert answer.json["path"].partition("?")[0] == "/invoke/Far/far%20agent"
        assert "containerId=far%20container" in answer.json["path"]
        failed = await home.invoke("Fail")
        assert failed.status == 502
        assert failed.json["cause"] == {"statusCode": 500, "message": "it is broken"}
        assert (await home.ask("POST", "/send/far%20agent", {"payload": 1})).status == 200
        assert (await home.ask("POST", "/broadcast/news", {"payload": [2]})).status == 200

        async def came() -> bool:
            return peer.messages == [1, [2]]

        await until(came, "the messages came")
        assert (await home.ask("POST", "/stream/Keep/far%20agent", data=b"one" * 5000)).status == 200
        assert peer.taken == b"one" * 5000
        async with home.session.get(f"{home.url}/stream/Drip") as response:
            peer.drops.put_nowait(b"x" * 9000)
            assert await response.content.readexactly(9000) == b"x" * 9000
            peer.drops.put_nowait(None)
            assert await response.content.read() == b""

        # The cloud asks home.
        assert await peer.call(url, "POST", "/invoke/Echo?timeout=-1&forward=false", {"value": "hi"}) == (200, b'"hi"')
        status, body = await peer.call(url, "POST", "/invoke/Fail?timeout=-1&forward=false", {})
        assert (status, "the pump is stuck" in body.decode()) == (502, True)
        status, _ = await peer.call(url, "POST", "/invoke/Nothing?timeout=-1&forward=false", {})
        assert status == 404
        assert await peer.broadcast("orders", "from above") == url

        async def heard() -> bool:
            return "from above" in (await home.invoke("WhatCame")).json

        await until(heard, "home heard it")
        assert peer.complaints == []


async def test_changes_are_followed_in_both_directions(tmp_path: Path, mosquitto: Mosquitto) -> None:
    async with StrictPeer.running(headers=KNOWN) as peer, bridged(tmp_path, mosquitto, peer) as (home, url):
        peer.containers = [{**CONTAINER, "agents": [{**AGENT, "agentId": "another agent"}]}]
        await peer.tell_change()

        async def is_followed() -> bool:
            agents = await home.agents()
            return "another agent" in agents and "far agent" not in agents

        await until(is_followed, "home knows of the change")
        (container,) = (await home.ask("GET", "/containers")).json
        assert (await home.ask("DELETE", f"/containers/{container['containerId']}")).json is True

        async def has_seen() -> bool:
            return bool(peer.connected[url] and peer.connected[url]["containers"] == [])

        await until(has_seen, "the peer knows that the container is gone")

        # What is gone for a while stays known, and is said to be away.
        await asyncio.to_thread(home.process.stop)

        async def is_away() -> bool:
            status, body = await peer.call(url, "POST", "/invoke/Echo?timeout=-1&forward=false", {"value": 1})
            return status == 502 and json.loads(body)["message"].startswith("greenhouse is away since 20")

        await until(is_away, "it is away")
        assert url in peer.connected
        assert peer.complaints == []


async def test_one_token_manages_connections_and_another_one_calls(tmp_path: Path, mosquitto: Mosquitto) -> None:
    secret = tmp_path / "secret"
    secret.write_text("pw\n")
    secret.chmod(0o600)
    users = {"admin": {"username": "admin", "password": "pw", "role": "ADMIN"}}
    async with StrictPeer.running(headers=KNOWN, users=users) as peer:
        more = f'admin = "admin"\npassword_file = "{secret}"'
        async with bridged(tmp_path, mosquitto, peer, more) as (home, _):
            assert (await home.invoke("Far", text="x")).status == 200
            assert (await home.ask("POST", "/send/far%20agent", {"payload": 1})).status == 200

            async def came() -> bool:
                return peer.messages == [1]

            await until(came, "the message came")
            by = peer.asked_by
            assert by["POST /invoke/Far"] == by["POST /send/far%20agent"] == "site-greenhouse"
            assert by["POST /connections"] == by["POST /users"] == by["GET /info"] == "admin"
            assert peer.users["site-greenhouse"]["role"] == "USER"
            assert peer.complaints == []
            async with ClientSession() as stranger, stranger.get(f"{peer.url}/info") as answer:
                assert answer.status == 401
