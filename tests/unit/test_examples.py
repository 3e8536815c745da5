"""The examples: bundled and alone they are the same modules, so they are run here as their containers."""

from __future__ import annotations

import asyncio
import json
import tomllib
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from edge.agents import Container
from edge.launcher.bundled import load_container
from edge.model.units import split_description
from edge.transport.fake import FakeTransport
from tests.unit.agents.running import alive, until

EXAMPLES = Path(__file__).parents[2] / "examples"
LISTED: list[dict[str, Any]] = tomllib.loads((EXAMPLES / "opaca-edge.toml").read_text("utf-8"))["bundled"]


@pytest.fixture(autouse=True)
def beside_the_examples(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.syspath_prepend(str(EXAMPLES))
    yield


@asynccontextmanager
async def example(factory: str, **parameters: Any) -> AsyncIterator[tuple[Container, FakeTransport]]:
    platform = FakeTransport()
    container = load_container(factory, parameters)
    async with alive(container, platform):
        yield container, platform


@pytest.mark.parametrize("entry", LISTED, ids=lambda entry: entry["name"])
async def test_each_container_of_the_example_configuration_runs(entry: dict[str, Any]) -> None:
    async with example(entry["factory"], **entry.get("parameters", {})) as (container, _):
        description = container.describe()
        assert description.image.name == entry["name"]
        assert all(agent.description for agent in description.agents)
        for agent in description.agents:
            assert all(each.description for each in (*agent.actions, *agent.streams))


def test_all_examples_are_listed() -> None:
    modules = {entry["factory"].partition(":")[0] for entry in LISTED}
    assert {path.stem for path in EXAMPLES.glob("*.py")} <= modules


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.stem)
def test_an_example_is_short_enough_to_be_read(path: Path) -> None:
    assert len(path.read_text("utf-8").splitlines()) <= 80


async def test_the_clock_tells_the_time() -> None:
    async with example("clock_and_timer:container") as (container, _):
        assert (await container.invoke("GetTime", {}, None)).endswith("Z")
        async with container.get_stream("Ticks", "clock") as pieces:
            assert (await anext(pieces)).startswith(b"20")


async def test_a_timer_tells_an_agent_and_a_channel_when_it_is_over() -> None:
    async with example("clock_and_timer:container") as (container, platform):
        await container.invoke("StartTimer", {"seconds": 0.05, "name": "tea", "tell": "olga"}, None)
        assert list(await container.invoke("GetTimers", {}, None)) == ["tea"]
        await until(lambda: len(platform.calls) == 2)
        sent, told = platform.calls
        assert (sent.name, sent.content.payload, sent.content.reply_to) == (
            "olga",
            {"timer": "tea", "seconds": 0.05},
            "timer",
        )
        assert (told.name, told.content.payload) == ("timers", {"timer": "tea", "seconds": 0.05})
        assert await container.invoke("GetTimers", {}, None) == {}


@pytest.mark.parametrize("arguments", [{"seconds": -1}, {"seconds": 1e9}])
async def test_a_timer_refuses_what_makes_no_sense(arguments: dict[str, Any]) -> None:
    async with example("clock_and_timer:container") as (container, _):
        with pytest.raises(Exception, match="expected 0 to 86400 seconds"):
            await container.invoke("StartTimer", arguments, None)


async def test_the_greenhouse_measures_and_tells_its_channel() -> None:
    async with example("greenhouse:container", interval_s=0.01) as (container, platform):
        assert -20 < await container.invoke("GetAirTemperature", {}, None) < 60
        await until(lambda: len(platform.calls) >= 3)
        assert {call.name for call in platform.calls} == {"greenhouse"}
        assert set(platform.calls[0].content.payload) == {"temperature_celsius", "soil_moisture_percent", "pump_is_on"}
        async with container.get_stream("Readings", None) as pieces:
            assert json.loads(await anext(pieces))["pump_is_on"] is False


async def test_the_pump_makes_the_soil_wetter_and_stops_again() -> None:
    async with example("greenhouse:container", interval_s=0.005) as (container, _):
        before = await container.invoke("GetSoilMoisture", {}, None)
        after = await container.invoke("Water", {"seconds": 0.1}, None)
        assert after["soil_moisture_percent"] > before
        assert after["pump_is_on"] is False


async def test_the_pump_stops_when_the_caller_leaves() -> None:
    async with example("greenhouse:container", interval_s=0.005) as (container, _):
        agent: Any = container.agents[0]
        call = asyncio.create_task(container.invoke("Water", {"seconds": 60}, None))
        await until(lambda: agent.now.pump_is_on)
        call.cancel()
        await asyncio.wait([call])
        assert not agent.now.pump_is_on


async def test_the_greenhouse_measures_on_without_a_platform() -> None:
    container = load_container("greenhouse:container", {"interval_s": 0.005})
    async with alive(container):
        agent: Any = container.agents[0]
        before = agent.now.soil_moisture_percent
        await until(lambda: agent.now.soil_moisture_percent < before - 0.2)
        assert container.degraded == {}


async def test_the_greenhouse_says_its_units() -> None:
    async with example("greenhouse:container") as (container, _):
        described = {each.name: each.description for each in container.describe().agents[0].actions}
        _, quantity = split_description(described["GetAirTemperature"])
        assert quantity is not None
        assert (quantity.unit, quantity.channel) == ("°C", "greenhouse")


async def test_the_text_tool_sets_and_counts_texts() -> None:
    async with example("text_tool:container") as (container, _):
        layout = {"width": 12, "indent": "> ", "case": "upper"}
        lines = await container.invoke("SetText", {"text": "to be or not to be", "layout": layout}, None)
        assert lines == ["> TO BE OR", "> NOT TO BE"]
        assert await container.invoke("SetText", {"text": "short"}, None) == ["short"]
        assert await container.invoke("Count", {"text": "to be or\nnot to be"}, None) == {
            "characters": 18,
            "words": 6,
            "lines": 2,
            "most_frequent": ["to", "be", "or"],
        }
        with pytest.raises(Exception, match=r"layout\.case: invalid enum value 'loud'"):
            await container.invoke("SetText", {"text": "x", "layout": {"case": "loud"}}, None)


async def test_the_text_tool_takes_a_text_piece_by_piece() -> None:
    async def pieces() -> AsyncIterator[bytes]:
        whole = "grün\nund blau\n".encode()
        for position in range(len(whole)):
            yield whole[position : position + 1]

    async with example("text_tool:container") as (container, _):
        await container.post_stream("Upload", pieces(), None)
        uploaded = await container.invoke("GetUploaded", {}, None)
        assert (uploaded["characters"], uploaded["lines"]) == (14, 2)
