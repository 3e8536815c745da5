"""A sensor with an analogue output: soil moisture, light, a potentiometer.

Wires: VCC to 3.3 V (never 5 V: the pin bears 3.3 V), GND to GND, the output to a pin that can convert: 32 to 39 on an
ESP32 (the others are off while Wi-Fi is on), 26 to 28 on a Pico W. For light: a photoresistor from 3.3 V to the pin,
10 kΩ from the pin to GND.
"""

from machine import ADC, Pin
from opaca_micro.agent import Failed
from opaca_micro.parts.sampled import offered

_SAMPLES = 9
# So much of its range a sensor may lie beyond it: voltages drift with warmth. Farther out it is not connected.
_BEYOND = 0.15


class Analog:
    """A voltage as a share of the range that the sensor was found to have."""

    def __init__(self, pin, low=0, high=65535):
        """
        Args:
            pin: Number of the pin.
            low, high: What `raw` says at 0 % and at 100 %, of 65535; low is the larger one where the voltage falls.
        """
        self._pin = pin
        self._adc = ADC(Pin(pin))
        if hasattr(ADC, "ATTN_11DB"):  # ESP32: without it 1.1 V is already all
            self._adc.atten(ADC.ATTN_11DB)
        self._low, self._high = low, high

    def raw(self):
        """Return the middle one of some readings, 0 to 65535: an ESP32's radio disturbs single ones."""
        return sorted([self._adc.read_u16() for _ in range(_SAMPLES)])[_SAMPLES // 2]

    def percent(self):
        """Return the share of the range, 0 to 100."""
        raw = self.raw()
        share = (raw - self._low) / (self._high - self._low)
        if not -_BEYOND <= share <= 1 + _BEYOND:
            raise Failed(
                f"pin {self._pin} reads {raw}, far outside {self._low} to {self._high}: is the sensor connected?"
            )
        return round(100.0 * min(1, max(0, share)), 1)

    def offer(self, agent, name, description="", device_class="", channel="", every_s=60):
        """Add Get<name> to an agent, and Get<name>Raw, which is needed once to find `low` and `high`.

        Args:
            name: What it measures: "SoilMoisture".
            description: A sentence about it.
            device_class: Home Assistant's word for it, such as "moisture".
            channel: Where it is broadcast, if it is.
            every_s: How often.
        """
        quantity = "unit=% range=0..100" + (" class=" + device_class if device_class else "")
        offered(agent, "Get" + name, self.percent, description or name + ".", quantity, channel, every_s)
        offered(agent, "Get" + name + "Raw", self.raw, "What the converter reads.", "range=0..65535", result="integer")
