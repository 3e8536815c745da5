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
    """The calls that have a limit, of the event loop that used it first."""

    def __init__(self) -> None:
        self._pending: dict[Deadline, None] = {}
        self._fires_at = math.inf
        self._timer: asyncio.TimerHandle | None = None
        # Asked for once: on Python 3.11 every asyncio.get_running_loop() is a system call (getpid).
        self.loop: asyncio.AbstractEventLoop | None = None

    def within(self, limit_s: float) -> Deadline:
        """Return a context manager that ends its block with `TimeoutError` once `limit_s` has passed."""
        return Deadline(self, limit_s)

    def add(self, deadline: Deadline) -> None:
        """Watch over a block."""
        self._pending[deadline] = None
        if deadline.at < self._fires_at:
            if self._timer is not None:
                self._timer.cancel()
            self._arm(deadline.at)

    def _arm(self, at: float) -> None:
        assert self.loop is not None
        self._fires_at = at
        self._timer = self.loop.call_at(at, self._fire)

    def discard(self, deadline: Deadline) -> None:
        """Stop watching; the timer stays, for the next ones."""
        self._pending.pop(deadline, None)

    def _fire(self) -> None:
        assert self.loop is not None
        now = self.loop.time()
        due = [deadline for deadline in self._pending if deadline.at <= now]
        for deadline in due:
            del self._pending[deadline]
            deadline.expire()
        self._timer = None
        self._fires_at = math.inf
        if self._pending:
            self._arm(min(deadline.at for deadline in self._pending))


class Deadline:
    """The limit of one block; cancels the task that runs it."""

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
        loop = self._deadlines.loop
        if loop is None:
            loop = self._deadlines.loop = asyncio.get_running_loop()
        task = asyncio.current_task(loop)
        if task is None:
            raise RuntimeError("a deadline needs a task")
        self._task = task
        self._cancelling = task.cancelling()
        self.at = loop.time() + self._limit_s
        self._deadlines.add(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._deadlines.discard(self)
        task, self._task = self._task, None
        # As asyncio.timeout does: only a cancellation that is nobody else's becomes a time-out.
        if (
            self._has_expired
            and task is not None
            and task.uncancel() <= self._cancelling
            and kind is not None
            and issubclass(kind, asyncio.CancelledError)
        ):
            raise TimeoutError from error
