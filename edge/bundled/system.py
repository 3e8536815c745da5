"""The agent `system`: how the machine is that the platform runs on."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

from edge.agents import Agent, Container, action, stream
from edge.bundled import machine
from edge.bundled.machine import Address, CpuTimes, Disk, Load, Memory, Sensor

_SHORTEST_S = 0.05
_LONGEST_S = 10.0


@dataclass(frozen=True)
class Status:
    """Everything at once; what this machine cannot tell is null and named in `not_available`."""

    cpu_percent: float | None
    load: Load | None
    memory: Memory | None
    temperature_celsius: float | None
    uptime_s: float | None
    disks: list[Disk]
    addresses: list[Address]
    not_available: list[str] = field(default_factory=list)


class System(Agent):
    """Tells how the machine is: processor, memory, disks, temperature, network. Null means: not available here."""

    def __init__(self, interval_s: float = 1.0, root: str = "/") -> None:
        """Args:
        interval_s: Between two lines of the stream, in seconds; at least 0.05.
        root: The folder to read instead of `/`.
        """
        super().__init__("system")
        self._interval_s = max(interval_s, _SHORTEST_S)
        self._root = Path(root)
        self._before: tuple[float, CpuTimes] | None = None

    @action
    async def get_cpu(self, interval_s: float = 0.5) -> float | None:
        """How busy all processors together are, measured over 0.05 to 10 seconds. [unit=% range=0..100]"""
        before = await self.in_thread(machine.cpu_times, self._root)
        await asyncio.sleep(min(max(interval_s, _SHORTEST_S), _LONGEST_S))
        after = await self.in_thread(machine.cpu_times, self._root)
        return machine.cpu_percent(before, after) if before and after else None

    @action
    def get_cpu_count(self) -> int | None:
        """How many processors (cores) there are."""
        return machine.cpu_count(self._root)

    @action
    def get_load(self) -> Load | None:
        """How many programs ran or waited to run, on average over the last 1, 5 and 15 minutes."""
        return machine.load(self._root)

    @action
    def get_memory(self) -> Memory | None:
        """Main memory and swap space, in bytes."""
        return machine.memory(self._root)

    @action
    def get_disks(self) -> list[Disk]:
        """The file systems on disks and cards and how full they are."""
        return machine.disks(self._root)

    @action
    def get_temperature(self) -> float | None:
        """The processor's temperature; null without a sensor. [unit=°C range=-40..125 class=temperature]"""
        return _processor_celsius(machine.sensors(self._root))

    @action
    def get_temperatures(self) -> list[Sensor]:
        """All temperature sensors built into the machine, in °C; empty if there are none."""
        return machine.sensors(self._root)

    @action
    def get_uptime(self) -> float | None:
        """For how long the machine has been up. [unit=s class=duration]"""
        return machine.uptime_s(self._root)

    @action
    def get_addresses(self) -> list[Address]:
        """The machine's addresses in its networks."""
        return machine.addresses(self._root)

    @action
    def get_status(self) -> Status:
        """Everything at once; what this machine cannot tell is null and named in `not_available`."""
        cpu = self._cpu_since_last_time()
        known = {
            "cpu_percent": cpu,
            "load": machine.load(self._root),
            "memory": machine.memory(self._root),
            "temperature_celsius": _processor_celsius(machine.sensors(self._root)),
            "uptime_s": machine.uptime_s(self._root),
            "disks": machine.disks(self._root),
            "addresses": machine.addresses(self._root),
        }
        missing = [name for name, value in known.items() if value is None or value == []]
        return Status(**known, not_available=missing)  # type: ignore[arg-type]

    @stream(mode="GET")
    async def status(self) -> AsyncIterator[Status]:
        """Everything at once, again and again: one line of JSON each second."""
        while True:
            yield await self.in_thread(self.get_status)
            await asyncio.sleep(self._interval_s)

    def _cpu_since_last_time(self) -> float | None:
        now = machine.cpu_times(self._root)
        if now is None:
            return None
        last, self._before = self._before, (time.monotonic(), now)
        if last is None or time.monotonic() - last[0] < _SHORTEST_S:
            # Nothing to compare with: the share since the machine started is better than nothing.
            return machine.cpu_percent(CpuTimes(0, 0), now)
        return machine.cpu_percent(last[1], now)


def _processor_celsius(sensors: list[Sensor]) -> float | None:
    """Return the processor's own sensor if one is named so, else the hottest."""
    named = [
        sensor for sensor in sensors if any(word in sensor.name.lower() for word in ("cpu", "soc", "x86_pkg", "core"))
    ]
    return max((sensor.celsius for sensor in named or sensors), default=None)


def container(interval_s: float = 1.0) -> Container:
    """Make the container.

    Args:
        interval_s: Between two lines of the stream, in seconds.
    """
    return Container("system", [System(interval_s)], description="How this machine is.", provider="OPACA Edge")
