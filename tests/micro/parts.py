"""Short programs that use parts, run on the real MicroPython and on CPython with the stand-ins of `micro/host`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.micro.boards import ROOT, micropython

INTERPRETERS = ("micropython", "cpython")
_SEARCHED = f"{ROOT / 'micro'}:{ROOT / 'micro/host'}"
_LONGEST_S = 30


class Workbench:
    """A board without a network; its program prints JSON, a value per line.

    Args:
        folder: Where it runs; host.json stands there.
    """

    def __init__(self, interpreter: str, folder: Path) -> None:
        self._interpreter = interpreter
        self._folder = folder

    def command(self) -> tuple[list[str], dict[str, str]]:
        """Return what starts main.py, and with which variables."""
        if self._interpreter == "cpython":
            # Not -I or -W error: the program stands beside host.json, as on a board.
            return [sys.executable, "main.py"], {"PYTHONPATH": _SEARCHED, "PYTHONDONTWRITEBYTECODE": "1"}
        return [str(micropython()), "main.py"], {"MICROPYPATH": f"{_SEARCHED}:.frozen"}

    def run(self, program: str, **host: Any) -> list[Any]:
        """Run a program to its end and return what it printed."""
        done = self.end(program, **host)
        assert done.returncode == 0, f"{done.returncode}: {done.stdout}{done.stderr}"
        return [json.loads(line) for line in done.stdout.splitlines()]

    def end(self, program: str, **host: Any) -> subprocess.CompletedProcess[str]:
        """Run a program and return how it ended."""
        (self._folder / "host.json").write_text(json.dumps(host))
        (self._folder / "main.py").write_text(program)
        command, variables = self.command()
        return subprocess.run(
            command,
            cwd=self._folder,
            env={"PATH": os.environ["PATH"], "LANG": "C.UTF-8", **variables},
            capture_output=True,
            text=True,
            timeout=_LONGEST_S,
            check=False,
        )


@pytest.fixture(params=INTERPRETERS)
def workbench(request: pytest.FixtureRequest, tmp_path: Path) -> Workbench:
    return Workbench(request.param, tmp_path)
