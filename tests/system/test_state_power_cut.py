"""The power fails at any moment while the state is written: what was committed is there, whole, and nothing else."""

from __future__ import annotations

import logging
import random
import signal
import sqlite3
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from edge.state.database import Database
from tests.contract.running import REPOSITORY
from tests.system.power_cut import Disk
from tests.system.recorded_writes import recorder
from tests.system.state_writer import rows, rows_after

_LIVES = ((1, 25), (26, 50), (51, 75))
_WRITER = [sys.executable, "-m", "tests.system.state_writer"]


@pytest.mark.timeout(600)
async def test_what_was_committed_survives_a_power_cut_at_any_moment(
    tmp_path: Path, seed: int, at_size: Callable[[int, int], int], caplog: pytest.LogCaptureFixture
) -> None:
    watched, found = tmp_path / "disk", tmp_path / "found"
    watched.mkdir()
    with recorder(watched) as recording:
        for first, last in _LIVES:
            killed = ["killed"] if first == 26 else []
            command = [*_WRITER, str(watched / "state"), str(first), str(last), *killed]
            recording.run(command, expected=-signal.SIGKILL if killed else 0, cwd=REPOSITORY)
        disk = Disk(recording)
    disk.check(found)
    expected = rows_after(_LIVES[-1][1])
    for cut in disk.cuts(at_size(150, 4000), random.Random(seed)):
        cut.rebuild(found)
        async with Database(found / "state") as database:
            await database.write(("INSERT INTO facts VALUES ('afterwards', '1')", ()))
        with closing(sqlite3.connect(found / "state/state.sqlite3", isolation_level=None)) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)], cut
            connection.execute("DELETE FROM facts WHERE name = 'afterwards'")
            committed = int(cut.said[-1]) if cut.said else 0
            assert rows(connection) in expected[committed : committed + 2], cut
        assert [record.message for record in caplog.records if record.levelno >= logging.WARNING] == [], cut
