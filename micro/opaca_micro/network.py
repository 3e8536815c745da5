"""The board's Wi-Fi: up, watched, and brought back however often it goes."""

import asyncio
import random

from opaca_micro.clock import passed_ms, ticks_ms

_LOOK_S = 0.5
_JOIN_MS = 15000
_REFUSED_MS = 1500
_FIRST_PAUSE_S = 1
_LAST_PAUSE_S = 60
# So often an ESP32 tries again by itself: for ever if it is not told, and then it never says why.
_OWN_TRIES = 2
# After so many tries in vain the radio is switched off and on: drivers can get stuck.
_TRIES_UNTIL_RADIO = 4


class Network:
    """The one link of the board to its network; without Wi-Fi in the settings it counts as always there.

    Args:
        wifi: `ssid`, `password` and `hostname`, or None.
        on_change: Called without arguments when an address has come or another has.
    """

    def __init__(self, wifi, on_change=None):
        self.on_change = on_change
        self._wifi = wifi
        self._wlan = None
        self._address = ""
        self._is_doubted = False

    def begin(self):
        """Switch the radio on. Servers may listen from now on; `keep` joins."""
        if self._wifi is None:
            return
        import network

        try:
            network.hostname(self._wifi["hostname"])
        except (AttributeError, ValueError, OSError):
            print("the firmware takes no host name")
        self._wlan = network.WLAN(network.STA_IF)
        self._wlan.active(True)
        try:
            self._wlan.config(reconnects=_OWN_TRIES)
        except (ValueError, TypeError, OSError):
            pass  # another chip, which tries once

    def is_up(self):
        """Tell whether the network can be used."""
        return self._wlan is None or bool(self._address)

    def address(self):
        """Return the board's IPv4 address, "" if it has none or it is not known."""
        return self._address

    def name_server(self):
        """Return the address of the name server that the network gave."""
        return self._wlan.ifconfig()[3] if self._wlan else "127.0.0.1"

    def doubt(self):
        """Join anew soon: the link claims to be up, but nobody has been heard for long."""
        self._is_doubted = True

    async def keep(self):
        """Hold the link up for ever."""
        if self._wlan is None:
            await asyncio.Event().wait()
        pause_s, tries = _FIRST_PAUSE_S, 0
        while True:
            if await self._join():
                pause_s, tries = _FIRST_PAUSE_S, 0
                await self._watch()
                continue
            tries += 1
            if tries == 1:
                print("Wi-Fi", self._wifi["ssid"], "cannot be joined:", self._reason(), "- trying on")
            if tries % _TRIES_UNTIL_RADIO == 0:
                self._wlan.active(False)
                await asyncio.sleep(0.5)
                self._wlan.active(True)
            # Jitter: after a power cut all boards of a house come at once.
            await asyncio.sleep(pause_s * random.uniform(0.75, 1.25))
            pause_s = min(_LAST_PAUSE_S, pause_s * 2)

    async def _join(self):
        if not self._wlan.isconnected():
            try:
                # The driver of an ESP32 rejoins by itself, and refuses to be told to while it does.
                self._wlan.disconnect()
                self._wlan.connect(self._wifi["ssid"], self._wifi["password"] or None)
            except (OSError, RuntimeError) as error:
                print("Wi-Fi:", error)
        since = ticks_ms()
        while not self._wlan.isconnected():
            # The reason of the last time may stand for a moment.
            if passed_ms(since) > (_REFUSED_MS if self._is_refused() else _JOIN_MS):
                return False
            await asyncio.sleep(0.1)
        return True

    async def _watch(self):
        """Return when the link is lost."""
        while self._wlan.isconnected():
            address = self._wlan.ifconfig()[0]
            if address != self._address:
                self._address = address
                print("Wi-Fi", self._wifi["ssid"], "is up, address", address)
                if self.on_change:
                    self.on_change()
            if self._is_doubted:
                print("Wi-Fi is joined anew: nobody was heard for long")
                self._wlan.disconnect()
            self._is_doubted = False
            await asyncio.sleep(_LOOK_S)
        self._address = ""
        print("Wi-Fi", self._wifi["ssid"], "is lost")

    def _is_refused(self):
        return self._reason() in ("no such network", "wrong password")

    def _reason(self):
        import network

        status = self._wlan.status()
        if status == getattr(network, "STAT_NO_AP_FOUND", None):
            return "no such network"
        # With a wrong password an access point just stops shaking hands: 15 and 204, as an ESP32 has it.
        if status in (getattr(network, "STAT_WRONG_PASSWORD", None), 15, 204):
            return "wrong password"
        return "no answer (status " + str(status) + ")"
