"""What a container writes: kept in a file of bounded size, its newest lines at hand. What touches files blocks."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import BinaryIO

MAX_OUTPUT_BYTES = 1024 * 1024
# Enough for any screen; a longer line is cut.
_MAX_READ_BYTES = 256 * 1024
_MAX_LINE_BYTES = 16 * 1024
_FOLLOW_PAUSE_S = 0.3
# So often what was written during a copy is copied as well: each time it is less.
_CATCH_UPS = 6


class OutputLog:
    """The output file of a container and its predecessor.

    The file is only ever appended to by the container, which may outlive the platform: a pipe would then break it,
    and fill up if nobody reads. It is bounded by copying its newest part and emptying it: both files together stay
    below three times the limit, and what is written between two looks.

    Args:
        path: The file; its predecessor lies beside it, with `.1` at the end.
        limit_bytes: Size above which it is emptied.
    """

    def __init__(self, path: Path, limit_bytes: int = MAX_OUTPUT_BYTES) -> None:
        self.path = path
        self.old_path = path.with_name(path.name + ".1")
        self._limit_bytes = limit_bytes

    def open(self) -> int:
        """Return a descriptor for the container to write to."""
        return os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)

    def rotate(self) -> bool:
        """Keep the newest part of a file that has become too long, and empty it; True if that was so."""
        try:
            if self.path.stat().st_size <= self._limit_bytes:
                return False
            with self.path.open("r+b") as file:
                self._put_away(file)
        except FileNotFoundError:
            return False
        return True

    def tail(self, lines: int, limit_bytes: int = _MAX_READ_BYTES) -> list[str]:
        """Return the last lines, oldest first, of at most `limit_bytes` together."""
        content = self._end(lines, limit_bytes)[0]
        return _as_lines(content)[-lines:] if lines > 0 else []

    async def follow(self, lines: int = 10) -> AsyncIterator[str]:
        """Yield the last lines, then each new one as it is written, until the file is removed.

        Looks for new ones a few times a second. What a slow reader cannot take is left out and named by a line.
        """
        beginning, rest, position = await asyncio.to_thread(self._begin, lines)
        for line in beginning:
            yield line
        while True:
            await asyncio.sleep(_FOLLOW_PAUSE_S)
            read = await asyncio.to_thread(self._read_on, position)
            if read is None:
                return
            piece, position, skipped_bytes = read
            if skipped_bytes:
                rest = b""
                yield f"[{skipped_bytes} bytes left out]"
            *whole, rest = (rest + piece).split(b"\n")
            rest = rest[-_MAX_LINE_BYTES:]
            for ended in whole:
                yield _text(ended)

    def _end(self, lines: int, limit_bytes: int) -> tuple[bytes, int]:
        """Return the newest output, with so many lines if there are, and where in the file it ends."""
        content, position = _end_of(self.path, limit_bytes)
        if len(content) < limit_bytes and content.count(b"\n") <= lines:
            content = _end_of(self.old_path, limit_bytes - len(content))[0] + content
        return content, position

    def _begin(self, lines: int) -> tuple[list[str], bytes, int]:
        """Return the last whole lines, what follows them, and where that ends."""
        content, position = self._end(lines, _MAX_READ_BYTES)
        *whole, rest = content.split(b"\n")
        return [_text(line) for line in whole[-lines:]] if lines > 0 else [], rest, position

    def _size(self) -> int | None:
        try:
            return self.path.stat().st_size
        except FileNotFoundError:
            return None

    def _read_on(self, position: int) -> tuple[bytes, int, int] | None:
        """Return new bytes, where they end, and how many were passed over; None if the file is gone."""
        size = self._size()
        if size is None:
            return None
        if size < position:
            position = 0  # it was emptied
        start = max(position, size - _MAX_READ_BYTES)
        try:
            with self.path.open("rb") as file:
                file.seek(start)
                piece = file.read(size - start)
        except FileNotFoundError:
            return None
        return piece, start + len(piece), start - position

    def _put_away(self, file: BinaryIO) -> None:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - self._limit_bytes))
        newest = file.read(self._limit_bytes)
        draft = self.path.with_name(self.path.name + ".new")
        with draft.open("wb") as old:
            old.write(newest[newest.find(b"\n") + 1 :])
            old.flush()
            draft.replace(self.old_path)
            # What was written since is kept as well; only what comes within the next microseconds is lost.
            for _ in range(_CATCH_UPS):
                if not (since := file.read()):
                    break
                old.write(since[-self._limit_bytes :])
                old.flush()
            file.truncate(0)


def redact(lines: Sequence[str], secrets: Sequence[str]) -> list[str]:
    """Return lines without values that must not be shown; very short ones stay, they would be found everywhere."""
    shown: list[str] = []
    for line in lines:
        for secret in secrets:
            if len(secret) >= 4:
                line = line.replace(secret, "***")
        shown.append(line)
    return shown


def _end_of(path: Path, limit_bytes: int) -> tuple[bytes, int]:
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - limit_bytes))
            return file.read(min(size, limit_bytes)), size
    except OSError:
        return b"", 0


def _as_lines(content: bytes) -> list[str]:
    return [_text(line) for line in content.removesuffix(b"\n").split(b"\n")] if content else []


def _text(line: bytes) -> str:
    return line[:_MAX_LINE_BYTES].decode("utf-8", "replace").rstrip("\r")
