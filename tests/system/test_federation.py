"""Two platforms of ours that ask who is calling, by http and https: whatever happens, both go on by themselves."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.system.fault_proxy import FaultProxy, Link
from tests.system.federated import Pair, answers, both_are, each_reaches_the_other, pair_of
from tests.system.joined import Caller, restart, wait_for

pytestmark = pytest.mark.timeout(60)


@pytest.fixture(params=["http", "https"])
def pair(request: pytest.FixtureRequest, tmp_path: Path) -> Pair:
    return pair_of(tmp_path, request.param)


async def test_each_uses_the_other_by_every_way(pair: Pair) -> None:
    async with pair.joined() as (here, there):
        await each_reaches_the_other(here, there)
        assert set(await here.agents()) == set(await there.agents()) == {"here", "there"}
        assert (await here.ask("POST", "/connections/notify", data=there.url)).body == b"true"
        assert (await here.ask("DELETE", "/connections", {"url": there.url, "connectBack": True})).body == b"true"
        assert (await there.ask("GET", "/connections")).json == []
        assert (await there.invoke("Speak", "/here", text="x")).status == 404


async def test_either_may_restart_or_be_killed(pair: Pair) -> None:
    async with pair.joined() as (here, there):
        for ends in (here, there):
            await restart(ends)
            await both_are(here, there, "connected")
            await each_reaches_the_other(here, there)
            os.kill(ends.process.pid, signal.SIGKILL)
            await restart(ends)
            await both_are(here, there, "connected")
            await each_reaches_the_other(here, there)


@pytest.mark.timeout(240)
@pytest.mark.parametrize("damage", [Link.CUT, Link.SILENT])
async def test_a_link_that_was_broken_for_a_minute_heals(
    pair: Pair,
    damage: Link,
    at_size: Callable[[int, int], int],
    unused_tcp_port_factory: Callable[[], int],
) -> None:
    ports = [unused_tcp_port_factory() for _ in range(2)]
    urls = [f"http://127.0.0.1:{port}" for port in ports]
    async with FaultProxy.before(urls[0]) as to_here, FaultProxy.before(urls[1]) as to_there:
        here_url, there_url = (proxy.url.replace("http", pair.scheme) for proxy in (to_here, to_there))
        pair.here |= {"PORT": str(ports[0]), "PUBLIC_URL": here_url}
        pair.there |= {"PORT": str(ports[1]), "PUBLIC_URL": there_url}
        async with pair.running() as (here, there, token):
            assert (await here.connect(there_url, back=True, token=token)).body == b"true"
            await wait_for(here, there_url, "connected")
            await wait_for(there, here_url, "connected")
            await each_reaches_the_other(here, there)
            await asyncio.gather(to_here.become(damage), to_there.become(damage))
            broken_s = at_size(2, 60)
            await stays_well(here, "here", broken_s)
            if damage is Link.CUT or broken_s > 45:
                await wait_for(here, there_url, "away")
                assert "is away since 20" in (await here.invoke("Speak", "/there", text="x")).json["message"]
            await asyncio.gather(to_here.become(Link.WELL), to_there.become(Link.WELL))
            healed_s = await wait_for(here, there_url, "connected", 40)
            healed_s = max(healed_s, await wait_for(there, here_url, "connected", 40))
            await each_reaches_the_other(here, there)
    print(f"\n{pair.scheme}, {damage.value} for {broken_s} s: connected again {healed_s:.1f} s after the link was well")


async def stays_well(caller: Caller, agent: str, seconds: float) -> None:
    """Call an agent that is not beyond the broken link until time is up; it must not notice anything."""
    give_up_at = time.monotonic() + seconds
    while time.monotonic() < give_up_at:
        began_s = time.monotonic()
        assert await answers(caller, agent)
        assert time.monotonic() - began_s < 5
        await asyncio.sleep(0.1)
