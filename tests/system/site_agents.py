"""Agents at home and in the cloud, for platforms that are joined by a bridge."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from edge.agents import Agent, Container, Message, action, stream


class Greenhouse(Agent):
    """What is at home."""

    def __init__(self) -> None:
        super().__init__("greenhouse")
        self.subscribe_channel("orders")
        self.watered: list[int] = []
        self.heard: list[Any] = []
        self.fed = b""

    @action
    async def water(self, seconds: int) -> str:
        """Water the plants."""
        self.watered.append(seconds)
        return f"watered for {seconds} s"

    @action
    async def slow(self, seconds: float) -> int:
        """Take its time; tells how often it was asked."""
        self.watered.append(0)
        await asyncio.sleep(seconds)
        return len(self.watered)

    @action
    async def fail(self) -> None:
        """Fail."""
        raise ValueError("the pump is stuck")

    @action
    async def echo(self, value: Any) -> Any:
        """Return what came."""
        return value

    @action
    async def times_watered(self) -> int:
        """Tell how often it was asked to water."""
        return len(self.watered)

    @action
    async def report(self, value: float) -> None:
        """Broadcast a temperature."""
        await self.broadcast("temp", {"value": value})

    @action
    async def ask_cloud(self, city: str) -> str:
        """Invoke an action of an agent in the cloud."""
        return str(await self.invoke("Forecast", city=city))

    @action
    async def what_came(self) -> list[Any]:
        """Return the messages."""
        return self.heard

    @action
    async def what_was_fed(self) -> int:
        """Return how many bytes a stream brought."""
        return len(self.fed)

    async def receive_message(self, message: Message) -> None:
        self.heard.append(message.payload)

    @stream(mode="POST")
    async def feed(self, pieces: AsyncIterator[bytes]) -> None:
        """Take bytes."""
        self.fed = b"".join([piece async for piece in pieces])

    @stream(mode="GET")
    async def values(self) -> AsyncIterator[bytes]:
        """Some lines."""
        for number in range(5):
            yield f"{number}\n".encode()
            await asyncio.sleep(0.01)

    @stream(mode="GET")
    async def endless(self) -> AsyncIterator[bytes]:
        """Lines for ever."""
        number = 0
        while True:
            yield f"{number}\n".encode()
            number += 1
            await asyncio.sleep(0.01)

    @stream(mode="GET")
    async def much(self) -> AsyncIterator[bytes]:
        """3 MB."""
        for number in range(300):
            yield bytes([number % 256]) * 10_000


class Collector(Agent):
    """What is in the cloud."""

    def __init__(self) -> None:
        super().__init__("collector")
        self.heard: list[Any] = []
        self.subscribe_channel("temp")

    async def receive_message(self, message: Message) -> None:
        self.heard.append(message.payload)

    @action
    async def forecast(self, city: str) -> str:
        """Tell the weather."""
        return f"rain in {city}"

    @action
    async def collected(self) -> list[Any]:
        """Return what was broadcast."""
        return self.heard


home = Container("home", [Greenhouse()])
cloud = Container("cloud", [Collector()])
