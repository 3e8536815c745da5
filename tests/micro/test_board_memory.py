"""What the documentation says of the memory of boards is what the code takes."""

from __future__ import annotations

import re

import pytest

from bench.board_modules import BESIDE, CORE, modules
from bench.board_running import built
from micro.flash.build import build
from tests.micro.boards import ROOT, micropython

PAGE = (ROOT / "docs/boards-memory.md").read_text("utf-8")
BUDGET_BYTES = 30_000
FOR_BOARD_RUN = ("serving", "running", "at times", "instead")


def test_the_page_has_what_each_module_takes(tmp_path_factory: pytest.TempPathFactory) -> None:
    micropython()
    rows = re.findall(r"^\| `([\w.]+)` \| ([\d,]+) \| ([\d,]+) \| ([\d,]+) \|", PAGE, re.MULTILINE)
    documented = {name: [int(figure.replace(",", "")) for figure in figures] for name, *figures in rows}
    for module in modules(built(tmp_path_factory.mktemp("board"))):
        found = [module.flash_bytes, module.heap_bytes, module.romfs_heap_bytes]
        # A comma more in the code is no reason to measure anew.
        assert documented[module.name] == pytest.approx(found, rel=0.1, abs=200), f"{module.name} takes {found}"


def test_all_that_a_board_runs_keeps_its_budget_of_flash(tmp_path_factory: pytest.TempPathFactory) -> None:
    sizes = build(tmp_path_factory.mktemp("board"), only=["opaca_micro.board"])
    listed = {name for group, names in (CORE | BESIDE).items() if group in FOR_BOARD_RUN for name in names}
    assert sizes.keys() == listed
    assert sum(sizes.values()) <= BUDGET_BYTES
