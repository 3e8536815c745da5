"""The identity of this installation, from which bundled containers get IDs that stay (contract, Decision 11)."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from uuid import UUID, uuid4

log = logging.getLogger(__name__)

_FILE = "installation"


def installation_id(state_dir: Path) -> UUID:
    """Return the installation's ID; made and kept at the first call.

    A folder that cannot be written to, or a damaged file, is no reason not to start: the ID is then new each time, and
    the log says so.
    """
    path = state_dir / _FILE
    try:
        return UUID(path.read_text().strip())
    except FileNotFoundError:
        pass
    except (OSError, ValueError) as error:
        log.warning("%s cannot be read (%s): bundled containers get new IDs", path, error)
    fresh = uuid4()
    try:
        _keep(path, fresh)
    except OSError as error:
        log.warning("%s cannot be written (%s): bundled containers get new IDs at every start", path, error)
    return fresh


def _keep(path: Path, value: UUID) -> None:
    """Write the file so that after a power cut it is there whole, or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        os.write(descriptor, f"{value}\n".encode())
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    draft.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
