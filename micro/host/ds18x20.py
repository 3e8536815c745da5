"""Stands in for MicroPython's `ds18x20`: probes that need 750 ms for a value, and know 85 °C until they have one."""

import time

import world

CONVERSION_S = 0.75


class DS18X20:
    """The probes on one bus."""

    def __init__(self, onewire):
        self.ow = onewire
        self._asked_s = None

    def scan(self):
        """Return the addresses of all probes."""
        return [rom for rom in self.ow.scan() if rom[0] in (0x10, 0x22, 0x28)]

    def convert_temp(self):
        """Let all probes measure; takes CONVERSION_S, without waiting."""
        self._asked_s = time.time()

    def read_temp(self, rom):
        """Return what a probe measured, in °C."""
        if rom not in self.ow.scan():
            raise Exception("CRC error")
        if self._asked_s is None or time.time() - self._asked_s < CONVERSION_S:
            return 85.0
        return int((world.measured("temperature") - 0.5 * self.ow.scan().index(rom)) * 16) / 16
