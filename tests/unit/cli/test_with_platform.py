"""The command against a real platform, both as processes."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
ENVIRON = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "LANG": "C.UTF-8", "OPACA_EDGE_CONFIG": ""}

MODULE = '''
"""A lamp, as a user would write it."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from edge.agents import Agent, Container, action, stream


class Lamp(Agent):
    """A lamp."""

    def __init__(self, room: str) -> None:
        super().__init__()
        self.room = room
        self.heard: list[object] = []
        self.subscribe_channel("news")

    @action
    async def set_level(self, level: int, scenes: list[str] | None = None) -> str:
        """Set how bright it is."""
        return f"{self.room}: {level} {scenes}"

    @action
    async def fail(self) -> None:
        """Fail."""
        raise RuntimeError("the bulb is gone")

    @action
    async def messages(self) -> list[Any]:
        """Return what was heard."""
        return self.heard

    async def receive_message(self, message) -> None:
        self.heard.append(message.payload)

    @stream(mode="GET")
    async def light(self) -> AsyncIterator[bytes]:
        """Brightness."""
        for level in range(3):
            yield f"{level}\\n".encode()

    @stream(mode="POST")
    async def pattern(self, pieces: AsyncIterator[bytes]) -> None:
        """Take a pattern."""
        self.heard.append(b"".join([piece async for piece in pieces]).decode())


def container(room: str = "hall") -> Container:
    return Container("lamps", [Lamp(room)])
'''
FILE = """
[[bundled]]
name = "lamps"
factory = "my_lamps:container"
parameters = { room = "kitchen" }
"""


def edge(*words: str, stdin: str | None = None, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "edge", *words],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=20,
        env=ENVIRON,
        cwd=cwd,
        check=False,
    )


def start(folder: Path, *words: str, environ: dict[str, str] | None = None) -> tuple[subprocess.Popen[str], str]:
    """Start a verb that serves and return it with the URL it announces."""
    with (folder / "log").open("w") as log:
        running = subprocess.Popen(
            [sys.executable, "-m", "edge", *words],
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env=ENVIRON | {"STATE_DIR": str(folder / "state")} | (environ or {}),
            cwd=folder,
        )
    assert running.stdout is not None
    line = running.stdout.readline()
    if " answers on http://" not in line:
        stop(running, signal.SIGKILL)
        pytest.fail((folder / "log").read_text())
    return running, line.split()[-1]


def stop(running: subprocess.Popen[str], number: signal.Signals = signal.SIGTERM) -> int:
    with running:
        running.send_signal(number)
        try:
            return running.wait(10)
        except subprocess.TimeoutExpired:
            running.kill()
            return running.wait()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("user")
    (folder / "my_lamps.py").write_text(MODULE)
    (folder / "opaca-edge.toml").write_text(FILE)
    return folder


@pytest.fixture(scope="module")
def url(folder: Path) -> Iterator[str]:
    running, url = start(folder, "run", "--port", "0", environ={"OPACA_EDGE_CONFIG": "opaca-edge.toml"})
    yield url
    assert stop(running) == 0, (folder / "log").read_text()


def test_action_is_invoked_with_typed_values(url: str) -> None:
    ran = edge("--url", url, "invoke", "SetLevel", "level=3", 'scenes=["a"]', "--agent", "lamp")
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "kitchen: 3 ['a']\n", "")
    ran = edge("--url", url, "invoke", "SetLevel", "--arguments", '{"level": "3"}')
    assert ran.returncode == 1
    assert "level" in ran.stderr


def test_failed_action_is_told_with_its_reason(url: str) -> None:
    ran = edge("--url", url, "invoke", "Fail")
    assert ran.returncode == 1
    assert "the bulb is gone" in ran.stderr


def test_messages_arrive(url: str) -> None:
    assert edge("--url", url, "send", "lamp", '{"a": 1}').returncode == 0
    assert edge("--url", url, "broadcast", "news", "Rain is near").returncode == 0
    assert edge("--url", url, "send", "nobody", "1").returncode == 1
    heard = json.loads(edge("--url", url, "invoke", "Messages", "--json").stdout)
    assert {"a": 1} in heard
    assert "Rain is near" in heard


def test_streams_flow_both_ways(url: str) -> None:
    assert edge("--url", url, "stream", "Light").stdout == "0\n1\n2\n"
    assert edge("--url", url, "stream", "Pattern", "--send", "-", stdin="on off").returncode == 0
    assert "on off" in json.loads(edge("--url", url, "invoke", "Messages", "--json").stdout)


def test_platform_is_described(url: str) -> None:
    assert "1 agent with 3 actions and 2 streams" in edge("--url", url, "info").stdout
    assert "SetLevel(level: integer, " in edge("--url", url, "agents").stdout
    assert "Set how bright it is." in edge("--url", url, "agents", "lamp").stdout
    edge("--url", url, "invoke", "Messages")
    assert "POST /invoke/Messages" in edge("--url", url, "history").stdout


def test_events_are_followed(url: str) -> None:
    following = subprocess.Popen(
        [sys.executable, "-m", "edge", "--url", url, "events", "-f", "/invoke", "--count", "1"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=ENVIRON,
        cwd=ROOT,
    )
    with following:
        assert following.stderr is not None
        assert following.stderr.readline().startswith("following /invoke at ")
        edge("--url", url, "invoke", "Messages")
        out, err = following.communicate(timeout=20)
    assert (following.returncode, err) == (0, "")
    assert out.endswith("SUCCESS  POST /invoke/Messages\n")


def test_second_platform_on_the_same_port_is_told_who_has_it(url: str, tmp_path: Path) -> None:
    port = url.rpartition(":")[2]
    ran = edge("run", "--no-bundled", "--port", port, "--state-dir", str(tmp_path))
    assert ran.returncode == 1
    assert ran.stderr.startswith(f"error: port {port} is taken by ")
    assert "-m edge run --port 0 (process " in ran.stderr
    assert "choose another with --port" in ran.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_stops_the_platform_in_order(tmp_path: Path, number: signal.Signals) -> None:
    running, url = start(tmp_path, "run", "--no-bundled", "--port", "0")
    assert stop(running, number) == 0
    assert f"{number.name}: stopping" in (tmp_path / "log").read_text()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2]))).close()


def test_journal_gets_priorities_and_no_time(tmp_path: Path) -> None:
    running, _ = start(tmp_path, "run", "--no-bundled", "--port", "0", environ={"JOURNAL_STREAM": "8:1"})
    assert stop(running) == 0
    assert all(line.startswith("<6>edge.") for line in (tmp_path / "log").read_text().splitlines())


def test_container_runs_alone_without_a_changed_line(folder: Path) -> None:
    running, url = start(folder, "agents", "run", "my_lamps:container", "room=attic", "--port", "0")
    ran = edge("--url", url, "invoke", "SetLevel", "level=4")
    assert stop(running) == 0, (folder / "log").read_text()
    assert (ran.stdout, ran.stderr) == ("attic: 4 None\n", "")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("my_lamps:nothing",), "my_lamps has no nothing"),
        (("no_such_module:container",), "No module named 'no_such_module'"),
        (("my_lamps",), "expected module:attribute"),
        (("my_lamps:container", "attic"), "'attic': expected key=value"),
        (("my_lamps:container", "--port", "x"), "--port='x': expected a whole number"),
    ],
)
def test_container_that_cannot_be_made_is_explained(folder: Path, words: tuple[str, ...], message: str) -> None:
    ran = edge("agents", "run", *words, cwd=folder)
    assert ran.returncode == 2
    assert ran.stderr.startswith("error: ")
    assert message in ran.stderr
    assert "Traceback" not in ran.stderr


def test_container_whose_port_is_taken_says_by_whom(url: str, folder: Path) -> None:
    port = url.rpartition(":")[2]
    ran = edge("agents", "run", "my_lamps:container", "--port", port, cwd=folder)
    assert ran.returncode == 1
    assert ran.stderr.startswith(f"error: port {port} is taken by ")
