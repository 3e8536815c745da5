"""A disk that is full when the test says so."""

from __future__ import annotations

import resource
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.contract.running import Process


@contextmanager
def small_disk(folder: Path) -> Iterator[Callable[[bool], None]]:
    """Mount a disk of 2 MiB; yields what fills it, or makes room again. Where nothing can be mounted, skip."""
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip("no disk can be mounted here; a limit of file sizes stands in for it in another test")
    ballast = folder / "ballast"

    def fill(is_full: bool) -> None:
        if not is_full:
            ballast.unlink()
            return
        with ballast.open("wb", buffering=0) as out:
            for size in (65536, 4096, 1):
                try:
                    while True:
                        out.write(b"\0" * size)
                except OSError:
                    continue

    try:
        yield fill
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def limit_files(process: Process, state: Path, is_full: bool) -> None:
    """Let a platform's database grow no more, or as it likes: stands in for a full disk where none can be mounted."""
    longest = max(path.stat().st_size for path in state.glob("state.sqlite3*")) if is_full else resource.RLIM_INFINITY
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (longest, resource.RLIM_INFINITY))
