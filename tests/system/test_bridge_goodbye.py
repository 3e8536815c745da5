"""Who ends says so; if that cannot be said any more, the broker says it: nobody is taken for connected who is not."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.system.brokers import broker
from tests.system.fault_proxy import FaultProxy
from tests.system.linked import GATEWAY, SITE, soon, station, user

pytestmark = pytest.mark.timeout(60)


async def test_who_ends_before_its_last_words_have_their_turn_is_away_as_well(tmp_path: Path) -> None:
    with broker(tmp_path / "broker") as mosquitto:
        async with station(user(mosquitto, GATEWAY)) as cloud, FaultProxy.before(mosquitto.url) as slow:
            async with station(user(mosquitto, SITE, port=int(slow.url.rpartition(":")[2]))) as home:
                await soon(lambda: cloud.remotes and cloud.remotes[SITE].is_there and home.remotes, "they have met")
                slow.delay_s = 1.0
                # More than may be unconfirmed: its last words have to wait behind them.
                values = [home.link.deliver("opaca/v1/home/up/tm/temp", b"1") for _ in range(100)]
                delivering = asyncio.gather(*values, return_exceptions=True)
                await asyncio.sleep(0)
            await delivering
            await soon(lambda: not cloud.remotes[SITE].is_there, "the broker says that it has gone", 20)


async def test_who_ends_is_away_at_once(tmp_path: Path) -> None:
    with broker(tmp_path / "broker") as mosquitto:
        async with station(user(mosquitto, GATEWAY)) as cloud:
            async with station(user(mosquitto, SITE)) as home:
                await soon(lambda: cloud.remotes and cloud.remotes[SITE].is_there and home.remotes, "they have met")
            await soon(lambda: not cloud.remotes[SITE].is_there, "it has said so")
        assert "home disconnected." in mosquitto.log  # in order: its will is not needed
