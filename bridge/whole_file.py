"""Writes a file that is there as a whole or not at all, also after a power cut."""

from __future__ import annotations

import os
from pathlib import Path

_BEING_WRITTEN = ".new"


def write_whole(path: Path, content: bytes) -> None:
    """Write a file of mode 0600; what was there before is replaced at once.

    Args:
        path: In a folder that exists.
        content: All of it.

    Raises:
        OSError: it cannot be written.
    """
    being_written = path.with_name(path.name + _BEING_WRITTEN)
    being_written.unlink(missing_ok=True)
    descriptor = os.open(being_written, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(descriptor)
    being_written.replace(path)
