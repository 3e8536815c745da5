"""Whether and when a container that ended is started again."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from edge.launcher.images import Restart

FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 30.0
# A container that ran this long was well: its next end is a new one.
WELL_AFTER_S = 60.0
# So many ends in a row, each so soon after its start, make a crash loop.
LOOP_ENDS = 5
LOOP_WITHIN_S = 10.0


@dataclass(frozen=True, slots=True)
class Pause:
    """Start again after so many seconds."""

    pause_s: float


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Do not start again; the reason follows what happened in a message."""

    reason: str


class Done:
    """The container has done what it was for."""


Verdict = Pause | GiveUp | Done


@dataclass(slots=True)
class Restarts:
    """Counts the ends of one container.

    Attributes:
        policy: When it is to be started again at all.
        first_pause_s: The first pause, in seconds; each following one is twice as long.
        count: How often it was started again.
    """

    policy: Restart
    first_pause_s: float = FIRST_PAUSE_S
    count: int = 0
    _pause_s: float = field(init=False, default=0.0)
    _quick_ends: int = field(init=False, default=0)

    def after(self, *, is_success: bool, lived_s: float, was_ready: bool) -> Verdict:
        """Return what follows an end.

        Args:
            is_success: It exited with status 0 by itself.
            lived_s: Seconds since that start.
            was_ready: It answered as it should in between.
        """
        if is_success and self.policy is not Restart.ALWAYS:
            return Done()
        if self.policy is Restart.NEVER:
            return GiveUp("its restart policy is never")
        is_quick = lived_s < LOOP_WITHIN_S or not was_ready
        self._quick_ends = self._quick_ends + 1 if is_quick else 0
        if self._quick_ends >= LOOP_ENDS:
            return GiveUp(f"{LOOP_ENDS} times in a row it ended soon after its start")
        if self._pause_s == 0.0 or (was_ready and lived_s >= WELL_AFTER_S):
            self._pause_s = self.first_pause_s
        else:
            self._pause_s = min(self._pause_s * 2, LONGEST_PAUSE_S)
        self.count += 1
        # Not all at the same moment after a common cause.
        return Pause(self._pause_s * random.uniform(0.9, 1.1))
