"""One life of a container: from its start to its stop."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any

from edge.agents.agent import Agent
from edge.agents.background import keep_running
from edge.agents.calls import Calls
from edge.agents.identity import Identity
from edge.agents.logins import Logins
from edge.agents.tasks import AgentTasks, start_owned
from edge.agents.workers import Workers
from edge.errors import ActionFailed
from edge.model.descriptions import timestamp
from edge.transport.base import Transport

log = logging.getLogger("edge.agents")

_START_LIMIT_S = 30.0
# Together they leave time in the 4 s that a DELETE may take (contract, Decision 13).
_STOP_LIMIT_S = 2.0
_CANCEL_LIMIT_S = 1.0


class Life:
    """What exists only while a container runs; made on its event loop.

    Attributes:
        arguments: The values of the container's parameters.
        is_open: Whether all agents have started and none was stopped.
        degraded: Background work that failed and waits to be run again: `agent.name` -> why.
    """

    def __init__(
        self, container_name: str, identity: Identity, arguments: Mapping[str, str], platform: Transport | None
    ) -> None:
        self.identity = identity
        self.arguments = arguments
        self.platform = platform
        self.since = timestamp(datetime.now(UTC))
        self.loop = asyncio.get_running_loop()
        self.tasks = AgentTasks()
        self.calls = Calls(container_name, workers := Workers(container_name), self.tasks)
        self.logins = Logins(container_name, self.calls)
        self.degraded: dict[str, str] = {}
        self.is_open = False
        self._container_name = container_name
        self._workers = workers

    async def start_agent(self, agent: Agent) -> None:
        """Run an agent's start hook, then the background work that it asked for so far.

        Raises:
            ActionFailed: the hook raised, or took too long.
        """
        if agent.defines("on_start"):
            await self.calls.hook(agent, "on_start", limit_s=_START_LIMIT_S)
        for name, work in agent.take_pending():
            self.start_task(agent, name, work)

    async def stop_agent(self, agent: Agent) -> None:
        """Run an agent's stop hook and cancel what it left running; failures are logged."""
        if agent.defines("on_stop"):
            await asyncio.wait([self._stop_hook(agent)], timeout=_STOP_LIMIT_S)
        await self.tasks.cancel_all(_CANCEL_LIMIT_S, agent_id=agent.agent_id)

    async def stop(self, agents: Iterable[Agent]) -> None:
        """End calls, run the stop hooks, cancel what was left running; takes at most 3 s."""
        self.is_open = False
        self.calls.stop()
        hooks = [self._stop_hook(agent) for agent in agents if agent.defines("on_stop")]
        try:
            if hooks:
                await asyncio.wait(hooks, timeout=_STOP_LIMIT_S)
        finally:
            try:
                await self.tasks.cancel_all(_CANCEL_LIMIT_S)
            finally:
                for busy in self._workers.busy_with():
                    log.error("container %s: a thread is left behind, busy with %s", self._container_name, busy)
                self._workers.close()
                self.calls.failures.close()

    async def in_thread(self, agent: Agent, call: partial[Any]) -> Any:
        """Run a call in a thread and return its value, or raise what it raised."""
        name = getattr(call.func, "__name__", "call")
        value, error = await self._workers.run(f"{agent.agent_id}.{name}", call)
        if isinstance(error, StopIteration | SystemExit):
            raise RuntimeError(f"{name} raised {error!r}") from error  # neither may pass through a coroutine
        if error is not None:
            raise error
        return value

    def start_task(self, agent: Agent, name: str, work: Any) -> None:
        """Start an agent's background work: a coroutine, or a coroutine function to be run again when it fails."""
        if not inspect.iscoroutine(work):
            work = keep_running(agent.agent_id, name, work, self.degraded)
        start_owned(work, agent.owner, self.loop, name=name).is_expected = True

    def soon(self, agent: Agent, name: str, step: Callable[[Agent], Any]) -> None:
        """Start or stop an agent in the background; a failure is in the log already."""

        async def quietly() -> None:
            try:
                await step(agent)
            except ActionFailed:
                pass

        start_owned(quietly(), agent.owner, self.loop, name=name).is_expected = True

    def _stop_hook(self, agent: Agent) -> asyncio.Task[None]:
        async def quietly() -> None:
            try:
                await self.calls.hook(agent, "on_stop")
            except ActionFailed:
                pass

        return start_owned(quietly(), agent.owner, self.loop, name="on_stop")
