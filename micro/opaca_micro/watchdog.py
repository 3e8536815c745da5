"""Resets the board when it hangs: fed only while the event loop turns and the server takes connections."""

import asyncio

# The longest that an RP2040 can wait is 8,388 ms.
TIMEOUT_MS = 8000
FEED_S = 1


class Watchdog:
    """The board's watchdog; it cannot be stopped once it is there.

    Args:
        is_wanted: False makes one that does nothing.
    """

    def __init__(self, is_wanted=True):
        self._wdt = None
        if not is_wanted:
            return
        try:
            from machine import WDT
        except ImportError:
            print("this machine has no watchdog")
            return
        try:
            self._wdt = WDT(timeout=TIMEOUT_MS)
        except (ValueError, TypeError):  # an ESP8266 has a time of its own
            self._wdt = WDT()

    def feed(self):
        """Say that something came forward. Not for loops that wait for others."""
        if self._wdt:
            self._wdt.feed()

    async def keep(self, is_serving):
        """Feed it for ever, as long as `is_serving()` tells that the server's accept task is alive."""
        while True:
            if is_serving():
                self.feed()
            await asyncio.sleep(FEED_S)
