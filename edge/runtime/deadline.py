"""Time limits for very many calls: one timer for all of them, instead of one each.

`asyncio.timeout` costs a timer handle in the loop's heap per call, about a tenth of an in-process invoke. The limits
here are long and mostly equal, so the one timer hardly ever has to be moved.
"""

from __future__ import annotations

import asyncio
import math
from types import TracebackType
from typing import Self


class Deadlines:
    """The calls that have a limit, of the event loop that used it first.

    Attributes:
        pending: The blocks that run.
        fires_at: When the timer looks at them, on the loop's clock.
        loop: Asked for once: on Python 3.11 every asyncio.get_running_loop() is a system call (getpid).
    """

    def __init__(self) -> None:
        self.pending: dict[Deadline, None] = {}
        self.fires_at = math.inf
        self.loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None

    def arm(self, at: float) -> None:
        """Have the timer look at a time; it stays when blocks end, for the next ones."""
        assert self.loop is not None
        if self._timer is not None:
            self._timer.cancel()
        self.fires_at = at
        self._timer = self.loop.call_at(at, self._fire)

    def _fire(self) -> None:
        assert self.loop is not None
        now = self.loop.time()
        due = [deadline for deadline in self.pending if deadline.at <= now]
        for deadline in due:
            del self.pending[deadline]
            deadline.expire()
        self._timer = None
        self.fires_at = math.inf
        if self.pending:
            self.arm(min(deadline.at for deadline in self.pending))


class Deadline:
    """Ends its block with `TimeoutError` once `limit_s` has passed: cancels the task that runs it."""

    __slots__ = ("_cancelling", "_deadlines", "_has_expired", "_limit_s", "_task", "at")

    def __init__(self, deadlines: Deadlines, limit_s: float) -> None:
        self._deadlines = deadlines
        self._limit_s = limit_s
        self._task: asyncio.Task[object] | None = None
        self._cancelling = 0
        self._has_expired = False
        self.at = math.inf

    def expire(self) -> None:
        """Cancel the block."""
        assert self._task is not None
        self._has_expired = True
        self._task.cancel()

    def __enter__(self) -> Self:
        deadlines = self._deadlines
        loop = deadlines.loop
        if loop is None:
            loop = deadlines.loop = asyncio.get_running_loop()
        task = asyncio.current_task(loop)
        if task is None:
            raise RuntimeError("a deadline needs a task")
        self._task = task
        self._cancelling = task.cancelling()
        deadlines.pending[self] = None
        self.at = at = loop.time() + self._limit_s
        if at < deadlines.fires_at:
            deadlines.arm(at)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        task, self._task = self._task, None
        if not self._has_expired:
            del self._deadlines.pending[self]
            return
        # As asyncio.timeout does: only a cancellation that is nobody else's becomes a time-out.
        if (
            task is not None
            and task.uncancel() <= self._cancelling
            and kind is not None
            and issubclass(kind, asyncio.CancelledError)
        ):
            raise TimeoutError from error
