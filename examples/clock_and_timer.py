"""A clock, and a timer that reports back: actions, messages, and background work.

Bundled:  opaca-edge run --config examples/opaca-edge.toml
Alone:    cd examples && opaca-edge agents run clock_and_timer:container
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

from edge.agents import Agent, Container, action, stream


class Clock(Agent):
    """Tells the time."""

    @action
    async def get_time(self) -> datetime:
        """The time now, in UTC."""
        return datetime.now(UTC)

    @stream(mode="GET")
    async def ticks(self) -> AsyncIterator[datetime]:
        """The time, once a second: one line of JSON each."""
        while True:
            yield datetime.now(UTC)
            await asyncio.sleep(1 - datetime.now(UTC).microsecond / 1e6)


class Timer(Agent):
    """Counts down, and sends a message when a time is over."""

    def __init__(self) -> None:
        super().__init__()
        self.running: dict[str, datetime] = {}

    @action
    async def start_timer(self, seconds: float, name: str = "timer", tell: str | None = None) -> None:
        """Start a timer. When it ends, the agent `tell` gets a message, and the channel `timers` one for everybody."""
        if not 0 <= seconds <= 86_400 or name in self.running:
            raise ValueError("expected 0 to 86400 seconds, and a name that no other timer has")
        self.running[name] = datetime.now(UTC)
        self.start_task(self.count_down(seconds, name, tell), name)

    @action
    async def get_timers(self) -> dict[str, datetime]:
        """The timers that run, and since when."""
        return self.running

    async def count_down(self, seconds: float, name: str, tell: str | None) -> None:
        await asyncio.sleep(seconds)
        del self.running[name]
        message: dict[str, Any] = {"timer": name, "seconds": seconds}
        if tell:
            await self.send(tell, message, reply_to=self.agent_id)
        await self.broadcast("timers", message)


def container() -> Container:
    return Container("clock-and-timer", [Clock(), Timer()])
