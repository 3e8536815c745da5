"""DS18B20: temperature of water or soil, many probes on one wire.

Wires: red to 3.3 V, black to GND, yellow to the pin, and 4.7 kΩ from the pin to 3.3 V, once for all probes.
"""

import asyncio

import ds18x20
import onewire
from machine import Pin
from opaca_micro.agent import Failed
from opaca_micro.parts.sampled import Sampled, offered

# The longest time a probe takes for 12 bits (datasheet, table 2).
CONVERSION_S = 0.75
# What a probe says before it has measured, thus also when it lost its supply meanwhile.
NOT_MEASURED_C = 85.0


class DS18B20:
    """-55 to 125 °C in steps of 0.0625."""

    def __init__(self, pin, address=None):
        """
        Args:
            pin: Number of the pin that the yellow wires are on.
            address: 16 hex digits of one probe; the first that answers if None. A wrong one makes a reason that
                lists those that are there.
        """
        self._bus = ds18x20.DS18X20(onewire.OneWire(Pin(pin)))
        self._address = address
        self._sampled = Sampled(f"DS18B20 on pin {pin}", 1000, self._measure)

    async def temperature(self):
        """Return the temperature in °C."""
        return await self._sampled.read()

    def offer(self, agent, name="", channel="", every_s=60):
        """Add GetTemperature to an agent.

        Args:
            name: "Water" makes it GetWaterTemperature.
            channel: Where it is broadcast, if it is.
            every_s: How often.
        """
        quantity = "unit=°C range=-55..125 class=temperature"
        action = "Get" + name + "Temperature"
        offered(agent, action, self.temperature, "Temperature of the probe.", quantity, channel, every_s)

    async def _measure(self):
        probe = self._probe()
        self._bus.convert_temp()
        await asyncio.sleep(CONVERSION_S + 0.05)
        celsius = self._bus.read_temp(probe)
        if celsius == NOT_MEASURED_C:
            raise Failed("the probe did not measure, check its supply (85 °C is what it says then)")
        return round(celsius, 2)

    def _probe(self):
        found = self._bus.scan()
        if not found:
            raise Failed("no probe answers, check its wires and the 4.7 kΩ resistor")
        if self._address is None:
            return found[0]
        for probe in found:
            if probe.hex() == self._address:
                return probe
        raise Failed("no probe {}, only {}".format(self._address, ", ".join(probe.hex() for probe in found)))
