"""The broker as a service: what systemd thinks of its units."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from edge.cli.authority import CA_CERT, SERVER_CERT, SERVER_KEY
from edge.cli.broker_files import BrokerFiles
from edge.cli.broker_unit import RENEWAL, UNIT, renewal_units, unit_text


def files(folder: Path, **facts: str) -> BrokerFiles:
    return BrokerFiles(folder, {"host": "0.0.0.0", "port": 8883, "users": {}, "gateways": [], **facts})


def test_a_broker_without_tls_has_nothing_to_renew(tmp_path: Path) -> None:
    assert renewal_units(files(tmp_path)) == {}


def test_systemd_accepts_the_units(tmp_path: Path) -> None:
    program = shutil.which("systemd-analyze")
    if program is None:
        complaint = "systemd-analyze is missing: apt-get install systemd"
        pytest.fail(complaint) if os.environ.get("CI") else pytest.skip(complaint)
    tls = tmp_path / "my tls"
    tls.mkdir()
    for name in (SERVER_CERT, SERVER_KEY, CA_CERT):
        (tls / name).touch()
    broker = files(tmp_path / "broker", cert=str(tls / SERVER_CERT), key=str(tls / SERVER_KEY))
    units = {UNIT: unit_text(broker.folder, "/usr/bin/true"), **renewal_units(broker)}
    assert sorted(units) == sorted([UNIT, f"{RENEWAL}.service", f"{RENEWAL}.timer"])
    for name, text in units.items():
        (tmp_path / name).write_text(text)
    done = subprocess.run(
        [program, "verify", *(str(tmp_path / name) for name in units)], capture_output=True, text=True, timeout=20
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    renewal = units[f"{RENEWAL}.service"]
    assert f'ReadWritePaths={broker.folder} "{tls}"\n' in renewal
    assert "CAP_KILL" in renewal  # else Mosquitto, another user's, is not told
