"""Stands in for MicroPython's `dht`: a DHT11 or DHT22 on one pin."""

import world


class DHTBase:
    """What both have in common."""

    _STEP = 1

    def __init__(self, pin):
        self.pin = pin
        self._values = (0, 0)

    def measure(self):
        """Ask the sensor; OSError 110 is its silence."""
        if world.is_failing("dht"):
            raise OSError(110)
        self._values = (world.measured("temperature"), world.measured("humidity"))

    def temperature(self):
        """Return the air's temperature, in °C."""
        return round(self._values[0] / self._STEP) * self._STEP

    def humidity(self):
        """Return the relative humidity, in %."""
        return round(self._values[1] / self._STEP) * self._STEP


class DHT11(DHTBase):
    """Whole degrees."""


class DHT22(DHTBase):
    """Tenths of degrees."""

    _STEP = 0.1
