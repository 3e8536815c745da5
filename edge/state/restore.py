"""Putting a backup in place of the state: unpacked beside it, then renamed; what was there is kept. Blocks."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge.state.archive import CONFIG, DATABASE, IMAGES, MANIFEST, STATE, BadArchive, Bounds, unpack
from edge.state.folders import sync_folder
from edge.state.lock import StateLock


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """What a restore did.

    Attributes:
        files: How many files came out of the archive.
        about: Its manifest.
        kept: What was there before -> where it is now.
        config: The configuration file that was in the archive; it is put nowhere by itself. None if there was none.
    """

    files: int
    about: dict[str, Any]
    kept: dict[Path, Path]
    config: Path | None


def restore(
    archive: Path,
    state: Path,
    images: Path,
    *,
    owner: tuple[int, int] | None = None,
    bounds: Bounds | None = None,
    on_bytes: Callable[[int], None] = lambda written: None,
) -> Restored:
    """Replace a state directory, and images if the archive has some.

    Args:
        archive: What `back_up` wrote.
        state: The state directory; no platform may run in it. It need not exist.
        images: The folder of images.
        owner: User and group to give all of it to; None leaves it to whoever runs this.
        bounds: What may come out of the archive at most.
        on_bytes: Told how many bytes were written.
    Raises:
        InUse: a platform runs in the directory.
        BadArchive: it is not put in place, nothing has changed.
        OSError: the disk is full, or the like; nothing has changed.
    """
    stamp = time.strftime("%Y%m%d-%H%M%S")
    is_new = not state.exists()
    lock = StateLock(state).take()
    work = state.with_name(f"{state.name}.restoring-{stamp}")
    try:
        with archive.open("rb") as source:
            files = unpack(source, work, bounds or Bounds(), on_bytes)
        about = _check(work)
        fresh = work / STATE
        if (work / CONFIG / "opaca-edge.toml").exists():
            (work / CONFIG / "opaca-edge.toml").rename(fresh / "restored-opaca-edge.toml")
        if owner is not None:
            _give(work, owner)
        kept = _put_images(work, fresh, state, images, stamp)
        before = state.with_name(f"{state.name}.before-{stamp}")
        state.rename(before)
        try:
            fresh.rename(state)
        except BaseException:
            before.rename(state)
            raise
        sync_folder(state.absolute().parent)
        if is_new:
            shutil.rmtree(before)
        else:
            kept[state] = before
            _carry_images(before, state, images)
    except BaseException:
        if is_new:
            shutil.rmtree(state, ignore_errors=True)
        raise
    finally:
        lock.release()
        shutil.rmtree(work, ignore_errors=True)
    config = state / "restored-opaca-edge.toml"
    return Restored(files=files, about=about, kept=kept, config=config if config.exists() else None)


def _check(work: Path) -> dict[str, Any]:
    """Return the manifest of what was unpacked.

    Raises:
        BadArchive: it is no backup, or one of a later format, or its database is damaged.
    """
    try:
        about = json.loads((work / MANIFEST).read_bytes())
        form = about["format"]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise BadArchive("it is no backup of OPACA Edge: it has no manifest") from error
    if form != 1:
        raise BadArchive(f"it was written by a later version (format {form!r}, this one knows 1)")
    try:
        with closing(sqlite3.connect(work / STATE / DATABASE)) as database:
            verdict = database.execute("PRAGMA quick_check(1)").fetchone()[0]
    except sqlite3.Error as error:
        raise BadArchive(f"its database cannot be opened: {error}") from error
    if verdict != "ok":
        raise BadArchive(f"its database is damaged: {verdict}")
    result: dict[str, Any] = about
    return result


def _give(work: Path, owner: tuple[int, int]) -> None:
    for folder, _, names in os.walk(work):
        os.chown(folder, *owner, follow_symlinks=False)
        for name in names:
            os.chown(Path(folder) / name, *owner, follow_symlinks=False)


def _put_images(work: Path, fresh: Path, state: Path, images: Path, stamp: str) -> dict[Path, Path]:
    """Put images where they belong; returns what was there before and where it is now."""
    unpacked = work / IMAGES
    if not unpacked.exists():
        return {}
    if images.is_relative_to(state):
        place = fresh / images.relative_to(state)
        place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        unpacked.rename(place)
        return {}
    kept: dict[Path, Path] = {}
    images.parent.mkdir(parents=True, exist_ok=True)
    # Over a border of file systems nothing can be renamed.
    near = images.with_name(f"{images.name}.restoring-{stamp}")
    shutil.move(unpacked, near)
    if images.exists():
        kept[images] = images.with_name(f"{images.name}.before-{stamp}")
        images.rename(kept[images])
    near.rename(images)
    return kept


def _carry_images(before: Path, state: Path, images: Path) -> None:
    """Leave images where they are if the archive had none."""
    if images.is_relative_to(state) and not images.exists():
        old = before / images.relative_to(state)
        if old.exists():
            images.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            old.rename(images)
