"""The folder for what must survive: taken, damaged, full, read-only, newer (design decision 5)."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.contract.running import platform_process, until
from tests.system.households import Household, household
from tests.system.small_disk import limit_files, small_disk

pytestmark = pytest.mark.timeout(60)


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Household]:
    with household(tmp_path) as home:
        yield home


def file(home: Household) -> Path:
    return home.folder / "state" / "state.sqlite3"


def refuses_for_want_of_space(home: Household) -> None:
    """Check that nothing is started that could not be found again."""
    before = home.running()
    answer = home.post()
    assert answer.status == 507, answer.text
    body = answer.json()
    assert (body["statusCode"], "keep" in body["message"]) == (507, True)
    assert home.running() == before
    assert home.ask("GET", "/info").status == 200


def test_a_second_platform_is_refused_and_told_of_the_first(home: Household) -> None:
    container_id = home.posted()
    before = home.running()
    second = platform_process(home.folder, settings={"PORT": "0"})
    second.log_file = home.folder / "second.log"
    second.start()
    assert second.wait() != 0
    assert str(home.process.pid) in second.log
    assert "STATE_DIR" in second.log
    assert "Traceback" not in second.log
    assert home.running() == before
    assert home.do(container_id, "Echo", value=1) == 1
    home.kill()
    home.start()  # nobody has to clean up after a kill
    home.settles(lambda: home.listed() == [container_id], "it is there again")


def test_it_is_nobody_elses_to_read(home: Household) -> None:
    assert file(home).stat().st_mode & 0o777 == 0o600
    container_id = home.posted()
    folder = home.folder / "state" / "containers" / container_id
    assert folder.stat().st_mode & 0o777 == 0o700
    assert (folder / "output.log").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("damage", ["text", "short", "middle", "schema", "empty"])
def test_a_damaged_database_is_set_aside_and_named(home: Household, damage: str) -> None:
    container_id = home.posted()
    home.do(container_id, "Store", value="precious")
    home.kill()
    with closing(sqlite3.connect(file(home))) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    content = bytearray(file(home).read_bytes())
    if damage == "schema":
        with closing(sqlite3.connect(file(home))) as connection:
            connection.execute("PRAGMA user_version = 0")
            connection.commit()
    elif damage == "middle":
        content[4096:8192] = random.Random(1).randbytes(4096)
        file(home).write_bytes(content)
    else:
        file(home).write_bytes({"text": b"what a day" * 1000, "short": content[:5000], "empty": b""}[damage])
    home.start()
    assert home.listed() == []
    if damage != "empty":  # which is as good as none
        [kept] = [path for path in file(home).parent.iterdir() if path.name.startswith("state.sqlite3.damaged-")]
        assert str(kept).removesuffix("-wal").removesuffix("-shm") in home.process.log
    # Nobody knows the container any more; what it had stays for its owner to find.
    assert home.running() == {}
    assert container_id in home.process.log
    [stored] = (home.folder / "state" / "containers").rglob("stored")
    assert stored.read_text() == "precious"
    again = home.posted()
    home.kill()
    home.start()
    home.settles(lambda: home.listed() == [again], "what comes afterwards is kept")


def test_a_container_whose_row_is_damaged_is_named_and_left_alone(home: Household) -> None:
    bad, odd, good = home.posted(), home.posted(), home.posted()
    home.kill()
    with closing(sqlite3.connect(file(home))) as connection:
        connection.execute("UPDATE containers SET record = '{' WHERE container_id = ?", (bad,))
        connection.execute(
            "UPDATE containers SET record = CAST(x'7bff' AS TEXT) WHERE container_id = ?",
            (odd,),
        )
        connection.commit()
    home.start()
    home.settles(lambda: home.listed() == [good], "the good one is there")
    assert set(home.running().values()) == {good}
    assert bad in home.process.log
    assert odd in home.process.log
    assert "Traceback" not in home.process.log


def test_a_newer_database_is_refused_and_left_as_it_is(home: Household) -> None:
    home.kill()
    with closing(sqlite3.connect(file(home))) as connection:
        connection.execute("PRAGMA user_version = 4711")
        connection.commit()
    before = file(home).read_bytes()
    refused = platform_process(home.folder)
    refused.start()
    assert refused.wait() != 0
    assert "newer version" in refused.log
    assert str(file(home)) in refused.log
    assert "Traceback" not in refused.log
    assert file(home).read_bytes() == before


def test_a_full_disk_refuses_what_must_be_kept_and_nothing_else(tmp_path: Path) -> None:
    with small_disk(tmp_path / "state") as fill, household(tmp_path) as home:
        container_id = home.posted()
        fill(True)
        refuses_for_want_of_space(home)
        # What runs goes on, and can be removed.
        assert home.do(container_id, "Echo", value=1) == 1
        answer = home.ask("PUT", "/containers", json_body=home.wish())
        assert answer.status == 507
        assert home.listed() == [container_id]
        fill(False)
        other = home.posted()
        fill(True)
        # It stops, and is not listed; but that it may come back is said.
        answer = home.ask("DELETE", f"/containers/{other}")
        assert (answer.status, "was stopped" in answer.json()["message"]) == (507, True)
        assert home.listed() == [container_id]
        assert set(home.running().values()) == {container_id}
        fill(False)
        home.settles(lambda: not is_stored(home, other), "it is forgotten as soon as there is space")
        fill(True)
        assert home.stop() < 8
        home.start()
        home.settles(lambda: home.listed() == [container_id], "what was promised is there, and nothing else")
        home.kill()


def is_stored(home: Household, container_id: str) -> bool:
    with closing(sqlite3.connect(f"file:{file(home)}?mode=ro", uri=True)) as connection:
        rows = connection.execute("SELECT 1 FROM containers WHERE container_id = ?", (container_id,)).fetchall()
    return bool(rows)


def test_a_limit_of_file_sizes_refuses_what_must_be_kept(tmp_path: Path) -> None:
    """Stands in for a full disk where none can be mounted."""
    with household(tmp_path) as home:
        container_id = home.posted()
        limit_files(home.process, file(home).parent, True)
        refuses_for_want_of_space(home)
        assert home.ask("DELETE", f"/containers/{container_id}").status == 507
        assert home.running() == {}
        limit_files(home.process, file(home).parent, False)
        kept = home.posted()
        home.settles(lambda: not is_stored(home, container_id), "the other one is forgotten by now")
        home.kill()
        home.start()
        home.settles(lambda: home.listed() == [kept], "what was answered is there, and only that")


def test_a_folder_that_cannot_be_written_keeps_nothing_and_says_so(tmp_path: Path) -> None:
    """A folder below a file: not even root can make that."""
    (tmp_path / "blocked").write_text("")
    state, images = tmp_path / "blocked" / "state", tmp_path / "images"
    home = Household(tmp_path, {"STATE_DIR": str(state), "IMAGE_DIRECTORY": str(images)})
    home.images = images
    try:
        home.actor()
        home.start()
        refuses_for_want_of_space(home)
        assert home.listed() == []
        assert "NOTHING IS KEPT" in home.process.log
        assert str(state) in home.process.log
        assert "Traceback" not in home.process.log
    finally:
        home.clear_away()


def test_what_an_operator_put_there_is_left_alone(home: Household) -> None:
    (home.folder / "state" / "note.txt").write_text("mine")
    (home.folder / "state" / "containers" / "by-hand").mkdir(parents=True)
    home.kill()
    home.start()
    assert (home.folder / "state" / "note.txt").read_text() == "mine"
    assert (home.folder / "state" / "containers" / "by-hand").is_dir()
    until(lambda: "by-hand" in home.process.log, "it is named")
