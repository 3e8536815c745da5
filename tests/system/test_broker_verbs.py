"""`broker` and `bridge test` against a real Mosquitto."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.ports import free_port
from tests.contract.running import REPOSITORY
from tests.system.brokers import mosquitto_program

_PATH = "/usr/local/sbin:/usr/sbin:/usr/bin:/bin"

pytestmark = pytest.mark.timeout(60)


class Desk:
    """A folder with a broker, and the command."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.broker = folder / "broker"

    def edge(self, *words: str, expect: int = 0) -> str:
        environment = {"PATH": _PATH, "PYTHONPATH": str(REPOSITORY), "HOME": str(self.folder)}
        done = subprocess.run(
            [sys.executable, "-m", "edge", *words], cwd=self.folder, env=environment, capture_output=True, text=True
        )
        assert done.returncode == expect, done.stdout + done.stderr
        return done.stdout + done.stderr

    def tested(self, toml: str, expect: int = 0) -> dict[str, tuple[bool | None, str]]:
        (self.folder / "edge.toml").write_text(toml)
        out = self.edge("bridge", "test", "--config", "edge.toml", "--state-dir", "state", "--json", expect=expect)
        steps = json.loads(out.partition("error:")[0])
        return {each["step"]: (each["ok"], each["text"]) for each in steps}


@pytest.fixture
def desk(open_folder: Path) -> Iterator[Desk]:
    desk = Desk(open_folder)  # Mosquitto, started by root, becomes another user, who must reach its files
    program = mosquitto_program()
    folder = str(desk.broker)
    desk.edge("broker", "init", "--gateway", "cloud", "--folder", folder, "--port", str(desk.port), "--no-start")
    with (open_folder / "log").open("wb") as log:
        running = subprocess.Popen([program, "-c", str(desk.broker / "mosquitto.conf")], stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + 10
        while b"running" not in (open_folder / "log").read_bytes():
            assert running.poll() is None, (open_folder / "log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.02)
        yield desk
    finally:
        running.kill()
        running.wait()


def device(desk: Desk, password: str = "") -> str:
    line = f'password_file = "{password}"\n' if password else ""
    return f'[bridge.device]\nsite = "home"\ngateway = "cloud"\nbroker = "mqtt://127.0.0.1:{desk.port}"\n{line}'


def test_a_site_that_was_added_is_let_in_and_kept_apart(desk: Desk) -> None:
    refused = desk.tested(device(desk), expect=1)
    assert refused["login"][0] is False
    assert "broker add" in refused["login"][1]
    said = desk.edge("broker", "add", "home", "--folder", str(desk.broker), "-o", "home.password")
    assert '[bridge.device]\nsite = "home"\ngateway = "cloud"' in said
    assert '[bridge.gateway.sites.home]\nrole = "USER"' in said
    assert (desk.folder / "home.password").stat().st_mode & 0o777 == 0o600
    deadline = time.monotonic() + 10
    while b"Reloading config" not in (desk.folder / "log").read_bytes():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    steps = desk.tested(device(desk, "home.password"))
    assert steps["login"][0] is True
    assert steps["permissions"][0] is True
    assert steps["others"] == (True, "sites are kept apart")
    assert steps["gateway"][0] is None


def test_a_broker_that_is_not_there_is_said_so(desk: Desk) -> None:
    steps = desk.tested(device(desk).replace(str(desk.port), str(free_port())), expect=1)
    assert "is the broker running there?" in steps["port"][1]


def test_the_network_is_not_served_without_tls_by_accident(desk: Desk) -> None:
    said = desk.edge("broker", "init", "--host", "0.0.0.0", "--folder", str(desk.broker), expect=2)
    assert "--tls-cert" in said


@pytest.mark.parametrize("port", ["0", "-1", "65536"])
def test_a_port_that_is_none_is_said_before_anything_is_written(desk: Desk, port: str) -> None:
    out = desk.edge("broker", "init", "--folder", str(desk.folder / "other"), "--port", port, expect=2)
    assert f"--port {port}: expected a number from 1 to 65535" in out
    assert not (desk.folder / "other").exists()


def test_removing_names_what_is_not_there(desk: Desk) -> None:
    assert "knows no nobody" in desk.edge("broker", "remove", "nobody", "--folder", str(desk.broker), expect=1)


def test_removing_without_a_running_broker_says_how_the_gateway_is_told_all_the_same(open_folder: Path) -> None:
    desk = Desk(open_folder)
    words = ("--folder", str(desk.broker))
    desk.edge("broker", "init", *words, "--port", str(desk.port), "--no-start")
    desk.edge("broker", "add", "home", *words)
    said = desk.edge("broker", "remove", "home", *words)
    assert "home may not connect any more" in said
    assert "the gateway shows: the broker could not be told; broker add home, and remove again while it runs" in said
    (desk.folder / "ca.pem").touch()
    facts = json.loads((desk.broker / "broker.json").read_text())
    (desk.broker / "broker.json").write_text(json.dumps({**facts, "ca": str(desk.folder / "ca.pem")}))
    desk.edge("broker", "add", "home", *words)
    said = desk.edge("broker", "remove", "home", *words)
    assert """mosquitto_pub -r -t opaca/v1/home/st -m '{"on":0,"ep":0,"gone":1}'""" in said


def test_a_site_cannot_take_the_gateways_place_by_its_name(open_folder: Path) -> None:
    desk = Desk(open_folder)
    words = ("--folder", str(desk.broker))
    desk.edge("broker", "init", "--gateway", "cloud", *words, "--port", str(desk.port), "--no-start")
    before = (desk.broker / "broker.json").read_text()
    assert "cloud is the gateway" in desk.edge("broker", "add", "cloud", *words, expect=2)
    assert (desk.broker / "broker.json").read_text() == before
    desk.edge("broker", "add", "cloud", "--is-gateway", *words)
    assert json.loads((desk.broker / "broker.json").read_text())["gateways"] == ["cloud"]
