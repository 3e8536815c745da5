"""`scripts/run --demo`, as somebody runs it who sees all of this for the first time."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.cli import broker_files, demo
from edge.cli.failures import Failed
from edge.cli.main import main
from tests.contract.ports import two_free_ports
from tests.system.brokers import mosquitto_program
from tests.system.reader import missing

ROOT = Path(__file__).resolve().parents[2]
_PATIENCE_S = 30.0

pytestmark = pytest.mark.timeout(90)


@pytest.fixture(autouse=True)
def mosquitto() -> None:
    mosquitto_program()


class Shown:
    """A demo, and what is left of it."""

    def __init__(self, process: subprocess.Popen[str], folder: Path) -> None:
        self.process = process
        self.folder = folder
        self.text = ""

    def until(self, words: str) -> str:
        """Read along until words appear."""
        assert self.process.stdout is not None
        while words not in self.text:
            line = self.process.stdout.readline()
            assert line, f"it ended before {words!r}:\n{self.text}\n{self.process.communicate()[1]}"
            self.text += line
        return self.text

    def ends(self) -> int:
        """Wait for its end; then nothing of it may be left."""
        code = self.process.wait(_PATIENCE_S)
        give_up_at_s = time.monotonic() + _PATIENCE_S
        while left := [*self.folder.iterdir(), *self._processes()]:
            assert time.monotonic() < give_up_at_s, left
            time.sleep(0.02)
        return code

    def _processes(self) -> Iterator[str]:
        for one in Path("/proc").glob("[0-9]*"):
            try:
                where, what = os.readlink(one / "cwd"), (one / "cmdline").read_text()
            except OSError:
                continue
            if str(self.folder) in where + what:
                yield what


@contextlib.contextmanager
def shown(folder: Path, tcp_port: int) -> Iterator[Shown]:
    """Start it, with a folder of its own for temporary files."""
    (folder / "temporary").mkdir()
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "TMPDIR": str(folder / "temporary")}
    with subprocess.Popen(
        [str(ROOT / "scripts/run"), "--demo"],
        cwd=folder, env={**environment, "PORT": str(tcp_port)},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    ) as process:  # fmt: skip
        try:
            yield Shown(process, folder / "temporary")
        finally:
            process.kill()


def typed(command: str) -> str:
    """Type a command into a second terminal; of an endless one read the first line."""
    command = command.replace("curl ", "curl -sS --fail-with-body ").replace(" --watch", "")
    command = f"{command} | head -n 1" if " -N " in command else command
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=_PATIENCE_S)
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


@missing("curl")
def test_everything_it_prints_to_call_works_and_ctrl_c_leaves_nothing(open_folder: Path) -> None:
    with shown(open_folder, two_free_ports()) as started:
        text = started.until("Ctrl-C ends all of it")
        home, cloud, live, forecast, while_away, heard, status = re.findall(r"^  ([^#\s].*)$", text, re.MULTILINE)[-7:]
        assert -40 < json.loads(typed(home)) < 60
        assert -40 < json.loads(typed(cloud)) < 60
        assert json.loads(typed(live)).keys() == {"temperature", "humidity", "pressure"}
        assert "Berlin" in json.loads(typed(forecast))
        assert typed(while_away) == ""
        give_up_at_s = time.monotonic() + _PATIENCE_S
        while -99 not in json.loads(typed(heard)):
            assert time.monotonic() < give_up_at_s
            time.sleep(0.02)
        assert "1 of 1 link up, 1 of 1 site there" in typed(status)
        for page in re.findall(r"(http\S+/) \(", text):
            assert "<html" in typed(f"curl {page} -H 'Accept: text/html'")
        os.killpg(started.process.pid, signal.SIGINT)
        assert started.ends() == 0


def test_what_is_killed_leaves_nothing_either(open_folder: Path) -> None:
    with shown(open_folder, two_free_ports()) as started:
        started.until("gives its temperature at home")
        started.process.kill()
        assert started.ends() == -signal.SIGKILL


def test_sigterm_ends_it_while_it_still_starts(open_folder: Path) -> None:
    with shown(open_folder, two_free_ports()) as started:
        started.until("a broker between them")
        started.process.terminate()
        assert started.ends() == 0


def test_a_part_that_dies_is_named_with_what_it_said_last(open_folder: Path) -> None:
    with shown(open_folder, two_free_ports()) as started:
        started.until("plays the cloud answers")
        (folder,) = started.folder.iterdir()
        os.kill(int((folder / "broker/data/mosquitto.pid").read_text()), signal.SIGTERM)
        assert started.ends() == 1
        assert started.process.stderr is not None
        said = started.process.stderr.read()
        assert "error: the broker has ended" in said
        assert "mosquitto version" in said and "terminating" in said


@pytest.mark.parametrize("which", [0, 1])
def test_a_taken_port_is_named_before_anything_is_started(
    which: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    tcp_port = two_free_ports()
    with socket.create_server(("127.0.0.1", tcp_port + which)):
        monkeypatch.setattr(demo, "Parts", None)
        assert main(["demo", "--port", str(tcp_port)]) == 1
    assert f"port {tcp_port + which} is taken by" in capsys.readouterr().err


def test_without_mosquitto_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(broker_files.shutil, "which", lambda *_, **__: None)
    with pytest.raises(Failed, match="apt-get install -y mosquitto"):
        demo.run(None)  # type: ignore[arg-type]
