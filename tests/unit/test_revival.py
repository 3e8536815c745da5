"""What becomes of stored containers when the platform starts, by session policy."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from edge.errors import Conflict, NotFound, NotReady
from edge.runtime import revival
from edge.runtime.session import StoredContainer
from tests.unit.deploying import Works, until, wish, works


async def fill(at: Works) -> None:
    """Store one container of each kind."""
    for name, fields in {
        "kept": {"is_confirmed": True, "launch": {"pid": 7}},
        "removed": {"is_confirmed": True, "is_removed": True, "launch": {"pid": 8}},
        "unanswered": {"launch": {"pid": 9}},
        "bare": {"is_confirmed": True},
        "board": {"is_confirmed": True, "launcher": "attached", "launch": {"url": "http://b"}},
    }.items():
        made = {"launcher": "process", **fields}
        await at.session.put(StoredContainer(container_id=name, wish=wish(name), **made))  # type: ignore[arg-type]


async def test_shutdown_forgets_all(tmp_path: Path) -> None:
    async with works(tmp_path) as at:
        await fill(at)
        await at.revival().prepare("SHUTDOWN")
        assert at.session.all() == ()
        assert at.rows() == at.listed() == []
        assert at.stage.told[0] == "kill 4"
        assert at.stage.told[-1] == "kill others than 0"


async def test_restart_kills_what_runs_and_starts_what_was_answered(tmp_path: Path) -> None:
    async with works(tmp_path) as at:
        await fill(at)
        revived = at.revival()
        await revived.prepare("RESTART")
        assert at.rows() == ["kept", "bare", "board"]
        assert at.stage.told[0] == "kill 4"
        assert at.listed() == ["board"]
        await revived.run(None)
        assert sorted(at.listed()) == ["bare", "board", "kept"]
        assert {"start kept kept", "start bare kept"} <= set(at.stage.told)
        assert at.stage.records == {"kept": {"pid": 7}, "bare": None}


async def test_reconnect_takes_over_what_runs_and_starts_the_rest(tmp_path: Path) -> None:
    async with works(tmp_path) as at:
        await fill(at)
        at.stage.adoptable = {"kept"}
        revived = at.revival()
        await revived.prepare("RECONNECT")
        assert at.stage.told[0] == "kill 2"  # only what nobody was promised
        assert sorted(at.listed()) == ["board", "kept"]
        assert at.stage.records == {"kept": {"pid": 7}, "bare": {}}
        await revived.run(None)
        assert sorted(at.listed()) == ["bare", "board", "kept"]
        assert "start kept kept" not in at.stage.told


async def test_one_that_cannot_start_is_tried_again_until_it_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(revival, "_FIRST_PAUSE_S", 0.01)
    async with works(tmp_path) as at, asyncio.TaskGroup() as tasks:
        await at.session.put(StoredContainer(container_id="a", launcher="process", wish=wish("a"), is_confirmed=True))
        await at.session.put(StoredContainer(container_id="b", launcher="process", wish=wish("b"), is_confirmed=True))
        at.stage.failures = {"a": NotFound("no such image"), "b": NotFound("no such image")}
        running = tasks.create_task(at.revival().run(None))
        await until(lambda: at.stage.told.count("start a kept") > 2)
        del at.stage.failures["a"]
        await until(lambda: at.listed() == ["a"])
        assert await at.deployment.remove("b")
        await asyncio.wait_for(running, 15)
        assert at.listed() == ["a"]


@pytest.mark.parametrize("error", [NotReady("slow"), Conflict("there already")])
async def test_one_that_the_launcher_goes_on_with_is_left_to_it(tmp_path: Path, error: Exception) -> None:
    async with works(tmp_path) as at:
        await at.session.put(StoredContainer(container_id="a", launcher="process", wish=wish("a"), is_confirmed=True))
        at.stage.failures = {"a": error}
        await asyncio.wait_for(at.revival().run(None), 15)
        assert at.stage.told.count("start a kept") == 1
        assert at.rows() == ["a"]


async def test_default_images_start_unless_a_stored_container_came_from_the_file(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "defaults"
    folder.mkdir()
    for name, content in {
        "a.json": json.dumps({"image": {"imageName": "a"}}),
        "b.JSON": json.dumps({"image": {"imageName": "b"}}),
        "broken.json": "{",
        "c.txt": json.dumps({"image": {"imageName": "c"}}),
    }.items():
        (folder / name).write_text(content)
    (folder / "folder.json").mkdir()
    async with works(tmp_path / "state") as at:
        await at.revival().run(folder)
        assert sorted(at.stage.running.values()) == ["a", "b"]
        assert "broken.json is skipped" in caplog.text
        first = at.listed()
    async with works(tmp_path / "state") as at:
        (folder / "b.JSON").unlink()
        (folder / "d.json").write_text(json.dumps({"image": {"imageName": "d"}}))
        revived = at.revival()
        await revived.prepare("RESTART")
        await revived.run(folder)
        assert sorted(at.stage.running.values()) == ["a", "b", "d"]
        assert set(first) < set(at.listed())


async def test_a_missing_folder_of_default_images_is_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with works(tmp_path) as at:
        await at.revival().run(tmp_path / "none")
    assert "DEFAULT_IMAGE_DIRECTORY" in caplog.text
