"""What Linux tells about the machine: small readers of /proc and /sys.

Each takes the folder that stands for `/`, so that recorded trees can be read as well, and returns None (or an empty
list) where this machine does not tell.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address
from pathlib import Path

# File systems that only exist in memory, or show another one again.
_NO_DISKS = frozenset(("tmpfs", "devtmpfs", "squashfs", "overlay", "ramfs", "iso9660"))
_OWN_ADDRESS = re.compile(r"\|-- ([\d.]+)\n\s+/32 host LOCAL")


@dataclass(frozen=True)
class CpuTimes:
    """Ticks of all processors together since the start."""

    busy: int
    total: int


@dataclass(frozen=True)
class Load:
    """How many programs ran or waited to run, on average over the last minutes."""

    one_minute: float
    five_minutes: float
    fifteen_minutes: float


@dataclass(frozen=True)
class Memory:
    """Main memory and swap space, in bytes; `available_bytes` is what programs can still get."""

    total_bytes: int
    available_bytes: int
    used_percent: float
    swap_total_bytes: int
    swap_free_bytes: int


@dataclass(frozen=True)
class Disk:
    """A file system on a disk or card, in bytes; `free_bytes` is what programs can still write."""

    mounted_at: str
    device: str
    kind: str
    total_bytes: int
    free_bytes: int
    used_percent: float


@dataclass(frozen=True)
class Sensor:
    """A temperature sensor that the machine has built in."""

    name: str
    celsius: float


@dataclass(frozen=True)
class Address:
    """An address of this machine in a network; `interface` is null where the kernel does not tell it."""

    interface: str | None
    address: str
    version: int


def _read(path: Path) -> str | None:
    try:
        return path.read_text("utf-8", "replace")
    except OSError:
        return None  # not on this machine, not for us, or a sensor that does not answer


def cpu_times(root: Path) -> CpuTimes | None:
    """Read how long the processors have worked."""
    text = _read(root / "proc/stat") or ""
    found = re.match(r"cpu +([\d ]+)", text)
    if found is None:
        return None
    # user nice system idle iowait irq softirq steal; guest times are in user and nice already.
    ticks = [int(number) for number in found[1].split()][:8]
    if len(ticks) < 4:
        return None
    return CpuTimes(busy=sum(ticks) - sum(ticks[3:5]), total=sum(ticks))


def cpu_percent(before: CpuTimes, after: CpuTimes) -> float | None:
    """Return how busy the processors were between two readings; None if no tick passed."""
    passed = after.total - before.total
    return round(min(100.0, max(0.0, 100 * (after.busy - before.busy) / passed)), 1) if passed > 0 else None


def cpu_count(root: Path) -> int | None:
    """Count the processors."""
    return len(re.findall(r"^cpu\d+ ", _read(root / "proc/stat") or "", re.MULTILINE)) or None


def load(root: Path) -> Load | None:
    """Read the load averages."""
    found = re.match(r"([\d.]+) ([\d.]+) ([\d.]+) ", _read(root / "proc/loadavg") or "")
    return Load(*(float(number) for number in found.groups())) if found else None


def memory(root: Path) -> Memory | None:
    """Read how much memory there is and how much of it is left."""
    text = _read(root / "proc/meminfo") or ""
    kib = {name: int(number) for name, number in re.findall(r"^(\w+): +(\d+) kB", text, re.MULTILINE)}
    # Kernels before 3.14 do not know MemAvailable.
    available = kib.get("MemAvailable", kib.get("MemFree", 0) + kib.get("Buffers", 0) + kib.get("Cached", 0))
    if not kib.get("MemTotal"):
        return None
    return Memory(
        total_bytes=kib["MemTotal"] * 1024,
        available_bytes=available * 1024,
        used_percent=round(100 * (1 - available / kib["MemTotal"]), 1),
        swap_total_bytes=kib.get("SwapTotal", 0) * 1024,
        swap_free_bytes=kib.get("SwapFree", 0) * 1024,
    )


def uptime_s(root: Path) -> float | None:
    """Read for how many seconds the machine has been up."""
    found = re.match(r"[\d.]+", _read(root / "proc/uptime") or "")
    return float(found[0]) if found else None


def sensors(root: Path) -> list[Sensor]:
    """Read the temperature sensors: thermal zones, and those of other drivers where there are no zones."""
    zones = [
        Sensor(name=(_read(zone / "type") or zone.name).strip(), celsius=celsius)
        for zone in sorted((root / "sys/class/thermal").glob("thermal_zone*"))
        if (celsius := _celsius(zone / "temp")) is not None
    ]
    return zones or [
        Sensor(name=(_read(sensor.parent / "name") or sensor.parent.name).strip(), celsius=celsius)
        for sensor in sorted((root / "sys/class/hwmon").glob("hwmon*/temp*_input"))
        if (celsius := _celsius(sensor)) is not None
    ]


def _celsius(path: Path) -> float | None:
    text = (_read(path) or "").strip()
    # Drivers report nonsense for a sensor that is not wired.
    return round(int(text) / 1000, 1) if re.fullmatch(r"-?\d+", text) and -60_000 < int(text) < 200_000 else None


def disks(root: Path) -> list[Disk]:
    """Ask the file systems on disks and cards how full they are; each device once. May wait for a slow disk."""
    found: dict[str, Disk] = {}
    for line in (_read(root / "proc/mounts") or "").splitlines():
        device, mounted_at, kind, *_ = (*line.split(" "), "", "")
        if not device.startswith("/dev/") or kind in _NO_DISKS or device in found:
            continue
        mounted_at = re.sub(r"\\(\d{3})", lambda escape: chr(int(escape[1], 8)), mounted_at)
        try:
            space = os.statvfs(root / mounted_at.lstrip("/"))
        except OSError:
            continue  # not for us
        if space.f_blocks:
            usable = space.f_blocks - space.f_bfree + space.f_bavail
            found[device] = Disk(
                mounted_at=mounted_at,
                device=device,
                kind=kind,
                total_bytes=space.f_blocks * space.f_frsize,
                free_bytes=space.f_bavail * space.f_frsize,
                used_percent=round(100 * (1 - space.f_bavail / usable), 1) if usable else 0.0,
            )
    return list(found.values())


def addresses(root: Path) -> list[Address]:
    """Read the machine's addresses, without those that only it itself can reach."""
    routes = _routes(root)
    found: dict[str, Address] = {}
    for text in _OWN_ADDRESS.findall(_read(root / "proc/net/fib_trie") or ""):
        own = IPv4Address(text)
        if not own.is_loopback:
            interface = next((name for network, name in routes if own in network), None)
            found[text] = Address(interface=interface, address=text, version=4)
    for line in (_read(root / "proc/net/if_inet6") or "").splitlines():
        fields = line.split()
        if len(fields) == 6 and not (own6 := IPv6Address(int(fields[0], 16))).is_loopback:
            found[str(own6)] = Address(interface=fields[5], address=str(own6), version=6)
    return list(found.values())


def _routes(root: Path) -> list[tuple[IPv4Network, str]]:
    """Return the networks that are reached directly, and by which interface."""
    networks = []
    for line in (_read(root / "proc/net/route") or "").splitlines()[1:]:
        fields = line.split()
        if len(fields) >= 8 and fields[7] != "00000000":
            destination, mask = (IPv4Address(bytes.fromhex(fields[column])[::-1]) for column in (1, 7))
            networks.append((IPv4Network(f"{destination}/{mask}", strict=False), fields[0]))
    return networks
