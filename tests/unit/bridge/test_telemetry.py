"""Sensor values for plain MQTT consumers: bare payloads of the channels that are configured, and of no others."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from bridge import telemetry
from bridge.access import Access
from bridge.config import BrokerSettings, DeviceSettings
from bridge.tasks import Tasks
from bridge.telemetry import Telemetry
from tests.unit.bridge.wire import Air, End, joined, settle

DEVICE = DeviceSettings(
    site="greenhouse", gateway="cloud", broker=BrokerSettings(host="x", port=1, user="greenhouse"),
    access=Access(), telemetry=["temp", "air/humidity #1"],
)  # fmt: skip


@asynccontextmanager
async def publishing(device: DeviceSettings | None = DEVICE) -> AsyncIterator[tuple[Telemetry, Air, End]]:
    async with joined() as (air, cloud, home), Tasks() as tasks:
        made = Telemetry(device, tasks)
        made.use([cloud.station, home.station])
        yield made, air, home


async def test_only_the_channels_that_are_configured_go_out_and_bare() -> None:
    async with publishing() as (made, air, home):
        for channel, payload in (
            ("temp", b'{"value":21.5}'),
            ("secret", b"1"),
            ("air/humidity #1", b"40"),
            ("temp", b"3"),
        ):
            made.tell(home.other, channel, payload)
        await settle()
        assert air.of("up/tm") == [
            ("opaca/v1/greenhouse/up/tm/temp", b'{"value":21.5}'),
            ("opaca/v1/greenhouse/up/tm/air_humidity _1", b"40"),
            ("opaca/v1/greenhouse/up/tm/temp", b"3"),
        ]
        assert not any("/tm/" in topic for topic in air.retained)


async def test_the_broker_keeps_the_last_value_if_it_is_to() -> None:
    async with publishing(replace(DEVICE, is_telemetry_retained=True)) as (made, air, home):
        for value in (b"1", b"2"):
            made.tell(home.other, "temp", value)
        await settle()
        assert air.retained["opaca/v1/greenhouse/up/tm/temp"] == b"2"


async def test_what_goes_to_other_parties_does_not_go_out() -> None:
    async with publishing(replace(DEVICE, gateway="another")) as (made, air, home):
        made.tell(home.other, "temp", b"1")
        await settle()
        assert air.of("up/tm") == []
    async with publishing(None) as (made, air, home):
        made.tell(home.other, "temp", b"1")
        await settle()
        assert air.of("up/tm") == []


async def test_what_cannot_go_out_is_counted_and_nobody_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    async with publishing() as (made, air, home):
        home.link.down()
        made.tell(home.other, "temp", b"1")
        await settle()
        assert (made.passed_over, air.of("up/tm")) == (1, [])
        home.link.up()

        async def stuck(*_: object, **__: object) -> None:
            await asyncio.sleep(60)

        monkeypatch.setattr(home.link, "deliver", stuck)
        for _ in range(telemetry._MAX_WAITING + 5):
            made.tell(home.other, "temp", b"1")
        assert made.passed_over == 6
