"""How processes end: noticed at once by the event loop, and said in words."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from dataclasses import dataclass, field, replace

from edge.launcher.process.kin import reap


@dataclass(frozen=True, slots=True)
class Exit:
    """How a container came to its end.

    Attributes:
        status: Exit status; None if a signal ended it or nobody can know.
        signal_number: The signal that ended it; None if there was none.
        reason: What the platform knows better than the status says; None if it does not.
        at_s: When, by the monotonic clock.
    """

    status: int | None = None
    signal_number: int | None = None
    reason: str | None = None
    at_s: float = field(default_factory=time.monotonic)

    @property
    def is_success(self) -> bool:
        """Whether it ended of its own accord and content."""
        return self.status == 0 and self.reason is None

    @property
    def words(self) -> str:
        """What happened, as the rest of a sentence that begins with the container."""
        if self.reason is not None:
            return self.reason
        if self.signal_number is not None:
            name = signal.strsignal(self.signal_number) or "unknown"
            return f"ended by signal {self.signal_number} ({name.lower()})"
        if self.status is None:
            return "ended, nobody knows how: an earlier run of the platform had started it"
        return f"exited with status {self.status}"

    def because(self, reason: str | None) -> Exit:
        """Return the same end with a better reason, if there is one."""
        return self if reason is None else replace(self, reason=reason)


class Watched:
    """A running process whose end is told by the kernel; its ID stays its own until `release`.

    Args:
        pid: The process.
        descriptor: Its pidfd, which belongs to this object from now on.
        is_child: Whether this process started it. Of others only the end is known, not how.
    """

    def __init__(self, pid: int, descriptor: int, is_child: bool) -> None:
        self.pid = pid
        self.is_child = is_child
        self._descriptor = descriptor
        loop = asyncio.get_running_loop()
        self.ended: asyncio.Future[Exit] = loop.create_future()
        self.started_s = time.monotonic()
        loop.add_reader(descriptor, self._on_end)

    @property
    def is_released(self) -> bool:
        """Whether it is watched no more, so that its ID may be another's."""
        return self._descriptor < 0

    def signal(self, number: int) -> None:
        """Send a signal to the process and its group; nothing happens if all are gone."""
        if self.is_released:
            return
        with contextlib.suppress(ProcessLookupError, PermissionError):
            # The ID cannot have become another's: a child is not reaped before `release`.
            if self.is_child or not self.ended.done():
                os.killpg(self.pid, number)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            signal.pidfd_send_signal(self._descriptor, number)

    def release(self) -> None:
        """Stop watching, and reap the process if it ended; safe to call twice."""
        if self._descriptor < 0:
            return
        asyncio.get_running_loop().remove_reader(self._descriptor)
        os.close(self._descriptor)
        self._descriptor = -1
        if self.is_child:
            reap([self.pid])
        if not self.ended.done():
            self.ended.cancel()

    def _on_end(self) -> None:
        asyncio.get_running_loop().remove_reader(self._descriptor)
        if not self.ended.done():
            self.ended.set_result(self._read_exit())

    def _read_exit(self) -> Exit:
        if not self.is_child:
            return Exit()
        try:
            # Not reaped yet: until then no other process can get its ID, nor join its group.
            result = os.waitid(os.P_PIDFD, self._descriptor, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return Exit()
        if result is None:
            return Exit()
        if result.si_code == os.CLD_EXITED:
            return Exit(status=result.si_status)
        return Exit(signal_number=result.si_status)


async def all_end(pids: list[int], limit_s: float) -> bool:
    """Wait until processes have ended, at most so many seconds; True if they all have."""
    loop = asyncio.get_running_loop()
    descriptors: list[int] = []
    left: set[int] = set()
    done = asyncio.Event()

    def on_end(descriptor: int) -> None:
        loop.remove_reader(descriptor)
        left.discard(descriptor)
        if not left:
            done.set()

    try:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                descriptor = os.pidfd_open(pid)
                descriptors.append(descriptor)
                left.add(descriptor)
                loop.add_reader(descriptor, on_end, descriptor)
        if not left:
            return True
        try:
            async with asyncio.timeout(limit_s):
                await done.wait()
        except TimeoutError:
            return False
        return True
    finally:
        for descriptor in descriptors:
            loop.remove_reader(descriptor)
            os.close(descriptor)
