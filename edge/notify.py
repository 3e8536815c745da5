"""What the service manager is told (sd_notify): that the platform is ready, that it ends, and that it gets on."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import Self

log = logging.getLogger(__name__)

Proof = Callable[[], Awaitable[object]]

# Of the time after which the manager gives up on us: three pings may be late before one is too late.
_PINGS_PER_LIMIT = 4


class Notifier:
    """Talks to the service manager, as an async context manager; without one, everything here does nothing.

    While it is open, the watchdog is pinged after each round of proofs, and only then: a loop that is blocked, or a
    part that does not answer, ends the pings.

    Args:
        address: Of the manager's datagram socket; a first `@` stands for the abstract name space. Empty: no manager.
        limit_s: The manager ends us when no ping arrives for so long, in seconds; None if it does not watch.
    """

    def __init__(self, address: str = "", limit_s: float | None = None) -> None:
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        self._limit_s = limit_s
        self._socket: socket.socket | None = None
        self._unsent = ""
        self._proofs: list[Proof] = []
        self._group = asyncio.TaskGroup()
        self._pings: asyncio.Task[None] | None = None

    @classmethod
    def from_environ(cls, environ: Mapping[str, str], pid: int | None = None) -> Self:
        """Read what systemd set; what is meant for another process, or cannot be understood, is ignored."""
        limit = environ.get("WATCHDOG_USEC", "")
        is_ours = environ.get("WATCHDOG_PID", "") in ("", str(os.getpid() if pid is None else pid))
        limit_s = int(limit) / 1e6 if is_ours and limit.isascii() and limit.isdigit() and int(limit) else None
        return cls(environ.get("NOTIFY_SOCKET", ""), limit_s)

    async def __aenter__(self) -> Self:
        if self._address:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
            self._socket.setblocking(False)
        await self._group.__aenter__()
        if self._socket is not None and self._limit_s is not None:
            self._pings = self._group.create_task(self._ping(self._limit_s / _PINGS_PER_LIMIT), name="notify")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._pings is not None:
            self._pings.cancel()
        try:
            await self._group.__aexit__(kind, error, trace)
        finally:
            if self._socket is not None:
                self._socket.close()
                self._socket = None

    def ready(self, status: str) -> None:
        """Say that requests are answered, and where."""
        self._say(f"READY=1\nSTATUS={_one_line(status)}")

    def stopping(self) -> None:
        """Say that the platform ends."""
        self._say("STOPPING=1\nSTATUS=Stopping")

    @contextmanager
    def proving(self, proof: Proof) -> Iterator[None]:
        """Ask a part before every ping whether it gets on: `proof` is awaited, and raises if the part does not."""
        self._proofs.append(proof)
        try:
            yield
        finally:
            self._proofs.remove(proof)

    async def _ping(self, pause_s: float) -> None:
        while True:
            try:
                for proof in tuple(self._proofs):
                    await proof()
            except Exception:  # whatever ails the part: no ping, so that the manager acts if it stays so
                log.exception("no sign of life for the service manager")
            else:
                self._say("WATCHDOG=1")
            await asyncio.sleep(pause_s)

    def _say(self, message: str) -> None:
        """Send a message, after those that could not be sent; never waits."""
        if self._socket is None:
            return
        message = f"{self._unsent}\n{message}" if self._unsent else message
        try:
            self._socket.sendto(message.encode(), self._address)
            self._unsent = ""
        except BlockingIOError:
            # The next ping brings it along. Pings themselves are not kept: an old one proves nothing.
            self._unsent = message.removesuffix("\nWATCHDOG=1").removesuffix("WATCHDOG=1")
        except OSError as error:
            log.warning("the service manager cannot be told: %s", error)


def _one_line(text: str) -> str:
    return " ".join(text.split())
