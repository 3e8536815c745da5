"""Ends what the demo started and removes its folder, however the demo itself ends: SIGKILL included.

It leads the process group of all that the demo starts, and sits at a pipe that breaks when the demo is gone.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

_GRACE_S = 10.0
_LOOK_S = 0.02


def main() -> None:
    """Wait until standard input ends, then clean up behind its owner; the argument is the folder to remove."""
    folder = Path(sys.argv[1])
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    sys.stdin.buffer.read()
    give_up_at_s = time.monotonic() + _GRACE_S
    _send(signal.SIGTERM)
    while list(_others()):
        if time.monotonic() > give_up_at_s:
            _send(signal.SIGKILL)
        time.sleep(_LOOK_S)
    shutil.rmtree(folder, ignore_errors=True)


def _send(number: signal.Signals) -> None:
    for process_id in _others():
        try:
            os.kill(process_id, number)
        except ProcessLookupError:
            continue


def _others() -> Iterator[int]:
    """Yield who else lives in this process group."""
    own, group = os.getpid(), os.getpgrp()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            # After the name, which may hold anything: state, parent, group.
            state, _, its_group = (folder / "stat").read_text(errors="replace").rpartition(")")[2].split()[:3]
        except (OSError, ValueError):
            continue
        if int(its_group) == group and state not in "ZX" and int(folder.name) != own:
            yield int(folder.name)


if __name__ == "__main__":
    main()
