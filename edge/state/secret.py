"""The secret that signs tokens where the settings name none (contract, Decision 19)."""

from __future__ import annotations

import logging
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from secrets import token_bytes

from edge.state.folders import sync_folder
from edge.state.whole_file import write_whole

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
        write_whole(path, b64encode(made) + b"\n")
        sync_folder(path.parent)
    except OSError as error:
        log.error("%s cannot be written (%s): tokens are valid until the platform stops", path, error)
    return made
