"""What sensors have in common: they are asked seldom, by one caller at a time, and fail in words."""

import asyncio

from opaca_micro.agent import Failed
from opaca_micro.clock import ticks_diff, ticks_ms

_AGAIN_S = 5


class Sampled:
    """The last result of a sensor, good or bad; it counts until the sensor may be asked again."""

    def __init__(self, name, interval_ms, measure):
        """
        Args:
            name: What it is and where, for reasons: "DHT22 on pin 4".
            interval_ms: Shortest time between two measurements.
            measure: Async function that returns the values; OSError is silence, any other error tells what is wrong.
        """
        self._name = name
        self._interval_ms = interval_ms
        self._measure = measure
        self._lock = asyncio.Lock()
        self._at_ms = None
        self._values = None
        self._reason = None

    async def read(self):
        """Return the values; Failed tells why there are none."""
        async with self._lock:
            if self._at_ms is None or not 0 <= ticks_diff(ticks_ms(), self._at_ms) < self._interval_ms:
                await self._ask()
            if self._reason:
                raise Failed(self._reason)
            return self._values

    async def _ask(self):
        self._values = self._reason = None
        try:
            self._values = await self._measure()
        except OSError as error:
            self._reason = f"{self._name} does not answer, check its wires ({error})"
        except Exception as error:  # noqa: BLE001 - drivers raise bare ones, such as for a wrong checksum
            self._reason = f"{self._name}: {error}"
        self._at_ms = ticks_ms()


def offered(agent, action, read, text, quantity, channel=None, every_s=60, result="number"):
    """Add an action that returns a value, and broadcast it if there is a channel.

    Args:
        read: Returns the value, plain or async; raises Failed.
        text: What it is, in a sentence.
        quantity: What it measures: `unit=°C range=-40..80 class=temperature`; each may be left out.
        channel: None if it is not broadcast.
        every_s: How often it is, in seconds.
    """
    agent.action(action, result=result, description=described(text, quantity, channel))(read)
    if not channel:
        return

    async def publish():
        while True:
            is_told = True
            try:
                value = read()
                is_told = await agent.broadcast(channel, await value if hasattr(value, "send") else value)
            except Failed as error:
                print("not broadcast on", channel + ":", error)
            # Not there yet: the network has only begun, as a rule.
            await asyncio.sleep(every_s if is_told else min(every_s, _AGAIN_S))

    agent.job(publish)


def described(text, quantity, channel=None):
    """Return a description that ends with what a value measures, and on which channel new ones are broadcast."""
    return "{} [{}{}]".format(text, quantity, " channel=" + channel if channel else "")
