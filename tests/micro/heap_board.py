"""A board with REST, container, announce and one sensor: `main(tcp_port, container_id, token, platform, connections)`.

Runs on MicroPython and on CPython. `Heap` tells how many bytes are in use after a collection.
"""

import asyncio
import gc

from opaca_micro.agent import Agent
from opaca_micro.announce import Announcer
from opaca_micro.container import Container
from opaca_micro.parts.dht import DHT22
from opaca_micro.rest import Rest


class Settings:
    """What a board is told, without a file."""

    name = "heap-board"
    user = password = token = ""
    key = "heap-board"
    push = False

    def __init__(self, platform, tcp_port):
        self.platform = platform
        self.port = tcp_port
        self.url = "http://127.0.0.1:%d" % tcp_port


class Network:
    """A network that is always there."""

    def is_up(self):
        return True


def climate():
    """Make the agent: a sensor, and one of everything that can be asked for."""
    agent = Agent("climate", "Air of the greenhouse.")
    DHT22(4).offer(agent)

    @agent.action("SetLamp", {"on": "boolean", "level": {"type": "integer", "required": False, "defaultValue": 3}})
    def set_lamp(on, level=3):
        pass

    @agent.action("Fail")
    async def fail():
        await asyncio.sleep(0)
        raise OSError("it is broken")

    @agent.action("Heap", result="integer")
    def heap():
        gc.collect()
        return gc.mem_alloc() if hasattr(gc, "mem_alloc") else 0

    @agent.stream("Values")
    def values():
        for _ in range(3):
            yield b"21.5\n"
            yield asyncio.sleep(0)

    @agent.stream("Take", mode="POST")
    def take(body):
        pass

    @agent.message
    @agent.channel("news")
    async def hear(payload, reply_to):
        await asyncio.sleep(0)

    return agent


def main(tcp_port, container_id, token, platform):
    """Serve until killed."""
    container = Container(None, [climate()], image_name="heap-board")
    container.container_id = container_id
    announcer = Announcer(Settings(platform, tcp_port), container, Network())
    container.token = token
    container.on_change = announcer.changed

    async def live():
        await asyncio.gather(Rest(container, port=tcp_port, host="127.0.0.1").serve(), announcer.keep())

    asyncio.run(live())
