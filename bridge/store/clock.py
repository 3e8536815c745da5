"""Time for what expires: a clock that only goes forward while the machine is up, and one that may be wrong."""

from __future__ import annotations

import secrets
import time
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
# Whose clock goes on while the machine is off, and what sets it over the network: systemd leaves a file when it has.
_BATTERY_CLOCK_S = Path("/sys/class/rtc/rtc0/since_epoch")
_NETWORK_TIME = Path("/run/systemd/timesync")
_IS_SET = "synchronized"
# Battery and system clock that are so far apart do not go by each other.
_APART_S = 60.0
# Nobody sets a clock that nobody has set for so long after the boot.
_GIVEN_UP_MS = 3_600_000
_LOOK_EVERY_MS = 1_000


class Clock:
    """The time of day, which a Pi has not got when it boots, and the time since boot, which is always right."""

    def __init__(self, *, battery_clock_s: Path = _BATTERY_CLOCK_S, network_time: Path = _NETWORK_TIME) -> None:
        """Args:
        battery_clock_s: The file with the Unix time of a clock that goes on while the machine is off.
        network_time: The folder of what sets the clock over the network.
        """
        self._battery_clock_s = battery_clock_s
        self._network_time = network_time
        self._is_set = False
        self._looked_ms = -_LOOK_EVERY_MS

    def is_set(self) -> bool:
        """Return whether the time of day may be believed.

        It may not while systemd is about to set it: without a battery it stands where it stood at the end, which looks
        as if no time had passed. Where nobody is known to set it, nothing speaks against it.
        """
        now_ms = self.alive_ms()
        if not self._is_set and now_ms - self._looked_ms >= _LOOK_EVERY_MS:
            self._looked_ms = now_ms
            self._is_set = now_ms > _GIVEN_UP_MS or not self._is_about_to_be_set()
        return self._is_set

    def _is_about_to_be_set(self) -> bool:
        try:
            is_waiting = self._network_time.is_dir() and not (self._network_time / _IS_SET).exists()
        except OSError:
            return False
        if not is_waiting:
            return False
        try:
            return abs(int(self._battery_clock_s.read_text()) - self.now_ms() / 1000) > _APART_S
        except (OSError, ValueError):
            return True

    @cached_property
    def boot(self) -> str:
        """Which boot of the machine this is; two times since boot are comparable only within one."""
        try:
            return _BOOT_ID.read_text().strip()
        except OSError:
            return secrets.token_hex(16)  # cannot be told: each start then counts as one

    def now_ms(self) -> int:
        """Return the time of day, as Unix time in ms."""
        return time.time_ns() // 1_000_000

    def alive_ms(self) -> int:
        """Return the time since boot in ms; suspended machines included."""
        return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000


class Deadline(NamedTuple):
    """When a message expires, twice: on the clock that is right until the next boot, and on the one that outlives it.

    Attributes:
        due_ms: On the time since boot.
        boot: Number of the boot for which `due_ms` holds.
        expires_ms: By the time of day of the party that accepted it.
    """

    due_ms: int
    boot: int
    expires_ms: int

    def left_ms(self, alive_ms: int, boot: int, now_ms: int | None) -> int | None:
        """Return how long is left, negative if it is over; None if nobody can tell.

        Args:
            alive_ms: Time since boot.
            boot: Number of this boot.
            now_ms: The accepting party's time of day; None if it is not known.
        """
        if self.boot == boot:
            return self.due_ms - alive_ms
        return None if now_ms is None else self.expires_ms - now_ms
