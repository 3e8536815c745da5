"""A board that sleeps goes back to sleep, whatever it met while it was awake."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

from tests.micro.parts import Workbench, workbench

__all__ = ["workbench"]

PROGRAM = """
import json
from opaca_micro import push
from opaca_micro.agent import Agent

for _ in range(TIMES):
    print(json.dumps(push.report(Agent("letter-box"), "post", VALUE, "opaca.json", 3600)))
"""


@contextmanager
def platform(answer: bytes) -> Iterator[str]:
    """A platform that says the same to everything; yields its base URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()


def told(workbench: Workbench, folder: Path, url: str, value: str, times: int) -> list[int]:
    """Let a board tell a value; returns for how many milliseconds it wants to sleep each time."""
    settings = {"name": "letter-box", "platform": url, "url": "http://127.0.0.1:9", "push": True, "watchdog": False}
    (folder / "opaca.json").write_text(json.dumps(settings))
    done = workbench.end(PROGRAM.replace("VALUE", value).replace("TIMES", str(times)))
    assert done.returncode == 0, f"{done.stdout}{done.stderr}"
    return [int(line) for line in done.stdout.splitlines() if line.isdigit()]


def test_an_answer_that_nobody_understands_is_no_reason_to_stay_awake(workbench: Workbench, tmp_path: Path) -> None:
    with platform(b"\xff\xfe") as url:
        assert told(workbench, tmp_path, url, "True", 3) == [10_000, 20_000, 40_000]


def test_a_value_that_is_too_long_to_be_remembered_is_told_each_time(workbench: Workbench, tmp_path: Path) -> None:
    with platform(b"an-id") as url:
        assert told(workbench, tmp_path, url, "'x' * 3000", 2) == [3_600_000, 3_600_000]
