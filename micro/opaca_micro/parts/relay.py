"""A relay or a MOSFET that switches something: a pump, a lamp, a valve.

Wires: VCC to what the module wants, GND to GND, IN to the pin. Most modules with a relay switch on at 0 V: active_low.
While the board starts, resets or sleeps, the pin floats: 10 kΩ from IN to its off level (GND; 3.3 V if active_low)
keep it off then. Mains belong behind a module that is made for them, in a closed case.
"""

import asyncio

from machine import Pin
from opaca_micro.agent import Failed
from opaca_micro.clock import passed_ms, ticks_ms

_LOOK_S = 0.1
# The milliseconds of a board begin anew after some days.
_LONGEST_S = 86400


class Relay:
    """An output that is off unless it is told otherwise, and goes off by itself.

    It is off as soon as it is made, before anything else of the board works, and after `longest_s` at the latest.
    """

    def __init__(self, pin, active_low=False, longest_s=3600, locked=None):
        """
        Args:
            pin: Number of the pin.
            active_low: Whether 0 V switches it on.
            longest_s: After so many seconds it goes off, whatever was asked for; at most 86400.
            locked: Function that returns why it must not be on now, or None: "the tank is empty".
        Raises:
            ValueError: another `longest_s`; the output is off all the same.
        """
        # The level first: as an output with another one it would click.
        self._pin = Pin(pin, Pin.OUT, value=int(active_low))
        if not 0 < longest_s <= _LONGEST_S:
            raise ValueError(f"longest_s: more than 0 and at most {_LONGEST_S}")
        self._on_level = 0 if active_low else 1
        self._longest_s = longest_s
        self._locked = locked
        self._since_ms = None
        self._limit_ms = 0

    def is_on(self):
        """Tell whether it is on."""
        return self._since_ms is not None

    def set(self, on, seconds=None):
        """Switch it.

        Args:
            on: Whether it is on from now on.
            seconds: For how long, above 0; as long as is allowed if None. Asked again, the time starts anew.
        """
        if not on:
            self.off()
            return
        if seconds is None:
            seconds = self._longest_s
        if not 0 < seconds <= self._longest_s:
            raise Failed(f"seconds: more than 0 and at most {self._longest_s}")
        reason = self._locked and self._locked()
        if reason:
            self.off()
            raise Failed(reason)
        self._limit_ms = int(seconds * 1000)
        self._since_ms = ticks_ms()
        self._pin.value(self._on_level)

    def off(self):
        """Switch it off."""
        self._pin.value(1 - self._on_level)
        self._since_ms = None

    def offer(self, agent, name="Relay"):
        """Add Set<name> and Is<name>On to an agent, and let it watch the time."""
        text = f"Switch it; it goes off after `seconds`, after {self._longest_s} at the latest."
        parameters = {"on": "boolean", "seconds": {"type": "number", "required": False}}
        agent.action("Set" + name, parameters, description=text)(self.set)
        agent.action("Is" + name + "On", result="boolean", description="Whether it is on.")(self.is_on)
        agent.job(self.watch)
        agent.at_end(self.off)

    async def watch(self):
        """Switch it off when its time is over or `locked` has a reason, for ever, and when that ends."""
        try:
            while True:
                if self.is_on() and (passed_ms(self._since_ms) >= self._limit_ms or (self._locked and self._locked())):
                    self.off()
                await asyncio.sleep(_LOOK_S)
        finally:
            self.off()
