"""The platform is killed at any moment: the next one finds every process of every container."""

from __future__ import annotations

import asyncio
import json
import random
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.system.launching import launching

REPOSITORY = Path(__file__).parent.parent.parent


@pytest.mark.timeout(240)
async def test_after_a_kill_at_any_moment_every_stray_is_found_by_what_was_stored(
    tmp_path: Path, at_size: Callable[[int, int], int]
) -> None:
    lives: list[int] = []
    for number in range(at_size(4, 100)):
        folder = tmp_path / str(number)
        folder.mkdir()
        program = subprocess.Popen(
            [sys.executable, "-m", "tests.system.launching_program", folder], cwd=REPOSITORY, stderr=subprocess.DEVNULL
        )
        records = folder / "records"
        while not records.exists():  # from here on something may be left behind
            await asyncio.sleep(0.005)
        await asyncio.sleep(random.uniform(0.0, 0.5))
        program.send_signal(signal.SIGKILL)
        program.wait()
        # A last line may be torn: what stands in it had not been answered to anybody.
        stored = {json.loads(line)[0] for line in records.read_text().splitlines() if line.endswith("}]")}
        async with launching(folder) as laboratory:
            lives.append(await laboratory.launcher.kill_strays(stored))
        assert _processes_with(folder) == []
    assert sum(lives) > 0


def _processes_with(folder: Path) -> list[int]:
    """The processes whose environment names a folder: all containers of one program, stored or not."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if str(folder).encode() in (entry / "environ").read_bytes():
                found.append(int(entry.name))
        except OSError:
            continue
    return found
