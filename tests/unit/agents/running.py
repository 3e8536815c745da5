"""Containers under test: running on the test's loop, with the task factory that the platform installs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from edge.agents import Agent, Container
from edge.agents.identity import Identity
from edge.agents.tasks import install_task_factory
from edge.transport.base import Transport

IDENTITY = Identity(container_id="c-77", owner="olga", token="secret")


@asynccontextmanager
async def running(*agents: Agent, platform: Transport | None = None) -> AsyncIterator[Container]:
    """Run agents in a container called `home`."""
    container = Container("home", agents)
    async with alive(container, platform):
        yield container


@asynccontextmanager
async def alive(container: Container, platform: Transport | None = None) -> AsyncIterator[None]:
    """Run a container as the platform does."""
    install_task_factory(asyncio.get_running_loop())
    async with container.running(IDENTITY, platform):
        yield


async def until(claim: Callable[[], object], what: str = "", timeout_s: float = 15.0) -> None:
    """Wait until something holds."""
    give_up_at = time.monotonic() + timeout_s
    while not claim():
        assert time.monotonic() < give_up_at, f"never so within {timeout_s} s: {what}"
        await asyncio.sleep(0.002)
