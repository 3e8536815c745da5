"""Tasks that agents start belong to them: their failures are logged with the agent's name, they end with the container.

`install_task_factory` makes this true also for a plain `asyncio.create_task` in an agent's code: what an agent's method
runs in has a context variable that says whose it is, and a task inherits it from the code that starts it.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
from collections.abc import Callable, Coroutine, Generator
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from edge.agents.errors import describe_exception

log = logging.getLogger(__name__)

AnyTask = asyncio.Task[Any]
AnyCoroutine = Coroutine[Any, Any, Any] | Generator[Any, None, Any]


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose code runs.

    Attributes:
        agent_id: For the log.
        tasks: Where the tasks that it starts are kept.
    """

    agent_id: str
    tasks: AgentTasks


# None in the platform's own code, also while it serves an agent's call.
current_owner: ContextVar[Owner | None] = ContextVar("opaca_agent", default=None)


class OwnedTask(asyncio.Task[Any]):
    """A task that an agent started.

    Attributes:
        owner: Whose it is.
        is_expected: Whether running until the container stops is what it is for.
        is_watched: Whether something waits for it and will see its exception.
        inner: What the agent wants to run.
    """

    def __init__(self, coro: AnyCoroutine, *, owner: Owner, **options: Any) -> None:
        self.owner = owner
        self.is_expected = False
        self.is_watched = False
        self.inner = coro
        super().__init__(_contained(coro, owner), **options)

    def add_done_callback(self, fn: Callable[[Any], object], /, *, context: contextvars.Context | None = None) -> None:
        # Whatever awaits a task (await, gather, TaskGroup, wait) comes through here.
        self.is_watched = True
        super().add_done_callback(fn, context=context)

    @property
    def label(self) -> str:
        """The task's name and the coroutine function's, for the log."""
        return f"{self.get_name()} ({getattr(self.inner, '__qualname__', '?')})"

    def give_up(self) -> None:
        """Cancel the task; nobody wants to know how it ends, only that it does."""
        self.is_expected = False
        self.is_watched = True
        self.watch_end(lambda task: task.cancelled() or task.exception())
        self.cancel()

    def watch_end(self, fn: Callable[[OwnedTask], object]) -> None:
        """Have a function called at the end without counting as someone who looks at the exception."""
        super().add_done_callback(fn)


def _contained(coro: AnyCoroutine, owner: Owner) -> Coroutine[Any, Any, Any]:
    async def contain() -> Any:
        # The watchdog looks for `owner` on the stack.
        try:
            return await coro  # type: ignore[misc]
        except SystemExit as error:
            # It would end the whole process: asyncio passes it on to whoever runs the loop.
            raise RuntimeError(
                f"{owner.agent_id}'s task called sys.exit({error.code!r}); only the task ends"
            ) from error

    contained = contain()
    for name in ("__name__", "__qualname__"):
        setattr(contained, name, getattr(coro, name, type(coro).__name__))
    return contained


def install_task_factory(loop: asyncio.AbstractEventLoop) -> None:
    """Make every task that agents start on this loop theirs, however they start it; others stay plain tasks."""
    if getattr(loop.get_task_factory(), "knows_agents", False):
        return

    def factory(loop: asyncio.AbstractEventLoop, coro: AnyCoroutine, **options: Any) -> AnyTask:
        if not options and current_owner.get() is None:
            return asyncio.Task(coro, loop=loop)
        context = options.get("context")
        owner = current_owner.get() if context is None else context.get(current_owner)
        # Python 3.11 and 3.12 name the task afterwards, later versions pass the name (and more) on.
        if owner is None:
            return asyncio.Task(coro, loop=loop, **options)
        return start_owned(coro, owner, loop, **options)

    factory.knows_agents = True  # type: ignore[attr-defined]
    loop.set_task_factory(factory)


def start_owned(coro: AnyCoroutine, owner: Owner, loop: asyncio.AbstractEventLoop, **options: Any) -> OwnedTask:
    """Start a task that is an agent's, with or without the task factory."""
    if options.get("context") is None:
        options["context"] = context = contextvars.copy_context()
        context.run(current_owner.set, owner)
    task = OwnedTask(coro, owner=owner, loop=loop, **options)
    owner.tasks.add(task)
    return task


class AgentTasks:
    """The tasks of one container's agents.

    Not `asyncio.TaskGroup`: one task's failure must not cancel the others.
    """

    def __init__(self) -> None:
        self._tasks: set[OwnedTask] = set()

    def __len__(self) -> int:
        return len(self._tasks)

    def add(self, task: OwnedTask) -> None:
        """Keep a task until it is done."""
        self._tasks.add(task)
        task.watch_end(self._ended)

    def _ended(self, task: OwnedTask) -> None:
        self._tasks.discard(task)
        # A task that was cancelled before its first step never touched what it should run.
        task.inner.close()
        if not task.is_watched:
            _log_failure(task)

    async def cancel_all(self, limit_s: float, *, agent_id: str | None = None) -> None:
        """Cancel what still runs and wait for it, naming in the log what should have ended by itself.

        Args:
            limit_s: Longest wait, in seconds; what ignores its cancellation is named and left behind.
            agent_id: Only that agent's tasks.
        """
        me = asyncio.current_task()
        tasks = [task for task in self._tasks if task is not me and agent_id in (None, task.owner.agent_id)]
        for task in tasks:
            if not task.is_expected:
                log.warning("agent %s: its task %s still runs; it is cancelled", task.owner.agent_id, task.label)
            task.cancel()
        if not tasks:
            return
        done, stubborn = await asyncio.wait(tasks, timeout=limit_s)
        for task in done:
            _log_failure(task)
        for task in stubborn:
            log.error(
                "agent %s: its task %s ignores its cancellation and is left behind", task.owner.agent_id, task.label
            )


def _log_failure(task: OwnedTask) -> None:
    if not task.cancelled() and (error := task.exception()):
        log.error(
            "agent %s: its task %s failed: %s",
            task.owner.agent_id,
            task.label,
            describe_exception(error),
            exc_info=error,
        )
