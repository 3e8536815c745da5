"""Platforms for tests that look inside."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.running import PlatformThread
from tests.integration import laboratory
from tests.integration.laboratory import Laboratory


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[PlatformThread]:
    """A platform in this process with the laboratory in it."""
    with PlatformThread(tmp_path, {"lab": laboratory.FACTORY}) as platform:
        yield platform


@pytest.fixture
def lab(platform: PlatformThread) -> Laboratory:
    """The laboratory in `platform`."""
    return laboratory.LATEST[0]
