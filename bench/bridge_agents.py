"""The agents at both ends of a bridge that is measured; times are seconds of the machine's monotonic clock."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from edge.agents import Agent, Container, Message, action

TARGETS = 20
_PADDING = "x" * 180


class Echo(Agent):
    """Answers with its arguments."""

    @action
    async def echo(self, text: str, times: int) -> dict[str, Any]:
        return {"text": text, "times": times}


class Burst(Agent):
    """Sends at home."""

    @action
    async def send_many(self, count: int, parallel: int) -> dict[str, float]:
        """Send so many messages to the agents in the cloud; tells when it began and when all were accepted."""
        numbers = iter(range(count))
        began_s = time.monotonic()

        async def send() -> None:
            for number in numbers:
                await self.send(f"tally-{number % TARGETS}", {"n": number, "x": _PADDING})

        async with asyncio.TaskGroup() as tasks:
            for _ in range(parallel):
                tasks.create_task(send())
        return {"began_s": began_s, "accepted_s": time.monotonic()}

    @action
    async def raise_alarm(self) -> float:
        """Broadcast an alarm; tells when it was accepted."""
        await self.broadcast("alarms", "fire")
        return time.monotonic()


class Clerk(Agent):
    """Counts in the cloud."""

    def __init__(self) -> None:
        super().__init__("clerk")
        self.subscribe_channel("alarms")
        self.count = 0
        self.first_s = self.last_s = self.alarm_s = 0.0

    def counts(self) -> None:
        """Count a message."""
        self.last_s = time.monotonic()
        self.first_s = self.first_s or self.last_s
        self.count += 1

    async def receive_message(self, message: Message) -> None:
        self.alarm_s = time.monotonic()

    @action
    async def counted(self) -> dict[str, float]:
        """Tell how many came, when the first and the last did, and when the last alarm."""
        return {"count": self.count, "first_s": self.first_s, "last_s": self.last_s, "alarm_s": self.alarm_s}


class Tally(Agent):
    """Takes messages."""

    def __init__(self, number: int, clerk: Clerk) -> None:
        super().__init__(f"tally-{number}")
        self._clerk = clerk

    async def receive_message(self, message: Message) -> None:
        self._clerk.counts()


def home() -> Container:
    """Return what is at home."""
    return Container("home", [Echo("echo-0"), Burst("burst")])


def cloud() -> Container:
    """Return what is in the cloud."""
    clerk = Clerk()
    return Container("cloud", [clerk, *(Tally(number, clerk) for number in range(TARGETS))])
