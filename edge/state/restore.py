"""Putting a backup in place of the state: unpacked, checked, then swapped; what was there is kept. Blocks."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge.state.archive import CONFIG, DATABASE, IMAGES, MANIFEST, STATE, BadArchive, Bounds, unpack
from edge.state.folders import make_folder, sync_folder
from edge.state.lock import LOCK, StateLock
from edge.state.swap import WORK, NotFinished, Plan, carry_out, finish_restore, is_of_a_restore, is_under_way, new_stamp

# In the archive, and where it is afterwards.
_CONFIG, _CONFIG_NOW = "opaca-edge.toml", "restored-opaca-edge.toml"


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
        NotFinished: it has begun, and goes on with the next start of the platform or the next restore.
    """
    is_new = not state.exists()
    lock = StateLock(state).take()
    try:
        if owner is not None:
            os.chown(state, *owner)
            for made in state.glob(LOCK):
                os.chown(made, *owner, follow_symlinks=False)
        finish_restore(state)
        _remove_leftovers(images)
        stamp = new_stamp(state)
        work = state / f"{WORK}{stamp}"
        try:
            with archive.open("rb") as source:
                files = unpack(source, work, bounds or Bounds(), on_bytes)
            about = _check(work)
            plan = _planned(stamp, state, work, images, owner)
            plan.write(state)
            _carry_out(plan, state)
        finally:
            if not is_under_way(state):
                shutil.rmtree(work, ignore_errors=True)
                _remove_leftovers(images)
    except BaseException:
        if is_new and not is_under_way(state):
            shutil.rmtree(state, ignore_errors=True)
        raise
    finally:
        lock.release()
    kept = {state: plan.before(state)} if plan.old else {}
    if (folders := plan.near_images()) is not None and folders[2].exists():
        kept[images] = folders[2]
    config = state / _CONFIG_NOW
    return Restored(files=files, about=about, kept=kept, config=config if config.exists() else None)


def _carry_out(plan: Plan, state: Path) -> None:
    try:
        carry_out(plan, state)
    except OSError as error:
        raise NotFinished(
            f"the restore has begun and cannot be finished: {error}; once that is mended it goes on"
            " with the next start of the platform, or the next restore"
        ) from error


def _planned(stamp: str, state: Path, work: Path, images: Path, owner: tuple[int, int] | None) -> Plan:
    """Put what was unpacked where it can be swapped; all that the plan speaks of is on the disk when this returns."""
    fresh, unpacked = work / STATE, work / IMAGES
    if (work / CONFIG / _CONFIG).exists():
        (work / CONFIG / _CONFIG).rename(fresh / _CONFIG_NOW)
    if owner is not None:
        _give(work, owner)
    carried = outside = None
    if images.is_relative_to(state):
        inside = images.relative_to(state)
        if unpacked.exists():
            (fresh / inside).parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            unpacked.rename(fresh / inside)
        else:
            carried = str(inside)
    elif unpacked.exists():
        outside = str(images)
        make_folder(images.parent)
        _move(unpacked, images.with_name(f"{images.name}.{WORK}{stamp}"), owner)
    for folder in (fresh, work, state):
        sync_folder(folder)
    return Plan(
        stamp=stamp,
        old=_entries(state),
        fresh=str(fresh.relative_to(state)),
        new=_entries(fresh),
        carried=carried,
        images=outside,
    )


def _entries(folder: Path) -> list[str]:
    """Return what is moved of a state directory."""
    return sorted(each.name for each in folder.iterdir() if each.name != LOCK and not is_of_a_restore(each.name))


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


def _move(source: Path, target: Path, owner: tuple[int, int] | None) -> None:
    """Move a folder, perhaps to another disk; all of it is there for certain when this returns."""
    shutil.move(source, target)
    if owner is not None:
        _give(target, owner)
    for folder, _, names in os.walk(target):
        for name in names:
            with (Path(folder) / name).open("rb") as file:
                os.fsync(file.fileno())
        sync_folder(Path(folder))
    sync_folder(target.parent)


def _remove_leftovers(images: Path) -> None:
    """Remove new images of restores that never began to replace anything."""
    for left in images.parent.glob(f"{images.name}.{WORK}*"):
        if is_of_a_restore(left.name.removeprefix(f"{images.name}.")):
            shutil.rmtree(left, ignore_errors=True)
