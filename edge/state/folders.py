"""Folders that are there after a power cut: the names in a folder are on the disk only once it is synced itself."""

from __future__ import annotations

import errno
import os
from pathlib import Path


def make_folder(folder: Path) -> None:
    """Make a folder that only its owner may use, and those it lies in, unless they are there; on the disk then.

    Raises:
        OSError: as `Path.mkdir`.
    """
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    for each in reversed(missing):
        sync_folder(each.parent)


def sync_folder(folder: Path) -> None:
    """Have what a folder lists on the disk.

    Raises:
        OSError: it cannot be written; never where the file system knows no such thing.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
    finally:
        os.close(descriptor)
