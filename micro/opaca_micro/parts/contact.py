"""A contact: a reed switch on a door or window, a float switch, a leak sensor.

Wires: one to the pin, the other to GND; the board's own pull-up does the rest. With more than a metre of wire, add
10 kΩ from the pin to 3.3 V and 100 nF from the pin to GND.
"""

import asyncio

from machine import Pin
from opaca_micro.calling import call, show
from opaca_micro.parts.sampled import described

# A contact bounces for some milliseconds; what holds for this many looks in a row counts.
_LOOK_S = 0.01
_LOOKS = 3
# For what is called when the door has moved.
LONGEST_S = 30
# Until it is called again with what has not arrived: the platform may be away.
_AGAIN_S = 5


class Contact:
    """A switch between a pin and GND."""

    def __init__(self, pin, is_open_when_closed=False):
        """
        Args:
            pin: Number of the pin.
            is_open_when_closed: Whether the switch conducts while the door is open; a common reed switch does not.
        """
        self._pin = Pin(pin, Pin.IN, Pin.PULL_UP)
        self._open_level = 0 if is_open_when_closed else 1

    def is_open(self):
        """Tell whether the door is open, as the pin says now."""
        return self._pin.value() == self._open_level

    def offer(self, agent, name="Door", channel=None, device_class="door"):
        """Add Is<name>Open to an agent; with a channel it is broadcast there whenever the door has moved.

        What the platform did not take is told again, unless the door is meanwhile as it was.
        """
        text = described("Whether it is open.", "class=" + device_class, channel)
        agent.action("Is" + name + "Open", result="boolean", description=text)(self.is_open)
        if channel:

            async def changed(is_open):
                return await agent.broadcast(channel, is_open)

            agent.job(lambda: self.watch(changed))

    async def watch(self, changed):
        """Call `changed(is_open)` whenever the door has moved, for ever; not for how it is at first.

        One that returns False is called again after 5 s, if the door is still another than it was told.

        The pin is looked at instead of raising interrupts: those come tens of times while a contact bounces, in the
        middle of everything else.
        """
        known = seen = self.is_open()
        looks = 0
        while True:
            await asyncio.sleep(_LOOK_S)
            is_open = self.is_open()
            looks = looks + 1 if is_open == seen else 1
            seen = is_open
            if looks >= _LOOKS and seen != known:
                before, known = known, seen
                try:
                    if await call(changed, (known,), {}, LONGEST_S) is False:
                        known = before
                        await asyncio.sleep(_AGAIN_S)
                except Exception as error:  # noqa: BLE001 - the author's function must not end the watching
                    show(error)
