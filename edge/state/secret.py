"""The secret that signs tokens where the settings name none (contract, Decision 19)."""

from __future__ import annotations

import logging
import os
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from secrets import token_bytes

from edge.state.folders import sync_folder

log = logging.getLogger(__name__)

_FILE = "secret"
_KEY_BYTES = 32


def kept_secret(state_dir: Path, read: Callable[[str], bytes]) -> bytes:
    """Return the key in the state directory's file `secret`, made at the first call; only its owner may read it.

    Where it cannot be kept, tokens are valid until the platform stops, which is logged.

    Args:
        state_dir: The state directory, which is there.
        read: Decodes the text of a secret; ValueError if it is none.
    Raises:
        ValueError: the file holds something else.
    """
    path = state_dir / _FILE
    try:
        return read(path.read_text("ascii").strip())
    except FileNotFoundError:
        pass
    except OSError as error:
        log.error("%s cannot be read (%s): tokens are valid until the platform stops", path, error)
        return token_bytes(_KEY_BYTES)
    made = token_bytes(_KEY_BYTES)
    try:
        _write(path, b64encode(made) + b"\n")
    except OSError as error:
        log.error("%s cannot be written (%s): tokens are valid until the platform stops", path, error)
    return made


def _write(path: Path, content: bytes) -> None:
    """Write a file so that after a power cut it is there as a whole or not at all."""
    unfinished = path.with_name(f"{path.name}.new")
    unfinished.unlink(missing_ok=True)
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(descriptor)
    unfinished.rename(path)
    sync_folder(path.parent)
