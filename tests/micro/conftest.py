"""What the tests of boards share: bytecode is built once, a platform for each."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from micro.flash.build import build, compiled
from tests.micro.boards import ROOT
from tests.micro.homes import Home


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Everything a board can load, as bytecode; stand-ins in the folders `host` and `firmware`."""
    folder = tmp_path_factory.mktemp("built")
    build(folder)
    for source in [*ROOT.glob("micro/host/*.py"), *ROOT.glob("tests/micro/firmware/*.py")]:
        compiled(source, folder / source.parent.name / f"{source.stem}.mpy")
    compiled(ROOT / "tests/micro/heap_board.py", folder / "firmware" / "heap_board.mpy")
    return folder


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    """A platform that asks who is calling; it runs."""
    home = Home(tmp_path / "platform")
    try:
        home.start()
        yield home
    finally:
        home.household.clear_away()
