"""The threads of a container: few, started when needed, and never in the way of the interpreter's end.

Everything but `_Worker.run` happens on the event loop, so nothing here needs a lock.
"""

from __future__ import annotations

import asyncio
import contextvars
import threading
import time
from collections import deque
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Any

from edge.errors import ActionFailed

_IDLE_S = 30.0
# Longest wait for a thread.
PATIENCE_S = 10.0


class _Job:
    """One call for a thread, and where its outcome goes."""

    __slots__ = ("call", "context", "future", "label", "since_s")

    def __init__(self, label: str, call: Callable[[], Any], future: asyncio.Future[Any]) -> None:
        self.label = label
        self.call = call
        self.future = future
        self.context = contextvars.copy_context()
        self.since_s = time.monotonic()


class _Worker:
    """One thread; `job` is what it does at present."""

    __slots__ = ("_jobs", "_loop", "_on_free", "_on_idle", "job", "thread")

    def __init__(
        self,
        name: str,
        loop: asyncio.AbstractEventLoop,
        on_free: Callable[[_Worker], None],
        on_idle: Callable[[_Worker], None],
    ) -> None:
        self.job: _Job | None = None
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._loop = loop
        self._on_free = on_free
        self._on_idle = on_idle
        # A daemon: a method that hangs must not keep the interpreter from ending.
        self.thread = threading.Thread(target=self._run, name=name, daemon=True)

    def give(self, job: _Job) -> None:
        self.job = job
        self._jobs.put(job)

    def stop(self) -> None:
        self._jobs.put(None)

    def _run(self) -> None:
        while True:
            try:
                job = self._jobs.get(timeout=_IDLE_S)
            except Empty:
                if not self._tell(self._on_idle, self):
                    return
                continue
            if job is None:
                return
            value: Any = None
            error: BaseException | None = None
            try:
                value = job.context.run(job.call)
            except BaseException as raised:  # noqa: BLE001 - the call of an agent's method; the loop logs what it raised
                error = raised
            if not self._tell(self._finish, job, value, error):
                return
            # Otherwise the last job's arguments and result live on until the next one comes.
            del job, value, error

    def _tell(self, callback: Callable[..., object], *args: object) -> bool:
        try:
            self._loop.call_soon_threadsafe(callback, *args)
        except RuntimeError:
            return False  # the loop is closed: nobody is left to tell
        return True

    def _finish(self, job: _Job, value: Any, error: BaseException | None) -> None:
        self.job = None
        if not job.future.done():
            job.future.set_result((value, error))
        self._on_free(self)


class Workers:
    """Runs the sync methods of one container's agents.

    Args:
        name: The container's, for messages and thread names.
        limit: Most threads at once.
        waiting_limit: Most calls that wait for a thread.
        patience_s: Longest wait for a thread, in seconds; None for 10.
    """

    def __init__(self, name: str, limit: int = 4, waiting_limit: int = 64, patience_s: float | None = None) -> None:
        self._name = name
        self._limit = limit
        self._waiting_limit = waiting_limit
        self._patience_s = PATIENCE_S if patience_s is None else patience_s
        self._workers: list[_Worker] = []
        self._idle: list[_Worker] = []
        self._waiting: deque[asyncio.Future[_Worker]] = deque()

    async def run(self, label: str, call: Callable[[], Any]) -> tuple[Any, BaseException | None]:
        """Run a call in a thread, with the caller's context variables, and return its value and what it raised.

        If the waiting side is cancelled, the call runs on to its end and keeps its thread so long.

        Args:
            label: `agent.Method`, for the message about who holds the threads.
        Raises:
            ActionFailed: no thread became free; names what the threads are busy with, and since when.
        """
        worker = self._free_worker() or await self._wait_for_worker()
        future: asyncio.Future[tuple[Any, BaseException | None]] = asyncio.get_running_loop().create_future()
        worker.give(_Job(label, call, future))
        return await future

    def busy_with(self) -> list[str]:
        """Tell what each busy thread does, and since how many seconds: `pump.Run (since 12 s)`."""
        now_s = time.monotonic()
        jobs = [worker.job for worker in self._workers if worker.job]
        return [f"{job.label} (since {now_s - job.since_s:.0f} s)" for job in jobs]

    def close(self) -> None:
        """Let the threads end, each as soon as it is free; a method that hangs keeps its own."""
        self._limit = 0
        self._idle.clear()
        for worker in self._workers:
            # Also those that are busy: the loop may end before it hears that they are free.
            worker.stop()
        for turn in self._waiting:
            if not turn.done():
                turn.set_exception(self._stopped())
        self._waiting.clear()

    def _free_worker(self) -> _Worker | None:
        if self._idle:
            return self._idle.pop()
        if len(self._workers) >= self._limit:
            return None
        number = len(self._workers) + 1
        worker = _Worker(
            f"{self._name}-{number}", asyncio.get_running_loop(), self._worker_is_free, self._worker_is_idle
        )
        try:
            worker.thread.start()
        except RuntimeError as error:
            raise ActionFailed(f"container {self._name!r}: no thread can be started: {error}") from None
        self._workers.append(worker)
        return worker

    async def _wait_for_worker(self) -> _Worker:
        if self._limit == 0:
            raise self._stopped()
        if len(self._waiting) >= self._waiting_limit:
            raise ActionFailed(f"{self._all_busy()}, and {self._waiting_limit} calls wait already")
        turn: asyncio.Future[_Worker] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            async with asyncio.timeout(self._patience_s):
                return await turn
        except TimeoutError:
            self._give_back(turn)
            raise ActionFailed(f"{self._all_busy()}, and none became free in {self._patience_s:g} s") from None
        except asyncio.CancelledError:
            self._give_back(turn)
            raise

    def _give_back(self, turn: asyncio.Future[_Worker]) -> None:
        if turn in self._waiting:
            self._waiting.remove(turn)
        if turn.done() and not turn.cancelled() and turn.exception() is None:
            self._worker_is_free(turn.result())

    def _worker_is_free(self, worker: _Worker) -> None:
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(worker)
                return
        if self._limit:
            self._idle.append(worker)

    def _worker_is_idle(self, worker: _Worker) -> None:
        if worker in self._idle:
            self._idle.remove(worker)
            self._workers.remove(worker)
            worker.stop()

    def _stopped(self) -> ActionFailed:
        return ActionFailed(f"container {self._name!r} has stopped")

    def _all_busy(self) -> str:
        count = len(self._workers)
        return f"all {count} threads of container {self._name!r} are busy with {', '.join(self.busy_with())}"
