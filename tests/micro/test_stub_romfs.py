"""From an image of the read-only file system, where bytecode takes no heap, the same board lives in 40 kB."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.board_running import MOUNTED
from micro.flash.romfs import image
from tests.contract.ports import free_port
from tests.contract.running import platform_process, until
from tests.micro.boards import Board, micropython
from tests.micro.test_stub_heap import REQUESTS, TOKEN, used_bytes

START = """
import gc, sys
gc.threshold(1024)
sys.path.append("/rom/firmware")
import heap_board
heap_board.main({port}, "", {token!r}, {platform!r})
"""


@pytest.fixture
def board(built: Path, tmp_path: Path) -> Iterator[Board]:
    rom = tmp_path / "rom.img"
    rom.write_bytes(image(built))
    (tmp_path / "platform").mkdir()
    (tmp_path / "board").mkdir()
    with platform_process(tmp_path / "platform") as platform:
        port = free_port()
        mounted = MOUNTED.format(size=rom.stat().st_size, path=str(rom))
        start = mounted + START.format(port=port, token=TOKEN, platform=platform.base_url)
        command = [str(micropython()), "-X", "heapsize=40k", "-c", start]
        with Board(command, tmp_path / "board", {"MICROPYPATH": ".frozen"}, port, TOKEN) as board:
            until(lambda: platform.ask("GET", "/containers").json(), "the board is attached")
            yield board


@pytest.mark.timeout(60)
def test_a_board_serves_from_romfs_in_40_kb(board: Board) -> None:
    def some(count: int) -> None:
        for turn in range(count):
            method, path, more, status = REQUESTS[turn % len(REQUESTS)]
            assert board.ask(method, path, **more).status == status, f"{method} {path}"

    some(100)
    before = used_bytes(board)
    some(2000)
    assert used_bytes(board) <= before + 512
    assert "MemoryError" not in board.log
