"""Calls of agents' methods: an agent may raise, hang or end itself, and only its caller is told."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from edge.agents.errors import describe_exception
from edge.agents.failures import FailureLog
from edge.agents.results import NotJson, to_json
from edge.agents.tasks import AgentTasks, current_owner, start_owned
from edge.agents.workers import Workers
from edge.errors import ActionFailed, CalleeError, OpacaError, OutcomeUnknown
from edge.model.json_value import JsonValue

if TYPE_CHECKING:
    from edge.agents.agent import Agent
    from edge.agents.specs import ActionSpec

# Longest time for an agent to take a message, or to handle a login.
HOOK_LIMIT_S = 60.0


class Calls:
    """Calls the methods of one container's agents.

    Attributes:
        failures: Where what agents raise is logged.
    """

    def __init__(self, container_name: str, workers: Workers, tasks: AgentTasks) -> None:
        self.failures = FailureLog()
        self._container_name = container_name
        self._workers = workers
        self._tasks = tasks
        self._in_flight: set[asyncio.Task[Any]] = set()
        self._stopped: set[asyncio.Task[Any]] = set()
        # On Python 3.11 asking for the running loop is a system call each time.
        self._loop = asyncio.get_running_loop()

    async def action(self, agent: Agent, spec: ActionSpec, arguments: dict[str, Any], timeout_s: int) -> JsonValue:
        """Call an action and return its result as JSON.

        Args:
            arguments: The method's keyword arguments.
            timeout_s: Given up after so many seconds; 0 or less for no limit.
        Raises:
            ActionFailed: it raised, or returned what is not JSON.
            OutcomeUnknown: it was given up.
        """
        function = spec.callback or getattr(agent, spec.method_name)
        if timeout_s > 0:
            value = await self._limited(agent, spec, function, arguments, timeout_s)
        else:
            value = await self.method(agent, spec.name, function, spec.is_async, arguments)
        try:
            return to_json(value)
        except NotJson as error:
            self.failures.add(agent.agent_id, spec.name, error)
            raise ActionFailed(f"{spec.name} of agent {agent.agent_id!r} returned what is not JSON: {error}") from None

    async def method(
        self, agent: Agent, what: str, function: Callable[..., Any], is_async: bool, arguments: dict[str, Any]
    ) -> Any:
        """Call a method, on the loop if it is async, else in a thread, and return what it returns.

        Args:
            what: The action, stream or method, for messages and the log.
        Raises:
            ActionFailed: it raised anything but an error of this platform, which passes.
        """
        task = asyncio.current_task(self._loop)
        assert task is not None
        # A call inside a call (agent to agent) is ended by the outer one.
        is_outermost = task not in self._in_flight
        if is_outermost:
            self._in_flight.add(task)
        caller = current_owner.get()
        current_owner.set(agent.owner_in(self._tasks))
        try:
            if is_async:
                return await function(**arguments)
            value = await self.in_thread(agent, what, lambda: function(**arguments))
            return await value if inspect.isawaitable(value) else value
        except asyncio.CancelledError as error:
            if task in self._stopped and is_outermost and task.uncancel() == 0:
                raise ActionFailed(f"container {self._container_name!r} has stopped") from None
            if task.cancelling():
                raise
            # Nobody cancelled the call: the agent waited for something that was cancelled.
            raise self.failed(agent, what, error) from None
        except (Exception, SystemExit, BaseExceptionGroup) as error:  # noqa: BLE001 - the call of an agent's method
            raise self.failed(agent, what, error) from None
        finally:
            current_owner.set(caller)
            if is_outermost:
                self._in_flight.discard(task)

    async def hook(self, agent: Agent, name: str, *arguments: object, limit_s: float | None = None) -> None:
        """Call what every agent has (`on_start`, `receive_message`, ...), sync or async.

        Args:
            limit_s: Longest time, in seconds; None for 60.
        Raises:
            ActionFailed: it raised, or took longer.
        """
        limit_s = HOOK_LIMIT_S if limit_s is None else limit_s
        function = getattr(agent, name)
        call = partial(function, *arguments)
        try:
            async with asyncio.timeout(limit_s):
                await self.method(agent, name, call, inspect.iscoroutinefunction(function), {})
        except TimeoutError as error:
            self.failures.add(agent.agent_id, name, error)
            raise ActionFailed(f"{name} of agent {agent.agent_id!r} took longer than {limit_s:g} s") from None

    async def in_thread(self, agent: Agent, what: str, call: Callable[[], Any]) -> Any:
        """Run a sync part of an agent's method in a thread.

        Raises:
            ActionFailed: it raised, or no thread became free.
        """
        try:
            value, error = await self._workers.run(f"{agent.agent_id}.{what}", call)
        except ActionFailed as refused:
            self.failures.add(agent.agent_id, what, refused)
            raise
        if error is not None:
            raise self.failed(agent, what, error)
        return value

    def failed(self, agent: Agent, what: str, error: BaseException) -> OpacaError:
        """Log what an agent's method raised, and return what its caller is told: never a traceback."""
        if isinstance(error, OpacaError) and not isinstance(error, CalleeError):
            return error  # raised on purpose: the agent's own answer
        self.failures.add(agent.agent_id, what, error)
        cause = error.cause if isinstance(error, OpacaError) else None
        return ActionFailed(f"{what} of agent {agent.agent_id!r} failed: {describe_exception(error)}", cause)

    def stop(self) -> None:
        """End the calls that are under way; their callers are told that the container has stopped."""
        self._stopped = set(self._in_flight)
        for task in self._stopped:
            task.cancel()

    async def _limited(
        self, agent: Agent, spec: ActionSpec, function: Callable[..., Any], arguments: dict[str, Any], timeout_s: int
    ) -> Any:
        # A task of its own, so that a method that ignores its cancellation cannot keep the caller beyond the limit.
        call = self.method(agent, spec.name, function, spec.is_async, arguments)
        loop = asyncio.get_running_loop()
        task = start_owned(call, agent.owner, loop, name=f"call of {spec.name}")
        task.is_expected = True
        try:
            done, _ = await asyncio.wait((task,), timeout=timeout_s)
        except asyncio.CancelledError:
            task.give_up()
            raise
        if done:
            if task.cancelled():
                raise ActionFailed(f"container {self._container_name!r} has stopped")
            return task.result()
        task.give_up()
        still = "" if spec.is_async else "; its thread runs on"
        raise OutcomeUnknown(
            f"{spec.name} of agent {agent.agent_id!r} was given up after {timeout_s} s{still}: it may have had effects"
        )
