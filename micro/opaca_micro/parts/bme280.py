"""BME280: temperature, humidity and pressure of the air, over I2C.

Wires: VIN to 3.3 V, GND to GND, SCL and SDA to the pins; most modules have the pull-ups. The address is 0x76, and
0x77 where SDO is high. A BMP280 looks the same and has no humidity: the reason says so.
Registers and formulas: Bosch BST-BME280-DS002, chapters 4.2 and 5.4.
"""

import asyncio
import struct

from machine import I2C, Pin
from micropython import const
from opaca_micro.agent import Failed
from opaca_micro.parts.sampled import Sampled, offered

_CALIBRATION = const(0x88)
_CALIBRATION_HUMIDITY = const(0xE1)
_ID = const(0xD0)
_CONTROL_HUMIDITY = const(0xF2)
_STATUS = const(0xF3)
_CONTROL = const(0xF4)
_VALUES = const(0xF7)
_BME280, _BMP280 = const(0x60), const(0x58)


class BME280:
    """-40 to 85 °C, 0 to 100 %, 300 to 1100 hPa."""

    def __init__(self, scl, sda, bus=0, address=0x76):
        """
        Args:
            scl: Number of the clock's pin.
            sda: Number of the data's pin.
            bus: Number of the board's I2C bus that has these pins.
            address: 0x76 or 0x77.
        """
        self._bus = I2C(bus, scl=Pin(scl), sda=Pin(sda), freq=100_000)
        self._address = address
        self._calibration = None
        self._sampled = Sampled(f"BME280 at 0x{address:02x}", 1000, self._measure)

    async def temperature(self):
        """Return the temperature in °C."""
        return (await self._sampled.read())[0]

    async def humidity(self):
        """Return the relative humidity in %."""
        return (await self._sampled.read())[1]

    async def pressure(self):
        """Return the pressure at the sensor's height in hPa."""
        return (await self._sampled.read())[2]

    def offer(self, agent, name="", channel="", every_s=60):
        """Add GetTemperature, GetHumidity and GetPressure to an agent.

        Args:
            name: "Roof" makes it GetRoofTemperature and so on.
            channel: "roof" broadcasts on the channels roof-temperature, roof-humidity and roof-pressure.
            every_s: How often it does.
        """
        for what, read, text, quantity in (
            ("Temperature", self.temperature, "Air temperature.", "unit=°C range=-40..85 class=temperature"),
            ("Humidity", self.humidity, "Relative humidity.", "unit=% range=0..100 class=humidity"),
            ("Pressure", self.pressure, "Air pressure, as it is here.", "unit=hPa range=300..1100 class=pressure"),
        ):
            on = channel and channel + "-" + what.lower()
            offered(agent, "Get" + name + what, read, text, quantity, on, every_s)

    async def _measure(self):
        try:
            if self._calibration is None:
                self._calibration = self._read_calibration()
            raw = await self._read_values()
        except OSError:
            self._calibration = None  # the next one may be another sensor
            raise
        return compensated(self._calibration, *raw)

    def _read_calibration(self):
        chip = self._bus.readfrom_mem(self._address, _ID, 1)[0]
        if chip != _BME280:
            raise Failed("a BMP280, which has no humidity" if chip == _BMP280 else f"another chip, id {chip}")
        return calibration(
            self._bus.readfrom_mem(self._address, _CALIBRATION, 26),
            self._bus.readfrom_mem(self._address, _CALIBRATION_HUMIDITY, 7),
        )

    async def _read_values(self):
        self._bus.writeto_mem(self._address, _CONTROL_HUMIDITY, b"\x01")
        # One sample of each, then back to sleep: it does not warm itself.
        self._bus.writeto_mem(self._address, _CONTROL, b"\x25")
        for _ in range(10):
            await asyncio.sleep(0.01)
            if not self._bus.readfrom_mem(self._address, _STATUS, 1)[0] & 8:
                break
        else:
            raise Failed("does not finish measuring")
        data = self._bus.readfrom_mem(self._address, _VALUES, 8)
        pressure = data[0] << 12 | data[1] << 4 | data[2] >> 4
        temperature = data[3] << 12 | data[4] << 4 | data[5] >> 4
        return temperature, pressure, data[6] << 8 | data[7]


def calibration(data, humidity):
    """Return the numbers that every sensor was made with: T1 to T3, P1 to P9, H1 to H6.

    Args:
        data: Registers 0x88 to 0xA1.
        humidity: Registers 0xE1 to 0xE7.
    """
    h2, h3 = struct.unpack_from("<hB", humidity)
    h4, h5 = struct.unpack("<hh", bytes((humidity[4] << 4 & 255, humidity[3], humidity[4] & 240, humidity[5])))
    h6 = struct.unpack_from("<b", humidity, 6)[0]
    numbers = list(struct.unpack_from("<HhhHhhhhhhhh", data))
    numbers.extend((data[25], h2, h3, h4 >> 4, h5 >> 4, h6))
    return numbers


def compensated(numbers, raw_t, raw_p, raw_h):
    """Return °C, % and hPa for raw values; whole numbers as far as possible, since boards have short floats."""
    t1, t2, t3, p1, p2, p3, p4, p5, p6, p7, p8, p9, h1, h2, h3, h4, h5, h6 = numbers

    offset = (raw_t >> 4) - t1
    fine = ((((raw_t >> 3) - (t1 << 1)) * t2) >> 11) + ((((offset * offset) >> 12) * t3) >> 14)
    celsius = ((fine * 5 + 128) >> 8) / 100

    a = fine - 128000
    b = a * a * p6 + ((a * p5) << 17) + (p4 << 35)
    a = (((1 << 47) + ((a * a * p3) >> 8) + ((a * p2) << 12)) * p1) >> 33
    if a == 0:
        raise Failed("its calibration reads as zeros")
    pressure = (((1048576 - raw_p) << 31) - b) * 3125 // a
    correction = (p9 * (pressure >> 13) * (pressure >> 13)) >> 25
    # In 1/256 Pa.
    pressure = ((pressure + correction + ((p8 * pressure) >> 19)) >> 8) + (p7 << 4)

    a = fine - 76800
    scale = (((((a * h6) >> 10) * (((a * h3) >> 11) + 32768)) >> 10) + 2097152) * h2 + 8192
    a = (((raw_h << 14) - (h4 << 20) - h5 * a + 16384) >> 15) * (scale >> 14)
    a -= ((((a >> 15) * (a >> 15)) >> 7) * h1) >> 4
    # In 1/1024 %.
    humidity = min(max(a, 0), 419430400) >> 12

    return celsius, round(humidity / 1024, 1), round(pressure / 25600, 1)
