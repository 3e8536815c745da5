"""A climate sensor: temperature, humidity and air pressure of a room, from a BME280."""

import asyncio
import json

from opaca_micro import board
from opaca_micro.agent import Agent
from opaca_micro.parts.bme280 import BME280

SCL, SDA = 22, 21  # an ESP32's; on a Pico W 5 and 4


def climate():
    """Make the agent; called when the board is up, so that a slip here does not keep it from being reached."""
    agent = Agent("climate", "The air of the greenhouse.")
    sensor = BME280(SCL, SDA)
    # Actions GetTemperature, GetHumidity, GetPressure; and broadcasts on the channels climate-temperature and so on.
    sensor.offer(agent, channel="climate", every_s=60)

    @agent.stream("Values", "A line of JSON every two seconds: °C, % and hPa.")
    def values():
        lines = [""]

        async def measure():
            line = {"temperature": await sensor.temperature(), "humidity": await sensor.humidity()}
            line["pressure"] = await sensor.pressure()
            lines[:] = [json.dumps(line) + "\n"]

        while True:
            yield measure()
            yield lines[0]
            yield asyncio.sleep(2)

    return agent


board.run(climate, image_name="climate-sensor", description="A BME280 in the greenhouse.")
