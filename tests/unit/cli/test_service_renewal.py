"""The renewal of the service's certificate: its units, who gets them, and what they do when they run."""

from __future__ import annotations

import os
import pwd
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from edge.cli import service_renewal, tls_renew
from edge.cli.main import main
from edge.cli.service_renewal import SERVICE, TIMER, renewal_units
from tests.contract.certificates import certified, certify
from tests.contract.running import REPOSITORY
from tests.unit.cli.test_service import called, machine, values

__all__ = ["machine"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with an authority and a certificate of it."""
    certified(tmp_path / "own tls")
    return tmp_path / "own tls"


@pytest.fixture
def config_file(folder: Path, tmp_path: Path) -> Path:
    file = tmp_path / "my.toml"
    file.write_text(f'[platform]\ntls_cert = "{folder}/server.pem"\ntls_key = "{folder}/server.key"\n')
    return file


def install(file: Path, *more: str) -> int:
    return main(["service", "install", "--user", "daemon", "--config", str(file), *more])


def test_systemd_accepts_the_units_and_rates_them_as_safe(tmp_path: Path) -> None:
    program = shutil.which("systemd-analyze")
    if program is None:
        complaint = "systemd-analyze is missing: apt-get install systemd"
        pytest.fail(complaint) if os.environ.get("CI") else pytest.skip(complaint)
    units = renewal_units(Path("/etc/opaca-edge/my tls"), (("PYTHONPATH", "/opt/x"),))
    for name, text in units.items():
        (tmp_path / name).write_text(text)
    files = [str(tmp_path / name) for name in units]
    done = subprocess.run([program, "verify", *files], capture_output=True, text=True, timeout=20)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    rated = subprocess.run(
        [program, "security", "--offline=true", "--no-pager", files[0]], capture_output=True, text=True, timeout=20
    ).stdout
    score = re.search(r"exposure level for \S+: ([\d.]+)", rated)
    assert score is not None
    assert float(score[1]) <= 2.0, rated
    assert values(units[SERVICE], "ReadWritePaths") == ['"/etc/opaca-edge/my tls"']
    assert values(units[TIMER], "OnCalendar") == ["daily"]


def test_a_certificate_of_ones_own_authority_is_renewed_from_the_installation_on(
    machine: Path, config_file: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    given: list[tuple[Path, int, int]] = []
    monkeypatch.setattr(service_renewal.os, "chown", lambda *words: given.append(words))
    assert install(config_file, "--dry-run") == 0
    assert f"# {TIMER}" in capsys.readouterr().out
    assert install(config_file) == 0
    assert given == [(folder / "server.key", -1, pwd.getpwnam("daemon").pw_gid)]
    assert oct((folder / "server.key").stat().st_mode & 0o777) == "0o640"
    assert oct((folder / "ca.key").stat().st_mode & 0o777) == "0o600"
    assert {file.name for file in (machine / "units").iterdir()} == {SERVICE, TIMER, "opaca-edge.service"}
    lines = called(machine)
    assert f"systemctl enable --now {TIMER}" in lines
    assert lines.index("systemctl daemon-reload") < lines.index(f"systemctl enable --now {TIMER}")
    assert "renewed 30 days before it ends" in capsys.readouterr().out
    assert main(["service", "uninstall"]) == 0
    assert list((machine / "units").iterdir()) == []
    assert f"systemctl disable --now {TIMER}" in called(machine)


def test_a_certificate_of_others_is_left_to_them(
    machine: Path, config_file: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (machine / "units" / TIMER).touch()
    (folder / "ca.key").unlink()
    assert install(config_file) == 0
    assert [file.name for file in (machine / "units").iterdir()] == ["opaca-edge.service"]
    assert f"sudo chgrp daemon {folder}/server.key" in capsys.readouterr().err


def run_unit(folder: Path, environment: dict[str, str]) -> str:
    """Do what the unit does, under the user of the tests; returns what it prints."""
    [command] = values(renewal_units(folder)[SERVICE], "ExecStart")
    done = subprocess.run(shlex.split(command), env={**os.environ, **environment}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_unit_renews_what_ends_soon_and_nothing_else(folder: Path) -> None:
    environment = {"PYTHONPATH": str(REPOSITORY)}
    before = (folder / "server.pem").read_bytes()
    assert "it is left as it is" in run_unit(folder, environment)
    assert (folder / "server.pem").read_bytes() == before
    certify(folder, -100, 20)
    (folder / "server.key").chmod(0o640)
    if os.getuid() == 0:
        os.chown(folder / "server.key", 0, 12345)
    assert "takes it within a minute" in run_unit(folder, environment)
    about = (folder / "server.key").stat()
    assert oct(about.st_mode & 0o777) == "0o640", "the same users may read it"
    assert about.st_gid == (12345 if os.getuid() == 0 else os.getgid())
    assert "it is left as it is" in run_unit(folder, environment)


def test_a_short_certificate_is_not_renewed_every_day(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    certify(folder, -1, 20)
    assert main(["tls", "renew", "--if-due", "--out", str(folder)]) == 0
    assert "it is left as it is" in capsys.readouterr().out


def test_a_clock_that_is_surely_wrong_renews_nothing_and_fails_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    certify(folder, -100, 1)
    monkeypatch.setattr(tls_renew.time, "time", lambda: 0.0)
    assert main(["tls", "renew", "--if-due", "--out", str(folder)]) == 0
    assert "1970-01-01, is wrong" in capsys.readouterr().out
