"""Whether this machine's time of day may be believed, as far as anybody can tell."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from bridge.store import Clock


class Booted(Clock):
    """A machine that was booted as long ago as the test says.

    Attributes:
        up_s: For how long it is up.
    """

    up_s = 10.0

    def alive_ms(self) -> int:
        return int(self.up_s * 1000)


def booted(folder: Path, *, battery_s: float | None = None, is_network_time: bool = True) -> Booted:
    """Make one; systemd has not set its clock yet."""
    battery, network_time = folder / "since_epoch", folder / "timesync"
    if battery_s is not None:
        battery.write_text(f"{battery_s:.0f}\n")
    if is_network_time:
        network_time.mkdir()
    return Booted(battery_clock_s=battery, network_time=network_time)


def test_a_clock_is_not_believed_until_it_is_set_over_the_network(tmp_path: Path) -> None:
    clock = booted(tmp_path)
    assert not clock.is_set()
    (tmp_path / "timesync" / "synchronized").touch()
    assert not clock.is_set()  # it looks once a second
    clock.up_s += 1.5
    assert clock.is_set()
    (tmp_path / "timesync" / "synchronized").unlink()
    clock.up_s += 1.5
    assert clock.is_set()


def test_a_clock_that_nobody_sets_is_believed_after_an_hour(tmp_path: Path) -> None:
    clock = booted(tmp_path)
    clock.up_s = 3590
    assert not clock.is_set()
    clock.up_s = 3610
    assert clock.is_set()


@pytest.mark.parametrize(("off_s", "is_set"), [(0, True), (-30, True), (-86_400, False), (-1.7e9, False)])
def test_a_clock_that_a_battery_kept_going_is_believed_at_once(tmp_path: Path, off_s: float, is_set: bool) -> None:
    assert booted(tmp_path, battery_s=time.time() + off_s).is_set() == is_set


def test_where_nobody_is_known_to_set_it_a_clock_is_believed(tmp_path: Path) -> None:
    assert booted(tmp_path, is_network_time=False).is_set()


def test_a_battery_clock_that_cannot_be_read_is_none(tmp_path: Path) -> None:
    clock = booted(tmp_path)
    (tmp_path / "since_epoch").write_text("-\n")
    assert not clock.is_set()
