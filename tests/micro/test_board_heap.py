"""All of a board, safe mode and clock too, lives in a heap of 64 kB on the real MicroPython, and does not grow.

What stands in for the firmware is as small as can be: on a board it takes no heap at all.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

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


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    home = Home(tmp_path / "platform")
    try:
        home.start()
        yield home
    finally:
        home.household.clear_away()


@pytest.fixture
def board(tmp_path: Path, built: Path, home: Home) -> Iterator[VirtualBoard]:
    identity = {"platform": home.url, "user": "board-1", "token": home.token(), "ntp": "127.0.0.1"}
    program = HASTE + CLIMATE + MEASURED
    board = VirtualBoard("micropython", built, tmp_path / "board", program, heap=HEAP, stand_ins="firmware", **identity)
    yield board
    board.stop()


def used_bytes(home: Home) -> int:
    answer = home.ask("admin", "POST", "/invoke/Heap", {})
    assert answer.status == 200, answer.text
    used: int = answer.json()
    return used


@pytest.mark.timeout(120)
def test_requests_leave_no_trace_in_the_heap(
    home: Home, board: VirtualBoard, at_size: Callable[[int, int], int]
) -> None:
    board.start()
    container_id = board.attached_id()

    def some(count: int) -> None:
        for turn in range(count):
            assert home.temperature() == 21.5
            if turn % 10 == 0:
                assert home.ask("admin", "POST", "/invoke/GetTemperature", {"no": 1}).status == 400
                assert home.ask("admin", "GET", f"/containers/{container_id}").status == 200
                assert home.ask("admin", "POST", "/broadcast/news", {"payload": "x" * 500}).status == 200

    some(50)
    before = used_bytes(home)
    some(at_size(200, 2000))
    assert used_bytes(home) <= before + SLACK_BYTES + CLOCK_BYTES
    assert "MemoryError" not in board.log


@pytest.mark.timeout(60)
def test_trying_to_reach_the_platform_for_long_leaves_no_trace_in_the_heap(home: Home, board: VirtualBoard) -> None:
    hasty = board.folder.joinpath("main.py").read_text().replace("pause_s = 0.2", "pause_s = 0.01")
    board.write("main.py", hasty)
    board.set(ntp="")
    board.start()
    board.attached_id()
    fail(home, board, 10)
    before = used_bytes(home)
    fail(home, board, 150)
    assert used_bytes(home) <= before + SLACK_BYTES
    assert "MemoryError" not in board.log


def fail(home: Home, board: VirtualBoard, times: int) -> None:
    """Put something in the platform's place that answers so many times, but as no platform does."""
    home.household.stop()
    with socket.create_server(("127.0.0.1", home.tcp_port)) as listener:
        listener.settimeout(10)
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
