"""Streams of agents: a GET stream is run in a task of its own, at most one piece ahead of its reader."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import AsyncIterator
from contextlib import aclosing
from types import TracebackType
from typing import TYPE_CHECKING, Any

from edge.agents.calls import Calls
from edge.agents.errors import StreamBroken
from edge.agents.pieces import Incoming, collected, each_piece, to_bytes
from edge.agents.results import NotJson
from edge.agents.tasks import OwnedTask, start_owned
from edge.errors import ActionFailed, ParameterMismatch

if TYPE_CHECKING:
    from edge.agents.agent import Agent
    from edge.agents.specs import StreamSpec

log = logging.getLogger("edge.agents")

# A stream that fails at once is answered with an error instead of an empty body; one that has nothing to say yet
# must not keep its reader waiting for the answer's head.
_FIRST_PIECE_S = 0.25
_LEAVE_S = 1.0


class GetStream:
    """One reading of a GET stream; an async context manager that gives the iterator of pieces.

    The method runs in one task from beginning to end, so that timeouts and task groups around its `yield` work. It is
    asked for the next piece when the last one was taken: an endless stream costs its reader's pace and nothing more.
    """

    def __init__(self, calls: Calls, agent: Agent, spec: StreamSpec, arguments: dict[str, Any]) -> None:
        self._calls = calls
        self._agent = agent
        self._spec = spec
        self._arguments = arguments
        self._slot: bytes | None = None
        self._changed: asyncio.Event = asyncio.Event()
        self._taken: asyncio.Event = asyncio.Event()
        self._task: OwnedTask | None = None
        self._failure: Exception | None = None
        self._has_ended = False

    async def __aenter__(self) -> AsyncIterator[bytes]:
        """Start the stream.

        Raises:
            ActionFailed: it failed before its first piece.
        """
        self._task = start_owned(
            self._run(), self._agent.owner, asyncio.get_running_loop(), name=f"stream {self._spec.name}"
        )
        self._task.is_expected = True
        self._task.watch_end(self._ended)
        try:
            async with asyncio.timeout(_FIRST_PIECE_S):
                await self._changed.wait()
        except TimeoutError:
            pass
        except asyncio.CancelledError:
            await self._leave()
            raise
        if self._failure and self._slot is None:
            await self._leave()
            raise self._failure
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._leave()

    def __aiter__(self) -> GetStream:
        return self

    async def __anext__(self) -> bytes:
        """Return the next piece.

        Raises:
            ActionFailed: the method failed.
        """
        await self._changed.wait()
        if self._slot is not None:
            piece, self._slot = self._slot, None
            if not self._has_ended:
                self._changed.clear()
            self._taken.set()
            return piece
        if self._failure:
            raise self._failure
        raise StopAsyncIteration

    async def _run(self) -> None:
        agent, spec, calls = self._agent, self._spec, self._calls
        function = spec.callback or getattr(agent, spec.method_name)
        try:
            if spec.is_async:
                given = function(**self._arguments)
                if inspect.isawaitable(given):
                    given = await given
            else:
                given = await calls.in_thread(agent, spec.name, lambda: function(**self._arguments))
                if inspect.isawaitable(given):
                    given = await given
            pieces = each_piece(given, lambda call: calls.in_thread(agent, spec.name, call))
            async with aclosing(pieces):  # type: ignore[type-var]
                async for piece in pieces:
                    await self._put(to_bytes(piece))
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                self._failure = ActionFailed(f"stream {spec.name} of agent {agent.agent_id!r} was stopped")
                raise
            self._failure = calls.failed(agent, spec.name, error)
        except NotJson as error:
            calls.failures.add(agent.agent_id, spec.name, error)
            text = f"stream {spec.name} of agent {agent.agent_id!r} yielded what is neither bytes nor JSON: {error}"
            self._failure = ActionFailed(text)
        except (Exception, SystemExit, BaseExceptionGroup) as error:  # noqa: BLE001 - the call of an agent's method
            self._failure = calls.failed(agent, spec.name, error)

    async def _put(self, piece: bytes) -> None:
        if not piece:
            await asyncio.sleep(0)  # also who yields nothing without end must let others run
            return
        while self._slot is not None:
            self._taken.clear()
            await self._taken.wait()
        self._slot = piece
        self._changed.set()

    def _ended(self, task: OwnedTask) -> None:
        self._has_ended = True
        self._changed.set()

    async def _leave(self) -> None:
        task = self._task
        if task is None or task.done():
            return
        task.cancel()
        _, stubborn = await asyncio.wait((task,), timeout=_LEAVE_S)
        if stubborn:
            log.error(
                "agent %s: stream %s goes on though its reader left; it is left behind",
                self._agent.agent_id,
                self._spec.name,
            )


async def take_stream(
    calls: Calls, agent: Agent, spec: StreamSpec, pieces: AsyncIterator[bytes], arguments: dict[str, Any]
) -> None:
    """Hand a caller's bytes to a POST stream's method; returns when the method does.

    Raises:
        ActionFailed: the method raised.
        TooLarge: it takes everything at once, and that is too much.
        Exception: whatever the caller's side raised, if that ended the method.
    """
    incoming = Incoming(pieces)
    if spec.is_piecewise:
        arguments[spec.parameter] = incoming
    else:
        whole = await collected(pieces)
        arguments[spec.parameter] = _text(agent, spec, whole) if spec.as_text else whole
    function = spec.callback or getattr(agent, spec.method_name)
    try:
        await calls.method(agent, spec.name, function, spec.is_async, arguments)
    except StreamBroken:
        raise incoming.broke or ActionFailed("the stream broke off") from None


def _text(agent: Agent, spec: StreamSpec, whole: bytes) -> str:
    try:
        return whole.decode()
    except UnicodeDecodeError as error:
        raise ParameterMismatch(f"stream {spec.name} of agent {agent.agent_id!r} takes UTF-8 text: {error}") from None
