"""Followers of a stream that come and go while it has nothing to say."""

from __future__ import annotations

from tests.micro.boards import free_port
from tests.micro.parts import Workbench, workbench

__all__ = ["workbench"]

# Two can follow at a time: one stays, others leave. Prints whether one more is let in, and what who stays hears.
QUIET = """
import asyncio, json
from opaca_micro.agent import Agent
from opaca_micro.container import Container
from opaca_micro.rest import Rest

class Settings:
    port = PORT

door = Agent("door")

@door.stream("Moves")
def moves():
    yield "closed"
    while True:
        yield asyncio.sleep(3600)

async def leave(writer):
    writer.close()
    try:
        await writer.wait_closed()
    except OSError:
        pass

async def follow():
    reader, writer = await asyncio.open_connection("127.0.0.1", PORT)
    writer.write(b"GET /stream/Moves HTTP/1.0\\r\\n\\r\\n")
    await writer.drain()
    status = (await reader.readline()).split()[1]
    if status != b"200":
        await leave(writer)
        return None
    while await reader.readline() != b"\\r\\n":
        pass
    assert await reader.read(6) == b"closed"
    return reader, writer

async def main():
    serving = asyncio.create_task(Rest(Container(Settings, [door]), PORT, "127.0.0.1").serve())
    await asyncio.sleep(0.2)
    staying = await follow()
    staying[1].write(b"something that nobody asked for")
    await staying[1].drain()
    leaving = await follow()
    assert await follow() is None
    await leave(leaving[1])
    for _ in range(100):
        another = await follow()
        if another:
            break
        await asyncio.sleep(0.1)
    print(json.dumps(another is not None))
    try:
        print(json.dumps(str(await asyncio.wait_for(staying[0].read(1), 3))))
    except asyncio.TimeoutError:
        print(json.dumps("nothing"))

asyncio.run(main())
"""


def test_who_leaves_a_quiet_stream_makes_room_for_others(workbench: Workbench) -> None:
    assert workbench.run(QUIET.replace("PORT", str(free_port()))) == [True, "nothing"]
