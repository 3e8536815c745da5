"""DHT11 and DHT22 (AM2302): temperature and humidity of the air, over one wire.

Wires: VCC to 3.3 V, GND to GND, DATA to the pin, and 10 kΩ from DATA to 3.3 V where the module has none.
"""

import asyncio

import dht
from machine import Pin
from opaca_micro.parts.sampled import Sampled, offered


class DHT22:
    """-40 to 80 °C in steps of 0.1, one value every 2 s."""

    _driver = dht.DHT22
    _interval_ms = 2000
    _celsius, _percent = "-40..80", "0..100"

    def __init__(self, pin):
        """
        Args:
            pin: Number of the pin that DATA is on.
        """
        self._sensor = self._driver(Pin(pin))
        name = f"{self._driver.__name__} on pin {pin}"
        self._sampled = Sampled(name, self._interval_ms, self._measure)

    async def temperature(self):
        """Return the temperature in °C."""
        return (await self._sampled.read())[0]

    async def humidity(self):
        """Return the relative humidity in %."""
        return (await self._sampled.read())[1]

    def offer(self, agent, name="", channel="", every_s=60):
        """Add GetTemperature and GetHumidity to an agent.

        Args:
            name: "Cellar" makes it GetCellarTemperature and so on.
            channel: "cellar" broadcasts on the channels cellar-temperature and cellar-humidity.
            every_s: How often it does.
        """
        for what, read, text, quantity in (
            ("Temperature", self.temperature, "Air temperature.", f"unit=°C range={self._celsius} class=temperature"),
            ("Humidity", self.humidity, "Relative humidity.", f"unit=% range={self._percent} class=humidity"),
        ):
            on = channel and channel + "-" + what.lower()
            offered(agent, "Get" + name + what, read, text, quantity, on, every_s)

    async def _measure(self):
        try:
            self._sensor.measure()
        except Exception:  # noqa: BLE001 - the driver raises a bare one for a wrong checksum
            # The signal is timed by software: one reading in many is lost although nothing is wrong.
            await asyncio.sleep(self._interval_ms / 1000)
            self._sensor.measure()
        return round(self._sensor.temperature(), 1), round(self._sensor.humidity(), 1)


class DHT11(DHT22):
    """0 to 50 °C in whole degrees, one value a second."""

    _driver = dht.DHT11
    _interval_ms = 1000
    _celsius, _percent = "0..50", "20..90"
