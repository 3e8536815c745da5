"""A greenhouse with simulated sensors: a channel with new values, a live stream, and a pump.

Bundled:  opaca-edge run --config examples/opaca-edge.toml
Alone:    cd examples && opaca-edge agents run greenhouse:container
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass

from edge.agents import Agent, CalleeError, Container, action, stream


@dataclass
class Reading:
    """What the sensors say."""

    temperature_celsius: float
    soil_moisture_percent: float
    pump_is_on: bool


class Greenhouse(Agent):
    """A small greenhouse; new values are broadcast on the channel `greenhouse`."""

    def __init__(self, interval_s: float) -> None:
        super().__init__()
        self.interval_s = interval_s
        self.now = Reading(temperature_celsius=21.0, soil_moisture_percent=60.0, pump_is_on=False)

    async def on_start(self) -> None:
        self.start_task(self.measure)

    async def measure(self) -> None:
        """Runs beside the actions; if it failed (a sensor that was pulled out), it would be started again."""
        while True:
            await asyncio.sleep(self.interval_s)
            now = self.now
            now.temperature_celsius = round(now.temperature_celsius + random.uniform(-0.2, 0.2), 1)
            drift = 1.5 if now.pump_is_on else -0.1
            now.soil_moisture_percent = round(min(100.0, max(0.0, now.soil_moisture_percent + drift)), 1)
            try:
                await self.broadcast("greenhouse", now)
            except CalleeError:
                pass  # no platform to tell; the actions work all the same

    @action
    async def get_air_temperature(self) -> float:
        """Temperature under the roof. [unit=°C range=-20..60 class=temperature channel=greenhouse]"""
        return self.now.temperature_celsius

    @action
    async def get_soil_moisture(self) -> float:
        """Moisture of the soil. [unit=% range=0..100 class=moisture channel=greenhouse]"""
        return self.now.soil_moisture_percent

    @action
    async def water(self, seconds: float = 2.0) -> Reading:
        """Run the pump for a while, at most a minute, and return what the sensors say then. [unit=s range=0..60]"""
        self.now.pump_is_on = True
        try:
            await asyncio.sleep(min(max(seconds, 0.0), 60.0))
        finally:  # also if the caller leaves, or the platform stops
            self.now.pump_is_on = False
        return self.now

    @stream(mode="GET")
    async def readings(self) -> AsyncIterator[Reading]:
        """What the sensors say, one line of JSON for each measurement."""
        while True:
            yield self.now
            await asyncio.sleep(self.interval_s)


def container(interval_s: float = 1.0) -> Container:
    return Container("greenhouse", [Greenhouse(interval_s)])
