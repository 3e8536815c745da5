"""Time for what expires: a clock that only goes forward while the machine is up, and one that may be wrong."""

from __future__ import annotations

import secrets
import time
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class Clock:
    """The time of day, which a Pi has not got when it boots, and the time since boot, which is always right.

    Attributes:
        is_trusted: Whether the time of day may be believed. Where it may not, messages that can expire and were stored
            before the last boot are held back until it can.
    """

    def __init__(self, *, is_trusted: bool = True) -> None:
        self.is_trusted = is_trusted

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
