"""Work that goes on when the caller who asked for it has left (contract, Decision 13)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Self, TypeVar

from edge.errors import Conflict

T = TypeVar("T")


class Errands:
    """Runs such work, as an async context manager; leaving it cancels what is still under way."""

    def __init__(self) -> None:
        self._group = asyncio.TaskGroup()
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_closing = False

    async def __aenter__(self) -> Self:
        await self._group.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_closing = True
        for task in self._tasks:
            task.cancel()
        await self._group.__aexit__(kind, error, trace)

    def start(self, name: str, job: Callable[[], Awaitable[object]]) -> None:
        """Begin a job that nobody waits for; nothing is begun any more while the errands end."""
        if not self._is_closing:
            self._begin(name, job)

    async def run(self, name: str, job: Callable[[], Awaitable[T]]) -> T:
        """Return what the job returns, or raise what it raises; a caller that is cancelled does not end it.

        Raises:
            Conflict: the errands end.
        """
        if self._is_closing:
            raise Conflict("the platform is stopping")
        return await asyncio.shield(self._begin(name, job))

    def _begin(self, name: str, job: Callable[[], Awaitable[T]]) -> asyncio.Future[T]:
        outcome: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        # Who asked may be gone when it fails; the job itself has logged what matters.
        outcome.add_done_callback(lambda done: done.cancelled() or done.exception())
        task = self._group.create_task(self._carry_out(job, outcome), name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return outcome

    async def _carry_out(self, job: Callable[[], Awaitable[T]], outcome: asyncio.Future[T]) -> None:
        try:
            result = await job()
        except asyncio.CancelledError:
            outcome.cancel()
            raise
        except Exception as error:  # noqa: BLE001 - handed to who waits for it, not swallowed
            outcome.set_exception(error)
        else:
            outcome.set_result(result)
