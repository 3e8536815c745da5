"""The BME280's formulas against the datasheet's worked example, and against its floating point formulas."""

from __future__ import annotations

import pytest

from tests.micro.parts import Workbench, workbench

__all__ = ["workbench"]

# Calibration, raw values and results of the BMP280's datasheet, BST-BMP280-DS001, chapter 3.12: it measures alike.
EXAMPLE = """
from opaca_micro.parts.bme280 import compensated
numbers = (27504, 26435, -1000, 36477, -10685, 3024, 2855, 140, -7, 15500, -14600, 6000, 75, 362, 0, 328, 50, 30)
celsius, _, hectopascal = compensated(numbers, 519888, 415148, 30000)
print(celsius)
print(hectopascal)
"""

# The stand-in has the floating point formulas of the same datasheet, thus each checks the other.
ALL_WEATHERS = """
import asyncio, json
from opaca_micro.parts.bme280 import BME280
async def main():
    sensor = BME280(22, 21)
    sensor._sampled._interval_ms = 0
    for celsius, percent, hectopascal in {weathers}:
        with open("host.json", "w") as file:
            json.dump({{"values": {{"temperature": celsius, "humidity": percent, "pressure": hectopascal}}}}, file)
        print(json.dumps([await sensor.temperature(), await sensor.humidity(), await sensor.pressure()]))
asyncio.run(main())
"""
WEATHERS = [(-39, 5, 320), (-10.5, 80, 890.1), (0, 0, 1000), (21.37, 45.2, 1013.25), (60, 30, 1090), (84, 99, 500)]


def test_the_datasheets_worked_example_comes_out(workbench: Workbench) -> None:
    assert workbench.run(EXAMPLE) == [25.08, 1006.5]


def test_integers_and_floats_agree_from_frost_to_heat(workbench: Workbench) -> None:
    values = workbench.run(ALL_WEATHERS.format(weathers=WEATHERS))
    for (celsius, percent, hectopascal), found in zip(WEATHERS, values, strict=True):
        assert found[0] == pytest.approx(celsius, abs=0.02)
        assert found[1] == pytest.approx(percent, abs=0.3)
        assert found[2] == pytest.approx(hectopascal, abs=0.15)


@pytest.mark.parametrize(("chip", "word"), [(0x58, "BMP280"), (0x61, "97"), (0x60, None)])
def test_a_sensor_that_only_looks_the_same_is_named(workbench: Workbench, chip: int, word: str | None) -> None:
    (said,) = workbench.run(f"""
import asyncio, json
import bme280_device
from opaca_micro.parts.bme280 import BME280
bme280_device.CHIP_ID = {chip}
async def main():
    try:
        print(json.dumps(str(await BME280(22, 21).temperature())))
    except Exception as error:
        print(json.dumps(str(error)))
asyncio.run(main())
""")
    assert word in said if word else float(said)
