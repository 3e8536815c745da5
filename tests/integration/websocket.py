"""A raw WebSocket client: one frame at a time, right or wrong ones."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import struct
from typing import Any, Self

from tests.contract.wire import Address, Wire, request_bytes

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def handshake(key: str) -> dict[str, str]:
    """Return the headers that ask for an upgrade."""
    return {
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Key": key,
        "Sec-WebSocket-Version": "13",
    }


class WebSocket:
    """A connection to `/subscribe`.

    Args:
        receive_bytes: Size of the receive buffer; small for clients that play dead.
    """

    def __init__(
        self, address: Address, receive_bytes: int | None = None, headers: dict[str, str] | None = None
    ) -> None:
        self.wire = Wire(address, receive_bytes=receive_bytes)
        key = base64.b64encode(os.urandom(16)).decode()
        self.wire.send(request_bytes("GET", "/subscribe", {**handshake(key), **(headers or {})}))
        self.answer = self.wire.read_head(interim=True)
        if self.answer.status != 101:
            self.wire.close()
            raise ConnectionRefusedError(f"status {self.answer.status}")
        expected = base64.b64encode(hashlib.sha1(key.encode() + _GUID).digest()).decode()
        assert self.answer.header("Sec-WebSocket-Accept") == expected

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.wire.close()

    def send(self, kind: int, payload: bytes, *, final: bool = True) -> None:
        """Send one frame."""
        self.wire.send(frame(kind, payload, final=final))

    def subscribe(self, topic: str) -> None:
        """Name the topic and wait until the server has read it: it answers a ping only after what came before."""
        self.send(TEXT, topic.encode())
        self.send(PING, b"read?")
        while self.receive() != (PONG, b"read?"):
            pass

    def receive(self, timeout_s: float = 20.0) -> tuple[int, bytes]:
        """Return kind and payload of the next frame; TimeoutError if none comes."""
        self.wire.socket.settimeout(timeout_s)
        first, second = self.wire.read_exactly(2)
        assert first & 0x80, "the server sent a fragment"
        assert not second & 0x80, "the server masked a frame"
        length = second & 0x7F
        if length == 126:
            (length,) = struct.unpack(">H", self.wire.read_exactly(2))
        elif length == 127:
            (length,) = struct.unpack(">Q", self.wire.read_exactly(8))
        return first & 0x0F, self.wire.read_exactly(length)

    def event(self, timeout_s: float = 20.0) -> dict[str, Any]:
        """Return the next event; pings are answered."""
        while True:
            kind, payload = self.receive(timeout_s)
            if kind == PING:
                self.send(PONG, payload)
            elif kind == TEXT:
                event = json.loads(payload)
                assert isinstance(event, dict)
                return event
            else:
                raise ConnectionAbortedError(f"frame of kind {kind}: {payload!r}")

    def is_silent(self) -> bool:
        """Tell whether nothing but pings has come; asks the server, so that what it sent before is here."""
        self.send(PING, b"silent?")
        while True:
            kind, payload = self.receive()
            if kind == TEXT:
                return False
            if (kind, payload) == (PONG, b"silent?"):
                return True


def frame(kind: int, payload: bytes, *, final: bool = True) -> bytes:
    """Write a frame as a client does: masked."""
    head = bytes([kind | (0x80 if final else 0)])
    if len(payload) < 126:
        head += bytes([0x80 | len(payload)])
    else:
        head += bytes([0x80 | 126]) + struct.pack(">H", len(payload))
    mask = os.urandom(4)
    return head + mask + bytes(byte ^ mask[index % 4] for index, byte in enumerate(payload))
