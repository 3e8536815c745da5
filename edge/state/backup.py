"""A copy of all that must survive, made while the platform runs. Blocks."""

from __future__ import annotations

import io
import json
import os
import sqlite3
import stat
import tarfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from edge.model.json_value import JsonValue
from edge.state.archive import CONFIG, DATABASE, IMAGES, MANIFEST, STATE
from edge.state.folders import sync_folder
from edge.state.swap import is_of_a_restore

_NOT_COPIED = {DATABASE, f"{DATABASE}-wal", f"{DATABASE}-shm", "lock"}
_BUSY_S = 30.0
# A Pi compresses about ten times faster like this than at the default, into 5 % more.
_COMPRESSION = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """What is copied.

    Attributes:
        state: The state directory.
        images: The folder of images; None leaves images out.
        config: The configuration file; None if there is none.
    """

    state: Path
    images: Path | None
    config: Path | None


@dataclass(slots=True)
class Copied:
    """What a backup became.

    Attributes:
        files: How many files are in it.
        content_bytes: Their size.
        archive_bytes: Size of the archive.
        left_out: What is not in it, with the reason.
    """

    files: int = 0
    content_bytes: int = 0
    archive_bytes: int = 0
    left_out: list[str] = field(default_factory=list)


Progress = Callable[[int, int], None]


def back_up(
    sources: Sources, target: Path, about: Mapping[str, JsonValue], on_progress: Progress = lambda done, total: None
) -> Copied:
    """Write an archive that only its owner may read; it is there as a whole, on the disk, or not at all.

    The database is copied as it is at one moment, whoever writes to it meanwhile. Other files are copied one by one.

    Args:
        sources: What to copy.
        target: The archive; one that is there is replaced.
        about: What its manifest says.
        on_progress: Told of bytes that are done and bytes in all.
    Raises:
        sqlite3.Error: the database cannot be read.
        OSError: what must be in it cannot be read, or the archive cannot be written.
    """
    unfinished = target.with_name(f".{target.name}.unfinished")
    snapshot = target.with_name(f".{target.name}.database")
    unfinished.unlink(missing_ok=True)
    snapshot.unlink(missing_ok=True)
    try:
        os.close(os.open(snapshot, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        _copy_database(sources.state / DATABASE, snapshot)
        descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            copied = _write_archive(file, sources, snapshot, about, on_progress)
            file.flush()
            os.fsync(descriptor)
            copied.archive_bytes = os.fstat(descriptor).st_size
        unfinished.rename(target)
        sync_folder(target.absolute().parent)
    finally:
        unfinished.unlink(missing_ok=True)
        snapshot.unlink(missing_ok=True)
    return copied


def _copy_database(path: Path, snapshot: Path) -> None:
    """Copy with SQLite's own means; one step holds one snapshot, beside which the platform goes on writing."""
    source = sqlite3.connect(f"file:{_quoted(path)}?mode=rw", uri=True, timeout=_BUSY_S)
    try:
        copy = sqlite3.connect(snapshot)
        try:
            source.backup(copy)
            copy.execute("PRAGMA journal_mode=DELETE")
            verdict = copy.execute("PRAGMA quick_check(1)").fetchone()[0]
        finally:
            copy.close()
    finally:
        source.close()
    if verdict != "ok":
        raise sqlite3.DatabaseError(f"{path} is damaged: {verdict}")


def _quoted(path: Path) -> str:
    from urllib.parse import quote

    return quote(str(path.absolute()))


def _write_archive(
    file: BinaryIO, sources: Sources, snapshot: Path, about: Mapping[str, JsonValue], on_progress: Progress
) -> Copied:
    copied = Copied()
    listed = list(_listed(sources, snapshot, copied))
    total = sum(path.lstat().st_size for path, _ in listed if not path.is_dir())
    with tarfile.open(
        fileobj=file, mode="w:gz", format=tarfile.PAX_FORMAT, compresslevel=_COMPRESSION, errorlevel=2
    ) as archive:
        manifest = json.dumps({"format": 1, "made": time.strftime("%Y-%m-%dT%H:%M:%S%z"), **about}).encode()
        archive.addfile(_entry(MANIFEST, len(manifest)), io.BytesIO(manifest))
        for path, name in listed:
            try:
                _add(archive, path, name, copied)
            except FileNotFoundError:
                continue  # it was removed meanwhile
            on_progress(copied.content_bytes, total)
    return copied


def _listed(sources: Sources, snapshot: Path, copied: Copied) -> Iterator[tuple[Path, str]]:
    """Yield files and folders with their names in the archive; the database is first."""
    yield snapshot, f"{STATE}/{DATABASE}"
    skipped = {sources.state / name for name in _NOT_COPIED}
    if sources.images is not None and sources.images.is_dir():
        skipped.add(sources.images)
        yield from _below(sources.images, IMAGES, set(), copied)
    if (sources.state / "images").is_dir() and sources.images is None:
        skipped.add(sources.state / "images")
        copied.left_out.append(f"{sources.state / 'images'}: images were not asked for")
    yield from _below(sources.state, STATE, skipped, copied)
    if sources.config is not None:
        yield sources.config, f"{CONFIG}/opaca-edge.toml"


def _below(folder: Path, name: str, skipped: set[Path], copied: Copied) -> Iterator[tuple[Path, str]]:
    with os.scandir(folder) as scan:
        entries = sorted(scan, key=lambda entry: entry.name)
    yield folder, name
    for entry in entries:
        path = folder / entry.name
        if path in skipped or entry.name.startswith(f"{DATABASE}.damaged-") or is_of_a_restore(entry.name):
            continue
        inner = f"{name}/{entry.name}"
        if entry.is_dir(follow_symlinks=False):
            if (path / "pyvenv.cfg").exists():
                copied.left_out.append(f"{path}: a virtual environment works in its own place only; make it anew")
                continue
            yield from _below(path, inner, skipped, copied)
        elif entry.is_file(follow_symlinks=False):
            yield path, inner
        else:
            copied.left_out.append(f"{path}: neither a file nor a folder")


def _add(archive: tarfile.TarFile, path: Path, name: str, copied: Copied) -> None:
    if path.is_dir():
        info = _entry(name, 0)
        info.type, info.mode = tarfile.DIRTYPE, 0o700
        archive.addfile(info)
        return
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        about = os.fstat(descriptor)
        if not stat.S_ISREG(about.st_mode):
            copied.left_out.append(f"{path}: no longer a file")
            return
        info = _entry(name, about.st_size)
        info.mode = 0o700 if about.st_mode & 0o100 else 0o600
        info.mtime = int(about.st_mtime)
        archive.addfile(info, _Exactly(file, about.st_size))
    copied.files += 1
    copied.content_bytes += about.st_size


def _entry(name: str, size_bytes: int) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.size = size_bytes
    info.mode = 0o600
    return info


class _Exactly:
    """Gives as many bytes as were announced, although the file may grow or shrink meanwhile: zeros for what is gone."""

    def __init__(self, file: BinaryIO, size_bytes: int) -> None:
        self._file = file
        self._left = size_bytes

    def read(self, size_bytes: int = -1) -> bytes:
        wanted = self._left if size_bytes < 0 else min(size_bytes, self._left)
        piece = self._file.read(wanted)
        self._left -= wanted
        return piece + bytes(wanted - len(piece))
