"""Orphans of containers: they become children of the platform, which can then find and reap them."""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path

from edge.launcher.process.kin import Process, read_process, reap

_PR_SET_CHILD_SUBREAPER = 36
_PR_GET_CHILD_SUBREAPER = 37
# A zombie of unknown origin may have a waiter elsewhere in this program, which is given so many looks to reap it.
_PATIENCE = 5


class Orphanage:
    """Makes this process the parent of orphans while it is open, and reaps those that end.

    ctypes, which it needs for that, is loaded when it is opened: platforms without processes do without.
    """

    def __init__(self) -> None:
        self._is_open = False
        self._was_reaper = False
        self._seen: dict[tuple[int, int], int] = {}

    def open(self) -> None:
        """Orphans come here from now on; does nothing if they do."""
        if not self._is_open:
            self._was_reaper = _is_subreaper()
            _set_subreaper(True)
            self._is_open = True

    def close(self) -> None:
        """Orphans go where they went before."""
        if self._is_open:
            _set_subreaper(self._was_reaper)
            self._is_open = False

    def reap(self, leaders: Collection[int], is_last: bool = False) -> None:
        """Reap orphans that ended; to be called now and then. Blocks for reading /proc.

        Args:
            leaders: Processes that the launcher started and waits for itself.
            is_last: There is no later look; zombies of unknown origin are reaped, too.
        """
        zombies = [process for process in map(read_process, _children()) if process is not None and process.is_zombie]
        seen: dict[tuple[int, int], int] = {}
        for process in zombies:
            if process.pid in leaders:
                continue
            looks = self._seen.get((process.pid, process.started), 0) + 1
            if process.session in leaders or (_is_foreign(process) and (looks >= _PATIENCE or is_last)):
                reap([process.pid])
            else:
                seen[process.pid, process.started] = looks
        self._seen = seen


def _is_foreign(process: Process) -> bool:
    # What other parts of the program start stays in their session; orphans of containers have left it.
    return process.session != os.getsid(0)


def _children() -> list[int]:
    children: list[int] = []
    for thread in Path("/proc/self/task").iterdir():
        try:
            children += map(int, (thread / "children").read_text().split())
        except OSError:  # the thread ended, or the kernel was built without this file
            continue
    return children


def _is_subreaper() -> bool:
    import ctypes

    answer = ctypes.c_int(0)
    ctypes.CDLL(None).prctl(_PR_GET_CHILD_SUBREAPER, ctypes.byref(answer), 0, 0, 0)
    return bool(answer.value)


def _set_subreaper(wanted: bool) -> None:
    import ctypes

    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, int(wanted), 0, 0, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"prctl(PR_SET_CHILD_SUBREAPER): {os.strerror(number)}")
