"""The power fails at any moment while the bridge's stores are used: what was answered is played or reported lost."""

from __future__ import annotations

import logging
import random
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.contract.running import REPOSITORY
from tests.system.bridge_stores import Facts, settle
from tests.system.power_cut import Disk
from tests.system.recorded_writes import recorder

_PROGRAM = [sys.executable, "-m", "tests.system.bridge_stores"]


@pytest.mark.timeout(1800)
async def test_what_was_answered_survives_a_power_cut_at_any_moment(
    tmp_path: Path, seed: int, at_size: Callable[[int, int], int], caplog: pytest.LogCaptureFixture
) -> None:
    watched, found = tmp_path / "disk", tmp_path / "found"
    watched.mkdir()
    with recorder(watched) as recording:
        for life in range(3):
            recording.run([*_PROGRAM, str(watched), str(seed + life), "150"], cwd=REPOSITORY)
        disk = Disk(recording)
    disk.check(found)
    for cut in disk.cuts(at_size(60, 2000), random.Random(seed)):
        cut.rebuild(found)
        caplog.clear()
        await settle(found, Facts(cut.said))
        assert [record.message for record in caplog.records if record.levelno >= logging.ERROR] == [], cut
        assert not [path for path in found.rglob("*") if ".damaged" in path.name], cut
