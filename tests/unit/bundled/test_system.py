"""The agent `system`, in its container."""

from __future__ import annotations

import json
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from edge.agents import Container
from edge.bundled.machine import CpuTimes
from edge.bundled.system import System, container
from edge.model.units import split_description
from tests.unit.agents.running import alive
from tests.unit.bundled.trees import PC, PI, write


@asynccontextmanager
async def system(root: Path | str = "/", interval_s: float = 0.05) -> AsyncIterator[Container]:
    made = Container("system", [System(interval_s, str(root))])
    async with alive(made):
        yield made


async def test_each_action_gives_a_value_on_this_machine() -> None:
    async with system() as home:
        for action in home.describe().agents[0].actions:
            result = await home.invoke(action.name, {}, "system")
            if action.name in ("GetCpu", "GetCpuCount", "GetLoad", "GetMemory", "GetUptime", "GetStatus"):
                assert result is not None, action.name


async def test_a_machine_without_sensors_says_not_available(tmp_path: Path) -> None:
    async with system(tmp_path) as home:
        assert await home.invoke("GetTemperature", {}, None) is None
        assert await home.invoke("GetTemperatures", {}, None) == []
        assert await home.invoke("GetCpu", {"interval_s": 0.05}, None) is None
        status = await home.invoke("GetStatus", {}, None)
        assert status == {
            "cpu_percent": None,
            "load": None,
            "memory": None,
            "temperature_celsius": None,
            "uptime_s": None,
            "disks": [],
            "addresses": [],
            "not_available": list(status)[:-1],
        }


async def test_the_status_has_everything_at_once(tmp_path: Path) -> None:
    async with system(write(tmp_path, PI)) as home:
        status = await home.invoke("GetStatus", {}, None)
        assert status["temperature_celsius"] == 48.3
        assert status["load"] == {"one_minute": 0.2, "five_minutes": 0.18, "fifteen_minutes": 0.12}
        assert status["addresses"][0] == {"interface": "wlan0", "address": "192.168.2.17", "version": 4}
        assert status["cpu_percent"] == 0.2  # since the machine started
        assert status["not_available"] == []


async def test_the_processors_own_sensor_wins_over_a_hotter_one(tmp_path: Path) -> None:
    async with system(write(tmp_path, PC)) as home:
        assert await home.invoke("GetTemperature", {}, None) == 53.5
        shutil.rmtree(tmp_path / "sys/class/hwmon/hwmon1")
        assert await home.invoke("GetTemperature", {}, None) == 61.9


async def test_cpu_is_measured_over_an_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    readings = iter([CpuTimes(busy=100, total=1000), CpuTimes(busy=125, total=1100)])
    monkeypatch.setattr("edge.bundled.machine.cpu_times", lambda root: next(readings))
    async with system() as home:
        assert await home.invoke("GetCpu", {"interval_s": 0.0}, None) == 25.0


async def test_the_stream_is_one_status_a_line() -> None:
    async with system() as home, home.get_stream("Status", None) as pieces:
        lines = [await anext(pieces) for _ in range(3)]
    for line in lines:
        assert line.endswith(b"\n")
        assert json.loads(line)["uptime_s"] > 0


@pytest.mark.parametrize(
    ("action", "unit", "device_class"),
    [("GetCpu", "%", None), ("GetTemperature", "°C", "temperature"), ("GetUptime", "s", "duration")],
)
def test_values_say_their_unit(action: str, unit: str, device_class: str | None) -> None:
    described = {each.name: each.description for each in container().describe().agents[0].actions}
    text, quantity = split_description(described[action])
    assert text
    assert quantity is not None
    assert (quantity.unit, quantity.device_class) == (unit, device_class)


def test_everything_is_described() -> None:
    (agent,) = container(2.0).describe().agents
    assert agent.agent_id == "system"
    assert agent.description
    assert all(each.description for each in (*agent.actions, *agent.streams))
