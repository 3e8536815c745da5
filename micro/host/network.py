"""Stands in for MicroPython's `network` on a computer: a Wi-Fi station; host.json switches its access point.

Joining takes JOIN_S. An SSID of "" or one that differs from host.json's `ssid` (if it has one) is not found; a password
that differs from its `password` is refused. As on an ESP32 `status()` says so only where `config(reconnects=...)` has
ended the driver's own tries.
"""

import time

import world

STA_IF, AP_IF = 0, 1
STAT_IDLE, STAT_CONNECTING, STAT_GOT_IP = 1000, 1001, 1010
STAT_NO_AP_FOUND, STAT_WRONG_PASSWORD, STAT_ASSOC_FAIL = 201, 202, 203
# What an ESP32 says when the access point stops answering in the midst of joining.
HANDSHAKE_ENDED = 15
JOIN_S = 0.05

_names = {"host": "mpy-host", "country": "XX"}


def hostname(name=None):
    """Return the name that the board gives the access point, or set it."""
    if name is not None:
        _names["host"] = name
    return _names["host"]


def country(code=None):
    """Return the country whose radio rules count, or set it."""
    if code is not None:
        _names["country"] = code
    return _names["country"]


class WLAN:
    """The station; every instance is the same one, as on a board."""

    IF_STA, IF_AP = STA_IF, AP_IF
    PM_NONE, PM_PERFORMANCE, PM_POWERSAVE = 0, 1, 2

    _shared = {"active": False, "ssid": None, "key": None, "since_s": 0.0, "reconnects": -1}

    def __init__(self, interface=STA_IF):
        self._interface = interface

    def active(self, is_active=None):
        """Return whether the radio is on, or switch it."""
        if is_active is None:
            return self._shared["active"] and self._interface == STA_IF
        if self._interface == STA_IF:
            self._shared["active"] = bool(is_active)
            if not is_active:
                self._shared["ssid"] = None
        return None

    def connect(self, ssid=None, key=None, **_):
        """Begin to join; `status()` tells how it goes."""
        if not self._shared["active"]:
            raise OSError("Wifi Internal State Error")
        self._shared["ssid"], self._shared["key"] = ssid, key
        self._shared["since_s"] = time.time()

    def disconnect(self):
        """Leave the access point."""
        self._shared["ssid"] = None

    def isconnected(self):
        """Tell whether there is a link and an address."""
        return self.status() == STAT_GOT_IP

    def status(self, what=None):
        """Return how joining goes, or with "rssi" the strength of the signal in dBm."""
        if what == "rssi":
            return world.host("rssi", -61)
        ssid = self._shared["ssid"]
        if ssid is None:
            return STAT_IDLE
        refusal = None
        if not ssid or not world.host("wifi", True) or world.host("ssid", ssid) != ssid:
            refusal = STAT_NO_AP_FOUND
        elif world.host("password", self._shared["key"]) != self._shared["key"]:
            refusal = HANDSHAKE_ENDED
        if refusal:
            return STAT_CONNECTING if self._shared["reconnects"] < 0 else refusal
        return STAT_CONNECTING if 0 <= time.time() - self._shared["since_s"] < JOIN_S else STAT_GOT_IP

    def ifconfig(self, addresses=None):
        """Return address, mask, gateway and name server; "0.0.0.0" while there is no link."""
        if not self.isconnected():
            return ("0.0.0.0", "0.0.0.0", "0.0.0.0", "0.0.0.0")
        return (world.host("ip", "127.0.0.1"), "255.255.255.0", "127.0.0.1", "127.0.0.1")

    def ipconfig(self, what):
        """Return ("addr4", "gw4") as newer firmware does."""
        address, mask, gateway, _ = self.ifconfig()
        return (address, mask) if what == "addr4" else gateway

    def config(self, *names, **settings):
        """Return one of mac, ssid, hostname, channel; of settings `reconnects` counts, others are forgotten."""
        if not names:
            self._shared["reconnects"] = settings.get("reconnects", self._shared["reconnects"])
            return None
        known = {"mac": b"\x02\x00\x5e\x00\x53\x01", "ssid": self._shared["ssid"] or "", "channel": 6}
        known["hostname"] = known["dhcp_hostname"] = _names["host"]
        return known[names[0]]

    def scan(self):
        """Return the access points in reach."""
        return (
            [(world.host("ssid", "home").encode(), b"\x02" * 6, 6, -61, 3, False)] if world.host("wifi", True) else []
        )
