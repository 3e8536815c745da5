"""Several containers that offer the same, so that a test sees who was asked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from edge.agents import Agent, Container, Message, action, stream

# Who did what, in order; read by the test's thread.
DONE: list[str] = []


class Worker(Agent):
    """Offers what both containers offer."""

    def __init__(self, place: str, agent_id: str) -> None:
        super().__init__(agent_id)
        self._place = place
        self.subscribe_channel("news")

    def did(self, what: str) -> None:
        DONE.append(f"{self._place} {what}")

    @action
    async def where(self) -> str:
        return f"{self._place} {self.agent_id}"

    async def receive_message(self, message: Message) -> None:
        self.did(f"heard {message.payload}")


class Alpha(Worker):
    """Fails at much of it."""

    def __init__(self) -> None:
        super().__init__("alpha", "worker")

    @action
    async def try_it(self) -> str:
        self.did("failed")
        raise RuntimeError("not here")

    @action
    async def fail_all(self) -> None:
        self.did("failed")
        raise RuntimeError("not in alpha")

    @action
    async def hang(self) -> None:
        self.did("hangs")
        await asyncio.Event().wait()

    @action
    async def level(self, level: int) -> str:
        return f"alpha {level}"

    @action
    async def fragile(self, level: int) -> None:
        raise RuntimeError(f"alpha broke at {level}")

    @stream(mode="POST")
    async def feed(self, pieces: AsyncIterator[bytes]) -> None:
        self.did(f"took {b''.join([piece async for piece in pieces]).decode()}")

    @stream(mode="POST")
    async def pour(self, pieces: AsyncIterator[bytes]) -> None:
        self.did("refused")
        raise RuntimeError("not a drop")

    @stream(mode="POST")
    async def spill(self, pieces: AsyncIterator[bytes]) -> None:
        self.did(f"spilled {(await anext(pieces)).decode()}")
        raise RuntimeError("too much")

    @stream(mode="GET")
    async def read(self) -> AsyncIterator[bytes]:
        raise RuntimeError("nothing to read")
        yield b""


class Beta(Worker):
    """Succeeds where alpha fails."""

    def __init__(self) -> None:
        super().__init__("beta", "worker")

    @action
    async def try_it(self) -> str:
        self.did("succeeded")
        return "beta"

    @action
    async def fail_all(self) -> None:
        self.did("failed")
        raise RuntimeError("not in beta")

    @action
    async def hang(self) -> None:
        self.did("was asked")

    @action
    async def level(self, level: str) -> str:
        return f"beta {level}"

    @action
    async def fragile(self, level: str) -> None:
        self.did("was asked")

    @stream(mode="GET")
    async def feed(self) -> AsyncIterator[bytes]:
        yield b"beta"

    @stream(mode="POST")
    async def pour(self, pieces: AsyncIterator[bytes]) -> None:
        self.did(f"took {b''.join([piece async for piece in pieces]).decode()}")

    @stream(mode="POST")
    async def spill(self, pieces: AsyncIterator[bytes]) -> None:
        self.did("was asked")

    @stream(mode="GET")
    async def read(self) -> AsyncIterator[bytes]:
        yield b"beta"


def alpha() -> Container:
    """Make the container that is asked first."""
    DONE.clear()
    return Container("alpha", [Alpha(), Worker("alpha", "only-alpha")], provides=["shared", "of:alpha"])


def beta() -> Container:
    """Make the container that is asked second."""
    return Container("beta", [Beta(), Worker("beta", "only-beta")], provides=["shared", "of:beta"], version="2")


def broken() -> Container:
    """Fail to make a container."""
    raise RuntimeError("there is no greenhouse here")


class Sour(Agent):
    """Refuses to start."""

    async def on_start(self) -> None:
        raise RuntimeError("the sensor is missing")


def sour() -> Container:
    """Make a container that does not start."""
    return Container("sour", [Sour("sour")])
