"""What the tests of boards share: bytecode is built once."""

from __future__ import annotations

from pathlib import Path

import pytest

from micro.flash.build import build, compiled
from tests.micro.boards import ROOT


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Everything a board can load, as bytecode; the host's stand-ins in its folder `host`."""
    folder = tmp_path_factory.mktemp("built")
    build(folder)
    for source in (ROOT / "micro/host").glob("*.py"):
        compiled(source, folder / "host" / f"{source.stem}.mpy")
    return folder
