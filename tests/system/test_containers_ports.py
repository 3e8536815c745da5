"""Extra ports of native containers, forwarded by the platform (contract, Decision 8)."""

from __future__ import annotations

import os
import signal
import socket
from pathlib import Path
from urllib.request import urlopen

import pytest

from tests.contract.running import until
from tests.system.households import household

pytestmark = pytest.mark.timeout(40)

# Answers /info on PORT, and on the port that its own number says, never on the one that the host gives it.
PROGRAM = """
import http.server, json, os, threading


class Answers(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = b"page of %d" % os.getpid()
        if self.path == "/info":
            image = {"imageName": "paged"}
            about = {"containerId": os.environ["CONTAINER_ID"], "image": image, "agents": []}
            body = json.dumps({**about, "runningSince": "2026-01-01T00:00:00.000Z"}).encode()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(body)


own_port = int(os.environ["PORT_MAPPING"].split(",")[1].split(":")[0])
pages = http.server.ThreadingHTTPServer(("127.0.0.1", own_port), Answers)
threading.Thread(target=pages.serve_forever, daemon=True).start()
http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Answers).serve_forever()
"""


def page(port: int) -> str:
    try:
        with urlopen(f"http://127.0.0.1:{port}/", timeout=20) as answer:
            return str(answer.read().decode())
    except OSError:
        return ""


def refuses(port: int) -> bool:
    with socket.socket() as caller:
        return caller.connect_ex(("127.0.0.1", port)) != 0


def test_an_extra_port_leads_to_the_container_also_after_its_process_was_killed(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        own_port = free.getsockname()[1]
    with household(tmp_path) as home:
        ports = {str(own_port): {"protocol": "TCP", "description": "a page"}}
        folder = home.image("paged", ["python", "main.py"], extraPorts=ports)
        (folder / "main.py").write_text(PROGRAM)
        container_id = home.ask("POST", "/containers", json_body={"image": {"imageName": "paged"}}).text
        [host_port] = map(int, home.container(container_id)["connectivity"]["extraPortMappings"])
        until(lambda: page(host_port), "the page is served")
        first = page(host_port)
        os.kill(int(first.split()[-1]), signal.SIGKILL)
        until(lambda: page(host_port) not in ("", first), "the page is served by the next process")
        home.deleted(container_id)
        until(lambda: refuses(host_port), "nobody listens there any more")
