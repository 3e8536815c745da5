"""A broker with TLS, set up by the command as the page says: keys, passwords, sites that go, certificates renewed."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import shutil
import socket
import ssl
import subprocess
import sys
import time
import tomllib
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from bridge.config import BrokerSettings
from bridge.envelope import Presence, read, write
from bridge.mqtt.driver import Connection, Incoming
from edge.cli.authority import CA_CERT, CA_KEY, SERVER_CERT, SERVER_KEY
from tests.contract.certificates import certified, certify
from tests.contract.ports import free_port
from tests.contract.running import REPOSITORY
from tests.system.brokers import mosquitto_program
from tests.system.joined import until

pytestmark = pytest.mark.timeout(60)

IS_ROOT = os.geteuid() == 0


class Desk:
    """A broker in a folder, and the command that looks after it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, free_port()
        self.broker, self.authority = folder / "broker", folder / "tls"
        certified(self.authority)
        self.environment = {
            "PATH": f"{os.environ.get('PATH', '')}:/usr/sbin", "PYTHONPATH": str(REPOSITORY), "HOME": str(folder),
            "OPACA_EDGE_CONFIG": "",
        }  # fmt: skip

    def edge(self, *words: str, expect: int = 0) -> str:
        run = subprocess.run(
            command(*words), cwd=self.folder, env=self.environment, capture_output=True, text=True, timeout=50
        )
        assert run.returncode == expect, run.stdout + run.stderr
        return run.stdout + (run.stderr if expect else "")

    def init(self, *more: str, expect: int = 0) -> str:
        tls = ("--tls-cert", str(self.authority / SERVER_CERT), "--tls-key", str(self.authority / SERVER_KEY))
        words = ("--gateway", "cloud", "--folder", str(self.broker), "--port", str(self.port), "--no-start")
        return self.edge("broker", "init", *words, *tls, *more, expect=expect)

    def verb(self, *words: str) -> str:
        return self.edge("broker", *words, "--folder", str(self.broker))

    def settings(self, user: str, password_file: Path) -> BrokerSettings:
        return BrokerSettings(
            host="127.0.0.1", port=self.port, user=user, password_file=password_file, is_tls=True,
            ca_file=self.authority / CA_CERT,
        )  # fmt: skip

    def shown(self) -> str:
        """The fingerprint of the certificate that the broker shows now."""
        context = ssl.create_default_context(cafile=self.authority / CA_CERT)
        with (
            socket.create_connection(("127.0.0.1", self.port)) as plain,
            context.wrap_socket(plain, server_hostname="localhost") as made,
        ):
            return hashlib.sha256(made.getpeercert(binary_form=True) or b"").hexdigest()


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "edge", *words]


@pytest.fixture
def desk(open_folder: Path) -> Iterator[Desk]:
    mosquitto_program()
    desk = Desk(open_folder)
    desk.init()
    process = start(desk)
    try:
        yield desk
    finally:
        process.kill()
        process.wait()


def start(desk: Desk) -> subprocess.Popen[bytes]:
    with (desk.folder / "log").open("wb") as log:
        process = subprocess.Popen(
            command("broker", "run", "--folder", str(desk.broker)), cwd=desk.folder, env=desk.environment,
            stdout=log, stderr=log,
        )  # fmt: skip
    give_up_at_s = time.monotonic() + 20
    while True:
        try:
            socket.create_connection(("127.0.0.1", desk.port), 0.5).close()
            return process
        except OSError:
            assert process.poll() is None, (desk.folder / "log").read_text()
            assert time.monotonic() < give_up_at_s, (desk.folder / "log").read_text()
            time.sleep(0.02)


class Gateway:
    """What the gateway hears of a site."""

    def __init__(self) -> None:
        self.states: list[str] = []

    def take(self, incoming: Incoming) -> None:
        said = read(incoming.payload, Presence)
        self.states.append("gone" if said.gone else f"on {said.on}")
        incoming.ack()


@pytest.fixture
async def gateway(desk: Desk) -> AsyncIterator[Gateway]:
    async with watching(desk) as heard:
        yield heard


@asynccontextmanager
async def watching(desk: Desk) -> AsyncIterator[Gateway]:
    heard = Gateway()
    broker = await asyncio.to_thread(desk.settings("cloud", desk.broker / "cloud.password").open)
    async with Connection(broker, heard.take, None, is_v5=True) as connection:
        await connection.subscribe(["opaca/v1/home/st"])
        yield heard


async def test_what_is_printed_lets_a_site_in(desk: Desk) -> None:
    printed = json.loads(await asyncio.to_thread(desk.verb, "add", "home", "-o", "home.password", "--json"))
    device = tomllib.loads(printed["toml"])["bridge"]["device"]
    assert device["broker"] == f"mqtts://127.0.0.1:{desk.port}"
    assert device["ca_file"] == "/etc/opaca-edge/ca.pem"
    text = printed["toml"].replace("/etc/opaca-edge/ca.pem", str(desk.authority / CA_CERT))
    text = text.replace("/etc/opaca-edge/home.password", str(desk.folder / "home.password"))
    (desk.folder / "edge.toml").write_text(f"[platform]\nrequire_auth = true\n{text}")
    words = ("bridge", "test", "--config", "edge.toml", "--state-dir", "state", "--json")
    async with asyncio.timeout(20):
        while True:  # the broker has not read its files yet
            tried = await asyncio.to_thread(told, desk, *words)
            steps = {each["step"]: each["ok"] for each in tried}
            if steps.get("login"):
                break
    assert (steps["TLS"], steps["permissions"], steps["others"]) == (True, True, True)


def told(desk: Desk, *words: str) -> list[dict[str, Any]]:
    done = subprocess.run(command(*words), cwd=desk.folder, env=desk.environment, capture_output=True)
    steps: list[dict[str, Any]] = json.loads(done.stdout)
    return steps


async def test_the_gateway_is_told_what_becomes_of_a_site(desk: Desk, gateway: Gateway) -> None:
    await asyncio.to_thread(desk.verb, "add", "home", "-o", "home.password")
    broker = await asyncio.to_thread(desk.settings("home", desk.folder / "home.password").open)
    async with Connection(broker, lambda incoming: incoming.ack(), None, is_v5=True) as site:
        await site.deliver("opaca/v1/home/st", write(Presence(on=1, ep=7)), retain=True)
        await asyncio.to_thread(desk.verb, "add", "home", "-o", "home.password")
        await until(lambda: _is(gateway, "on 0"), "the gateway sees that it is away: its password is another one")
        await site.ended()
    await asyncio.to_thread(desk.verb, "remove", "home")
    await until(lambda: _is(gateway, "gone"), "the gateway sees that it is gone")
    async with watching(desk) as late:
        await until(lambda: _is(late, "gone"), "one that was not there hears of it when it comes")


async def _is(gateway: Gateway, state: str) -> bool:
    return gateway.states[-1:] == [state]


def test_a_certificate_that_is_renewed_is_shown_from_then_on(desk: Desk) -> None:
    before = desk.shown()
    assert "is left as it is" in desk.verb("renew")
    assert desk.shown() == before
    certify(desk.authority, to_days=2)  # by whomever: it is taken as it is
    desk.verb("renew")
    second = _another(desk, before)
    certify(desk.authority, from_days=-90, to_days=2)
    desk.verb("renew")  # it ends soon, and its authority is here
    _another(desk, second)
    assert json.loads(desk.verb("renew", "--json")) == {"renewed": False, "copied": False, "read": True}
    (desk.authority / CA_KEY).unlink()
    assert "renewed elsewhere" in desk.verb("renew")


def _another(desk: Desk, before: str) -> str:
    give_up_at_s = time.monotonic() + 20
    while (now := desk.shown()) == before:
        assert time.monotonic() < give_up_at_s, "it still shows the old one"
    return now


def test_who_has_the_port_is_named(desk: Desk) -> None:
    other = desk.folder / "other"
    words = ("--gateway", "cloud", "--folder", str(other), "--port", str(desk.port), "--no-start")
    desk.edge("broker", "init", *words)
    said = desk.edge("broker", "run", "--folder", str(other), expect=1)
    assert f"127.0.0.1:{desk.port} is taken by" in said
    assert "systemctl disable --now mosquitto" in said
    assert "it runs already" in desk.edge("broker", "run", "--folder", str(desk.broker), expect=1)


@pytest.mark.skipif(not IS_ROOT, reason="only root gives files to others")
def test_root_s_broker_is_run_by_its_own_user_and_the_platform_s_user_reads_the_password(open_folder: Path) -> None:
    desk = Desk(open_folder)
    secret = open_folder / "etc" / "cloud.password"
    desk.init("-o", str(secret), "--owner", "nobody")
    assert (desk.authority / SERVER_KEY).stat().st_uid == 0
    process = start(desk)
    try:
        assert Path(f"/proc/{process.pid}").stat().st_uid != 0
        reads = [str(shutil.which("setpriv")), "--reuid=nobody", "--clear-groups", "cat", str(secret)]
        assert len(subprocess.run(reads, check=True, capture_output=True).stdout) > 20
        assert secret.stat().st_mode & 0o777 == 0o600
        # What root reads and acts by is none of Mosquitto's.
        assert [path.stat().st_uid for path in (desk.broker, desk.broker / "broker.json")] == [0, 0]
        assert desk.broker.stat().st_mode & 0o777 == 0o710
        assert "there is no such user" in desk.init("--owner", "no-such-user", expect=2)
    finally:
        process.kill()
        process.wait()


@pytest.mark.skipif(not IS_ROOT, reason="only root gives files to others")
def test_root_gives_nothing_away_that_mosquitto_points_at(open_folder: Path) -> None:
    desk = Desk(open_folder)
    desk.init()
    elsewhere = open_folder / "elsewhere"
    elsewhere.mkdir()
    shutil.rmtree(desk.broker / "data")
    (desk.broker / "data").symlink_to(elsewhere)
    desk.edge("broker", "add", "greenhouse", "--folder", str(desk.broker))
    assert elsewhere.stat().st_uid == 0
