"""The power fails at any moment while the state is written: what was committed is there, whole, and nothing else."""

from __future__ import annotations

import asyncio
import logging
import os
import random
import signal
import sqlite3
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import pytest

from edge.runtime.errands import Errands
from edge.runtime.users import Users
from edge.state.database import Database
from tests.contract.running import REPOSITORY, Process, platform_process
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


class Answered(NamedTuple):
    """A change of a user: when it was answered, and what the user was to be; None stands for gone."""

    answered_s: float
    role: str | None


async def test_what_a_platform_answered_survives_a_power_cut_at_any_moment(
    tmp_path: Path, seed: int, at_size: Callable[[int, int], int]
) -> None:
    """The answer itself comes after the disk has it, and so does every part of a change."""
    watched, found, chance = tmp_path / "disk", tmp_path / "found", random.Random(seed)
    watched.mkdir()
    settings = {"STATE_DIR": str(watched / "state"), "PLATFORM_ADMIN_PWD": "secret"}
    with recorder(watched) as recording:
        history: dict[str, list[Answered]] = {"u-1": [], "u-2": [], "u-3": []}
        for _ in range(2):  # the second finds what the first was killed over
            process = platform_process(tmp_path, settings=settings)
            process.under = recording.prefix
            with process:
                await asyncio.gather(*(asyncio.to_thread(change, process, name, history[name]) for name in history))
                os.kill(process.pid, signal.SIGKILL)
                process.wait()
            recording.wait_for(process.pid)
        disk = Disk(recording)
    promised, count = 0, at_size(100, 2000)
    for cut in disk.cuts(count, chance):
        cut.rebuild(found)
        async with Database(found / "state") as database, Errands() as errands:
            users = Users(database, errands)
            await users.load()
            for name, changes in history.items():
                answered = [number for number, each in enumerate(changes) if each.answered_s < cut.at_s]
                promised += len(answered)
                # What was asked for later may be there as well; nobody waited for the power to fail.
                may_be = [each.role for each in changes[answered[-1] if answered else 0 :]]
                user = users.get(name)
                now = None if user is None else user.role.value
                assert now in may_be or (not answered and now is None), f"{name} is {now}: {cut}"
                assert user is None or user.password.startswith("$scrypt$")
    assert promised > count


def change(process: Process, name: str, changes: list[Answered]) -> None:
    """Add a user, change its role and remove it, over and over."""
    for method, path, role in (
        *(("PUT", f"/users/{name}", role) for role in ("GUEST", "ADMIN") if changes),
        ("DELETE", f"/users/{name}", None),
        ("POST", "/users", "USER"),
        ("PUT", f"/users/{name}", "CONTRIBUTOR"),
        ("DELETE", f"/users/{name}", None),
        ("POST", "/users", "USER"),
        ("PUT", f"/users/{name}", "GUEST"),
    ):
        wish = {"username": name, "password": "pw", "role": role} if method == "POST" else {"role": role}
        answer = process.ask(method, path, json_body=wish if role else None)
        assert answer.status in (200, 201), answer.text
        changes.append(Answered(time.time(), role))
