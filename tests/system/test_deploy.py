"""The files of the cloud side in containers, without Docker: what they run is run, what is written there is read."""

from __future__ import annotations

import json
import os
import re
import signal
import ssl
import subprocess
import sys
import time
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from bridge.config import load_bridge
from edge.config import PlatformConfig
from tests.contract.ports import free_port
from tests.contract.running import REPOSITORY
from tests.system.brokers import mosquitto_program

DEPLOY = REPOSITORY / "deploy"
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
EXAMPLE = (DEPLOY / ".env.example").read_text()


def test_all_that_the_compose_file_names_is_there() -> None:
    mounts = [mount.split(":") for service in SERVICES.values() for mount in service.get("volumes", ())]
    for source, target, *_ in mounts:
        if source.startswith("."):
            assert (DEPLOY / source).is_file()
        elif not source.startswith("/"):
            assert source in COMPOSE["volumes"]
            assert target in ("/data", "/shared")
    assert (DEPLOY / SERVICES["broker"]["build"]["context"] / SERVICES["broker"]["build"]["dockerfile"]).is_file()
    for service in SERVICES.values():
        assert all(name in SERVICES for name in service.get("depends_on", ()))
    asked = set(re.findall(r"\$\{(\w+)", (DEPLOY / "compose.yaml").read_text()))
    assert asked == set(re.findall(r"^(\w+)=", EXAMPLE, re.MULTILINE))


def test_its_commands_are_commands() -> None:
    for name in ("platform", "bridge"):
        words = SERVICES[name]["command"]
        assert words[0] == "opaca-edge"
        done = subprocess.run([sys.executable, "-m", "edge", *words[1:-2], "--help"], cwd=REPOSITORY, timeout=20)
        assert done.returncode == 0
    dockerfile = (DEPLOY / "Dockerfile").read_text()
    assert SERVICES["broker"]["command"] == ["start-broker"]
    assert "deploy/start-broker" in dockerfile
    assert os.access(DEPLOY / "start-broker", os.X_OK)


@pytest.mark.parametrize("name", ["platform.toml", "bridge.toml"])
def test_its_settings_can_be_used(name: str, tmp_path: Path) -> None:
    text = (DEPLOY / name).read_text()
    (tmp_path / name).write_text(text.replace("/data/", f"{tmp_path}/"))
    (tmp_path / "admin.password").touch(0o600)
    config = PlatformConfig.load(config_file=tmp_path / name)
    assert [*config.warnings] == []
    settings = load_bridge(config.bridge, tmp_path, platform_url="http://127.0.0.1:8000", state_dir=tmp_path)
    assert settings.gateway is not None
    assert settings.gateway.broker.host in SERVICES
    if name == "bridge.toml":
        assert settings.public_url == f"http://bridge:{settings.tcp_port}"
        assert settings.platform == "http://java:8000"


def test_the_broker_starts_twice_with_one_certificate_and_lets_a_site_in(open_folder: Path) -> None:
    mosquitto_program()
    for name in ("data", "shared", "bin"):
        (open_folder / name).mkdir()
    command = open_folder / "bin" / "opaca-edge"
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m edge "$@"\n')
    command.chmod(0o755)
    port = free_port()
    environment = {
        "PATH": f"{open_folder}/bin:{os.environ['PATH']}:/usr/sbin", "PYTHONPATH": str(REPOSITORY),
        "HOME": str(open_folder),
        "OPACA_EDGE_CONFIG": "", "DATA": f"{open_folder}/data", "SHARED": f"{open_folder}/shared",
        "BROKER_NAME": "broker.example", "BROKER_PORT": str(port),
    }  # fmt: skip
    shown = []
    for _ in range(2):
        with (open_folder / "log").open("wb") as log:
            running = subprocess.Popen(
                ["sh", str(DEPLOY / "start-broker")], env=environment, stdout=log, stderr=log, process_group=0
            )
        try:
            shown.append(_certificate(port, running, open_folder))
            words = [str(command), "broker", "add", "greenhouse", "--folder", f"{open_folder}/data/broker", "--json"]
            said = json.loads(subprocess.run(words, env=environment, check=True, capture_output=True).stdout)
        finally:
            os.killpg(running.pid, signal.SIGTERM)
            running.wait(10)
    assert shown[0] == shown[1]
    device = tomllib.loads(said["toml"])["bridge"]["device"]
    assert (device["broker"], device["gateway"]) == (f"mqtts://broker.example:{port}", "cloud")
    assert (open_folder / "shared" / "cloud.password").stat().st_mode & 0o777 == 0o600
    assert "BROKER_NAME" in EXAMPLE


def _certificate(port: int, running: subprocess.Popen[bytes], folder: Path) -> str:
    give_up_at_s = time.monotonic() + 30
    while True:
        try:
            return ssl.get_server_certificate(("127.0.0.1", port), ca_certs=str(folder / "shared" / "ca.pem"))
        except OSError:
            assert running.poll() is None, (folder / "log").read_text()
            assert time.monotonic() < give_up_at_s, (folder / "log").read_text()
            time.sleep(0.05)
