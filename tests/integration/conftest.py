"""Platforms for tests that look inside."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.running import PlatformThread
from tests.integration import laboratory
from tests.integration.elsewhere import Elsewhere, as_platform
from tests.integration.house import SETTINGS, House
from tests.integration.laboratory import Laboratory
from tests.system.households import Household


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[PlatformThread]:
    """A platform in this process with the laboratory in it."""
    with PlatformThread(tmp_path, {"lab": laboratory.FACTORY}) as platform:
        yield platform


@pytest.fixture
def lab(platform: PlatformThread) -> Laboratory:
    """The laboratory in `platform`."""
    return laboratory.LATEST[0]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A platform with everybody in it."""
    household = Household(tmp_path_factory.mktemp("house"), SETTINGS)
    household.actor()
    household.actor("other actor", 'env = {REPORTED = "other actor"}')
    with Elsewhere(as_platform) as peer, Elsewhere(as_platform) as former_peer:
        try:
            household.start()
            yield House(household, peer, former_peer)
        finally:
            household.clear_away()
