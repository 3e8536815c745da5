"""From an image of the read-only file system, where bytecode takes no heap, the same board lives in 40 kB."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from micro.flash.build import build, compiled
from micro.flash.romfs import image
from tests.contract.running import platform_process, until
from tests.micro.boards import ROOT, Board, free_port, micropython
from tests.micro.test_stub_heap import MODULES, REQUESTS, STAND_INS, TOKEN, used_bytes

# On a board the image lies in flash; here it is mapped outside of the heap.
MOUNTED = """
import ffi, gc, sys, uctypes, vfs
gc.threshold(1024)
libc = ffi.open("libc.so.6")
address = libc.func("p", "mmap", "piiiii")(None, {size}, 1, 2, libc.func("i", "open", "si")({path!r}, 0), 0)
vfs.mount(vfs.VfsRom(uctypes.bytearray_at(address, {size})), "/rom")
sys.path.append("/rom")
import heap_board
heap_board.main({port}, "", {token!r}, {platform!r})
"""


@pytest.fixture
def board(tmp_path: Path) -> Iterator[Board]:
    folder = tmp_path / "files"
    build(folder, only=MODULES)
    compiled(ROOT / "tests/micro/heap_board.py", folder / "heap_board.mpy")
    for name, text in STAND_INS.items():
        (tmp_path / f"{name}.py").write_text(text)
        compiled(tmp_path / f"{name}.py", folder / f"{name}.mpy")
    rom = tmp_path / "rom.img"
    rom.write_bytes(image(folder))
    (tmp_path / "platform").mkdir()
    (tmp_path / "board").mkdir()
    with platform_process(tmp_path / "platform") as platform:
        port = free_port()
        start = MOUNTED.format(
            size=rom.stat().st_size, path=str(rom), port=port, token=TOKEN, platform=platform.base_url
        )
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
    some(500)
    assert used_bytes(board) <= before + 512
    assert "MemoryError" not in board.log
