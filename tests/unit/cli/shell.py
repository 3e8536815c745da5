"""The command as a user runs it who has a home of his own, against a real platform that asks who is calling."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

from tests.contract.running import REPOSITORY

PASSWORD = "admin pw ä"


class Shell:
    """Runs the command as a user would, whose home is empty at first."""

    def __init__(self, home: Path, url: str) -> None:
        self.url = url
        self.environment = {"HOME": str(home), "PATH": os.environ["PATH"], "PYTHONPATH": str(REPOSITORY)}
        self.environment |= {"OPACA_EDGE_URL": url, "LANG": "C.UTF-8"}

    def run(self, *words: str, typed: str = "") -> tuple[int, str, str]:
        done = subprocess.run(
            [sys.executable, "-m", "edge", *words],
            input=typed,
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=20,
            check=False,
            env=self.environment,
        )
        return done.returncode, done.stdout, done.stderr

    def on_terminal(self, words: list[str], answers: list[str]) -> tuple[int, str]:
        """Run the command on a terminal of its own, and answer each prompt that ends with a colon."""
        pid, terminal = pty.fork()
        if pid == 0:
            os.execve(sys.executable, [sys.executable, "-m", "edge", *words], self.environment)
        shown = ""
        try:
            while True:
                try:
                    shown += os.read(terminal, 4096).decode()
                except OSError:  # the other end is closed
                    break
                if answers and shown.endswith(": "):
                    os.write(terminal, f"{answers.pop(0)}\n".encode())
        finally:
            os.close(terminal)
            _, status = os.waitpid(pid, 0)
        return os.waitstatus_to_exitcode(status), shown

    @property
    def kept(self) -> list[Path]:
        folder = Path(self.environment["HOME"], ".config/opaca-edge/tokens")
        return list(folder.iterdir()) if folder.exists() else []
