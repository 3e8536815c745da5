"""A BME280 as its bus sees it: registers that a real driver reads, filled from `world`.

The raw values are found by trying: what the datasheet's floating point formulas (Bosch BST-BME280-DS002, appendix 8.1)
make of them is compared with what the world has. Drivers use the integer formulas, so each checks the other.
"""

import struct

import world

CHIP_ID = 0x60
# Temperature and pressure: the example of the BMP280's datasheet (3.12). Humidity: read from a real sensor.
T = (27504, 26435, -1000)
P = (36477, -10685, 3024, 2855, 140, -7, 15500, -14600, 6000)
H = (75, 362, 0, 328, 50, 30)


class Device:
    """The sensor's 256 registers."""

    def __init__(self):
        self._registers = bytearray(256)
        self._registers[0xD0] = CHIP_ID
        self._put(0x88, struct.pack("<HhhHhhhhhhhh", *(T + P)))
        self._put(0xA1, bytes([H[0]]))
        # dig_H4 and dig_H5 have 12 bits each and share a byte.
        nibbles = (H[3] & 15) | (H[4] & 15) << 4
        self._put(0xE1, struct.pack("<hBBBBb", H[1], H[2], H[3] >> 4, nibbles, H[4] >> 4, H[5]))
        self._put(0xF7, b"\x80\x00\x00\x80\x00\x00\x80\x00")  # what it says before it measured

    def read(self, register):
        """Return one byte."""
        return self._registers[register]

    def write(self, register, byte):
        """Take one byte; a forced measurement is done at once."""
        self._registers[register] = byte
        if register == 0xF4 and byte & 3:
            self._measure()
            if byte & 3 != 3:
                self._registers[0xF4] = byte & 0xFC

    def _put(self, register, data):
        self._registers[register : register + len(data)] = data

    def _measure(self):
        celsius, hectopascal, percent = (world.measured(name) for name in ("temperature", "pressure", "humidity"))
        raw_t = _raw(lambda raw: temperature(raw)[0] - celsius, 20)
        fine = temperature(raw_t)[1]
        raw_p = _raw(lambda raw: hectopascal * 100 - pressure(raw, fine), 20)
        raw_h = _raw(lambda raw: humidity(raw, fine) - percent, 16)
        for register, raw in ((0xF7, raw_p), (0xFA, raw_t)):
            self._put(register, bytes([raw >> 12, raw >> 4 & 255, raw << 4 & 255]))
        self._put(0xFD, bytes([raw_h >> 8, raw_h & 255]))


def _raw(difference, bits):
    """Return the largest raw value whose difference is not above 0; the difference grows with it."""
    raw = 0
    for bit in range(bits - 1, -1, -1):
        if difference(raw | 1 << bit) <= 0:
            raw |= 1 << bit
    return raw


def temperature(raw):
    """Return °C and the fine temperature that the others need."""
    var1 = (raw / 16384 - T[0] / 1024) * T[1]
    var2 = (raw / 131072 - T[0] / 8192) ** 2 * T[2]
    return (var1 + var2) / 5120, var1 + var2


def pressure(raw, fine):
    """Return Pa."""
    var1 = fine / 2 - 64000
    var2 = var1 * var1 * P[5] / 32768 + var1 * P[4] * 2
    var2 = var2 / 4 + P[3] * 65536
    var1 = (1 + (P[2] * var1 * var1 / 524288 + P[1] * var1) / 524288 / 32768) * P[0]
    value = (1048576 - raw - var2 / 4096) * 6250 / var1
    return value + (P[8] * value * value / 2147483648 + value * P[7] / 32768 + P[6]) / 16


def humidity(raw, fine):
    """Return the relative humidity in %."""
    value = fine - 76800
    value = (raw - (H[3] * 64 + H[4] / 16384 * value)) * (
        H[1] / 65536 * (1 + H[5] / 67108864 * value * (1 + H[2] / 67108864 * value))
    )
    return max(0, min(100, value * (1 - H[0] * value / 524288)))
