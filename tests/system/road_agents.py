"""Agents that do and hear everything that a bridge carries: one at home, one in the cloud, and a spare each."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from edge.agents import Agent, Container, Message, action, stream


class Traveller(Agent):
    """Can be called, told, fed and listened to."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.subscribe_channel("news")
        self._begun = 0
        self._heard: list[Any] = []
        self._fed = b""
        self._broken = 0

    @action
    async def echo(self, value: Any) -> Any:
        """Return what came."""
        return value

    @action
    async def level(self, percent: int) -> int:
        """Take nothing but an integer."""
        return percent

    @action
    async def fail(self) -> None:
        """Fail."""
        raise ValueError("the pump is stuck")

    @action
    async def linger(self, seconds: float) -> int:
        """Take its time."""
        self._begun += 1
        await asyncio.sleep(seconds)
        return self._begun

    @action
    async def begun(self) -> int:
        """Tell how often it was asked to linger."""
        return self._begun

    @action
    async def heard(self) -> list[Any]:
        """Return the messages."""
        return self._heard

    @action
    async def tell(self, channel: str, payload: Any) -> None:
        """Broadcast."""
        await self.broadcast(channel, payload)

    @action
    async def ask(self, action: str, value: Any) -> Any:
        """Invoke an action, wherever it is."""
        return await self.invoke(action, value=value)

    @action
    async def fed(self) -> int:
        """Return how many bytes a stream brought; -1 if it broke off."""
        return -1 if self._broken else len(self._fed)

    async def receive_message(self, message: Message) -> None:
        self._heard.append(message.payload)

    @stream(mode="POST")
    async def feed(self, pieces: AsyncIterator[bytes]) -> None:
        """Take bytes."""
        self._broken += 1
        self._fed = b"".join([piece async for piece in pieces])
        self._broken -= 1

    @stream(mode="GET")
    async def read(self) -> AsyncIterator[bytes]:
        """300 kB."""
        for number in range(30):
            yield bytes([number]) * 10_000

    @stream(mode="GET")
    async def ticks(self) -> AsyncIterator[bytes]:
        """Lines for ever."""
        number = 0
        while True:
            yield f"{number}\n".encode()
            number += 1
            await asyncio.sleep(0.01)


class AtHome(Traveller):
    """What is at home."""

    @action
    async def home_only(self, value: Any) -> str:
        """Say where this is."""
        return f"home got {value}"


class InCloud(Traveller):
    """What is in the cloud."""

    @action
    async def cloud_only(self, value: Any) -> str:
        """Say where this is."""
        return f"cloud got {value}"


home = Container("home", [AtHome("at-home")])
cloud = Container("cloud", [InCloud("in-cloud")])
home_spare = Container("home-spare", [Traveller("home-spare")])
cloud_spare = Container("cloud-spare", [Traveller("cloud-spare")])
