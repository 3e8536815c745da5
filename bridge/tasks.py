"""Tasks of the bridge: what serves somebody now, and ends with the bridge; what runs on, and is started again."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from types import TracebackType
from typing import Any, Self

log = logging.getLogger(__name__)

_FIRST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 30.0


class Tasks:
    """Owns tasks, as an async context manager: leaving cancels what still runs. One that fails is logged."""

    def __init__(self) -> None:
        self._group = asyncio.TaskGroup()
        self._running: set[asyncio.Task[None]] = set()
        self._is_ending = False

    async def __aenter__(self) -> Self:
        await self._group.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_ending = True
        for task in list(self._running):
            task.cancel()
        await self._group.__aexit__(kind, error, trace)

    def start(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        """Run something now."""
        logged = _logged(work, name)
        try:
            task = self._group.create_task(logged, name=name)
        except RuntimeError:  # everything ends: nobody waits for this any more
            logged.close()
            work.close()
            raise
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        if self._is_ending:  # begun by one that is being ended: nobody would end it
            task.cancel()
        task.add_done_callback(lambda _: work.close())  # cancelled before its first step it was never awaited
        return task

    def keep(self, job: Callable[[], Awaitable[None]], name: str) -> asyncio.Task[None]:
        """Run something for as long as the bridge runs; when it fails it is started again, with back-off."""
        return self.start(_supervised(job, name), name)


async def _logged(work: Coroutine[Any, Any, None], name: str) -> None:
    try:
        await work
    except Exception:
        log.exception("%s failed", name)


async def _supervised(job: Callable[[], Awaitable[None]], name: str) -> None:
    pause_s = _FIRST_PAUSE_S
    loop = asyncio.get_running_loop()
    while True:
        began_s = loop.time()
        try:
            await job()
        except Exception:
            log.exception("%s failed and is started again in %.1f s", name, pause_s)
        if loop.time() - began_s > _LONGEST_PAUSE_S:
            pause_s = _FIRST_PAUSE_S
        await asyncio.sleep(pause_s)
        pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)
