"""When to look after whom: one timer for all, and only a few looks at a time."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Awaitable, Callable

# When a check is done that did not say when the next one is due, because it failed itself.
_UNPLANNED_PAUSE_S = 60.0


class Checks:
    """A plan of checks by name; `run` carries them out when they are due.

    A name has one check at a time: what is planned while it runs is done afterwards.
    """

    def __init__(self, clock: Callable[[], float], most_at_once: int) -> None:
        """Args:
        clock: Seconds that only ever grow.
        most_at_once: Checks in flight; more that are due wait for one of them to end.
        """
        self._clock = clock
        self._most_at_once = most_at_once
        self._due: dict[str, float] = {}
        self._running: set[str] = set()
        # Entries that do not agree with `_due` any more are passed over.
        self._heap: list[tuple[float, str]] = []
        self._wake = asyncio.Event()

    def plan(self, name: str, due: float) -> None:
        """Have a check at a time of the clock, in place of the one that was planned."""
        self._due[name] = due
        if name not in self._running:
            heapq.heappush(self._heap, (due, name))
            if self._heap[0] == (due, name):
                self._wake.set()

    def hasten(self, name: str, due: float) -> None:
        """Have a planned check earlier than planned; a check that runs already is enough."""
        if name not in self._running and self._due.get(name, due) > due:
            self.plan(name, due)

    def drop(self, name: str) -> None:
        """Forget a name; a check of it that runs is not disturbed."""
        self._due.pop(name, None)
        self._running.discard(name)

    def wake(self) -> None:
        """Look at the clock again, after it was put forward."""
        self._wake.set()

    async def run(self, check: Callable[[str], Awaitable[None]]) -> None:
        """Carry the checks out until cancelled; each plans the next one of its name.

        What a check raises ends the run; the plan stays, and another run can go on with it.
        """
        slots = asyncio.Semaphore(self._most_at_once)
        async with asyncio.TaskGroup() as tasks:
            while True:
                await slots.acquire()
                name = await self._next()
                self._running.add(name)
                tasks.create_task(self._carry_out(name, check, slots), name=f"check of {name}")

    async def _carry_out(self, name: str, check: Callable[[str], Awaitable[None]], slots: asyncio.Semaphore) -> None:
        try:
            await check(name)
        finally:
            slots.release()
            if name in self._running:
                self._running.discard(name)
                self.plan(name, self._due.get(name, self._clock() + _UNPLANNED_PAUSE_S))

    async def _next(self) -> str:
        """Wait until a check is due, and take it out of the plan."""
        while True:
            while self._heap and self._is_outdated(*self._heap[0]):
                heapq.heappop(self._heap)
            now = self._clock()
            if self._heap and self._heap[0][0] <= now:
                _, name = heapq.heappop(self._heap)
                del self._due[name]
                return name
            self._wake.clear()
            try:
                async with asyncio.timeout(self._heap[0][0] - now if self._heap else None):
                    await self._wake.wait()
            except TimeoutError:
                pass

    def _is_outdated(self, due: float, name: str) -> bool:
        return name in self._running or self._due.get(name) != due
