"""One platform at a time in a state directory (design decision 5)."""

from __future__ import annotations

import fcntl
import logging
import os
from pathlib import Path
from typing import Self

from edge.state.folders import make_folder

log = logging.getLogger(__name__)

LOCK = "lock"


class InUse(Exception):
    """Another platform runs in this state directory; the message names its process."""


class StateLock:
    """Holds a state directory while a platform runs; the kernel frees it whenever the process dies."""

    def __init__(self, state_dir: Path) -> None:
        self._path = state_dir / LOCK
        self._descriptor = -1

    def take(self) -> Self:
        """Take the directory, which is made if it is missing; where nothing can be written there is nothing to hold.

        Raises:
            InUse: another platform has it.
        """
        try:
            make_folder(self._path.parent)
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        except OSError as error:
            log.error("%s cannot be used: %s", self._path.parent, error)
            return self
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(descriptor, 200).decode("utf-8", "replace").strip() or "another process"
            os.close(descriptor)
            raise InUse(f"in use by {holder}; stop that one, or choose another folder") from None
        self._descriptor = descriptor
        self._say_who()
        return self

    def release(self) -> None:
        """Give the directory back; harmless if it is not held."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _say_who(self) -> None:
        try:
            os.ftruncate(self._descriptor, 0)
            os.write(self._descriptor, f"the platform with process ID {os.getpid()}\n".encode())
        except OSError:
            pass  # a full disk: held all the same, only not named
