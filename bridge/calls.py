"""Live calls over a link, the asking half: it waits, and asks again under the same ID, until it knows or gives up."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from http import HTTPStatus
from typing import TypeAlias

from bridge.clock import tick_ms
from bridge.envelope import Answer, Request
from bridge.mqtt.failures import LinkError
from edge.errors import CalleeError, Cause, OutcomeUnknown, Overloaded, Unreachable
from edge.model.descriptions import timestamp

# A request that nobody answers is sent again, under the same ID, first after this long, then at growing distances.
_FIRST_RETRY_S = 2.0
_LONGEST_RETRY_S = 15.0
# Nothing heard for so long, not even that it is still being executed: it is gone, whatever its presence says.
_SILENCE_S = 40.0
_MAX_WAITING = 256

# What is answered to a request that came again while it is executed.
STILL_RUNNING = 102

Send: TypeAlias = Callable[[Request], None]


class _Waiting:
    """A call that waits: its request, its answer, and when something was last heard of it."""

    __slots__ = ("answer", "heard_s", "request")

    def __init__(self, request: Request) -> None:
        loop = asyncio.get_running_loop()
        self.request = request
        self.answer: asyncio.Future[Answer] = loop.create_future()
        self.heard_s = loop.time()


class Calls:
    """The calls to one party that wait for an answer."""

    def __init__(self, party: str, send: Send) -> None:
        """Args:
        party: Name of the party, for messages.
        send: Sends a request now; `LinkError` if the link is down.
        """
        self._party = party
        self._send = send
        self._waiting: dict[str, _Waiting] = {}

    @property
    def count(self) -> int:
        """How many wait."""
        return len(self._waiting)

    async def call(self, request: Request, limit_s: float) -> Answer:
        """Send a request and return its answer, whatever its status.

        Raises:
            Unreachable: it was not sent.
            OutcomeUnknown: no answer in time, or the party went away.
            Overloaded: too many calls wait for this party.
        """
        if len(self._waiting) >= _MAX_WAITING:
            raise Overloaded(f"{_MAX_WAITING} calls to {self._party} wait for their answers; try again later")
        request.t = tick_ms()
        try:
            self._send(request)
        except LinkError as error:
            raise Unreachable(f"{self._party} cannot be reached: {error}") from error
        waiting = self._waiting[request.id] = _Waiting(request)
        try:
            async with asyncio.timeout(limit_s):
                return await self._answered(waiting)
        except TimeoutError:
            raise unknown(
                f"{self._party} did not answer {request.route} in {limit_s:.0f} s; it may have had its effect"
            ) from None
        finally:
            del self._waiting[request.id]
            if not waiting.answer.cancel() and not waiting.answer.cancelled():
                waiting.answer.exception()  # its caller may have left before it was looked at

    async def _answered(self, waiting: _Waiting) -> Answer:
        pause_s = _FIRST_RETRY_S
        loop = asyncio.get_running_loop()
        while True:
            done, _ = await asyncio.wait([waiting.answer], timeout=pause_s)
            if done:
                return waiting.answer.result()
            if loop.time() - waiting.heard_s > _SILENCE_S:
                raise unknown(f"{self._party} says nothing to {waiting.request.route}, which may have had its effect")
            pause_s = min(pause_s * 2, _LONGEST_RETRY_S)
            with suppress(LinkError):  # it is asked again when the link is back
                self._send(waiting.request)

    def answered(self, answer: Answer) -> None:
        """Hand an answer to whoever waits for it; one that nobody waits for any more is dropped."""
        waiting = self._waiting.get(answer.id)
        if waiting is None:
            return
        waiting.heard_s = asyncio.get_running_loop().time()
        if answer.s != STILL_RUNNING and not waiting.answer.done():
            waiting.answer.set_result(answer)

    def ask_again(self) -> None:
        """Send everything that waits once more: the link is back, and the party is the same."""
        for waiting in list(self._waiting.values()):
            with suppress(LinkError):
                self._send(waiting.request)

    def give_up(self, why: str) -> None:
        """End all that wait: the party is gone, and whether it did what was asked is not known."""
        for waiting in self._waiting.values():
            if not waiting.answer.done():
                waiting.answer.set_exception(
                    unknown(f"{self._party} {why} during {waiting.request.route}, which may have had its effect")
                )


def unknown(message: str) -> OutcomeUnknown:
    """Return the error of a call that may have run: its cause tells programs so, which must not ask anybody else."""
    return OutcomeUnknown(message, Cause(HTTPStatus.GATEWAY_TIMEOUT, "the outcome is unknown"))


def away(party: str, since_s: float | None, why: str = "") -> CalleeError:
    """Return the error of a call to a party that is not there."""
    if since_s is None:
        return Unreachable(f"{party} has not been seen yet{f': {why}' if why else ''}")
    since = timestamp(datetime.fromtimestamp(since_s, UTC))
    return Unreachable(f"{party} is away since {since}{f': {why}' if why else ''}")
