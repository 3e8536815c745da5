"""The programs of the system that a service needs, and what of it stands on this machine."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from edge.cli.failures import Failed
from edge.cli.service_unit import UNIT
from edge.state.whole_file import write_whole

UNIT_FOLDER = Path("/etc/systemd/system")
CREDENTIALS = Path("/etc/opaca-edge/credentials")

# Starting waits until the platform answers, which the unit allows two minutes for; ending one.
_LIMIT_S = 200


def run_program(*command: str, limit_s: float = _LIMIT_S) -> str:
    """Run a program of the system and return what it printed.

    Raises:
        Failed: it is missing, or failed; with what it said.
    """
    program = shutil.which(command[0])
    if program is None:
        raise Failed(f"{command[0]} is not on this machine; a service needs systemd and what comes with it")
    try:
        done = subprocess.run(  # noqa: S603 - a list of words that are ours, or a user's name
            [program, *command[1:]], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=limit_s
        )
    except subprocess.TimeoutExpired as error:
        raise Failed(f"{' '.join(command)}: did not end within {limit_s:g} s") from error
    if done.returncode != 0:
        said = (done.stderr.strip() or done.stdout.strip() or f"exit code {done.returncode}").splitlines()
        raise Failed("\n  ".join([f"{' '.join(command)}:", *said[-10:]]))
    return done.stdout


def unit_file() -> Path:
    """Return where the unit stands if it is installed."""
    return unit_path(UNIT)


def unit_path(name: str) -> Path:
    """Return where any unit of ours stands if it is installed."""
    return UNIT_FOLDER / name


def write_file(path: Path, text: str) -> None:
    """Write a file that others may read so that it is there as a whole or not at all."""
    write_whole(path, text.encode(), mode=0o644)


def properties(names: Sequence[str]) -> dict[str, str]:
    """Return properties of the service as systemd knows them.

    Raises:
        Failed: there is no systemd, or no such service.
    """
    if not unit_file().exists():
        raise Failed("there is no service on this machine: sudo opaca-edge service install")
    printed = run_program("systemctl", "show", UNIT, f"--property={','.join(names)}")
    return dict(line.split("=", 1) for line in printed.splitlines() if "=" in line)


def need_root(verb: str) -> None:
    """Refuse what only root may do.

    Raises:
        Failed: we are somebody else.
    """
    import os

    if os.geteuid() != 0:
        raise Failed(f"only root may do this: sudo opaca-edge {verb}")
