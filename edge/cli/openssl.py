"""Certificates through the `openssl` command, 1.1.1 or later."""

from __future__ import annotations

import subprocess
from pathlib import Path

from edge.cli.failures import Failed

_LIMIT_S = 60.0
_MISSING = (
    "the program openssl is not installed: `sudo apt install openssl` on Debian, Ubuntu and Raspberry Pi OS,"
    " `sudo dnf install openssl` on Fedora, `sudo apk add openssl` on Alpine"
)


def openssl(*arguments: str | Path, folder: Path | None = None) -> str:
    """Run openssl and return what it prints; files that it makes can be read by their owner only.

    Args:
        folder: Where it runs.
    Raises:
        Failed: it is not installed, or says no.
    """
    try:
        ran = subprocess.run(  # noqa: S603 - a list of arguments, no shell
            ["openssl", *map(str, arguments)],  # noqa: S607 - wherever the system has it
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            umask=0o077,
            timeout=_LIMIT_S,
        )
    except FileNotFoundError as error:
        raise Failed(_MISSING) from error
    except subprocess.TimeoutExpired as error:
        raise Failed(f"openssl {arguments[0]} did not end within {_LIMIT_S:.0f} s") from error
    if ran.returncode:
        lines = [line for line in ran.stderr.splitlines() if line.strip()]
        raise Failed(f"openssl {arguments[0]} failed: {lines[-1] if lines else ran.returncode}")
    return ran.stdout
