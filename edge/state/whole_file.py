"""Writes a file that is there as a whole or not at all, also after a power cut."""

from __future__ import annotations

import os
from pathlib import Path


def write_whole(path: Path, content: bytes, *, mode: int = 0o600, owner: str = "") -> None:
    """Write a file; what was there before is replaced at once.

    Args:
        path: In a folder that exists.
        content: All of it.
        mode: Whatever the umask says.
        owner: Whose it is, before it is there; empty leaves it ours.

    Raises:
        OSError: it cannot be written, or not be given away.
        LookupError: there is no such user.
    """
    unfinished = path.with_name(f".{path.name}.new")
    unfinished.unlink(missing_ok=True)
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fchmod(descriptor, mode)
        if owner:
            import pwd

            # The file that is open: whose the folder is could have put another one in its place.
            os.fchown(descriptor, pwd.getpwnam(owner).pw_uid, -1)
        os.fsync(descriptor)
    unfinished.replace(path)
