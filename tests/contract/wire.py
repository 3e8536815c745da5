"""A raw HTTP/1.1 client: it sends exactly the bytes it is given and shows exactly what came back.

Ordinary clients repair what they send (paths, headers, lengths) and hide what they get (pieces, closed connections),
which is what these tests are about.
"""

from __future__ import annotations

import json
import select
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

Address = tuple[str, int]

_MAX_HEAD_BYTES = 256 * 1024


class WireClosed(Exception):
    """The server ended the connection before a whole answer had come."""


class BadHttp(Exception):
    """What the server sent is no HTTP/1.1 answer."""


@dataclass
class Response:
    """An answer as it came.

    Attributes:
        headers: In order, names in lower case.
        body: Without chunk framing.
        pieces: The chunks as the server sent them; one if the body had a length.
    """

    status: int
    reason: str
    headers: list[tuple[str, str]]
    body: bytes = b""
    pieces: list[bytes] = field(default_factory=list)

    def header(self, name: str) -> str | None:
        """Return a header's values, joined by comma, None if there is none."""
        values = [value for key, value in self.headers if key == name.lower()]
        return ", ".join(values) if values else None

    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def text(self) -> str:
        return self.body.decode()


class Wire:
    """One connection.

    Args:
        timeout_s: Longest silence to accept from the server, in seconds.
        receive_bytes: Size of the receive buffer; small for clients that play dead. None: the system's choice.
    """

    def __init__(self, address: Address, timeout_s: float = 20.0, receive_bytes: int | None = None) -> None:
        self._buffer = bytearray()
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        if receive_bytes is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        self.socket.settimeout(timeout_s)
        try:
            self.socket.connect(address)
        except OSError:
            self.socket.close()
            raise
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def __enter__(self) -> Wire:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.socket.close()

    def reset(self) -> None:
        """Leave without a goodbye: the server gets a reset instead of an end."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
        self.socket.close()

    def send(self, data: bytes) -> None:
        """Send everything; a server that hung up meanwhile is noticed when its answer is read."""
        try:
            self.socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            pass

    def end_sending(self) -> None:
        try:
            self.socket.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def exchange(self, data: bytes, method: str = "GET") -> Response:
        self.send(data)
        return self.read_response(method)

    def read_response(self, method: str = "GET") -> Response:
        """Read one whole answer; interim answers (100) are skipped."""
        response = self.read_head()
        response.pieces = [piece for piece in self.read_pieces(response, method) if piece]
        response.body = b"".join(response.pieces)
        return response

    def read_head(self, interim: bool = False) -> Response:
        """Read status line and headers; what follows is left to `read_pieces`."""
        while True:
            head = self._until(b"\r\n\r\n", _MAX_HEAD_BYTES).decode("latin-1")
            lines = head[:-4].split("\r\n")
            parts = lines[0].split(" ", 2)
            if len(parts) < 2 or not parts[0].startswith("HTTP/1.") or not parts[1].isdigit():
                raise BadHttp(f"status line {lines[0]!r}")
            headers = []
            for line in lines[1:]:
                name, colon, value = line.partition(":")
                if not colon:
                    raise BadHttp(f"header line {line!r}")
                headers.append((name.strip().lower(), value.strip()))
            response = Response(int(parts[1]), parts[2] if len(parts) > 2 else "", headers)
            if interim or response.status >= 200 or response.status == 101:
                return response

    def read_pieces(self, response: Response, method: str = "GET") -> Iterator[bytes]:
        """Yield the body's pieces as they arrive."""
        if method == "HEAD" or response.status in (101, 204, 304):
            return
        if response.header("transfer-encoding") is not None:
            yield from self._read_chunks()
        elif (length := response.header("content-length")) is not None:
            if not length.isdigit():
                raise BadHttp(f"Content-Length {length!r}")
            yield self.read_exactly(int(length))
        else:
            while True:
                if self._buffer:
                    yield self._take(len(self._buffer))
                try:
                    self._more()
                except WireClosed:
                    return

    def read_exactly(self, count: int) -> bytes:
        while len(self._buffer) < count:
            self._more()
        return self._take(count)

    def has_received(self, timeout_s: float) -> bool:
        """Tell whether something, or the end, comes in time."""
        return bool(self._buffer) or bool(select.select([self.socket], [], [], timeout_s)[0])

    def is_closed_within(self, timeout_s: float) -> bool:
        """Tell whether the server closes the connection in time; what it still sends is dropped."""
        deadline = time.monotonic() + timeout_s
        try:
            while (left := deadline - time.monotonic()) > 0:
                self.socket.settimeout(left)
                if not self.socket.recv(65536):
                    return True
        except TimeoutError:
            return False
        except OSError:
            return True
        return False

    def _read_chunks(self) -> Iterator[bytes]:
        while True:
            line = self._until(b"\r\n", 1024)
            try:
                size = int(line.split(b";")[0], 16)
            except ValueError:
                raise BadHttp(f"chunk size {line!r}") from None
            piece = self.read_exactly(size)
            if self.read_exactly(2) != b"\r\n":
                raise BadHttp("chunk without end")
            if size == 0:
                return
            yield piece

    def _until(self, end: bytes, limit: int) -> bytes:
        while (index := self._buffer.find(end)) < 0:
            if len(self._buffer) > limit:
                raise BadHttp(f"no {end!r} within {limit} bytes")
            self._more()
        return self._take(index + len(end))

    def _take(self, count: int) -> bytes:
        data = bytes(self._buffer[:count])
        del self._buffer[:count]
        return data

    def _more(self) -> None:
        try:
            data = self.socket.recv(262144)
        except ConnectionResetError:
            data = b""
        if not data:
            raise WireClosed(f"after {bytes(self._buffer[:200])!r}")
        self._buffer += data


def request_bytes(
    method: str,
    path: str,
    headers: list[tuple[str, str]] | dict[str, str] | None = None,
    body: bytes = b"",
    host: str = "localhost",
) -> bytes:
    """Write a request; Host and Content-Length are added where the headers do not name them."""
    pairs = list(headers.items()) if isinstance(headers, dict) else list(headers or [])
    names = {name.lower() for name, _ in pairs}
    if "host" not in names:
        pairs.insert(0, ("Host", host))
    if body and not names & {"content-length", "transfer-encoding"}:
        pairs.append(("Content-Length", str(len(body))))
    head = f"{method} {path} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in pairs) + "\r\n"
    return head.encode("latin-1") + body


def chunked(pieces: list[bytes]) -> bytes:
    """Frame pieces for `Transfer-Encoding: chunked`."""
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces if piece) + b"0\r\n\r\n"


def ask(
    address: Address,
    method: str,
    path: str,
    headers: dict[str, str] | None = None,
    body: bytes = b"",
    json_body: Any = None,
    timeout_s: float = 20.0,
) -> Response:
    """Make one request on a connection of its own."""
    headers = dict(headers or {})
    if json_body is not None:
        body = json.dumps(json_body).encode()
    if body and not any(name.lower() == "content-type" for name in headers):
        headers["Content-Type"] = "application/json"
    with Wire(address, timeout_s) as wire:
        return wire.exchange(request_bytes(method, path, headers, body), method)
