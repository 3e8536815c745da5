"""All of a board, safe mode and clock too, lives in a heap of 64 kB on the real MicroPython, and does not grow.

What stands in for the firmware is as small as can be: on a board it takes no heap at all.
"""

from __future__ import annotations

import random
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.micro.boards import ROOT
from tests.micro.homes import CLIMATE, HASTE, Home, VirtualBoard

HEAP = "64k"
SLACK_BYTES = 512
# The module that asks for the time comes and goes.
CLOCK_BYTES = 1280
MEASURED = """
import gc

@climate.action("Heap", result="integer")
def heap():
    gc.collect()
    return gc.mem_alloc()

board.run(climate)
"""
PROGRAM = "import heap_board\n\nagents = heap_board.climate()\n"
# What the platform refuses never reaches a board; the stub's own test sends that.
MIXED: list[tuple[str, str, Any, int]] = [
    ("POST", "/invoke/GetTemperature", {}, 200),
    ("POST", "/invoke/GetTemperature", {"no": 1}, 400),
    ("POST", "/invoke/SetLamp/climate", {"on": True, "level": 5}, 200),
    ("POST", "/invoke/Fail", {}, 502),
    ("POST", "/send/climate", {"payload": {"a": [1, 2, 3]}, "replyTo": ""}, 200),
    ("POST", "/broadcast/news", {"payload": "x" * 500, "replyTo": ""}, 200),
    ("GET", "/stream/Values/climate", None, 200),
    ("GET", "/containers/{id}", None, 200),
    ("GET", "/agents/climate", None, 200),
    ("GET", "/stream/Nothing/climate", None, 404),
]


@pytest.fixture
def board(tmp_path: Path, built: Path, home: Home) -> Iterator[VirtualBoard]:
    identity = {"platform": home.url, "user": "board-1", "token": home.token(), "ntp": "127.0.0.1"}
    main = (ROOT / "micro/main.py").read_text("utf-8")
    board = VirtualBoard("micropython", built, tmp_path / "board", main, heap=HEAP, stand_ins="firmware", **identity)
    board.write("program.py", PROGRAM)
    yield board
    board.stop()


def used_bytes(home: Home) -> int:
    """Return what is in use, the least of several looks: an old word on the stack may hold something."""
    looks: list[int] = []
    for _ in range(12):
        answer = home.ask("admin", "POST", "/invoke/Heap", {})
        assert answer.status == 200, answer.text
        looks.append(answer.json())
    return min(looks)


@pytest.mark.timeout(300)
def test_thousands_of_requests_leave_no_trace_in_the_heap(
    home: Home, board: VirtualBoard, at_size: Callable[[int, int], int]
) -> None:
    board.start()
    container_id = board.attached_id()
    draw = random.Random(1)

    def some(count: int) -> None:
        for method, path, body, status in draw.choices(MIXED, k=count):
            answer = home.ask("admin", method, path.format(id=container_id), body)
            assert answer.status == status, f"{method} {path}: {answer.status} {answer.text}"

    some(100)
    before = used_bytes(home)
    some(at_size(2000, 20_000))
    assert used_bytes(home) <= before + SLACK_BYTES + CLOCK_BYTES
    assert "MemoryError" not in board.log
    assert board.log.count("attached to") == 1


@pytest.mark.timeout(60)
def test_trying_to_reach_the_platform_for_long_leaves_no_trace_in_the_heap(home: Home, board: VirtualBoard) -> None:
    board.write("main.py", HASTE.replace("pause_s = 0.2", "pause_s = 0.01") + CLIMATE + MEASURED)
    board.set(ntp="")
    board.start()
    board.attached_id()
    looks: list[int] = []
    for times in (10, 50, 50, 50):
        fail(home, board, times)
        looks.append(used_bytes(home))
    # What is loaded for something that happens for the first time stays, once; a leak would be seen each time.
    assert looks[-1] <= max(looks[1:-1]) + SLACK_BYTES
    assert "MemoryError" not in board.log


def fail(home: Home, board: VirtualBoard, times: int) -> None:
    """Put something in the platform's place that answers so many times, but as no platform does."""
    home.household.stop()
    with socket.create_server(("127.0.0.1", home.tcp_port)) as listener:
        listener.settimeout(20)
        for turn in range(times):
            connection, _ = listener.accept()
            with connection:
                connection.recv(100 if turn % 2 else 4096)
                body = b"x" * 400 * (turn % 3)
                connection.sendall(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 800\r\n\r\n" + body)
    home.start()
    board.until(lambda: home.temperature() == 21.5, "its value through the platform")


def test_a_board_in_safe_mode_is_attached_and_answers(home: Home, board: VirtualBoard) -> None:
    board.write("boots.json", '{"failed": 5, "reason": "MemoryError: memory allocation failed"}')
    board.start()
    container_id = board.attached_id()
    described = home.containers()[container_id]["image"]["description"]
    assert described == "safe mode: the program failed 5 times, last: MemoryError: memory allocation failed"
    assert home.ask("admin", "POST", "/invoke/GetReason", {}).json() == described
    assert board.log.count("MemoryError") == 1
