"""The readers of /proc and /sys: recorded machines, odd ones, and this one."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.bundled import machine
from edge.bundled.machine import Address, CpuTimes, Load, Memory, Sensor
from tests.unit.bundled.trees import ODD, OLD, PC, PI, write

READERS = [
    machine.cpu_times,
    machine.cpu_count,
    machine.load,
    machine.memory,
    machine.uptime_s,
    machine.sensors,
    machine.disks,
    machine.addresses,
]


@pytest.fixture
def pi(tmp_path: Path) -> Path:
    return write(tmp_path, PI)


def test_processors(pi: Path) -> None:
    assert machine.cpu_times(pi) == CpuTimes(busy=5922, total=3728158)
    assert machine.cpu_count(pi) == 4


@pytest.mark.parametrize(
    ("before", "after", "percent"),
    [
        (CpuTimes(100, 1000), CpuTimes(150, 1100), 50.0),
        (CpuTimes(100, 1000), CpuTimes(100, 1100), 0.0),
        (CpuTimes(100, 1000), CpuTimes(300, 1100), 100.0),
        (CpuTimes(100, 1000), CpuTimes(90, 1100), 0.0),  # iowait may run backwards
        (CpuTimes(100, 1000), CpuTimes(100, 1000), None),
        (CpuTimes(100, 1000), CpuTimes(100, 900), None),
    ],
)
def test_how_busy_processors_were(before: CpuTimes, after: CpuTimes, percent: float | None) -> None:
    assert machine.cpu_percent(before, after) == percent


def test_load(pi: Path) -> None:
    assert machine.load(pi) == Load(one_minute=0.20, five_minutes=0.18, fifteen_minutes=0.12)


def test_memory(pi: Path) -> None:
    assert machine.memory(pi) == Memory(
        total_bytes=3884432 * 1024,
        available_bytes=3369288 * 1024,
        used_percent=13.3,
        swap_total_bytes=102396 * 1024,
        swap_free_bytes=102396 * 1024,
    )


def test_memory_of_an_old_kernel(tmp_path: Path) -> None:
    found = machine.memory(write(tmp_path, OLD))
    assert found is not None
    assert (found.available_bytes, found.used_percent, found.swap_total_bytes) == (400 * 1024, 60.0, 0)


def test_uptime(pi: Path) -> None:
    assert machine.uptime_s(pi) == 350735.47


def test_temperatures_of_thermal_zones(pi: Path) -> None:
    assert machine.sensors(pi) == [Sensor("cpu-thermal", 48.3), Sensor("wifi", 55.0)]


def test_temperatures_of_drivers_without_those_that_are_not_wired(tmp_path: Path) -> None:
    assert machine.sensors(write(tmp_path, PC)) == [
        Sensor("nvme", 61.9),
        Sensor("coretemp", 52.0),
        Sensor("coretemp", 53.5),
    ]


def test_disks_are_named_once_and_those_that_cannot_be_asked_not_at_all(pi: Path) -> None:
    found = machine.disks(pi)
    assert [(disk.device, disk.mounted_at, disk.kind) for disk in found] == [
        ("/dev/mmcblk0p2", "/", "ext4"),
        ("/dev/mmcblk0p1", "/boot/firmware", "vfat"),
        ("/dev/sda1", "/media/my stick", "vfat"),
    ]
    for disk in found:
        assert disk.total_bytes >= disk.free_bytes > 0
        assert 0 <= disk.used_percent <= 100


def test_addresses_with_their_interfaces_where_the_kernel_tells(pi: Path) -> None:
    assert machine.addresses(pi) == [
        Address("wlan0", "192.168.2.17", 4),
        Address(None, "10.9.9.9", 4),
        Address("wlan0", "fe80::ba27:ebff:fe00:1", 6),
    ]


@pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.__name__)
@pytest.mark.parametrize("tree", [{}, ODD], ids=["empty", "odd"])
def test_what_is_not_there_or_cannot_be_read_is_none_or_empty(
    reader: object, tree: dict[str, str], tmp_path: Path
) -> None:
    assert callable(reader)
    assert reader(write(tmp_path, tree)) in (None, [])


def test_this_machine() -> None:
    root = Path("/")
    times = machine.cpu_times(root)
    assert times is not None
    assert 0 < times.busy < times.total
    assert (machine.cpu_count(root) or 0) > 0
    assert machine.load(root) is not None
    memory = machine.memory(root)
    assert memory is not None
    assert 0 < memory.available_bytes <= memory.total_bytes
    assert (machine.uptime_s(root) or 0) > 0
    for sensor in machine.sensors(root):
        assert -60 < sensor.celsius < 200
