"""Boards under test: processes on the real MicroPython, 32 bits and a heap of a given size, or on CPython."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import IO, Any, Self

import pytest

from micro.flash.build import build, compiled
from tests.contract.ports import free_port
from tests.contract.wire import Address, Response, ask

ROOT = Path(__file__).resolve().parents[2]

_START_S = 20.0


class Board:
    """A program for a board, started in a folder of its own; its output goes to a file there.

    Args:
        command: What starts it.
        environment: What it gets besides the clean variables.
        tcp_port: Where the program will listen.
        token: Shown with every request of `ask`.
    """

    def __init__(
        self, command: list[str], folder: Path, environment: dict[str, str], tcp_port: int, token: str = ""
    ) -> None:
        self.folder = folder
        self.token = token
        self.address: Address = ("127.0.0.1", tcp_port)
        self._command = command
        self._environment = environment
        self._output: IO[bytes] | None = None
        self._popen: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self._output = (self.folder / "log").open("ab")
        self._popen = subprocess.Popen(
            self._command,
            cwd=self.folder,
            env={"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "LANG": "C.UTF-8", **self._environment},
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=self._output,
        )
        try:
            self._wait_for_answer()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self._popen is not None:
            self._popen.kill()
            self._popen.wait()
        if self._output is not None:
            self._output.close()

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text("utf-8", "replace")

    @property
    def is_running(self) -> bool:
        return self._popen is not None and self._popen.poll() is None

    def ask(self, method: str, path: str, **more: Any) -> Response:
        headers = {"Authorization": f"Bearer {self.token}", **more.pop("headers", {})}
        return ask(self.address, method, path, headers=headers, **more)

    def _wait_for_answer(self) -> None:
        deadline = time.monotonic() + _START_S
        while time.monotonic() < deadline:
            assert self.is_running, f"it ended with {self._popen and self._popen.returncode}:\n{self.log}"
            try:
                self.ask("GET", "/info")
            except OSError:
                time.sleep(0.01)
            else:
                return
        raise AssertionError(f"no answer within {_START_S} s:\n{self.log}")


def micropython() -> Path:
    """Return the real interpreter, which scripts/test fetches; without it: skipped, or failed if CI is set."""
    interpreter = ROOT / ".venvs/micropython/bin/micropython"
    if not interpreter.exists():
        complaint = "MicroPython is missing: run scripts/test, which fetches it into .venvs/micropython"
        pytest.fail(complaint) if os.environ.get("CI") else pytest.skip(complaint)
    return interpreter


def compile_into(folder: Path, *programs: Path) -> Path:
    """Build what a board that is asked over REST loads, and programs of a test beside it; returns the folder."""
    build(folder, only=["opaca_micro.rest", "opaca_micro.container"])
    for program in programs:
        compiled(program, folder / f"{program.stem}.mpy")
    return folder


def on_cpython(program: Path, folder: Path, container_id: str = "", token: str = "") -> Board:
    """Make a board that runs the sources on this Python; the program takes TCP port, container ID and token."""
    tcp_port = free_port()
    command = [sys.executable, str(program), str(tcp_port), container_id, token]
    return Board(command, folder, {"PYTHONPATH": str(ROOT / "micro"), "PYTHONWARNINGS": "error"}, tcp_port, token)


def on_micropython(
    built: Path, program: str, folder: Path, container_id: str = "", token: str = "", heap: str = "64k"
) -> Board:
    """Make a board that runs the same as bytecode on the real MicroPython, 32 bits, in a heap of this size."""
    tcp_port = free_port()
    start = f"import {program}; {program}.main({tcp_port}, {container_id!r}, {token!r})"
    command = [str(micropython()), "-X", f"heapsize={heap}", "-c", start]
    return Board(command, folder, {"MICROPYPATH": f"{built}:.frozen"}, tcp_port, token)
