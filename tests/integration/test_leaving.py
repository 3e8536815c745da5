"""A client that leaves in the middle of anything leaves nothing behind: no task, no socket, no open agent."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable

import pytest

from tests.contract.running import PlatformThread, until
from tests.contract.wire import Wire, chunked, request_bytes
from tests.integration.laboratory import Laboratory
from tests.integration.websocket import WebSocket

JSON = {"Content-Type": "application/json"}
CHUNKED = {"Transfer-Encoding": "chunked"}

WAYS = pytest.mark.parametrize("way", ["close", "reset"])


@WAYS
def test_leaving_in_mid_call_cancels_the_action(platform: PlatformThread, lab: Laboratory, way: str) -> None:
    before = platform.tasks()
    wire = Wire(platform.address)
    wire.send(request_bytes("POST", "/invoke/Wait/lab", JSON, b"{}"))
    until(lambda: lab.seen == ["waits"], "the action runs")
    getattr(wire, way)()
    until(lambda: lab.seen == ["waits", "waits no more"], "it is cancelled")
    until(lambda: platform.tasks() <= before, "nothing is left")


@WAYS
def test_leaving_a_stream_closes_its_source(platform: PlatformThread, lab: Laboratory, way: str) -> None:
    before = platform.tasks()
    wire = Wire(platform.address)
    wire.send(request_bytes("GET", "/stream/Drip"))
    wire.read_head()
    getattr(wire, way)()
    until(lambda: lab.seen == ["drips", "drips no more"], "the source is closed")
    until(lambda: platform.tasks() <= before, "nothing is left")


@WAYS
def test_leaving_a_flood_closes_its_source(platform: PlatformThread, lab: Laboratory, way: str) -> None:
    before = platform.tasks()
    wire = Wire(platform.address)
    wire.send(request_bytes("GET", "/stream/Flood"))
    wire.read_head()
    wire.read_exactly(1_000_000)
    getattr(wire, way)()
    until(lambda: lab.seen == ["floods no more"], "the source is closed")
    until(lambda: platform.tasks() <= before, "nothing is left")


@WAYS
@pytest.mark.parametrize("headers", [CHUNKED, {"Content-Length": "100"}])
def test_leaving_while_sending_breaks_the_stream(
    platform: PlatformThread, lab: Laboratory, way: str, headers: dict[str, str]
) -> None:
    """The agent must be able to tell it from a stream that was finished."""
    before = platform.tasks()
    wire = Wire(platform.address)
    piece = b"5\r\nhello\r\n" if headers == CHUNKED else b"hello"
    wire.send(request_bytes("POST", "/stream/Keep/lab", headers) + piece)
    until(lambda: lab.taken == [b"hello"], "the agent has a piece")
    getattr(wire, way)()
    until(lambda: len(lab.seen) == 1, "the agent is told")
    assert lab.seen[0].startswith(("keep broke", "keep was cancelled"))
    until(lambda: platform.tasks() <= before, "nothing is left")


@WAYS
@pytest.mark.parametrize(
    "begun",
    [
        b"",
        b"GET /in",
        b"GET /info HTTP/1.1\r\nHost: a\r\n",
        request_bytes("POST", "/send/lab", {**JSON, "Content-Length": "50"}),
        request_bytes("POST", "/send/lab", {**JSON, "Content-Length": "50"}) + b'{"payload": ',
        request_bytes("POST", "/send/lab", {**JSON, **CHUNKED}) + b'5\r\n{"pay\r\n',
        request_bytes("POST", "/containers/notify", {"Content-Length": "5"}) + b"12",
        request_bytes("GET", "/info"),
    ],
)
def test_leaving_in_mid_request_leaves_nothing(platform: PlatformThread, way: str, begun: bytes) -> None:
    before = platform.tasks()
    wire = Wire(platform.address)
    wire.send(begun)
    getattr(wire, way)()
    until(lambda: platform.tasks() <= before, "nothing is left")
    assert platform.ask("GET", "/info").status == 200


def test_a_hundred_who_leave_at_any_moment_leave_nothing(platform: PlatformThread, seed: int) -> None:
    """The fixture that looks for open files and threads holds for the sockets."""
    before = platform.tasks()
    generator = random.Random(seed)
    requests: list[Callable[[], bytes]] = [
        lambda: request_bytes("POST", "/invoke/Wait/lab", JSON, b"{}"),
        lambda: request_bytes("POST", "/invoke/Say", JSON, b'{"text": "a"}') * generator.randint(1, 9),
        lambda: request_bytes("GET", "/stream/Flood"),
        lambda: request_bytes("GET", "/stream/Drip/lab"),
        lambda: request_bytes("POST", "/stream/Keep/lab", CHUNKED, chunked([bytes(1000)] * 9)),
        lambda: request_bytes("GET", "/containers"),
    ]
    for _ in range(100):
        data = generator.choice(requests)()
        with Wire(platform.address, timeout_s=0.05) as wire:
            wire.send(data[: generator.randint(1, len(data))] if generator.random() < 0.3 else data)
            if generator.random() < 0.3:
                with contextlib.suppress(TimeoutError):
                    wire.socket.recv(1)
            if generator.random() < 0.5:
                wire.reset()
    for _ in range(20):
        with WebSocket(platform.address) as socket:
            if generator.random() < 0.5:
                socket.subscribe("/invoke")
    until(lambda: platform.tasks() <= before, "nothing is left")
    assert platform.ask("POST", "/invoke/Say", json_body={"text": "a"}).text == '"a"'
