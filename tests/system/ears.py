"""Agents that hear what boards broadcast: one for each channel, named after it."""

from __future__ import annotations

from typing import Any

from edge.agents import Agent, Container, Message, action

CHANNELS = ("climate-temperature", "door")


class Ear(Agent):
    """Keeps what it hears on one channel."""

    def __init__(self, channel: str) -> None:
        super().__init__(channel)
        self._heard: list[Any] = []
        self.subscribe_channel(channel)

    @action
    async def tell_heard(self) -> list[Any]:
        return self._heard

    async def receive_message(self, message: Message) -> None:
        self._heard.append(message.payload)


def container() -> Container:
    """Return a container with an agent for each channel."""
    return Container("ears", [Ear(channel) for channel in CHANNELS])
