"""Stands in for MicroPython's `onewire`: a bus with the probes that host.json names."""

import world


class OneWire:
    """The bus on one pin."""

    def __init__(self, pin):
        self.pin = pin

    def scan(self):
        """Return the 8-byte addresses of the devices that answer."""
        if world.is_failing("ds18b20"):
            return []
        texts = world.host("ds18b20", ("28ff641e8216035c",))
        return [bytes(int(text[at : at + 2], 16) for at in range(0, 16, 2)) for text in texts]
