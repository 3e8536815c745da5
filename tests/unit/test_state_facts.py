"""The identity of an installation, and other facts of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.state.database import Database
from edge.state.facts import installation_id, keep_port, kept_port


async def test_it_stays_the_same_and_is_nobody_elses(tmp_path: Path) -> None:
    async with Database(tmp_path / "a") as database:
        first = await installation_id(database)
        assert await installation_id(database) == first
    async with Database(tmp_path / "a") as database:
        assert await installation_id(database) == first
    async with Database(tmp_path / "b") as database:
        assert await installation_id(database) != first


async def test_a_damaged_one_is_made_anew_and_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with Database(tmp_path) as database:
        await installation_id(database)
        await database.write(("UPDATE facts SET value = 'no uuid'", ()))
        fresh = await installation_id(database)
        assert "damaged" in caplog.text
        assert await installation_id(database) == fresh


async def test_where_it_cannot_be_kept_that_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("")
    async with Database(tmp_path / "file" / "state") as database:
        assert await installation_id(database) != await installation_id(database)
    assert "new IDs at every start" in caplog.text


async def test_a_damaged_port_is_none_and_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with Database(tmp_path) as database:
        await keep_port(database, 4711)
        assert await kept_port(database) == 4711
        await database.write(("UPDATE facts SET value = 'no port'", ()))
        assert await kept_port(database) == 0
        assert "damaged" in caplog.text
