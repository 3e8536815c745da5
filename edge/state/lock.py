"""One platform at a time in a state directory (design decision 5)."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from types import TracebackType
from typing import Self


class InUse(Exception):
    """Another platform runs in this state directory; the message names its process."""


class StateLock:
    """Holds a state directory while a platform runs; the kernel frees it whenever the process dies."""

    def __init__(self, state_dir: Path) -> None:
        self._path = state_dir / "lock"
        self._descriptor = -1

    def __enter__(self) -> Self:
        """Take the directory; it is made if it is missing.

        Raises:
            InUse: another platform has it.
            OSError: it cannot be made or written to.
        """
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(descriptor, 200).decode("utf-8", "replace").strip() or "another process"
            os.close(descriptor)
            raise InUse(
                f"{self._path.parent} is in use by {holder}: stop that platform, or name another folder with STATE_DIR"
            ) from None
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"the platform with process ID {os.getpid()}\n".encode())
        self._descriptor = descriptor
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._descriptor)
        self._descriptor = -1
