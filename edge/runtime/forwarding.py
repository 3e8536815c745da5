"""Calls on their way to whoever answers: candidates are asked in turn until one succeeds (contract, section 5).

The one rule about asking again stands here: never after a time-out or a lost answer, because the action may have run
(contract, Decision 3).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from http import HTTPStatus

from edge.errors import (
    Asleep,
    BadAnswer,
    CalleeError,
    NotFound,
    OutcomeUnknown,
    ParameterMismatch,
    RemoteError,
    StillAway,
)
from edge.model.descriptions import StreamMode
from edge.model.json_value import JsonValue
from edge.model.requests import Message
from edge.runtime import resolution
from edge.runtime.call import Call
from edge.runtime.deadline import Deadline, Deadlines
from edge.runtime.directory import Directory, LocalContainer, Peer
from edge.runtime.parameters import check_arguments
from edge.runtime.resolution import Target
from edge.transport.base import CallOptions

log = logging.getLogger(__name__)

# Given to an action of which the caller said how long it may take, above that time, so that the callee's own word about
# it arrives first; and to one of which it said nothing.
_GRACE_S = 5
_LONGEST_ACTION_S = 3600
# A message is taken at once by whoever is well; what it sets off is not waited for.
_MESSAGE_TIME_S = 30


class Forwarding:
    """Passes calls on to local containers and connected platforms."""

    def __init__(self, directory: Directory, login_token: Callable[[str, str], str | None]) -> None:
        """Args:
        login_token: Returns a user's token at a container, None if not logged in there.
        """
        self._directory = directory
        self._login_token = login_token
        self._deadlines = Deadlines()

    async def invoke(self, call: Call, action: str, arguments: dict[str, JsonValue], agent_id: str | None) -> JsonValue:
        """Return the action's result.

        Raises:
            NotFound: nobody offers the action.
            ParameterMismatch: somebody does, but with other parameters.
            CalleeError: who was asked last failed.
        """
        limit_s = call.timeout_s + _GRACE_S if call.timeout_s > 0 else _LONGEST_ACTION_S
        mismatch: str | None = None
        failure: CalleeError | None = None
        asked: list[Target] = []
        for candidate in resolution.for_invoke(self._directory, call, action, agent_id):
            target = candidate.target
            if target in asked:
                continue
            fit = check_arguments(candidate.action, arguments, candidate.definitions)
            reason = fit.mismatch
            if reason is None and fit.pending:
                reason = await candidate.definitions.mismatch(fit.pending)
            if reason is not None:
                mismatch = mismatch or reason
                continue
            asked.append(target)
            token = (
                self._login_token(call.caller.name, target.container_id) if isinstance(target, LocalContainer) else None
            )
            options = call.options(token)
            try:
                with Deadline(self._deadlines, limit_s):
                    return await target.transport.invoke(action, arguments, candidate.agent_id, options)
            except TimeoutError:
                raise _no_answer(target, limit_s) from None
            except CalleeError as error:
                failure = _noted(error, "invoke", action)
                if _may_have_run(error):
                    raise
        if failure is not None:
            raise failure
        if mismatch is not None:
            raise ParameterMismatch(mismatch)
        raise NotFound(_unknown("action", action, agent_id, call))

    async def send(self, call: Call, agent_id: str, message: Message) -> None:
        """Hand a message to an agent; the first that takes it ends the search.

        Raises:
            NotFound: there is no such agent.
            CalleeError: who was asked last failed.
        """
        failure: CalleeError | None = None
        for target in resolution.for_message(self._directory, call, agent_id):
            try:
                with Deadline(self._deadlines, _MESSAGE_TIME_S):
                    return await target.transport.send(agent_id, message, call.options())
            except TimeoutError:
                raise _no_answer(target, _MESSAGE_TIME_S) from None
            except OutcomeUnknown:
                raise
            except CalleeError as error:
                failure = _noted(error, "send", agent_id)
        raise failure or NotFound(_unknown("agent", agent_id, None, call))

    async def broadcast(self, call: Call, channel: str, message: Message) -> None:
        """Hand a message to everybody at the same time (contract, Decision 2), but to those that are never called.

        Raises:
            CalleeError: nobody took it although somebody was there, or a leg that promises durability did not keep it.
        """
        options = call.options()
        targets = list(resolution.for_broadcast(self._directory, call))
        legs = [self._leg(target, channel, message, options) for target in targets]
        outcomes = await asyncio.gather(*legs, return_exceptions=True)
        failures: list[CalleeError] = []
        not_kept: CalleeError | None = None
        count = 0
        for target, outcome in zip(targets, outcomes, strict=True):
            if isinstance(outcome, Asleep) and call.container_id is None:
                continue
            count += 1
            if isinstance(outcome, CalleeError):
                failures.append(_noted(outcome, "broadcast", channel))
                if _is_not_kept(target, outcome):
                    not_kept = not_kept or outcome
            elif isinstance(outcome, BaseException):
                raise outcome
        if not_kept is not None:
            raise not_kept
        if failures and len(failures) == count:
            raise failures[-1]

    @asynccontextmanager
    async def get_stream(self, call: Call, stream: str, agent_id: str | None) -> AsyncIterator[AsyncIterator[bytes]]:
        """Open a stream of bytes; its pieces are passed on as they come, without a limit of time.

        Raises:
            NotFound: nobody offers the stream.
            CalleeError: who was asked last failed.
        """
        async with AsyncExitStack() as opened:
            failure: CalleeError | None = None
            candidates = resolution.for_stream(self._directory, call, stream, StreamMode.GET, agent_id)
            for target, named in candidates:
                opening = target.transport.get_stream(stream, named, call.options())
                try:
                    pieces = await opened.enter_async_context(opening)
                    break
                except CalleeError as error:
                    failure = _noted(error, "stream", stream)
            else:
                raise failure or NotFound(_unknown("stream", stream, agent_id, call))
            yield pieces

    async def post_stream(self, call: Call, stream: str, pieces: AsyncIterator[bytes], agent_id: str | None) -> None:
        """Hand a stream of bytes to an agent; another one is asked only while none of the bytes has been taken.

        Raises:
            NotFound: nobody offers the stream.
            CalleeError: who was asked last failed.
        """
        failure: CalleeError | None = None
        source = _Watched(pieces)
        candidates = resolution.for_stream(self._directory, call, stream, StreamMode.POST, agent_id)
        for target, named in candidates:
            try:
                await target.transport.post_stream(stream, source, named, call.options())
                return
            except CalleeError as error:
                failure = _noted(error, "stream", stream)
                if source.is_begun:
                    raise
        raise failure or NotFound(_unknown("stream", stream, agent_id, call))

    async def _leg(self, target: Target, channel: str, message: Message, options: CallOptions) -> None:
        try:
            with Deadline(self._deadlines, _MESSAGE_TIME_S):
                await target.transport.broadcast(channel, message, options)
        except TimeoutError:
            raise _no_answer(target, _MESSAGE_TIME_S) from None


class _Watched:
    """A stream of bytes that knows whether any of it was taken."""

    def __init__(self, pieces: AsyncIterator[bytes]) -> None:
        self._pieces = pieces
        self.is_begun = False

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        piece = await anext(self._pieces)
        self.is_begun = True
        return piece


def _no_answer(target: Target, limit_s: float) -> OutcomeUnknown:
    return OutcomeUnknown(f"{target.transport.name} did not answer within {limit_s} s; it may still have done it")


def _is_not_kept(target: Target, error: CalleeError) -> bool:
    """Tell whether a message is lost by this, although somebody promised to store it (contract, Decision 2)."""
    return _is_full(error) or (isinstance(target, Peer) and target.keeps_messages)


def _is_full(error: CalleeError) -> bool:
    return isinstance(error, RemoteError) and error.status == HTTPStatus.INSUFFICIENT_STORAGE


def _may_have_run(error: CalleeError) -> bool:
    """Tell whether the action may have had its effect although nobody could say so: nobody else must be asked then."""
    cause = error.cause
    # Whoever gave up may be behind the platform that was asked.
    while cause is not None and cause.status != HTTPStatus.GATEWAY_TIMEOUT:
        cause = cause.cause
    return cause is not None or isinstance(error, (OutcomeUnknown, BadAnswer))


def _noted(error: CalleeError, kind: str, name: str) -> CalleeError:
    """Log a failed attempt; the caller may see only the last of several."""
    # Of one that is away it was said when it went: who asks every second fills no log.
    # And who is full counts what it refuses.
    is_known = isinstance(error, StillAway) or _is_full(error)
    log.log(logging.DEBUG if is_known else logging.INFO, "%s %s: %s", kind, name, error.message)
    return error


def _unknown(kind: str, name: str, agent_id: str | None, call: Call) -> str:
    at_agent = f" at agent {agent_id}" if agent_id is not None else ""
    in_container = f" in container {call.container_id}" if call.container_id is not None else ""
    return f"there is no {kind} {name}{at_agent}{in_container}"
