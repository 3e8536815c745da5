"""Live calls over a link: the asking half waits and asks again, the answering half executes each call once."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import TypeAlias

from bridge.clock import Age, tick_ms
from bridge.envelope import Answer, Request
from bridge.mqtt.failures import LinkError
from bridge.tasks import Tasks
from edge.errors import CalleeError, Cause, OutcomeUnknown, Overloaded, Unreachable
from edge.model.descriptions import timestamp
from edge.model.json_value import JsonValue

log = logging.getLogger(__name__)

# A request that nobody answers is sent again, under the same ID, first after this long, then at growing distances.
_FIRST_RETRY_S = 2.0
_LONGEST_RETRY_S = 15.0
# Nothing heard for so long, not even that it is still being executed: it is gone, whatever its presence says.
_SILENCE_S = 40.0
_MAX_WAITING = 256
# What the answering half keeps for requests that come again, and executes at one time.
_KEPT_ANSWERS = 64
_KEPT_BYTES = 1024 * 1024
_MAX_RUNNING = 64

# What is answered to a request that came again while it is executed.
STILL_RUNNING = 102
# Asks nothing of the platform, only whether the other end is there.
PING = "PING"

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
            raise OutcomeUnknown(
                f"{self._party} did not answer {request.route} in {limit_s:.0f} s; it may have had its effect"
            ) from None
        finally:
            del self._waiting[request.id]

    async def _answered(self, waiting: _Waiting) -> Answer:
        pause_s = _FIRST_RETRY_S
        loop = asyncio.get_running_loop()
        while True:
            done, _ = await asyncio.wait([waiting.answer], timeout=pause_s)
            if done:
                return waiting.answer.result()
            if loop.time() - waiting.heard_s > _SILENCE_S:
                raise OutcomeUnknown(
                    f"{self._party} says nothing to {waiting.request.route}, which may have had its effect"
                )
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
                    OutcomeUnknown(f"{self._party} {why} during {waiting.request.route}, which may have had its effect")
                )


# Plays a request and returns status and body, UNSET-free: None stands for no body.
Play: TypeAlias = Callable[[Request], Awaitable[Answer]]


class Answers:
    """The calls of one party to us: each is executed once, and answered as often as it is asked."""

    def __init__(self, party: str, play: Play, reply: Callable[[Answer], None], tasks: Tasks) -> None:
        """Args:
        party: Name of the party, for the log.
        play: Executes a request; raises nothing.
        reply: Sends an answer; `LinkError` if the link is down.
        tasks: Owns what runs.
        """
        self.epoch = 0
        self.age = Age()
        self._party = party
        self._play = play
        self._reply = reply
        self._tasks = tasks
        self._done: OrderedDict[str, Answer] = OrderedDict()
        self._running: set[str] = set()

    def new_epoch(self, epoch: int) -> None:
        """Begin a new connection: calls that were meant for the one before are refused from now on."""
        self.epoch = epoch
        self.age = Age()

    def asked(self, request: Request) -> None:
        """Execute a request, or repeat its answer."""
        age_ms = self.age.of(request.t)
        if request.route == PING:
            self._send(Answer(id=request.id, s=204))
            return
        if request.id in self._running:
            self._send(Answer(id=request.id, s=STILL_RUNNING))
            return
        if request.id in self._done:
            self._send(self._done[request.id])
        elif request.ep != self.epoch:
            self._send(refusal(request, "was meant for an earlier connection and is not executed", is_unknown=True))
        elif age_ms > request.x * 1000:
            self._send(refusal(request, f"came {age_ms / 1000:.1f} s late and is not executed", is_unknown=True))
        elif len(self._running) >= _MAX_RUNNING:
            self._send(Answer(id=request.id, s=503, b=error_body(503, f"{_MAX_RUNNING} calls are running already")))
        else:
            self._running.add(request.id)
            self._tasks.start(self._execute(request), f"{self._party}: {request.route}")

    async def _execute(self, request: Request) -> None:
        try:
            answer = await self._play(request)
        finally:
            self._running.discard(request.id)
        self._done[request.id] = answer
        while len(self._done) > _KEPT_ANSWERS:
            self._done.popitem(last=False)
        self._send(answer)

    def _send(self, answer: Answer) -> None:
        answer.t = tick_ms()
        try:
            self._reply(answer)
        except LinkError as error:
            log.info("%s does not get its answer now: %s", self._party, error)


def refusal(request: Request, why: str, *, is_unknown: bool = False) -> Answer:
    """Return the answer to a request that is not executed."""
    return Answer(id=request.id, s=502, b=error_body(502, f"{request.route} {why}"), u=int(is_unknown))


def error_body(status: int, message: str) -> JsonValue:
    """Return an ErrorResponse without cause (contract, Decision 1)."""
    return {"statusCode": status, "message": message}


def away(party: str, since_s: float | None, why: str = "") -> CalleeError:
    """Return the error of a call to a party that is not there."""
    if since_s is None:
        return Unreachable(f"{party} has not been seen yet{f': {why}' if why else ''}")
    since = timestamp(datetime.fromtimestamp(since_s, UTC))
    return Unreachable(f"{party} is away since {since}{f': {why}' if why else ''}")


def cause_of(answer: Answer) -> Cause:
    """Return what another party's error answer says."""
    body = answer.b
    if isinstance(body, dict):
        status, message = body.get("statusCode"), body.get("message")
        return Cause(status if isinstance(status, int) else None, message if isinstance(message, str) else None)
    return Cause(answer.s, None)


def now_ms() -> int:
    """Return Unix time in ms, for what is only shown."""
    return time.time_ns() // 1_000_000
