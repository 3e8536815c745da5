"""What the disk still takes, and what was written to it: cards wear by the bytes that are written."""

from __future__ import annotations

import os
import sqlite3
import time
from pathlib import Path

_LOOK_EVERY_S = 1.0
_DAY_MS = 86_400_000
_THREAD_IO = Path("/proc/thread-self/io")


class Disk:
    """The file system under the database; used by the writer's thread only."""

    def __init__(self, folder: Path, floor_bytes: int) -> None:
        """Take the folder, and how much of the disk is left to others."""
        self._folder = folder
        self._floor_bytes = floor_bytes
        self._looked_s = 0.0
        self._room_bytes = 0
        self._day = 0
        self._written_at_midnight = 0

    def has_room(self, connection: sqlite3.Connection, size_bytes: int) -> bool:
        """Return whether so much more may be stored: free space above the floor, or pages free in the file."""
        now_s = time.monotonic()
        if now_s - self._looked_s > _LOOK_EVERY_S or self._room_bytes < size_bytes:
            self._looked_s = now_s
            self._room_bytes = self._room(connection)
        if self._room_bytes < size_bytes:
            return False
        self._room_bytes -= size_bytes
        return True

    def written_today_bytes(self, now_ms: int) -> int | None:
        """Return what this thread wrote since midnight (UTC) or the start; None where the kernel does not tell."""
        written = _written_bytes()
        if written is None:
            return None
        self.turn(now_ms)
        return written - self._written_at_midnight

    def turn(self, now_ms: int) -> None:
        """Begin to count anew where a day has begun; to be called before anything is written."""
        day = now_ms // _DAY_MS
        if day != self._day:
            self._written_at_midnight = (_written_bytes() or 0) if self._day else 0
            self._day = day

    def _room(self, connection: sqlite3.Connection) -> int:
        status = os.statvfs(self._folder)
        free = status.f_bavail * status.f_frsize - self._floor_bytes
        if free > 0:
            return free
        # Half of it: trees want some, too.
        return int(connection.execute("PRAGMA freelist_count").fetchone()[0]) * 512


def _written_bytes() -> int | None:
    """Return what the kernel says that this thread has written; pages of 4 KiB that became dirty, not 1 KiB frames."""
    try:
        for line in _THREAD_IO.read_text().splitlines():
            name, _, value = line.partition(": ")
            if name == "write_bytes":
                return int(value)
    except OSError:
        pass  # hardened kernels hide it
    return None
