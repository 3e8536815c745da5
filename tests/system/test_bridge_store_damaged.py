"""A database that becomes unreadable under a running bridge: set aside, a new one begun, the other end told of it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientError, ClientSession

from bridge.access import Access
from bridge.app import serve
from bridge.config import BridgeConfig, BrokerSettings, DeviceSettings
from bridge.envelope import Batch, Presence, read
from bridge.mqtt.driver import Broker, Connection, Incoming, Will
from bridge.store import Event, Lane, LanePolicy, Store
from tests.contract.ports import free_port
from tests.system.brokers import Mosquitto
from tests.system.joined import until
from tests.unit.bridge.stores import spoil

pytestmark = pytest.mark.timeout(60)
WAITING = 5


async def status(state_dir: Path, session: ClientSession) -> dict[str, Any] | None:
    """What the bridge says of itself; None while it begins anew."""
    files = [state_dir / name for name in ("bridge-address", "bridge-token")]
    url, token = [(await asyncio.to_thread(each.read_text)).strip() for each in files]
    try:
        async with session.get(f"{url}/_bridge/status", headers={"Authorization": f"Bearer {token}"}) as answer:
            told: dict[str, Any] | None = await answer.json() if answer.status == 200 else None
            return told
    except ClientError:
        return None


async def test_a_database_damaged_in_use_is_replaced_and_what_waited_in_it_is_reported_lost(
    tmp_path: Path, mosquitto: Mosquitto, caplog: pytest.LogCaptureFixture
) -> None:
    heard: list[Incoming] = []
    settings = BrokerSettings(host="127.0.0.1", port=mosquitto.port, user="home")
    config = BridgeConfig(
        platform=f"http://127.0.0.1:{free_port()}",
        state_dir=tmp_path / "state",
        tcp_port=0,
        device=DeviceSettings(site="home", gateway="cloud", broker=settings, access=Access()),
    )
    path = config.state_dir / "bridge.db"
    async with Store(path, lambda site, lane: LanePolicy()) as store:
        for number in range(WAITING):
            await store.outbox.put("cloud", Lane.MESSAGE, Event("POST /broadcast/temp", b'{"payload":%d}' % number))
    stop = asyncio.Event()

    def presences() -> list[Presence]:
        return [read(each.payload, Presence) for each in heard if each.topic.endswith("/home/st")]

    async def is_there(stores: int) -> bool:
        return len({each.st for each in presences() if each.on}) == stores

    async def is_reported() -> bool:
        batches = [read(each.payload, Batch) for each in heard if "/up/ev/" in each.topic]
        losses = [(loss.why, loss.a, loss.z) for batch in batches for loss in batch.lost]
        return losses == [("damaged", 1, WAITING)]

    watcher = Broker(host="127.0.0.1", port=mosquitto.port, user="cloud")
    will = Will(topic="opaca/v1/_gw/cloud/st", payload=b'{"on":0,"ep":7}')
    async with (
        Connection(watcher, heard.append, will) as connection,
        ClientSession() as session,
        asyncio.TaskGroup() as tasks,
    ):
        await connection.subscribe(["opaca/v1/#"])
        serving = tasks.create_task(serve(config, stop))
        await until(lambda: is_there(1), "the site is there", 10.0)
        first = presences()[-1].st
        await asyncio.to_thread(spoil, path)

        async def has_another_store() -> bool:
            told = await status(config.state_dir, session)
            return told is not None and told["store"] != first

        await until(has_another_store, "another store", 10.0)
        await until(lambda: is_there(2), "the other end is told the store's new name", 10.0)
        told = await status(config.state_dir, session)
        assert told is not None
        assert told["lanes"][0]["lost"] == {"damaged": WAITING}
        assert told["lanes"][0]["there"] == {"played": 0, "refused": 0, "expired": 0, "skipped": 0}
        await connection.deliver("opaca/v1/_gw/cloud/st", b'{"on":1,"ep":7,"kind":"gateway"}', retain=True)
        await until(is_reported, "the loss is reported to the other end", 10.0)
        assert not serving.done()
        stop.set()
    assert await asyncio.to_thread(lambda: list(config.state_dir.glob("bridge.db.damaged-*")))
    assert f"lane message towards cloud: {WAITING} messages are lost with it" in caplog.text
