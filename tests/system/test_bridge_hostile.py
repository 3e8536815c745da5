"""A broker full of rubbish, without an access list, and a site that floods: two platforms that are joined work on."""

from __future__ import annotations

import asyncio
import json
import random
import re
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from bridge.chunks import Flag, pack
from bridge.envelope import Batch, Event, Mark, Presence, Request, read, write
from bridge.mqtt.client import Broker
from bridge.mqtt.driver import Connection, Incoming
from tests.system.brokers import Mosquitto
from tests.system.joined import Caller
from tests.system.sites import Pair, pair, until
from tests.unit.bridge.test_hostile import RAW, message

pytestmark = pytest.mark.timeout(600)

# What platforms and their bridges may grow by, whatever is sent to them.
_GROWTH_BYTES = 64 * 1024 * 1024


@asynccontextmanager
async def stranger(mosquitto: Mosquitto, *filters: str) -> AsyncIterator[tuple[Connection, list[Incoming]]]:
    """Somebody who may write whatever they like, and what they heard."""
    heard: list[Incoming] = []

    def keep(incoming: Incoming) -> None:
        heard.append(incoming)
        incoming.ack()

    async with Connection(Broker(host="127.0.0.1", port=mosquitto.port, user="stranger"), keep, None) as connection:
        if filters:
            await connection.subscribe(filters)
        yield connection, heard


async def flood(connection: Connection, messages: Iterator[tuple[str, bytes]]) -> None:
    """Send as quickly as the broker takes."""
    for number, (topic, payload) in enumerate(messages):
        connection.publish(topic, payload)
        if number % 50 == 0:
            await connection.drain()
            await asyncio.sleep(0)


async def status(caller: Caller) -> dict[str, object]:
    """What the bridge of a platform says of itself."""
    folder = caller.process.folder / "state"
    url = (folder / "bridge-address").read_text().strip()
    headers = {"Authorization": f"Bearer {(folder / 'bridge-token').read_text().strip()}"}
    async with caller.session.get(f"{url}/_bridge/status", headers=headers) as answer:
        said: dict[str, object] = await answer.json()
        return said


async def both_work(both: Pair, value: float) -> None:
    """A call goes each way, and a message is heard once."""

    async def calls() -> bool:
        down = await both.cloud.invoke("Echo", "/greenhouse", value=value)
        up = await both.home.invoke("AskCloud", city="Berlin")
        return down.status == up.status == 200

    await until(calls, "calls work both ways", 20.0)
    assert (await both.home.invoke("Report", value=value)).status == 200

    async def came() -> bool:
        return [each for each in (await both.cloud.invoke("Collected")).json if each == {"value": value}] != []

    await until(came, "the message came", 20.0)


def hostile_topics(rng: random.Random) -> Iterator[str]:
    """Topics of the scheme, of other versions of it, and of no scheme at all, that a broker accepts."""
    for version in ("v1", "v2", "v0"):
        for party in ("greenhouse", "_gw/cloud", "_gw", "other", "UPPER", "a" * 200, "ä☃", "-"):
            for ending in (
                "st", "info", "up/info", "up/rq", "up/rs/cloud", "up/ev/message", "up/ev/alarm", "up/ev/" + "x" * 3000,
                "up/ack/message", "up/sm/Labc", "up/sc/S1", "dn/rq/cloud", "dn/rs", "dn/ev/message", "dn/ack/message",
                "dn/sm/Labc", "/".join("d" * 50), "",
            ):  # fmt: skip
                yield f"opaca/{version}/{party}/{ending}"


def hostile(rng: random.Random, count: int, store_id: str, epoch: int) -> Iterator[tuple[str, bytes]]:
    """What a site that means ill may say: fuzzed, replayed, out of turn, too much of it."""
    site = "opaca/v1/greenhouse"
    batch = write(Batch(st="stranger", p=0, z=1, ev=[Event(n=1, route="POST /send/nobody")], t=1))
    for number in range(count):
        kind = number % 8
        if kind == 0:
            yield f"{site}/up/rq", write(Request(id="same", ep=epoch, route="POST /invoke/Echo", b={"value": 1}))
        elif kind == 1:
            yield f"{site}/up/ev/message", batch
        elif kind == 2:
            yield f"{site}/up/sm/L{number % 100}", pack(Flag.NONE, 0, rng.randbytes(16_000))
        elif kind == 3:
            yield f"{site}/up/rs/cloud", b'{"id":"unknown","s":200,"b":%d}' % number
        elif kind == 4:
            yield f"{site}/up/ack/message", write(Mark(st=store_id, n=rng.choice([0, 2**40, number])))
        elif kind == 5:
            yield f"{site}/up/rq", write(Request(id=str(number), ep=epoch, route="DELETE /containers/x"))
        else:
            topic, payload = message(rng)
            if re.search(r"[+#\x00]", topic) is None and topic:
                yield topic, payload


async def test_rubbish_that_the_broker_keeps_and_a_site_that_floods_stop_nobody(
    tmp_path: Path, mosquitto: Mosquitto, seed: int, at_size: Callable[[int, int], int]
) -> None:
    rng = random.Random(seed)
    async with stranger(mosquitto) as (connection, _):
        for topic in hostile_topics(rng):
            connection.publish(topic, rng.choice([each for each in RAW if each]), retain=True)
            await connection.drain()
        await connection.deliver("opaca/v1/end", b"")
    async with pair(tmp_path, mosquitto.url, device="retry_s = 1") as both:
        await both_work(both, 1)
        before = [each.process.rss_bytes() for each in (both.home, both.cloud)]
        said = await status(both.cloud)
        async with stranger(mosquitto, "opaca/v1/_gw/cloud/st") as (connection, heard):
            await until(lambda: _came(heard), "the gateway's presence")
            epoch = read(heard[-1].payload, Presence).ep
            await flood(connection, hostile(rng, at_size(6000, 500_000), str(said["store"]), epoch))
            await connection.deliver("opaca/v1/end", b"")
        # Strangers have said that the site is gone, and forgotten: it is there when it says so itself.
        await asyncio.to_thread(both.home.process.stop)
        await asyncio.to_thread(both.home.process.__enter__)
        both.home.url = both.home.process.base_url
        await until(both.are_joined, "they are joined again", 30.0)
        await both_work(both, 2)
        after = [each.process.rss_bytes() for each in (both.home, both.cloud)]
        assert after[1] - before[1] < _GROWTH_BYTES
        (link,) = (await status(both.cloud))["links"]  # type: ignore[misc]
        assert link["passed_over"] > 100
        assert link["connections"] == 1
        for each in (both.home, both.cloud):
            log = each.process.log
            assert "Traceback" not in log, log[-3000:]
            assert len(log.splitlines()) < 500
        print(json.dumps({"grown": after[1] - before[1], "passed_over": link["passed_over"]}))


async def _came(heard: list[Incoming]) -> bool:
    return bool(heard)
