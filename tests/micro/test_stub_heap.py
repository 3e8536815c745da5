"""REST, container, announce and one sensor live in a heap of 48 kB on the real MicroPython, whatever callers do."""

from __future__ import annotations

import contextlib
import random
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.contract.ports import free_port
from tests.contract.running import platform_process, until
from tests.contract.wire import WireClosed
from tests.micro.boards import Board, micropython

HEAP = "48k"
TOKEN = "a-token"

_SMALL = b"POST /stream/Take HTTP/1.1\r\nAuthorization: Bearer a-token\r\nContent-Length: "
HOSTILE: dict[str, tuple[bytes, int]] = {
    "a line of 1 MB": (b"x" * 65536, 16),
    "a header of 1 MB": (b"GET /info HTTP/1.1\r\nX: " + b"y" * 65536, 16),
    "a token of 1 MB": (b"GET /info HTTP/1.1\r\nAuthorization: " + b"y" * 65536, 16),
    "100,000 headers": (b"GET /info HTTP/1.1\r\n" + b"a: b\r\n" * 10000, 10),
    "a negative length": (_SMALL + b"-5\r\n\r\n", 1),
    "10 MB": (_SMALL + b"10485760\r\n\r\n" + b"z" * 65536, 160),
    "4 KiB": (_SMALL + b"4096\r\n\r\n" + b"z" * 4096, 1),
    "bad UTF-8": (_SMALL.replace(b"stream/Take", b"send/climate") + b'6\r\n\r\n{"\xff"\xfe', 1),
    "bad JSON": (_SMALL.replace(b"stream/Take", b"send/climate") + b'9\r\n\r\n{"pay": [', 1),
    "2,000 levels": (_SMALL.replace(b"stream/Take", b"send/climate") + b"2000\r\n\r\n" + b"[" * 2000, 1),
    "a greeting of TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n" * 20, 1),
    "bytes": (bytes(range(256)) * 8, 1),
    "a path that is not escaped": (b"GET /agents/%zz%f HTTP/1.1\r\nAuthorization: Bearer a-token\r\n\r\n", 1),
}


@pytest.fixture
def board(built: Path, tmp_path: Path) -> Iterator[Board]:
    (tmp_path / "platform").mkdir()
    with platform_process(tmp_path / "platform") as platform:
        port = free_port()
        # What a board's program begins with: holes in a heap cannot be closed, only be kept from coming.
        call = f"heap_board.main({port}, '', {TOKEN!r}, {platform.base_url!r})"
        start = f"import gc; gc.threshold(1024); import heap_board; {call}"
        command = [str(micropython()), "-X", f"heapsize={HEAP}", "-c", start]
        with Board(command, tmp_path, {"MICROPYPATH": f"{built}:{built}/firmware:.frozen"}, port, TOKEN) as board:
            until(lambda: platform.ask("GET", "/containers").json(), "the board is attached")
            yield board


def used_bytes(board: Board) -> int:
    """Return what is in use, the least of several looks: an old word on the stack may hold something."""
    looks: list[int] = [board.ask("POST", "/invoke/Heap", json_body={}).json() for _ in range(12)]
    return min(looks)


def is_good(board: Board) -> bool:
    with contextlib.suppress(OSError, WireClosed):
        return board.ask("POST", "/invoke/GetTemperature", json_body={}, timeout_s=20).status == 200
    return False


REQUESTS: list[tuple[str, str, dict[str, Any], int]] = [
    ("GET", "/info", {}, 200),
    ("GET", "/agents/climate", {}, 200),
    ("POST", "/invoke/GetTemperature", {"json_body": {}}, 200),
    ("POST", "/invoke/SetLamp/climate", {"json_body": {"on": True, "level": 5}}, 200),
    ("POST", "/invoke/SetLamp/climate", {"json_body": {"on": 1}}, 500),
    ("POST", "/invoke/Fail", {"json_body": {}}, 500),
    ("POST", "/invoke/SetLamp", {"body": b'{"on": tr'}, 422),
    ("POST", "/send/climate", {"json_body": {"payload": {"a": [1, 2, 3]}, "replyTo": ""}}, 200),
    ("POST", "/broadcast/news", {"json_body": {"payload": "x" * 100, "replyTo": ""}}, 200),
    ("GET", "/stream/Values", {}, 200),
    ("POST", "/stream/Take", {"body": b"y" * 200}, 200),
    ("GET", "/nothing", {}, 404),
    ("DELETE", "/info", {}, 405),
    ("GET", "/info", {"headers": {"Authorization": "Bearer no"}}, 403),
]


@pytest.mark.timeout(600)
def test_thousands_of_requests_leave_no_trace_in_the_heap(board: Board, at_size: Callable[[int, int], int]) -> None:
    draw = random.Random(1)

    def some(count: int) -> None:
        for method, path, more, status in draw.choices(REQUESTS, k=count):
            assert board.ask(method, path, **more).status == status, f"{method} {path}"

    some(200)
    before = used_bytes(board)
    some(at_size(2000, 60_000))
    assert used_bytes(board) <= before + 512
    assert "MemoryError" not in board.log


@pytest.mark.timeout(60)
@pytest.mark.parametrize("sent", [b"GET /in", b"GET /info HTTP/1.1\r\n", _SMALL + b"600\r\n\r\nz"])
def test_a_good_request_is_answered_behind_twenty_silent_callers(board: Board, sent: bytes) -> None:
    with contextlib.ExitStack() as stack:

        def stay() -> None:
            with contextlib.suppress(OSError):
                stack.enter_context(socket.create_connection(board.address, timeout=10)).sendall(sent)

        callers = [threading.Thread(target=stay) for _ in range(20)]
        for caller in callers:
            caller.start()
        until(lambda: is_good(board), "a good request is answered")
        for caller in callers:
            caller.join()
    assert board.is_running


@pytest.mark.timeout(60)
def test_nothing_that_is_sent_ends_the_program(board: Board) -> None:
    before = used_bytes(board)
    for what, (data, times) in HOSTILE.items():
        with contextlib.suppress(OSError), socket.create_connection(board.address, timeout=20) as caller:
            for _ in range(times):
                caller.sendall(data)
            while caller.recv(4096):
                pass
        until(lambda: is_good(board), f"a good request is answered after {what}")
    assert used_bytes(board) <= before + 512


@pytest.mark.timeout(60)
def test_thirty_callers_at_once_are_served_in_turn(board: Board) -> None:
    good: list[bool] = []
    callers = [threading.Thread(target=lambda: good.append(is_good(board))) for _ in range(30)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert sum(good) >= 27
    until(lambda: is_good(board), "a good request is answered")


@pytest.mark.timeout(60)
def test_what_does_not_fit_into_the_memory_is_refused_and_leaves_nothing(board: Board) -> None:
    before = used_bytes(board)
    answers = []
    for size in (300, 1024, 2048, 4096, 5000):
        text = b'{"payload": "' + b"x" * (size - 15) + b'"}'
        for path, body in (("/send/climate", text), ("/stream/Take", b"y" * size)):
            # Where there is not even room to say so, the connection is closed.
            with contextlib.suppress(WireClosed):
                answers.append(board.ask("POST", path, body=body))
            until(lambda: is_good(board), "a good request is answered")
    assert len(answers) >= 7
    refused = [answer for answer in answers if answer.status != 200]
    assert {answer.status for answer in refused} == {413}
    assert {answer.json()["message"] for answer in refused} == {
        "the board has not enough memory for this",
        "more than 4096 bytes",
    }
    # Whatever is done beside it takes memory, too: attaching, or the end of the connection before.
    small = b'{"payload": "' + b"x" * 285 + b'"}'
    until(lambda: board.ask("POST", "/send/climate", body=small).status == 200, "300 bytes are taken")
    until(lambda: used_bytes(board) <= before + 512, "nothing is left of them")
