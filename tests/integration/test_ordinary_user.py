"""What the system forbids an ordinary user is told as that, and nothing is half done. Run by root, the tests drop to
one; an ordinary user who runs them is forbidden the same."""

from __future__ import annotations

import importlib
import os
import pkgutil
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

import edge.cli
from edge.api import documents
from edge.cli.main import main
from tests.contract.running import PlatformThread

NOBODY = 65534


@contextmanager
def ordinary() -> Iterator[None]:
    """This process has the rights of an ordinary user only, and of no group."""
    if os.geteuid() != 0:
        yield
        return
    groups, group = os.getgroups(), os.getgid()
    os.setgroups([])
    os.setresgid(NOBODY, NOBODY, group)
    os.setresuid(NOBODY, NOBODY, 0)
    try:
        yield
    finally:
        os.setresuid(0, 0, 0)
        os.setresgid(group, group, group)
        os.setgroups(groups)


@pytest.fixture(scope="module", autouse=True)
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """All that runs has run before: program and interpreter may lie where only root may look."""
    folder = tmp_path_factory.mktemp("before")
    for module in pkgutil.iter_modules(edge.cli.__path__, "edge.cli."):
        importlib.import_module(module.name)
    with PlatformThread(folder):
        pass
    for words in ("backup", "restore"):
        assert main([words, str(folder / "b.tar.gz"), "--state-dir", str(folder / "state")]) == 0
    assert main(["tls", "init", "--out", str(folder / "tls")]) == 0
    # What a platform lists at every start.
    pages = Path(tempfile.mkdtemp(prefix="opaca-edge-test-"))
    shutil.copytree(documents._STATIC, pages, dirs_exist_ok=True)
    pages.chmod(0o755)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(documents, "_STATIC", pages)
        yield
    shutil.rmtree(pages)


@pytest.fixture
def own(open_folder: Path) -> Path:
    """A folder of the ordinary user."""
    folder = open_folder / "own"
    folder.mkdir(0o700)
    if os.geteuid() == 0:
        os.chown(folder, NOBODY, NOBODY)
    return folder


@pytest.fixture
def closed(open_folder: Path) -> Iterator[Path]:
    """A state directory that the ordinary user may not look into."""
    folder = open_folder / "closed"
    folder.mkdir()
    for name in ("secret", "bridge-address", "bridge-token"):
        (folder / name).write_text("k" * 44)
    with closing(sqlite3.connect(folder / "state.sqlite3")) as database:
        database.execute("CREATE TABLE t (n INTEGER)")
    folder.chmod(0)
    yield folder
    folder.chmod(0o700)


def test_a_state_that_may_not_be_read_is_not_backed_up(
    own: Path, closed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with ordinary():
        assert main(["backup", str(own / "b.tar.gz"), "--state-dir", str(closed)]) == 1
    assert "or use sudo" in capsys.readouterr().err
    assert list(own.iterdir()) == []


def test_a_state_that_may_not_be_written_is_not_restored_over(
    own: Path, closed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with ordinary():
        with PlatformThread(own):
            pass
        archive = own / "b.tar.gz"
        assert main(["backup", str(archive), "--state-dir", str(own / "state")]) == 0
        capsys.readouterr()
        assert main(["restore", str(archive), "--state-dir", str(closed)]) == 1
        said = capsys.readouterr().err
        assert main(["restore", str(archive), "--state-dir", str(own / "other")]) == 0
    assert "nothing was put in place" in said
    assert "Permission denied" in said
    closed.chmod(0o700)
    assert sorted(path.name for path in closed.iterdir()) == [
        "bridge-address",
        "bridge-token",
        "secret",
        "state.sqlite3",
    ]
    uid = NOBODY if os.geteuid() == 0 else os.geteuid()
    assert {path.stat().st_uid for path in (own / "other").rglob("*")} == {uid}


def test_a_platform_runs_without_a_state_that_it_may_not_use_and_says_so(
    own: Path, closed: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with ordinary(), PlatformThread(own, state_dir=closed) as platform:
        assert platform.ask("GET", "/info").status == 200
    assert f"{closed} cannot be used" in caplog.text
    assert "NOTHING IS KEPT" in caplog.text


def test_a_port_of_the_system_is_refused_with_advice(own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first_free = int(Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text())
    if first_free == 0:
        pytest.skip("on this machine everybody may listen on every port")
    port = first_free - 1
    with ordinary():
        assert main(["run", "--port", str(port), "--no-bundled", "--state-dir", str(own)]) == 1
    assert f"port {port} needs more rights" in capsys.readouterr().err


def test_files_that_may_not_be_read_are_named(
    own: Path, open_folder: Path, closed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = open_folder / "secret.toml"
    file.write_text("[platform]\nport = 1\n")
    file.chmod(0)
    with ordinary():
        assert main(["run", "--config", str(file)]) == 2
        assert f"{file}: Permission denied" in capsys.readouterr().err
        assert main(["bridge", "status", "--state-dir", str(closed)]) == 1
        assert "may not be read: run this as the user that the bridge runs as" in capsys.readouterr().err
        for words in (["tls", "init", "--out"], ["tls", "show", "--out"], ["backup"]):
            assert main([*words, str(closed / "x")]) == 1
            assert f"{closed}" in (said := capsys.readouterr().err)
            assert "Permission denied" in said


def test_what_needs_root_says_how(
    own: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HOME", str(own))
    with ordinary():
        for verb in ("install", "uninstall"):
            assert main(["service", verb]) == 1
            assert f"sudo opaca-edge service {verb}" in capsys.readouterr().err
