"""A real Mosquitto for the tests: on a free port of loopback, stopped and started in place."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.contract.ports import free_port

_START_S = 20.0


def mosquitto_program() -> str:
    """Return the broker's program; missing, it fails under CI and is a skip at home."""
    found = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")
    if found is None:
        complaint = "mosquitto is not installed: run scripts/test, which installs it where it may"
        if os.environ.get("CI"):
            pytest.fail(complaint)
        pytest.skip(complaint)
    return found


class Mosquitto:
    """A broker in a folder.

    Attributes:
        port: Where it listens.
    """

    def __init__(self, folder: Path, lines: str = "allow_anonymous true") -> None:
        """Args:
        folder: Its configuration and its log.
        lines: Of the configuration, besides the listener.
        """
        self.port = free_port()
        self._folder = folder
        self._lines = lines
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> str:
        return (self._folder / "mosquitto.log").read_text(errors="replace")

    @property
    def url(self) -> str:
        return f"mqtt://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it, and wait until it accepts connections."""
        program = mosquitto_program()
        self._folder.mkdir(parents=True, exist_ok=True)
        configuration = self._folder / "mosquitto.conf"
        user = "user root\n" if os.geteuid() == 0 else ""
        configuration.write_text(f"listener {self.port} 127.0.0.1\nset_tcp_nodelay true\n{user}{self._lines}\n")
        with (self._folder / "mosquitto.log").open("ab") as log:
            self._process = subprocess.Popen([program, "-c", str(configuration)], stdout=log, stderr=log)
        deadline = time.monotonic() + _START_S
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 0.5).close()
                return
            except OSError:
                assert self._process.poll() is None, self.log
                assert time.monotonic() < deadline, self.log
                time.sleep(0.02)

    def reload(self) -> None:
        """Have it read its files again."""
        assert self._process is not None
        self._process.send_signal(signal.SIGHUP)

    def kill(self, number: signal.Signals = signal.SIGKILL) -> None:
        """End it."""
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait()
            self._process = None


@contextmanager
def broker(folder: Path, lines: str = "allow_anonymous true") -> Iterator[Mosquitto]:
    """A running broker."""
    mosquitto = Mosquitto(folder, lines)
    mosquitto.start()
    try:
        yield mosquitto
    finally:
        mosquitto.kill()
