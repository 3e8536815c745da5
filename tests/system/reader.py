"""Somebody who follows a page of the documentation and does exactly what it says."""

from __future__ import annotations

import os
import re
import signal
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

_BLOCK = re.compile(r"(?:^`(?P<file>[^`\n]+)`:\n\n)?^```(?P<language>\w+)\n(?P<text>.*?)^```", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """A block of a page; `file` is the name that stands before it."""

    language: str
    text: str
    file: str | None


def blocks(page: str) -> Iterator[Block]:
    """Yield the blocks of a page, in order."""
    for found in _BLOCK.finditer(page):
        yield Block(found["language"], found["text"], found["file"])


class Reader:
    """Somebody with several terminals: for what goes on, and one to type commands in.

    Args:
        folder: Where they are; a link `.venv` in it leads to the program.
        replaced: What the page says, and what is meant on this machine: ports, addresses.
        settings: Further variables of all terminals.
    """

    def __init__(self, folder: Path, replaced: Mapping[str, str], settings: Mapping[str, str]) -> None:
        self._folder = folder
        self._replaced = dict(replaced)
        self._running: list[subprocess.Popen[bytes]] = []
        path = f"{ROOT}/.venv/bin:{os.environ['PATH']}"
        self.environment = {**os.environ, "PATH": path, "HOME": str(folder), "LOG_LEVEL": "warning", **settings}

    def start(self, command: str, tcp_port: int, **settings: str) -> None:
        """Type a command that goes on, and wait until it answers on a port."""
        words = self.meant(command).split()
        environment = {**self.environment, "PORT": str(tcp_port), **settings}
        while re.fullmatch(r"[A-Z_]+=.*", words[0]):
            name, _, environment[name] = words.pop(0).partition("=")
        process = subprocess.Popen(words, cwd=self._folder, env=environment, stdout=subprocess.DEVNULL)
        self._running.append(process)
        give_up_at = time.monotonic() + 20
        while not _answers(tcp_port):
            assert process.poll() is None, f"{command} ended with {process.returncode}"
            assert time.monotonic() < give_up_at, f"{command} does not answer"
            time.sleep(0.02)

    def stop(self) -> None:
        """Press Ctrl-C everywhere."""
        running, self._running = self._running, []
        for process in running:
            process.send_signal(signal.SIGINT)
        for process in running:
            assert process.wait(20) == 0

    def type(self, command: str, expected_code: int = 0) -> str:
        """Type a command that ends, and return what it prints."""
        done = subprocess.run(
            ["bash", "-e", "-c", self.meant(command)],
            cwd=self._folder,
            env=self.environment,
            capture_output=True,
            text=True,
        )
        assert done.returncode == expected_code, f"{command}: {done.stderr}"
        return done.stdout or done.stderr

    def meant(self, command: str) -> str:
        """Return a command with what is meant by it here."""
        command = command.strip()
        for documented, ours in self._replaced.items():
            command = re.sub(documented, ours, command)
        return command


def _answers(tcp_port: int) -> bool:
    anyone = ssl.create_default_context()
    anyone.check_hostname, anyone.verify_mode = False, ssl.CERT_NONE
    for scheme in ("http", "https"):
        try:
            urllib.request.urlopen(f"{scheme}://127.0.0.1:{tcp_port}/info", timeout=5, context=anyone).close()
        except urllib.error.HTTPError as error:
            error.close()
            # Without a token that is an answer as well; who speaks https says 400 to http.
            if error.code == 401:
                return True
        except OSError:
            continue
        else:
            return True
    return False


def in_clone(folder: Path) -> Path:
    """Make a folder look like a fresh clone."""
    (folder / ".venv/bin").mkdir(parents=True)
    for name in ("scripts", "examples", ".venv/bin/opaca-edge"):
        (folder / name).symlink_to(ROOT / name)
    return folder


def missing(*programs: str) -> pytest.MarkDecorator:
    """Skip where a program that the page uses is not installed; where CI is set it must be."""
    import shutil

    lacking = [program for program in programs if shutil.which(program) is None]
    return pytest.mark.skipif(bool(lacking) and not os.environ.get("CI"), reason=f"{', '.join(lacking)} not installed")
