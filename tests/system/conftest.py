"""What the tests of bridges share: a broker."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.brokers import Mosquitto, broker


@pytest.fixture
def mosquitto(tmp_path: Path) -> Iterator[Mosquitto]:
    """One that lets everybody in; it runs."""
    with broker(tmp_path / "broker") as running:
        yield running
