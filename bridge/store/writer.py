"""The one thread that touches the database. It commits together whatever has queued while the last commit ran."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any, TypeVar

from bridge.store.database import is_damage
from bridge.store.lanes import Refused
from bridge.store.transaction import Transaction
from edge.errors import NotStored, OpacaError

log = logging.getLogger(__name__)

T = TypeVar("T")

# What one commit takes at most, so that the first of a crowd need not wait for the last.
_GROUP = 500
# How many jobs may wait for the disk.
_MOST_WAITING = 10_000
# What was answered before it is written is written after this long, or when so much of it has come together.
_LATER_S = 1.0
_MANY_LATER = 32
_LATER_AGAIN_S = 2.0


@dataclass(slots=True, eq=False)
class _Job:
    run: Callable[[Transaction], Any] | None
    is_write: bool
    future: asyncio.Future[Any] | None
    after: Callable[[Any], None] | None
    due_s: float = 0.0
    result: Any = None
    error: Exception | None = None


class Writer:
    """Runs jobs, each within a transaction that others may share; a job resolves when it is on the disk.

    A job that raises an `OpacaError` must not have changed anything before. If a commit fails, its jobs are tried one
    by one, so that none suffers for another.
    """

    def __init__(
        self, name: str, opened: Callable[[], sqlite3.Connection], begins: Callable[[], None] = lambda: None
    ) -> None:
        """Args:
        name: The file's name, for messages.
        opened: Opens the database, in the thread.
        begins: Called before each transaction, in the thread.
        """
        self._name = name
        self._opened = opened
        self._begins = begins
        self._jobs: SimpleQueue[_Job] = SimpleQueue()
        # A daemon: a program that dies without closing the store shall not wait for it.
        self._thread = Thread(target=self._work, name="bridge-store", daemon=True)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waiting = 0
        self._is_closed = True
        self._publish: Callable[[Sequence[Any]], None] = _nobody
        self._damage: asyncio.Future[None] | None = None
        # Of the thread alone.
        self._later: list[_Job] = []
        self._broken: Exception | None = None
        self._is_failing = False

    @property
    def is_closed(self) -> bool:
        """Whether jobs are refused."""
        return self._is_closed

    @property
    def is_failing(self) -> bool:
        """Whether the disk took nothing when something was to be written last."""
        return self._is_failing

    async def start(self, publish: Callable[[Sequence[Any]], None]) -> None:
        """Open the database; `publish` gets copies of counters on the loop after each commit that changed some."""
        self._loop = asyncio.get_running_loop()
        self._publish = publish
        self._damage = self._loop.create_future()
        opened = self._loop.create_future()
        self._jobs.put(_Job(None, False, opened, None))
        self._thread.start()
        try:
            await asyncio.shield(opened)
        except BaseException:
            self._jobs.put(_Job(None, False, None, None))
            await asyncio.to_thread(self._thread.join)
            raise
        self._is_closed = False

    async def stop(self) -> None:
        """Write what was answered before it was written, close the database; later jobs are refused."""
        if not self._is_closed:
            self._is_closed = True
            self._jobs.put(_Job(None, False, None, None))
            await asyncio.to_thread(self._thread.join)

    @property
    def damage(self) -> Exception | None:
        """What turned out to be wrong with the file; None if nothing did."""
        return self._broken

    async def damaged(self) -> None:
        """Return when the file turns out to be damaged while it is open; nothing is stored any more then."""
        if self._damage is not None:
            await asyncio.shield(self._damage)

    async def run(
        self, run: Callable[[Transaction], T], after: Callable[[T], None] | None = None, *, is_write: bool = True
    ) -> T:
        """Carry out a job and return its result; a caller that is cancelled meanwhile does not undo it.

        Args:
            run: The job; it runs in the thread, perhaps twice.
            after: What is done with its result on the loop, even if the caller has left.
            is_write: Whether it changes the database, so that what has to be written anyhow may ride along.

        Raises:
            Refused: closed.
            NotStored: the disk is full or broken; nothing of the job was kept.
        """
        self._check()
        assert self._loop is not None
        future: asyncio.Future[T] = self._loop.create_future()
        self._submit(_Job(run, is_write, future, after))
        return await future

    def later(self, run: Callable[[Transaction], T], after: Callable[[T], None] | None = None) -> None:
        """Carry out a job with the next commit, within a second; a full disk only delays it.

        Raises:
            Refused: closed.
        """
        self._check()
        self._submit(_Job(run, True, None, after, due_s=time.monotonic() + _LATER_S))

    def check_room(self) -> None:
        """Raise `Refused` if so much waits for the disk already that no more messages should be accepted."""
        if self._waiting >= _MOST_WAITING:
            raise Refused("busy", f"the disk is too slow: {self._waiting} jobs wait to be written to {self._name}")

    def _check(self) -> None:
        if self._is_closed:
            raise Refused("closed", "the bridge is stopping: nothing is stored any more")

    def _submit(self, job: _Job) -> None:
        self._waiting += 1
        self._jobs.put(job)

    def _deliver(self, jobs: list[_Job], counters: list[Any]) -> None:
        self._publish(counters)
        for job in jobs:
            self._waiting -= 1
            future = job.future
            if job.error is None:
                if job.after is not None:
                    job.after(job.result)
                if future is not None and not future.done():
                    future.set_result(job.result)
            elif future is not None and not future.done():
                future.set_exception(job.error)

    # Everything below runs in the thread.

    def _work(self) -> None:
        first = self._jobs.get()
        try:
            connection = self._opened()
        except BaseException as error:  # noqa: BLE001 - whatever it is, the one who opens the store gets to know
            first.error = error if isinstance(error, Exception) else RuntimeError(repr(error))
            self._tell(lambda: self._settle(first))
            return
        self._tell(lambda: self._settle(first))
        try:
            is_open = True
            while is_open:
                is_open = self._turn(connection)
        finally:
            connection.close()
            if self._later:
                log.error("%s: %d jobs that were answered could not be written", self._name, len(self._later))

    def _settle(self, job: _Job) -> None:
        assert job.future is not None
        if job.future.cancelled():
            return
        job.future.set_exception(job.error) if job.error is not None else job.future.set_result(None)

    def _turn(self, connection: sqlite3.Connection) -> bool:
        jobs, is_open = self._gather()
        now_s = time.monotonic()
        is_due = bool(self._later) and (
            not is_open
            or (len(self._later) >= _MANY_LATER and not self._is_failing)
            or any(job.due_s <= now_s for job in self._later)
        )
        if is_due or (not self._is_failing and any(job.is_write for job in jobs)):
            jobs, self._later = self._later + jobs, []
        if jobs:
            self._carry_out(connection, jobs)
        return is_open

    def _gather(self) -> tuple[list[_Job], bool]:
        """Return what has queued, waiting for it if there is nothing; and False when it is time to end."""
        jobs: list[_Job] = []
        gathered = 0
        try:
            wait_s = min(job.due_s for job in self._later) - time.monotonic() if self._later else None
            job = self._jobs.get(timeout=None if wait_s is None else max(0.0, wait_s))
            while True:
                if job.run is None:
                    return jobs, False
                (self._later if job.due_s else jobs).append(job)
                gathered += 1
                if gathered == _GROUP:
                    break
                job = self._jobs.get_nowait()
        except Empty:
            pass
        return jobs, True

    def _carry_out(self, connection: sqlite3.Connection, jobs: list[_Job]) -> None:
        counters: list[Any] = []
        if self._broken is not None:
            self._fail(jobs, self._broken)
        else:
            try:
                counters = self._commit(connection, jobs)
            except Exception as error:  # noqa: BLE001 - of one job or of the disk: told to whoever asked
                if len(jobs) == 1 or is_damage(error):
                    self._fail(jobs, error)
                else:
                    counters = self._one_by_one(connection, jobs)
            else:
                if self._is_failing and any(job.is_write for job in jobs):
                    self._is_failing = False
                    log.warning("%s: can be written again", self._name)
        kept = set(self._later)
        self._tell(lambda: self._deliver([job for job in jobs if job not in kept], counters))

    def _one_by_one(self, connection: sqlite3.Connection, jobs: list[_Job]) -> list[Any]:
        counters: list[Any] = []
        of_disk: sqlite3.Error | None = None
        for job in jobs:
            if of_disk is not None and (job.is_write or self._broken is not None):
                # What the disk does to one it does to all; but what is there already can be read, sent and played.
                self._fail([job], of_disk)
                continue
            try:
                counters += self._commit(connection, [job])
            except Exception as error:  # noqa: BLE001 - as above
                self._fail([job], error)
                of_disk = error if isinstance(error, sqlite3.Error) else of_disk
        return counters

    def _commit(self, connection: sqlite3.Connection, jobs: list[_Job]) -> list[Any]:
        self._begins()
        connection.execute("BEGIN")
        transaction = Transaction(connection)
        try:
            for job in jobs:
                assert job.run is not None
                try:
                    job.error = None
                    job.result = job.run(transaction)
                except OpacaError as refusal:
                    job.error = refusal
            return transaction.finish()
        except BaseException:
            transaction.undo()
            raise

    def _fail(self, jobs: list[_Job], error: Exception) -> None:
        if is_damage(error) and self._broken is None:
            self._broken = error
            log.error("%s is damaged (%s): nothing more is stored in it", self._name, error)
            self._tell(self._report_damage)
        is_disk = isinstance(error, sqlite3.Error)
        if is_disk and not self._is_failing:
            self._is_failing = True
            log.error("%s: cannot write: %s", self._name, error)
        elif not is_disk:
            log.error("%s: a job failed", self._name, exc_info=error)
        again_s = time.monotonic() + _LATER_AGAIN_S
        for job in jobs:
            if job.due_s and is_disk and self._broken is None:
                # It was answered: it is kept in memory until the disk takes it.
                job.due_s = again_s
                self._later.append(job)
            else:
                job.error = NotStored(f"the bridge cannot keep this: {error} ({self._name})")
                job.error.__cause__ = error

    def _report_damage(self) -> None:
        if self._damage is not None and not self._damage.done():
            self._damage.set_result(None)

    def _tell(self, what: Callable[[], None]) -> None:
        assert self._loop is not None
        try:
            self._loop.call_soon_threadsafe(what)
        except RuntimeError:
            pass  # the loop is closed: there is nobody left to tell


def _nobody(counters: Sequence[Any]) -> None:
    """Take no counters."""
