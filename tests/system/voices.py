"""Agents that two platforms have of each other: one each, that tells what reached it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from edge.agents import Agent, Container, Message, action, stream


class Voice(Agent):
    """Says and hears, by every way that OPACA has."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self._heard: list[Any] = []
        self.subscribe_channel("news")

    @action
    async def speak(self, text: str) -> str:
        return f"{self.agent_id}: {text}"

    @action
    async def heard(self) -> list[Any]:
        return self._heard

    @stream(mode="GET")
    async def tell(self) -> AsyncIterator[bytes]:
        for number in range(3):
            yield f"{self.agent_id} {number}\n".encode()

    @stream(mode="POST")
    async def listen(self, pieces: AsyncIterator[bytes]) -> None:
        self._heard.append(b"".join([piece async for piece in pieces]).decode())

    async def receive_message(self, message: Message) -> None:
        self._heard.append(message.payload)


def here() -> Container:
    return Container("here", [Voice("here")])


def there() -> Container:
    return Container("there", [Voice("there")])
