"""Sensors as boards use them: values, words for what is wrong with them, and how often they are asked."""

from __future__ import annotations

import pytest

from edge.model.units import Quantity, split_description
from tests.micro.parts import Workbench, workbench

__all__ = ["workbench"]

ASK = """
import asyncio, json
from opaca_micro.agent import Agent, Failed
from opaca_micro.parts.{module} import {kind}

sensor = {kind}({arguments})

async def ask(read):
    try:
        value = read()
        return await value if hasattr(value, "send") else value
    except Failed as error:
        return str(error)

async def main():
{body}

asyncio.run(main())
"""


def program(module: str, kind: str, arguments: str, body: str) -> str:
    lines = "\n".join(f"    {line}" for line in body.strip().splitlines())
    return ASK.format(module=module, kind=kind, arguments=arguments, body=lines)


SENSORS = {
    "DHT22": ("dht", "DHT22", "4", ["temperature", "humidity"], "dht"),
    "DHT11": ("dht", "DHT11", "4", ["temperature", "humidity"], "dht"),
    "DS18B20": ("ds18b20", "DS18B20", "4", ["temperature"], "ds18b20"),
    "BME280": ("bme280", "BME280", "22, 21", ["temperature", "humidity", "pressure"], "bme280"),
}
VALUES = {"temperature": 21.46, "humidity": 48.26, "pressure": 987.64}
EXPECTED = {
    "DHT22": [21.5, 48.3],
    "DHT11": [21, 48],
    "DS18B20": [21.44],
    "BME280": [pytest.approx(21.46, abs=0.02), pytest.approx(48.3, abs=0.11), pytest.approx(987.6, abs=0.11)],
}


@pytest.mark.parametrize("name", SENSORS)
def test_a_sensor_tells_what_is_there(workbench: Workbench, name: str) -> None:
    module, kind, arguments, reads, _ = SENSORS[name]
    body = "\n".join(f"print(json.dumps(await ask(sensor.{read})))" for read in reads)
    assert workbench.run(program(module, kind, arguments, body), values=VALUES) == EXPECTED[name]


@pytest.mark.parametrize("name", SENSORS)
def test_a_sensor_that_is_not_there_fails_in_words_and_comes_back(workbench: Workbench, name: str) -> None:
    module, kind, arguments, reads, part = SENSORS[name]
    body = f"""
sensor._interval_ms = sensor._sampled._interval_ms = 50
print(json.dumps(await ask(sensor.{reads[0]})))
with open("host.json", "w") as file:
    json.dump({{"values": {{"temperature": 20.0}}}}, file)
while isinstance(await ask(sensor.{reads[0]}), str):
    await asyncio.sleep(0.02)
print(json.dumps(await ask(sensor.{reads[0]})))
"""
    reason, value = workbench.run(program(module, kind, arguments, body), fail=[part])
    assert reason.startswith(("DHT", "DS18B20 on pin 4", "BME280 at 0x76"))
    assert "wires" in reason
    assert value == pytest.approx(20, abs=0.1)


def test_callers_within_the_interval_get_the_same_value(workbench: Workbench) -> None:
    """A DHT that is asked twice in two seconds answers nonsense or nothing."""
    body = """
asked = []
measure = sensor._sensor.measure
def counted():
    asked.append(1)
    measure()
sensor._sensor.measure = counted
await asyncio.gather(*[ask(sensor.temperature) for _ in range(5)])
await ask(sensor.humidity)
print(len(asked))
"""
    assert workbench.run(program("dht", "DHT22", "4", body)) == [1]


def test_a_failed_measurement_counts_for_all_who_wait(workbench: Workbench) -> None:
    body = """
sensor._interval_ms, sensor._sampled._interval_ms = 10, 60_000
asked = []
measure = sensor._sensor.measure
def counted():
    asked.append(1)
    measure()
sensor._sensor.measure = counted
reasons = await asyncio.gather(*[ask(sensor.temperature) for _ in range(6)])
print(len(set(reasons)))
print(len(asked))
"""
    assert workbench.run(program("dht", "DHT11", "4", body), fail=["dht"]) == [1, 2]


def test_a_reading_that_is_lost_once_is_asked_for_again(workbench: Workbench) -> None:
    body = """
measure = sensor._sensor.measure
def noisy():
    sensor._sensor.measure = measure
    raise Exception("checksum error")
sensor._sensor.measure = noisy
print(json.dumps(await ask(sensor.temperature)))
"""
    assert workbench.run(program("dht", "DHT11", "4", body), values={"temperature": 19}) == [19]


def test_one_of_many_probes_is_named_by_its_address(workbench: Workbench) -> None:
    probes = ["28ff641e8216035c", "28ff000000000001"]
    body = "print(json.dumps(await ask(sensor.temperature)))"
    second = program("ds18b20", "DS18B20", "4, '28ff000000000001'", body)
    assert workbench.run(second, ds18b20=probes, values={"temperature": 20}) == [19.5]
    missing = program("ds18b20", "DS18B20", "4, '28ff000000000002'", body)
    (reason,) = workbench.run(missing, ds18b20=probes)
    assert "28ff641e8216035c, 28ff000000000001" in reason


def test_what_a_probe_says_before_it_measured_is_no_temperature(workbench: Workbench) -> None:
    body = """
import ds18x20
ds18x20.CONVERSION_S = 60
print(json.dumps(await ask(sensor.temperature)))
"""
    (reason,) = workbench.run(program("ds18b20", "DS18B20", "4", body))
    assert "85 °C" in reason


@pytest.mark.parametrize(("percent", "expected"), [(0, 0), (50, 50), (100, 100)])
def test_an_analogue_sensor_tells_its_share_of_the_range(workbench: Workbench, percent: int, expected: int) -> None:
    body = "print(json.dumps(await ask(sensor.percent)))"
    (value,) = workbench.run(
        program("adc", "Analog", "34, 51633, 23830", body), wiring={"34": "soil"}, values={"soil": percent}
    )
    assert value == pytest.approx(expected, abs=0.1)
    # Its ends are numbers like all between them: "0.0", not "0".
    assert isinstance(value, float)


def test_an_analogue_sensor_that_is_not_connected_is_no_value(workbench: Workbench) -> None:
    body = "print(json.dumps(await ask(sensor.percent)))"
    (reason,) = workbench.run(program("adc", "Analog", "34, 51633, 23830", body), wiring={"34": "soil"}, fail=["soil"])
    assert reason == "pin 34 reads 0, far outside 51633 to 23830: is the sensor connected?"


@pytest.mark.parametrize("name", SENSORS)
def test_what_a_sensor_offers_says_unit_range_and_class(workbench: Workbench, name: str) -> None:
    module, kind, arguments, reads, _ = SENSORS[name]
    body = """
agent = Agent("a")
sensor.offer(agent, name="Cellar", channel="cellar")
print(json.dumps([(one[0], one[2]) for one in agent.actions]))
print(len(agent.jobs))
"""
    offered, jobs = workbench.run(program(module, kind, arguments, body))
    assert [action for action, _ in offered] == [f"GetCellar{read.capitalize()}" for read in reads]
    for read, (_, description) in zip(reads, offered, strict=True):
        text, quantity = split_description(description)
        assert text and isinstance(quantity, Quantity)
        assert quantity.device_class == read
        assert quantity.unit == {"temperature": "°C", "humidity": "%", "pressure": "hPa"}[read]
        assert quantity.minimum is not None and quantity.maximum is not None
        assert quantity.channel == ("cellar" if len(reads) == 1 else f"cellar-{read}")
    assert jobs == len(reads)


def test_values_are_broadcast_on_their_channel_and_failures_are_left_out(workbench: Workbench) -> None:
    body = """
heard = []
agent = Agent("a")
sensor._sampled._interval_ms = 0
sensor.offer(agent, channel="cellar", every_s=0.01)
async def hear(channel, payload):
    heard.append((channel, payload))
    with open("host.json", "w") as file:
        json.dump({"fail": ["bme280"]}, file)
    return True
agent.on_broadcast = hear
job = asyncio.create_task(agent.jobs[0]())
while not heard:
    await asyncio.sleep(0.02)
await asyncio.sleep(0.1)
print(json.dumps(heard))
"""
    printed = workbench.end(program("bme280", "BME280", "22, 21", body), values={"temperature": 20})
    assert '[["cellar-temperature", 20.0]]' in printed.stdout
