"""What a backup is: the layout of its archive, and the strict rules by which one is unpacked. Blocks."""

from __future__ import annotations

import gzip
import os
import tarfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, Self

from edge.state.folders import sync_folder

DATABASE = "state.sqlite3"
MANIFEST = "manifest.json"
# The folders of an archive.
STATE, IMAGES, CONFIG = "state", "images", "config"

_CHUNK_BYTES = 256 * 1024
# Zeros behind the last entry.
_MOST_PADDING_BYTES = 1024 * 1024
_LONGEST_NAME_HEADER_BYTES = 64 * 1024
_NAME_HEADERS = (tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME)
_PLAIN = (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.DIRTYPE)


class BadArchive(Exception):
    """An archive that is not unpacked; the message says why."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much may come out of an archive."""

    entries: int = 500_000
    total_bytes: int = 64 * 1024**3


class _StrictInfo(tarfile.TarInfo):
    """An entry that is refused before anything of it is read, unless it is a plain file, a folder or a long name."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        info = super().frombuf(buf, encoding, errors)
        if info.type in _NAME_HEADERS:
            if info.size > _LONGEST_NAME_HEADER_BYTES:
                raise BadArchive("a name in it is longer than any path")
        elif info.type not in _PLAIN:
            raise BadArchive(f"{info.name!r} is neither a file nor a folder")
        return info


def unpack(source: BinaryIO, target: Path, bounds: Bounds, on_bytes: Callable[[int], None] = lambda read: None) -> int:
    """Unpack an archive into a folder that this makes; all of it is on the disk when this returns.

    Only plain files and folders; only their owner may use them. What was there by then stays when this raises.

    Args:
        source: A compressed archive.
        target: A folder that does not exist.
        bounds: What may come out at most.
        on_bytes: Told after each piece how many bytes were written.
    Returns:
        The number of files.
    Raises:
        BadArchive: it is damaged, or holds what may not be in it.
        OSError: the disk is full, or the like.
    """
    target.mkdir(mode=0o700)
    files = entries = written = 0
    try:
        # Not tarfile's own gzip, which takes an archive that was cut for a whole one.
        with (
            gzip.GzipFile(fileobj=source, mode="rb") as plain,
            tarfile.open(fileobj=plain, mode="r|", tarinfo=_StrictInfo) as archive,
        ):
            for info in archive:
                entries += 1
                if entries > bounds.entries:
                    raise BadArchive(f"more than {bounds.entries} entries")
                if info.issparse():
                    raise BadArchive(f"{info.name!r} is neither a file nor a folder")
                path = target / _safe(info.name)
                if info.isdir():
                    path.mkdir(mode=0o700, parents=True, exist_ok=True)
                    continue
                if info.size > bounds.total_bytes - written:
                    raise BadArchive(f"more than {bounds.total_bytes} bytes")
                path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                content = archive.extractfile(info)
                _write(content, path, 0o700 if info.mode & 0o100 else 0o600, info.size)
                files += 1
                written += info.size
                on_bytes(written)
            if len(plain.read(_MOST_PADDING_BYTES)) == _MOST_PADDING_BYTES:
                raise BadArchive("more follows its end")
    except (tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError, ValueError) as error:
        raise BadArchive(f"it is damaged: {error}") from error
    except FileExistsError as error:
        raise BadArchive(f"{error.filename}: twice in it") from error
    except NotADirectoryError as error:
        raise BadArchive(f"{error.filename}: a file and a folder in it") from error
    for folder, _, _ in os.walk(target, topdown=False):
        sync_folder(Path(folder))
    return files


def _safe(name: str) -> PurePosixPath:
    """Return a name of an entry as a path below the target.

    Raises:
        BadArchive: it leads elsewhere.
    """
    path = PurePosixPath(name)
    if not path.parts or path.is_absolute() or ".." in path.parts or "\0" in name:
        raise BadArchive(f"{name!r} leads out of it")
    return path


def _write(content: Any, path: Path, mode: int, size_bytes: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(descriptor, mode)
        left = size_bytes
        while left:
            piece = content.read(min(left, _CHUNK_BYTES))
            if not piece:
                raise BadArchive("it ends too early")
            file.write(piece)
            left -= len(piece)
        file.flush()
        os.fsync(descriptor)
