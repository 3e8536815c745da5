"""`scripts/run` behaves like the platform itself, and what it tells people to try works."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.system.reader import missing

ROOT = Path(__file__).resolve().parents[2]
RUN = ROOT / "scripts/run"


@contextmanager
def _started(folder: Path, tcp_port: int, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    environment = dict(os.environ, PORT=str(tcp_port), STATE_DIR=str(folder / "state"), LOG_LEVEL="warning")
    with subprocess.Popen(
        [str(RUN), *arguments], cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def _greeting(process: subprocess.Popen[str]) -> str:
    """What it prints up to the line about the browser."""
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if line.startswith("In a browser:"):
            break
    return "".join(lines)


@missing("curl")
def test_what_it_says_to_try_works(tmp_path: Path, unused_tcp_port: int) -> None:
    with _started(tmp_path, unused_tcp_port) as process:
        greeting = _greeting(process)
        commands = re.findall(r"^  (\S+ .*?) {2,}", greeting, re.MULTILINE)
        assert len(commands) == 4
        for command in commands:
            if "-N" in command:
                command += " -s | head -n 1"
            done = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
            assert done.returncode == 0
            assert "memory" in done.stdout or "GetMemory" in done.stdout, command


def test_where_callers_must_log_in_it_says_how_and_what_works_then(
    tmp_path: Path, unused_tcp_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {
        "REQUIRE_AUTH": "true",
        "PLATFORM_ADMIN_PWD": "right",
        "XDG_CONFIG_HOME": str(tmp_path),
    }.items():
        monkeypatch.setenv(name, value)
    with _started(tmp_path, unused_tcp_port) as process:
        login, agents, invoke, stream = re.findall(r"^  (\S+ .*?) {2,}", _greeting(process), re.MULTILINE)
        for command in (f"{login} --password-stdin <<<right", agents, invoke, f"{stream} | head -n 1"):
            done = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
            assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_platform_in_order_and_its_exit_code_is_passed_on(
    tmp_path: Path, unused_tcp_port: int, number: signal.Signals
) -> None:
    with _started(tmp_path, unused_tcp_port) as process:
        _greeting(process)
        process.send_signal(number)
        assert process.wait(20) == 0
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", unused_tcp_port))


def test_a_taken_port_is_named_and_nobody_is_greeted(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        tcp_port = taken.getsockname()[1]
        with _started(tmp_path, tcp_port) as process:
            out, errors = process.communicate(timeout=20)
    assert process.returncode != 0
    assert out == ""
    assert f"port {tcp_port} is taken" in errors


def test_help_names_the_arguments_of_the_platform(tmp_path: Path) -> None:
    with _started(tmp_path, 0, "--help") as process:
        out, _ = process.communicate(timeout=20)
    assert process.returncode == 0
    assert out.startswith("Usage: ")
    assert "--no-bundled" in out


def test_it_is_as_quick_as_the_platform_when_all_is_set_up(tmp_path: Path) -> None:
    """Nothing is asked of pip then: without a network it would fail."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "PIP_INDEX_URL": "http://127.0.0.1:9/"}
    done = subprocess.run([str(RUN), "--help"], cwd="/", env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
