"""The tokens of `opaca-edge login`: a file for each platform among the user's settings, for nobody else to read."""

from __future__ import annotations

import os
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from urllib.parse import quote

_LONGEST_FILE_NAME = 200


def token_file(environ: Mapping[str, str], url: str) -> Path:
    """Return where the token for a platform is kept; the file need not be there.

    Args:
        environ: Names the folder of settings with `XDG_CONFIG_HOME`, else `HOME`.
        url: The platform's base URL.
    """
    home = Path(environ["HOME"]) if environ.get("HOME") else Path("~").expanduser()
    settings = Path(environ["XDG_CONFIG_HOME"]) if environ.get("XDG_CONFIG_HOME") else home / ".config"
    name = quote(url, safe="")
    if len(name) > _LONGEST_FILE_NAME:
        name = sha256(url.encode()).hexdigest()
    return settings / "opaca-edge" / "tokens" / name


def read_token(path: Path) -> str:
    """Return the token in a file; empty where there is none that can be read."""
    try:
        text = path.read_text("ascii").strip()
    except (OSError, ValueError):
        return ""
    return text if text.isprintable() else ""


def keep_token(path: Path, token: str) -> None:
    """Write a token, which takes the place of an older one at once.

    Raises:
        OSError: it cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    unfinished = path.with_name(f"{path.name}.new")
    unfinished.unlink(missing_ok=True)
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(f"{token}\n")
    unfinished.replace(path)


def forget_token(path: Path) -> bool:
    """Remove a token; False if there was none."""
    try:
        path.unlink()
    except FileNotFoundError:
        return False
    return True
