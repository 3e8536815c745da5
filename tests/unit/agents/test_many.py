"""Thousands of agents of one class."""

from __future__ import annotations

import asyncio
import gc
import time
import tracemalloc
from dataclasses import dataclass
from typing import Any

from edge.agents import Agent, Container, action, stream
from tests.unit.agents.running import alive

_BUDGET_BYTES_PER_AGENT = 2 * 1024 * 1024 // 100


@dataclass
class Box:
    """A box."""

    width: float
    label: str = ""


class Lamp(Agent):
    """A lamp on the wall."""

    @action
    async def set_level(self, level: int, fade_s: float = 0.5, box: Box | None = None) -> bool:
        """Set the level. [unit=%]"""
        return True

    @action
    async def get_level(self) -> int:
        """Get the level. [unit=%]"""
        return 1

    @stream(mode="GET")
    async def levels(self) -> Any:
        """The level, again and again."""
        yield 1


def make(containers: int, agents: int) -> list[Container]:
    return [Container(f"home-{n}", [Lamp(f"lamp-{n}-{m}") for m in range(agents)]) for n in range(containers)]


async def test_two_thousand_agents_in_two_hundred_containers_are_cheap() -> None:
    make(1, 1)
    gc.collect()
    tracemalloc.start()
    try:
        homes = make(200, 10)
        for home in homes:
            await asyncio.sleep(0)
            home.describe()
        gc.collect()
        used_bytes, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert used_bytes / 2000 < _BUDGET_BYTES_PER_AGENT / 10


async def test_the_last_of_two_thousand_is_found_as_fast_as_the_first() -> None:
    (home,) = make(1, 2000)
    async with alive(home):
        await home.invoke("GetLevel", {}, "lamp-0-0")

        async def cost_s(agent_id: str | None) -> float:
            began_s = time.perf_counter()
            for _ in range(500):
                await home.invoke("GetLevel", {}, agent_id)
            return time.perf_counter() - began_s

        first_s = min([await cost_s("lamp-0-0") for _ in range(3)])
        assert min([await cost_s("lamp-0-1999") for _ in range(3)]) < 5 * first_s
        assert min([await cost_s(None) for _ in range(3)]) < 5 * first_s
