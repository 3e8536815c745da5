"""Streams are passed on piece by piece, in both directions, whatever their size (contract, Decision 20)."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from edge.http.limits import Limits
from tests.contract.running import PlatformThread, Process, platform_process, until
from tests.contract.wire import Wire, WireClosed, chunked, request_bytes
from tests.integration import laboratory
from tests.integration.laboratory import FACTORY, Laboratory

MIB = 1024 * 1024

# What the sockets of both sides and the server may hold of a stream that nobody takes; the kernel alone takes 4 MiB.
HELD_BYTES = 16 * MIB

CHUNKED = {"Transfer-Encoding": "chunked"}


def drop(platform: PlatformThread, lab: Laboratory, piece: bytes | None) -> None:
    async def on_loop() -> None:
        lab.drop(piece)

    platform.on_loop(on_loop)


def test_each_piece_arrives_before_the_next_is_there(platform: PlatformThread, lab: Laboratory) -> None:
    with Wire(platform.address) as wire:
        wire.send(request_bytes("GET", "/stream/Drip"))
        drop(platform, lab, b"first")
        head = wire.read_head()
        assert (head.status, head.header("Content-Type")) == (200, "application/octet-stream")
        pieces = wire.read_pieces(head)
        assert next(pieces) == b"first"
        for piece in (b"2", b"", b"a third, longer piece", b"\x00\xff", bytes(10_000)):
            drop(platform, lab, piece)
            if piece:
                assert next(pieces) == piece
        drop(platform, lab, None)
        assert list(pieces) == []


def test_the_head_does_not_wait_for_a_piece(platform: PlatformThread) -> None:
    with Wire(platform.address) as wire:
        wire.send(request_bytes("GET", "/stream/Drip"))
        assert wire.read_head().status == 200


def test_a_piece_may_be_larger_than_any_buffer(platform: PlatformThread, lab: Laboratory) -> None:
    piece = bytes(range(256)) * (8 * MIB // 256)
    with Wire(platform.address) as wire:
        wire.send(request_bytes("GET", "/stream/Drip"))
        drop(platform, lab, piece)
        drop(platform, lab, None)
        assert wire.read_response().body == piece


def test_an_empty_stream_is_200_and_nothing(platform: PlatformThread) -> None:
    answer = platform.ask("GET", "/stream/None")
    assert (answer.status, answer.body) == (200, b"")


def test_a_connection_serves_again_after_a_stream(platform: PlatformThread) -> None:
    with Wire(platform.address) as wire:
        for _ in range(3):
            assert wire.exchange(request_bytes("GET", "/stream/None")).status == 200
            assert (
                wire.exchange(request_bytes("POST", "/stream/Keep/lab", CHUNKED, chunked([b"a"])), "POST").status == 200
            )


def test_a_stream_that_breaks_is_cut_not_finished(platform: PlatformThread) -> None:
    with Wire(platform.address) as wire:
        wire.send(request_bytes("GET", "/stream/Snap"))
        head = wire.read_head()
        pieces = wire.read_pieces(head)
        assert (head.status, next(pieces)) == (200, b"first")
        with pytest.raises(WireClosed):
            next(pieces)


def test_an_http_1_0_client_reads_to_the_end(platform: PlatformThread, lab: Laboratory) -> None:
    with Wire(platform.address) as wire:
        wire.send(b"GET /stream/Drip HTTP/1.0\r\n\r\n")
        for piece in (b"one", b"two", None):
            drop(platform, lab, piece)
        head = wire.read_head()
        assert head.header("Transfer-Encoding") is None
        assert b"".join(wire.read_pieces(head)) == b"onetwo"


def test_each_piece_is_taken_before_the_next_is_sent(platform: PlatformThread, lab: Laboratory) -> None:
    with Wire(platform.address) as wire:
        wire.send(request_bytes("POST", "/stream/Keep/lab", CHUNKED))
        for number, piece in enumerate((b"first", b"2", bytes(10_000)), 1):
            wire.send(b"%x\r\n%b\r\n" % (len(piece), piece))
            until(lambda number=number: len(b"".join(lab.taken)) > 0 and _count(lab) >= number, "the agent has it")
        wire.send(b"0\r\n\r\n")
        answer = wire.read_response("POST")
    assert (answer.status, answer.body) == (200, b"")
    assert b"".join(lab.taken) == b"first2" + bytes(10_000)
    assert lab.seen == ["kept"]


def _count(lab: Laboratory) -> int:
    return len(lab.taken)


def test_pieces_of_a_body_with_a_length_are_taken_as_they_come(platform: PlatformThread, lab: Laboratory) -> None:
    with Wire(platform.address) as wire:
        wire.send(request_bytes("POST", "/stream/Keep/lab", {"Content-Length": "6"}) + b"abc")
        until(lambda: lab.taken == [b"abc"], "the agent has the first half")
        wire.send(b"def")
        assert wire.read_response("POST").status == 200
    assert b"".join(lab.taken) == b"abcdef"


@pytest.mark.parametrize("headers", [{}, {"Content-Length": "0"}, CHUNKED])
def test_an_empty_stream_is_taken(platform: PlatformThread, lab: Laboratory, headers: dict[str, str]) -> None:
    body = chunked([]) if headers == CHUNKED else b""
    with Wire(platform.address) as wire:
        answer = wire.exchange(request_bytes("POST", "/stream/Keep/lab", headers, body), "POST")
    assert (answer.status, answer.body, lab.taken, lab.seen) == (200, b"", [], ["kept"])


def test_the_answer_waits_for_the_agent(platform: PlatformThread, lab: Laboratory) -> None:
    with Wire(platform.address, timeout_s=0.2) as wire:
        wire.send(request_bytes("POST", "/stream/Clog", {}, b"x"))
        until(lambda: "clogged" in lab.seen, "the agent is at it")
        with pytest.raises(TimeoutError):
            wire.read_head()


def test_an_agent_that_fails_is_502_while_the_stream_still_comes(platform: PlatformThread) -> None:
    with Wire(platform.address) as wire:
        wire.send(request_bytes("POST", "/stream/Refuse", CHUNKED) + b"1\r\nx\r\n")
        answer = wire.read_response("POST")
    assert answer.status == 502
    assert "it is full" in answer.json()["cause"]["message"]


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    """A platform of its own, so that its memory can be measured."""
    with platform_process(tmp_path_factory.mktemp("streams"), {"lab": FACTORY}) as process:
        _pull(process, MIB)
        _push(process, MIB, CHUNKED)
        yield process


def _pull(process: Process, size: int) -> int:
    process.ask("POST", "/invoke/Resize", json_body={"size": size})
    with Wire(process.address) as wire:
        wire.send(request_bytes("GET", "/stream/Source"))
        return sum(map(len, wire.read_pieces(wire.read_head())))


def _push(process: Process, size: int, headers: dict[str, str]) -> int:
    piece = bytes(256) * 512
    with Wire(process.address) as wire:
        length = {} if headers else {"Content-Length": str(size)}
        wire.send(request_bytes("POST", "/stream/Sink", {**headers, **length}))
        for _ in range(size // len(piece)):
            wire.send(b"%x\r\n%b\r\n" % (len(piece), piece) if headers else piece)
        if headers:
            wire.send(b"0\r\n\r\n")
        assert wire.read_response("POST").status == 200
    taken = process.ask("POST", "/invoke/Taken", json_body={}).json()
    assert isinstance(taken, int)
    return taken


@pytest.mark.parametrize("way", ["out", "in, chunked", "in, with a length"])
def test_memory_does_not_grow_with_a_stream(process: Process, at_size: Callable[[int, int], int], way: str) -> None:
    size = at_size(2, 50) * MIB
    with _Watch(process) as watch:
        moved = _pull(process, size) if way == "out" else _push(process, size, CHUNKED if "chunked" in way else {})
    assert moved == size
    assert watch.growth_bytes < 2 * MIB


class _Watch:
    """Looks at a process's memory all the time."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._before = process.rss_bytes()
        self._largest = self._before
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._look)

    def __enter__(self) -> _Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._is_over.wait(0.005):
            self._largest = max(self._largest, self._process.rss_bytes())

    @property
    def growth_bytes(self) -> int:
        return self._largest - self._before


def test_a_source_waits_for_its_reader(platform: PlatformThread, lab: Laboratory) -> None:
    with Wire(platform.address, receive_bytes=4096) as wire:
        wire.send(request_bytes("GET", "/stream/Flood"))
        wire.read_head()
        _settled(lambda: lab.flooded_bytes)
        assert 0 < lab.flooded_bytes < HELD_BYTES
        assert platform.ask("POST", "/invoke/Say", json_body={"text": "a"}).status == 200
    until(lambda: "floods no more" in lab.seen, "the source is closed")


def test_a_sender_waits_for_its_agent(platform: PlatformThread, lab: Laboratory) -> None:
    sent_bytes = 0
    with Wire(platform.address, timeout_s=0.3) as wire:
        wire.send(request_bytes("POST", "/stream/Clog", {"Content-Length": str(10**9)}))
        with pytest.raises(TimeoutError):
            while sent_bytes < 2 * HELD_BYTES:
                sent_bytes += wire.socket.send(bytes(65536))
        assert sent_bytes < HELD_BYTES
        assert platform.ask("POST", "/invoke/Say", json_body={"text": "a"}).status == 200


def test_an_agent_that_reads_nothing_is_told_when_its_sender_leaves(platform: PlatformThread, lab: Laboratory) -> None:
    with Wire(platform.address) as wire:
        wire.send(request_bytes("POST", "/stream/Clog", {"Content-Length": str(10**9)}))
        wire.send(bytes(1024 * 1024))
        until(lambda: "clogged" in lab.seen, "the agent took a piece")
    until(lambda: "clogged no more" in lab.seen, "the agent is told")


def test_a_sender_whose_rest_is_here_may_close_its_end(platform: PlatformThread, lab: Laboratory) -> None:
    with Wire(platform.address) as wire:
        wire.send(request_bytes("POST", "/stream/Clog", {"Content-Length": str(1024 * 1024)}))
        wire.send(bytes(1024 * 1024))
        wire.socket.shutdown(socket.SHUT_WR)
        until(lambda: "clogged" in lab.seen, "the agent took a piece")
        assert platform.ask("POST", "/invoke/Say", json_body={"text": "a"}).status == 200
        assert "clogged no more" not in lab.seen


def _settled(value: Callable[[], int]) -> None:
    """Wait until a number has stopped changing for a while."""
    last, since = value(), time.monotonic()
    while time.monotonic() - since < 0.3:
        time.sleep(0.01)
        if value() != last:
            last, since = value(), time.monotonic()


def test_a_reader_that_takes_nothing_is_cut_off(tmp_path: Path) -> None:
    with PlatformThread(tmp_path, {"lab": FACTORY}, Limits(stall_time_s=0.2)) as platform:
        lab = laboratory.LATEST[0]
        before = platform.tasks()
        with Wire(platform.address, receive_bytes=4096) as wire:
            wire.send(request_bytes("GET", "/stream/Flood"))
            wire.read_head()
            until(lambda: "floods no more" in lab.seen, "the source is closed")
            with pytest.raises(WireClosed):
                wire.read_exactly(HELD_BYTES)
        until(lambda: platform.tasks() <= before, "nothing is left")
        assert lab.flooded_bytes < HELD_BYTES


def test_a_slow_reader_is_served(tmp_path: Path) -> None:
    with PlatformThread(tmp_path, {"lab": FACTORY}, Limits(stall_time_s=1.0)) as platform:
        lab = laboratory.LATEST[0]
        with Wire(platform.address, receive_bytes=65536) as wire:
            wire.send(request_bytes("GET", "/stream/Flood"))
            wire.read_head()
            _read_slowly(wire, 2.0)
            assert "floods no more" not in lab.seen
        until(lambda: "floods no more" in lab.seen, "the source is closed")


def _read_slowly(wire: Wire, for_s: float) -> None:
    """Read slower than the source for a while, but never stop."""
    deadline = time.monotonic() + for_s
    while time.monotonic() < deadline:
        wire.read_exactly(256 * 1024)
        time.sleep(0.05)


def test_streams_end_when_the_platform_stops(tmp_path: Path) -> None:
    with PlatformThread(tmp_path, {"lab": FACTORY}, Limits(shutdown_time_s=0.2)) as platform:
        lab = laboratory.LATEST[0]
        reader, sender = Wire(platform.address), Wire(platform.address)
        reader.send(request_bytes("GET", "/stream/Drip"))
        reader.read_head()
        sender.send(request_bytes("POST", "/stream/Clog", CHUNKED) + b"1\r\nx\r\n")
        until(lambda: "clogged" in lab.seen, "both are at it")
    with reader, sender:
        assert reader.is_closed_within(20)
        assert sender.is_closed_within(20)
    assert {"drips no more", "clogged no more", "stopped"} <= set(lab.seen)
