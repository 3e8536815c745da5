"""A board as a process on the real MicroPython, 32 bits, in a heap of a given size; something answers as its platform.

What it serves is the agent of tests/micro/heap_board.py, and tests/micro/firmware stands in for what is firmware on a
board: the least that will do, as it takes heap here and none there.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from bench.servers import ROOT, free_port
from micro.flash.build import build, compiled
from micro.flash.romfs import image

MICROPYTHON = ROOT / ".venvs/micropython/bin/micropython"

# On a board the image lies in flash; here it is mapped outside of the heap.
MOUNTED = """
import ffi, sys, uctypes, vfs
address = ffi.open("libc.so.6").func("p", "mmap", "piiiii")(
    None, {size}, 1, 2, ffi.open("libc.so.6").func("i", "open", "si")({path!r}, 0), 0)
vfs.mount(vfs.VfsRom(uctypes.bytearray_at(address, {size})), "/rom")
sys.path.insert(0, "/rom")
"""

_TOKEN = "a-token"
_ATTACHED_S = 5.0
_ANSWER_S = 10.0
_MIXED: list[tuple[str, str, bytes, int]] = [
    ("GET", "/info", b"", 200),
    ("GET", "/agents/climate", b"", 200),
    ("POST", "/invoke/GetTemperature", b"{}", 200),
    ("POST", "/invoke/SetLamp/climate", b'{"on": true, "level": 5}', 200),
    ("POST", "/invoke/SetLamp/climate", b'{"on": 1}', 500),
    ("POST", "/invoke/SetLamp", b'{"on": tr', 422),
    ("POST", "/send/climate", b'{"payload": {"a": [1, 2, 3]}, "replyTo": ""}', 200),
    ("POST", "/broadcast/news", b'{"payload": "' + b"x" * 100 + b'", "replyTo": ""}', 200),
    ("GET", "/stream/Values", b"", 200),
    ("POST", "/stream/Take", b"y" * 200, 200),
    ("GET", "/nothing", b"", 404),
]


class Failed(Exception):
    """The board did not do what it should."""


@dataclass(frozen=True)
class Build:
    """Everything that a board loads, compiled.

    Attributes:
        folder: `files` and `rom.img` in it are for the board; `firmware` and `host` have stand-ins.
        sizes: Bytes of flash of each module.
    """

    folder: Path
    sizes: dict[str, int]

    def run(self, program: str, *, romfs: bool, stand_ins: str = "firmware", heap: str = "1m") -> tuple[list[str], str]:
        """What starts a program on the real MicroPython: the command, and where it looks for modules."""
        searched = f"{self.folder / stand_ins}:.frozen"
        rom = self.folder / "rom.img"
        if romfs:
            program = MOUNTED.format(size=rom.stat().st_size, path=str(rom)) + program
        else:
            searched = f"{self.folder / 'files'}:{searched}"
        return [str(MICROPYTHON), "-X", f"heapsize={heap}", "-c", program], searched


def built(folder: Path) -> Build:
    """Compile everything into a folder."""
    sizes = build(folder / "files")
    compiled(ROOT / "tests/micro/heap_board.py", folder / "files/heap_board.mpy")
    for source in [*ROOT.glob("micro/host/*.py"), *ROOT.glob("tests/micro/firmware/*.py")]:
        compiled(source, folder / source.parent.name / f"{source.stem}.mpy")
    (folder / "rom.img").write_bytes(image(folder / "files"))
    return Build(folder, sizes)


class _Platform(ThreadingHTTPServer):
    """Lets every board attach itself, and knows with which token it wants to be called."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.token: str | None = None


class _Answer(BaseHTTPRequestHandler):
    server: _Platform

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        answer = "true"
        if self.path == "/containers":
            self.server.token = body["clientConfig"]["token"]
            answer = '"3b0e6c1c-8c5e-4d6f-9a43-0d6e1a52f7b1"'
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer.encode())

    def log_message(self, *_: object) -> None:
        pass


class Board:
    """A board that serves."""

    def __init__(self, tcp_port: int, token: str, process: subprocess.Popen[bytes], log: Path) -> None:
        self._tcp_port = tcp_port
        self._token = token
        self._process = process
        self._log = log

    def ask(self, method: str, path: str, body: bytes = b"") -> tuple[int, bytes]:
        """Status and body of an answer; raises Failed if there is none."""
        connection = HTTPConnection("127.0.0.1", self._tcp_port, timeout=_ANSWER_S)
        try:
            connection.request(method, path, body, {"Authorization": f"Bearer {self._token}"})
            answer = connection.getresponse()
            return answer.status, answer.read()
        except (OSError, HTTPException) as error:
            raise Failed(f"{method} {path}: {error!r}") from error
        finally:
            connection.close()

    def serve(self, count: int) -> None:
        """Send mixed requests, one after the other; raises Failed unless all answers are right."""
        for turn in range(count):
            method, path, body, expected = _MIXED[turn % len(_MIXED)]
            if (status := self.ask(method, path, body)[0]) != expected:
                raise Failed(f"{method} {path}: {status}")
        if self._process.poll() is not None or "MemoryError" in self._log.read_text("utf-8", "replace"):
            raise Failed("it had not enough memory")

    def used_bytes(self) -> int:
        """What is in use of the heap, after a collection, while it answers this question."""
        return int(self.ask("POST", "/invoke/Heap", b"{}")[1])


@contextmanager
def running(build: Build, heap: str, *, whole: bool, romfs: bool) -> Iterator[Board]:
    """A board that is attached.

    Args:
        heap: As MicroPython's `heapsize`: "48k".
        whole: `micro/main.py`, with all that `board.run` does; else REST, container, announce and the sensor alone.
        romfs: The bytecode lies in an image of the read-only file system; else in files.
    """
    tcp_port = free_port()
    with tempfile.TemporaryDirectory() as folder, _platform() as platform:
        base_url = f"http://127.0.0.1:{platform.server_port}"
        program = (
            _whole(Path(folder), tcp_port, base_url)
            if whole
            else "import gc; gc.threshold(1024); import heap_board; "
            f"heap_board.main({tcp_port}, '', {_TOKEN!r}, {base_url!r})"
        )
        command, searched = build.run(program, romfs=romfs, heap=heap)
        log = Path(folder, "log")
        with log.open("wb") as output:
            process = subprocess.Popen(
                command,
                cwd=folder,
                env={"MICROPYPATH": searched},
                stdout=output,
                stderr=output,
                stdin=subprocess.DEVNULL,
            )
            try:
                _wait_until_attached(platform, process, log)
                token = platform.token if whole else _TOKEN
                yield Board(tcp_port, str(token), process, log)
            finally:
                process.kill()
                process.wait()


def _whole(folder: Path, tcp_port: int, base_url: str) -> str:
    settings: dict[str, Any] = {"name": "bench", "platform": base_url, "token": "x", "port": tcp_port}
    settings |= {"wifi": {"ssid": "home", "password": "sesame-street"}, "ntp": "127.0.0.1"}
    (folder / "opaca.json").write_text(json.dumps(settings))
    (folder / "program.py").write_text("import heap_board\n\nagents = heap_board.climate()\n")
    (folder / "main.py").write_bytes((ROOT / "micro/main.py").read_bytes())
    return "import main"


@contextmanager
def _platform() -> Iterator[_Platform]:
    with _Platform() as platform:
        thread = threading.Thread(target=platform.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield platform
        finally:
            platform.shutdown()
            thread.join()


def _wait_until_attached(platform: _Platform, process: subprocess.Popen[bytes], log: Path) -> None:
    give_up_at = time.monotonic() + _ATTACHED_S
    while platform.token is None:
        if process.poll() is not None or time.monotonic() > give_up_at:
            raise Failed(f"it did not attach itself:\n{log.read_text('utf-8', 'replace')}")
        time.sleep(0.01)
