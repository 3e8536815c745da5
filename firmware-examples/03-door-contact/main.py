"""A door contact that runs on a battery: it sleeps until the door moves, tells it, and sleeps again. For ESP32."""

import esp32
from machine import Pin, deepsleep
from opaca_micro import push
from opaca_micro.agent import Agent
from opaca_micro.parts.contact import Contact

DOOR = 27  # one of 0, 2, 4, 12-15, 25-27, 32-39: others cannot wake the chip


def report():
    """Tell the door, and return what it was told to be and for how long to sleep."""
    agent = Agent("door", "The back door. It sleeps and is never called: listen on its channel.")
    door = Contact(DOOR)
    door.offer(agent, "Door", channel="door")
    is_open = door.is_open()
    return is_open, push.report(agent, "door", is_open, every_s=3600)


is_open, sleep_ms = report()
# Awake at once if the door has moved meanwhile.
esp32.wake_on_ext0(Pin(DOOR, Pin.IN, Pin.PULL_UP), esp32.WAKEUP_ALL_LOW if is_open else esp32.WAKEUP_ANY_HIGH)
deepsleep(sleep_ms)
