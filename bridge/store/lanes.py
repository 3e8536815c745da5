"""The classes of durable messages: what each may take, what happens when it is full, what it expires after."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, IntEnum

from edge.errors import NotStored

_MIB = 1 << 20
_HOUR_S = 3600.0


class Lane(IntEnum):
    """A class of messages with its own sequence; the lower the number, the sooner it is sent and played."""

    ALARM = 0
    MESSAGE = 1
    TELEMETRY = 2

    @property
    def word(self) -> str:
        """The name in topics, keys, tables and the configuration."""
        return self.name.lower()


class WhenFull(Enum):
    """What a lane does with one message more than fits."""

    REFUSE = "refuse"
    DROP_OLDEST = "drop-oldest"


@dataclass(frozen=True, kw_only=True, slots=True)
class LanePolicy:
    """What a lane towards one site may take.

    Attributes:
        max_bytes: Bound of what waits, with some 64 bytes for each message beside its content.
        max_count: Bound of how many wait.
        when_full: Refuse at the source, or drop the oldest and account for them.
        expiry_s: What a message gets that says nothing of its own; None: it never expires.
        is_buffered: Answered at once and written within a second: a power cut may cost two seconds, unreported.
    """

    max_bytes: int = 64 * _MIB
    max_count: int = 100_000
    when_full: WhenFull = WhenFull.REFUSE
    expiry_s: float | None = None
    is_buffered: bool = False


# What devices send to their gateway: space bounds it, not time.
UP: Mapping[Lane, LanePolicy] = {
    Lane.ALARM: LanePolicy(max_bytes=8 * _MIB, max_count=10_000),
    Lane.MESSAGE: LanePolicy(),
    Lane.TELEMETRY: LanePolicy(when_full=WhenFull.DROP_OLDEST),
}
# What a gateway sends to a device: no pump runs a day late.
DOWN: Mapping[Lane, LanePolicy] = {
    Lane.ALARM: LanePolicy(max_bytes=8 * _MIB, max_count=10_000, expiry_s=7 * 24 * _HOUR_S),
    Lane.MESSAGE: LanePolicy(expiry_s=_HOUR_S),
    Lane.TELEMETRY: LanePolicy(when_full=WhenFull.DROP_OLDEST, expiry_s=_HOUR_S),
}


class Refused(NotStored):
    """A message that the store does not take; nothing was changed.

    Attributes:
        reason: `full`, `too large`, `disk`, `busy` or `closed`.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
