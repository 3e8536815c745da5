"""A server somewhere else on the network, in a thread: it answers what a test says, and remembers who asked."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

SINCE = "2026-04-21T13:13:39.120Z"


@dataclass(frozen=True)
class Asked:
    """One request as it came; names of headers in lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True)
class Answer:
    """What is answered.

    Attributes:
        after: Waited for before that.
    """

    body: Any = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    after: threading.Event | None = None


NOT_FOUND = Answer(status=404)
Answers = Callable[[Asked], Answer]


class Elsewhere:
    """The server, as a context manager.

    Attributes:
        asked: Every request, in order.
        connections: How often somebody connected, whether or not they asked anything.
    """

    def __init__(self, answers: Answers = lambda _: NOT_FOUND) -> None:
        self.answers = answers
        self.asked: list[Asked] = []
        self.connections = 0
        self._server = _Server(self)
        self.tcp_port = int(self._server.server_address[1])
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), name="elsewhere")

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.tcp_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def paths(self) -> list[str]:
        """Return method and path of every request, in order."""
        return [f"{asked.method} {asked.path}" for asked in self.asked]

    def was_left_alone(self) -> bool:
        """Tell whether nobody came near it."""
        return not self.connections


def platform_info(url: str, *containers: dict[str, Any], platform_id: str = "elsewhere") -> dict[str, Any]:
    """The description of a platform."""
    return {"platformId": platform_id, "baseUrl": url, "containers": containers, "provides": [], "connections": [],
            "runningSince": SINCE}  # fmt: skip


def container_info(image: str = "elsewhere", agents: list[Any] | None = None, **more: Any) -> dict[str, Any]:
    """The description of a container; further keys are those of its image."""
    return {"containerId": "c", "image": {"imageName": image, **more}, "agents": agents or [], "runningSince": SINCE}


def as_platform(asked: Asked) -> Answer:
    """Answer as a platform that connects to whom it is told."""
    host = asked.headers["host"]
    if asked.path == "/info":
        return Answer(platform_info(f"http://{host}", platform_id=host))
    return Answer(True) if asked.path == "/connections" else NOT_FOUND


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, elsewhere: Elsewhere) -> None:
        self.elsewhere = elsewhere
        super().__init__(("127.0.0.1", 0), _Handler)

    def get_request(self) -> Any:
        self.elsewhere.connections += 1
        return super().get_request()

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass  # who asked has left


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 20
    server: _Server

    def do_GET(self) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        asked = Asked(self.command, self.path, headers, self._body(headers))
        self.server.elsewhere.asked.append(asked)
        answer = self.server.elsewhere.answers(asked)
        if answer.after is not None:
            answer.after.wait(self.timeout)
        body = answer.body if isinstance(answer.body, bytes) else json.dumps(answer.body).encode()
        self.send_response(answer.status)
        for name, value in {"Content-Length": str(len(body)), "Connection": "close", **answer.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_PUT = do_DELETE = do_GET

    def _body(self, headers: dict[str, str]) -> bytes:
        if headers.get("transfer-encoding") != "chunked":
            return self.rfile.read(int(headers.get("content-length", "0")))
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def log_message(self, format: str, *args: object) -> None:
        pass
