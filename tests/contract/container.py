"""The container that the fixtures speak of: README.md says what each of its actions does."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from edge.agents import Agent, Container, Message, action, stream


@dataclass
class Box:
    """A defined type."""

    width: int
    height: int
    label: str = ""


class Tester(Agent):
    """Does what the fixtures expect."""

    def __init__(self) -> None:
        super().__init__("tester")
        self._heard: list[dict[str, Any]] = []
        self._collected = b""
        self.subscribe_channel("news")

    @action
    async def say(self, text: str) -> str:
        return text

    @action
    async def add(self, x: int, y: int) -> int:
        return x + y

    @action
    async def echo(self, value: Any) -> Any:
        return value

    @action
    async def scale(self, value: float, factor: float = 2.0) -> float:
        return value * factor

    @action
    async def flip(self, value: bool) -> bool:
        return not value

    @action
    async def sum(self, rows: list[list[int]]) -> int:
        return sum(number for row in rows for number in row)

    @action
    async def area(self, box: Box) -> int:
        return box.width * box.height

    @action
    async def boxes(self, boxes: list[Box]) -> int:
        return len([box.label for box in boxes])

    @action
    async def maybe(self, text: str | None = None) -> str | None:
        return text

    @action
    async def nothing(self) -> None:
        pass

    @action
    async def fail(self) -> None:
        raise RuntimeError("it is broken")

    @action
    async def heard(self) -> list[dict[str, Any]]:
        return self._heard

    @action
    async def forget(self) -> None:
        self._heard.clear()

    @action
    async def collected(self) -> str:
        return self._collected.hex()

    @stream(mode="GET")
    async def count(self) -> AsyncIterator[bytes]:
        for word in (b"one\n", b"two\n", b"three\n"):
            yield word

    @stream(mode="POST")
    async def collect(self, pieces: AsyncIterator[bytes]) -> None:
        self._collected = b"".join([piece async for piece in pieces])

    async def receive_message(self, message: Message) -> None:
        self._heard.append({"payload": message.payload, "replyTo": message.reply_to})


class Second(Agent):
    """Offers an action of the same name with other parameters, under an ID that must be escaped in a path."""

    def __init__(self) -> None:
        super().__init__("two +ü")

    @action
    async def say(self, times: int) -> int:
        return times

    @action
    async def where(self) -> str:
        return self.agent_id


def container() -> Container:
    """Make it, with empty memories."""
    return Container("contract-container", [Tester(), Second()], version="1", provides=["contract:fixtures"])
