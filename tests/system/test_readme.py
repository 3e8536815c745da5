"""The README, followed by somebody who does exactly what it says: every block is run, every answer compared."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.contract.ports import two_free_ports
from tests.system.brokers import mosquitto_program
from tests.system.reader import missing

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text("utf-8")

_BLOCK = re.compile(r"(?:^`(?P<file>[^`\n]+)`:\n\n)?^```(?P<language>\w+)\n(?P<text>.*?)^```", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """A block of the README; `file` is the name that stands before it."""

    language: str
    text: str
    file: str | None


def _blocks(section: str) -> list[Block]:
    text = re.split(r"^## ", README.partition(f"\n## {section}\n")[2], maxsplit=1, flags=re.MULTILINE)[0]
    return [Block(found["language"], found["text"], found["file"]) for found in _BLOCK.finditer(text)]


class Reader:
    """Somebody with three terminals: one where the platform runs, one for a board, one for everything else."""

    def __init__(self, folder: Path, tcp_port: int) -> None:
        self._folder = folder
        self._port = str(tcp_port)
        self._platform: subprocess.Popen[bytes] | None = None
        self._board: subprocess.Popen[bytes] | None = None
        self._environment = dict(os.environ, PORT=self._port, STATE_DIR=str(folder / "state"), LOG_LEVEL="warning")

    def start(self, command: str) -> None:
        """Type a command that goes on, in place of the one that went on before."""
        self.stop()
        with (self._folder / "platform").open("wb") as shown:
            self._platform = subprocess.Popen(command.split(), cwd=self._folder, env=self._environment, stdout=shown)
        give_up_at = time.monotonic() + 30
        while time.monotonic() < give_up_at:
            assert self._platform.poll() is None, f"{command} ended with {self._platform.returncode}"
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self._port}/info", timeout=5) as answer:
                    if answer.status == 200 and ("--demo" not in command or "Ctrl-C ends" in self._shown()):
                        return
            except OSError:
                pass
            time.sleep(0.02)
        pytest.fail(f"{command} does not answer")

    def _shown(self) -> str:
        return (self._folder / "platform").read_text()

    def stop(self) -> None:
        """Press Ctrl-C."""
        platform, self._platform = self._platform, None
        if platform is not None:
            platform.send_signal(signal.SIGINT)
            assert platform.wait(20) == 0

    def switch_on(self, command: str) -> None:
        """Type the command that runs a board, and let it go on."""
        with (self._folder / "board").open("wb") as shown:
            environment = self._environment | {"OPACA_EDGE_URL": f"http://127.0.0.1:{self._port}"}
            self._board = subprocess.Popen(
                command.split(), cwd=self._folder, env=environment, stdout=shown, stderr=subprocess.STDOUT
            )

    def reads(self, text: str) -> None:
        """Look at the board's terminal until all lines of a text are there; IDs, folders and numbers differ."""
        give_up_at = time.monotonic() + 20
        while left := _without_numbers(text) - _without_numbers((self._folder / "board").read_text()):
            assert time.monotonic() < give_up_at, f"never shown: {left}"
            time.sleep(0.02)

    def switch_off(self) -> None:
        """Press Ctrl-C there."""
        board, self._board = self._board, None
        if board is not None:
            board.send_signal(signal.SIGINT)
            assert board.wait(20) == 0

    def type(self, command: str) -> str:
        """Type a command that ends, and return what it prints; of an endless one the first two lines."""
        command = command.strip().replace(":8000", f":{self._port}").replace(":8001", f":{int(self._port) + 1}")
        if "-N" in command:
            command = f"{command} -s | head -n 2"
        environment = self._environment | {"OPACA_EDGE_URL": f"http://127.0.0.1:{self._port}"}
        done = subprocess.run(
            ["bash", "-c", command], cwd=self._folder, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, f"{command}: {done.stderr}"
        return done.stdout


@contextmanager
def reading(folder: Path, tcp_port: int) -> Iterator[Reader]:
    """A reader in a folder that looks like a fresh clone."""
    (folder / ".venv/bin").mkdir(parents=True)
    for name in ("scripts", "examples", "firmware-examples", ".venv/bin/opaca-edge"):
        (folder / name).symlink_to(ROOT / name)
    reader = Reader(folder, tcp_port)
    try:
        yield reader
    finally:
        reader.switch_off()
        reader.stop()


@pytest.fixture
def reader(tmp_path: Path, unused_tcp_port: int) -> Iterator[Reader]:
    with reading(tmp_path, unused_tcp_port) as reader:
        yield reader


@pytest.mark.timeout(90)
@missing("curl")
def test_five_minutes_go_as_the_readme_says(reader: Reader, tmp_path: Path) -> None:
    assert _follow(reader, tmp_path, "Five minutes") > 8


@pytest.mark.timeout(90)
@missing("curl")
def test_a_board_shows_its_value_through_the_platform_as_the_readme_says(reader: Reader, tmp_path: Path) -> None:
    reader.start("scripts/run")
    assert _follow(reader, tmp_path, "A board") > 3


@pytest.mark.timeout(90)
@missing("curl")
def test_the_cloud_has_the_board_at_home_as_the_readme_says(tmp_path: Path) -> None:
    mosquitto_program()
    with reading(tmp_path, two_free_ports()) as reader:
        assert _follow(reader, tmp_path, "Joined to a cloud platform") > 5


def _follow(reader: Reader, folder: Path, section: str) -> int:
    """Do what a section says, and return how many blocks it has."""
    said = None
    blocks = _blocks(section)
    for block in blocks:
        if block.file:
            (folder / block.file).write_text(block.text)
        elif block.language == "sh" and block.text.startswith("scripts/run"):
            reader.start(block.text)
        elif block.language == "sh" and "boards virtual" in block.text:
            reader.switch_on(block.text)
            said = None
        elif block.language == "sh":
            said = reader.type(block.text)
        elif said is None:
            reader.reads(block.text)
        elif block.language == "json":
            assert _shape(json.loads(said)) == _shape(json.loads(block.text))
        else:
            assert said == block.text
    return len(blocks)


def _without_numbers(text: str) -> set[str]:
    plain = re.sub(r"\S+/bin/opaca-edge", "opaca-edge", text)
    plain = re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "ID", plain)
    return set(re.sub(r"\d+(\.\d+)?", "N", plain).splitlines())


def _shape(value: object) -> object:
    """What must be the same on every machine: numbers differ."""
    if isinstance(value, dict):
        return {key: _shape(each) for key, each in value.items()}
    return "a number" if isinstance(value, int | float) and not isinstance(value, bool) else value


def test_the_map_of_folders_names_what_is_there() -> None:
    (folders,) = (block.text for block in _blocks("Folders"))
    inside = ""
    for line in folders.splitlines():
        name = line.split()[0]
        inside = inside if line.startswith(" ") else name
        path = ROOT / inside / name if line.startswith(" ") else ROOT / name
        assert path.exists(), line
    parts = {path.name for path in (ROOT / "edge").iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert parts == set(re.findall(r"^  (\w+)/", folders, re.MULTILINE))


def test_the_walk_of_a_request_names_files_that_are_there() -> None:
    walk = README.partition("## A request on its way")[2].partition("\n## ")[0]
    files = re.findall(r"`(edge/[\w/]+\.py)`", walk)
    assert [file for file in files if not (ROOT / file).is_file()] == []
    assert len(files) == len(set(files)) > 8
