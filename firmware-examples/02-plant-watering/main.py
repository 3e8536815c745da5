"""Plant watering: waters by itself when the soil gets dry, on request too, and never from an empty tank."""

import asyncio

from opaca_micro import board
from opaca_micro.agent import Agent, Failed
from opaca_micro.parts.adc import Analog
from opaca_micro.parts.contact import Contact
from opaca_micro.parts.relay import Relay

DRY, WET = 51600, 23800  # what GetSoilMoistureRaw says in dry air and in a glass of water
SOAKS_S = 600  # water needs so long to reach the probe

# Made here, not when the board is up: the pump is off from the first moment, in safe mode too.
tank = Contact(27)
pump = Relay(26, longest_s=30, locked=lambda: "the tank is empty" if tank.is_open() else None)


def plant():
    """Make the agent."""
    agent = Agent("plant", "The basil on the window sill.")
    soil = Analog(34, low=DRY, high=WET)
    soil.offer(agent, "SoilMoisture", "Moisture of the soil.", device_class="moisture", channel="soil", every_s=300)
    Analog(35, low=2000, high=63500).offer(agent, "Light", "Light on the leaves.")
    pump.offer(agent, "Pump")
    limit = {"percent": 30}

    @agent.action("IsTankEmpty", result="boolean", description="Whether the float is down. [class=problem]")
    def is_tank_empty():
        return tank.is_open()

    @agent.action("SetLimit", {"percent": "number"}, description="Water below so much moisture; 0 never.")
    def set_limit(percent):
        if not 0 <= percent <= 80:
            raise Failed("percent: from 0 to 80")
        limit["percent"] = percent

    @agent.job
    async def water():
        while True:
            try:
                if soil.percent() < limit["percent"]:
                    pump.set(True, 5)
            except Failed as error:
                print("not watered:", error)
            await asyncio.sleep(SOAKS_S)

    return agent


board.run(plant, image_name="plant-watering", description="Soil probe, light, pump and tank of a plant.")
