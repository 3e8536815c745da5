"""Backups are whole whoever writes meanwhile; restoring one changes all or nothing, and takes no archive on trust."""

from __future__ import annotations

import gzip
import io
import json
import os
import sqlite3
import stat
import tarfile
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from edge.cli import keeping
from edge.cli.keeping import progress_line
from edge.cli.main import main
from edge.state.archive import BadArchive, Bounds, unpack
from edge.state.backup import Sources, back_up
from edge.state.lock import StateLock
from edge.state.restore import restore
from tests.contract.running import Process


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """A state directory with everything that one may have."""
    folder = tmp_path / "state"
    (folder / "containers/c-1/data").mkdir(parents=True)
    (folder / "containers/c-1/data/readings.csv").write_text("1\n2\n")
    (folder / "secret").write_text("k" * 44)
    (folder / "lock").write_text("nobody")
    (folder / "state.sqlite3.damaged-1").write_text("x")
    image = folder / "images/pump"
    (image / ".venv/bin").mkdir(parents=True)
    (image / ".venv/pyvenv.cfg").write_text("home = /usr/bin\n")
    (image / "image.json").write_text("{}")
    (image / "run").write_text("#!/bin/sh\n")
    (image / "run").chmod(0o755)
    (image / "link").symlink_to("/etc/passwd")
    with closing(sqlite3.connect(folder / "state.sqlite3")) as database:
        database.executescript("PRAGMA journal_mode=WAL; CREATE TABLE t (n INTEGER); INSERT INTO t VALUES (1);")
    return folder


def numbers(folder: Path) -> list[int]:
    with closing(sqlite3.connect(folder / "state.sqlite3")) as database:
        return [row[0] for row in database.execute("SELECT n FROM t ORDER BY n")]


def made(state: Path, *options: str) -> Path:
    target = state.parent / "backup.tar.gz"
    assert main(["backup", str(target), "--state-dir", str(state), "--force", *options]) == 0
    return target


def test_what_was_kept_comes_back(state: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "opaca-edge.toml"
    config.write_text("[platform]\nport = 8123\n")
    archive = made(state, "--config", str(config))
    said = capsys.readouterr()
    assert ".venv: a virtual environment" in said.err
    assert "link: neither a file nor a folder" in said.err
    assert stat.S_IMODE(archive.stat().st_mode) == 0o600
    other = tmp_path / "other/opaca-edge"
    other.parent.mkdir()
    assert main(["restore", str(archive), "--state-dir", str(other), "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["kept"] == {}
    assert Path(answer["config"]).read_text() == config.read_text()
    assert numbers(other) == [1]
    assert (other / "secret").read_text() == "k" * 44
    assert (other / "containers/c-1/data/readings.csv").read_text() == "1\n2\n"
    assert stat.S_IMODE((other / "images/pump/run").stat().st_mode) == 0o700
    assert stat.S_IMODE((other / "secret").stat().st_mode) == 0o600
    assert stat.S_IMODE(other.stat().st_mode) == 0o700
    assert not (other / "images/pump/.venv").exists()
    assert not (other / "state.sqlite3.damaged-1").exists()
    assert sorted(path.name for path in other.parent.iterdir()) == ["opaca-edge"]


def test_what_was_there_is_kept_and_named(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    archive = made(state, "--no-images")
    (state / "secret").write_text("newer")
    capsys.readouterr()
    assert main(["restore", str(archive), "--state-dir", str(state), "--json"]) == 0
    [before] = json.loads(capsys.readouterr().out)["kept"].values()
    assert (Path(before) / "secret").read_text() == "newer"
    assert (state / "secret").read_text() == "k" * 44
    # Images that are not in the backup stay where they are used.
    assert (state / "images/pump/.venv/pyvenv.cfg").exists()


def test_images_in_a_folder_of_their_own_come_back_there(state: Path, tmp_path: Path) -> None:
    images = tmp_path / "my-images"
    (state / "images").rename(images)
    back_up(Sources(state=state, images=images, config=None), tmp_path / "b.tar.gz", {})
    (images / "pump/image.json").write_text("changed")
    done = restore(tmp_path / "b.tar.gz", state, images)
    assert (images / "pump/image.json").read_text() == "{}"
    assert (done.kept[images] / "pump/image.json").read_text() == "changed"


@pytest.mark.skipif(
    os.geteuid() != 0, reason="giving files away truly needs root; others keep their own in test_ordinary_user.py"
)
def test_root_gives_the_state_to_whose_it_was(state: Path) -> None:
    archive = made(state)
    os.chown(state, 4711, 4712)
    assert main(["restore", str(archive), "--state-dir", str(state)]) == 0
    [before] = state.glob("before-*")
    restored = [state, before, *(path for path in state.rglob("*") if not path.is_relative_to(before))]
    assert {(path.stat().st_uid, path.stat().st_gid) for path in restored} == {(4711, 4712)}


def test_a_backup_holds_one_moment_of_the_database(state: Path, tmp_path: Path) -> None:
    """Each transaction of the writer adds a pair; no backup may hold half of one."""
    stop = threading.Event()
    first = threading.Event()

    def write() -> None:
        with closing(sqlite3.connect(state / "state.sqlite3", isolation_level=None)) as database:
            number = 10
            while not stop.is_set():
                database.execute("BEGIN IMMEDIATE")
                database.execute("INSERT INTO t VALUES (?)", (number,))
                database.execute("INSERT INTO t VALUES (?)", (number + 1,))
                database.execute("COMMIT")
                number += 2
                first.set()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        assert first.wait(15)
        counts = []
        for round_number in range(5):
            archive, other = made(state, "--no-images"), tmp_path / f"other-{round_number}"
            restore(archive, other, other / "images")
            found = numbers(other)
            assert len(found) % 2 == 1
            assert found[1:] == list(range(10, 10 + len(found) - 1))
            counts.append(len(found))
        assert counts == sorted(counts)
    finally:
        stop.set()
        writer.join()


def test_a_running_platform_is_backed_up_and_not_restored_over(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "state"
    with Process(["run", "--port", "0", "--no-bundled"], tmp_path, {"STATE_DIR": str(folder)}) as process:
        archive = made(folder)
        assert main(["restore", str(archive), "--state-dir", str(folder)]) == 1
        assert f"process ID {process.pid}" in capsys.readouterr().err
        assert process.ask("GET", "/info").status == 200
    assert [path.name for path in tmp_path.iterdir() if "restoring" in path.name or "before" in path.name] == []
    other = tmp_path / "other"
    assert main(["restore", str(archive), "--state-dir", str(other)]) == 0
    with Process(["run", "--port", "0", "--no-bundled"], tmp_path, {"STATE_DIR": str(other)}) as process:
        assert process.ask("GET", "/info").status == 200


def test_files_that_change_while_they_are_copied_do_not_tear_the_archive(state: Path, tmp_path: Path) -> None:
    shrinking = state / "containers/c-1/data/readings.csv"
    shrinking.write_bytes(b"x" * 3_000_000)
    growing = state / "containers/c-1/output.log"
    growing.write_bytes(b"y")

    def change(done: int, total: int) -> None:
        if done:
            shrinking.write_bytes(b"")
            growing.write_bytes(b"y" * 100)

    back_up(Sources(state=state, images=None, config=None), tmp_path / "b.tar.gz", {}, change)
    restore(tmp_path / "b.tar.gz", tmp_path / "other", tmp_path / "other/images")
    assert (tmp_path / "other/containers/c-1/output.log").read_bytes().startswith(b"y")
    assert numbers(tmp_path / "other") == [1]


@pytest.mark.parametrize("is_root", [True, False])
def test_root_means_the_state_of_the_service_others_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], is_root: bool
) -> None:
    monkeypatch.setattr(keeping, "STATE_DIR", tmp_path / "service")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr(os, "geteuid", lambda: 0 if is_root else 1000)
    assert main(["backup", str(tmp_path / "x.tar.gz")]) == 1
    assert str(tmp_path / ("service" if is_root else "home/.local/state/opaca-edge")) in capsys.readouterr().err


def test_what_cannot_be_backed_up_is_said(state: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    archive = made(state)
    assert main(["backup", str(archive), "--state-dir", str(state)]) == 1
    assert "is there already" in capsys.readouterr().err
    assert main(["backup", str(tmp_path / "x.tar.gz"), "--state-dir", str(tmp_path / "nothing")]) == 1
    assert "--state-dir" in capsys.readouterr().err
    assert main(["backup", str(state / "x.tar.gz"), "--state-dir", str(state)]) == 1
    assert "part of itself" in capsys.readouterr().err
    (state / "state.sqlite3").write_bytes(b"no database at all, but long enough to be looked at" * 100)
    (state / "state.sqlite3-wal").unlink(missing_ok=True)
    assert main(["backup", str(tmp_path / "y.tar.gz"), "--state-dir", str(state)]) == 1
    assert "no backup was made" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir() if "y.tar.gz" in path.name] == []


def archive_of(*entries: tuple[tarfile.TarInfo, bytes], **more: Any) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz", **more) as archive:
        for info, content in entries:
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def entry(name: str, kind: bytes = tarfile.REGTYPE, target: str = "", content: bytes = b"") -> Any:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info, content


@pytest.mark.parametrize(
    ("hostile", "reason"),
    [
        (archive_of(entry("../out")), "leads out"),
        (archive_of(entry("a/../../out")), "leads out"),
        (archive_of(entry("/tmp/out")), "leads out"),
        (archive_of(entry("..", tarfile.DIRTYPE)), "leads out"),
        (archive_of(entry("link", tarfile.SYMTYPE, "/etc"), entry("link/out", content=b"x")), "neither"),
        (archive_of(entry("hard", tarfile.LNKTYPE, "/etc/passwd")), "neither"),
        (archive_of(entry("pipe", tarfile.FIFOTYPE)), "neither"),
        (archive_of(entry("device", tarfile.CHRTYPE)), "neither"),
        (archive_of(entry("sparse", tarfile.GNUTYPE_SPARSE)), "neither"),
        (archive_of(entry("file", content=b"x"), entry("file", content=b"y")), "twice"),
        (archive_of(entry("file", content=b"x"), entry("file/inside", content=b"y")), "file"),
        (archive_of(entry("x" * 70_000)), "longer than any path"),
        (archive_of(*(entry(str(number)) for number in range(11))), "more than 10 entries"),
        (archive_of(entry("big", content=bytes(2000))), "more than 1000 bytes"),
        (archive_of(entry("a", content=bytes(600)), entry("b", content=bytes(600))), "more than 1000 bytes"),
        (gzip.compress(bytes(3_000_000)), "more follows"),
        (archive_of(entry("a", content=b"x" * 900))[:-20], "damaged"),
        (b"no archive", "damaged"),
        (b"", "damaged"),
        (gzip.compress(b"no archive" * 1000), "damaged"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",  # archives hold the time, and names must not
)
def test_a_hostile_or_damaged_archive_is_refused(tmp_path: Path, hostile: bytes, reason: str) -> None:
    target = tmp_path / "deep/target"
    target.parent.mkdir()
    with pytest.raises(BadArchive, match=reason):
        unpack(io.BytesIO(hostile), target, Bounds(entries=10, total_bytes=1000))
    assert sorted(path.name for path in tmp_path.rglob("*") if not path.is_relative_to(target)) == ["deep"]


@pytest.mark.parametrize("spoil", ["cut", "flipped", "no manifest", "no database", "later format"])
def test_a_bad_backup_changes_nothing(state: Path, tmp_path: Path, spoil: str) -> None:
    archive = made(state)
    content = bytearray(archive.read_bytes())
    manifest = json.dumps({"format": 2 if spoil == "later format" else 1}).encode()
    spoilt: dict[str, Callable[[], bytes]] = {
        "cut": lambda: bytes(content[: len(content) // 2]),
        "flipped": lambda: bytes([*content[:-8], content[-8] ^ 1, *content[-7:]]),
        "no manifest": lambda: archive_of(entry("state/secret", content=b"x")),
        "no database": lambda: archive_of(
            entry("manifest.json", content=manifest), entry("state/state.sqlite3", content=b"not one" * 1000)
        ),
        "later format": lambda: archive_of(entry("manifest.json", content=manifest)),
    }
    archive.write_bytes(spoilt[spoil]())
    before = sorted(str(path) for path in tmp_path.rglob("*"))
    assert main(["restore", str(archive), "--state-dir", str(state)]) == 1
    assert main(["restore", str(archive), "--state-dir", str(tmp_path / "new")]) == 1
    assert sorted(str(path) for path in tmp_path.rglob("*")) == before
    StateLock(state).take().release()


def test_the_bar_tells_bytes_and_the_time_left() -> None:
    line = progress_line("backup", 10 * 2**20, 40 * 2**20, 3.0)
    assert line == "backup [#####---------------]  25%  10.0 MiB of 40.0 MiB, 9 s left"
    assert "left" not in progress_line("backup", 5, 5, 1.0)
    assert "100%" in progress_line("backup", 0, 0, 1.0)
