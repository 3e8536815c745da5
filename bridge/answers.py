"""Live calls over a link, the answering half: each call is executed once at most, and answered as often as asked."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeAlias

from bridge.calls import STILL_RUNNING
from bridge.clock import Age, tick_ms
from bridge.envelope import Answer, Request, read, write
from bridge.mqtt.failures import LinkError
from bridge.tasks import Tasks
from edge.errors import TooLarge
from edge.model.json_value import JsonValue

log = logging.getLogger(__name__)

# What is kept for requests that come again: so many answers of so many bytes, and that others were executed.
_KEPT_ANSWERS = 64
_KEPT_BYTES = 1024 * 1024
_KNOWN_IDS = 2048
# Calls that are executed at one time: not all connections that a platform takes.
_MAX_RUNNING = 150
# Of one party, where there are others.
_MAX_OF_PARTY = 64

# Asks nothing of the platform, only whether the other end is there.
PING = "PING"

# Plays a request; raises nothing.
Play: TypeAlias = Callable[[Request], Awaitable[Answer]]


@dataclass(slots=True)
class Crowd:
    """Those who call here.

    Attributes:
        is_shared: Whether they are several: none takes all places then.
        running: How many calls of all of them are executed now.
    """

    is_shared: bool = True
    running: int = 0


class Answers:
    """The calls of one party to us.

    Attributes:
        epoch: Of this end's connection: calls that name another one are refused.
        age: How old what comes is.
    """

    def __init__(self, party: str, play: Play, reply: Callable[[Answer], None], tasks: Tasks, crowd: Crowd) -> None:
        """Args:
        party: Name of the party, for the log.
        play: Executes a request; raises nothing.
        reply: Sends an answer; `LinkError` if the link is down, `TooLarge` if it cannot be carried.
        tasks: Owns what runs.
        crowd: This and the other parties.
        """
        self.epoch = 0
        self.age = Age()
        self._party = party
        self._play = play
        self._reply = reply
        self._tasks = tasks
        self._crowd = crowd
        self._running: set[str] = set()
        # By ID, as they travel, the oldest first: an answer may be small in a packet and large in memory.
        self._done: OrderedDict[str, bytes] = OrderedDict()
        self._done_bytes = 0
        # Executed, but the answer is not kept any more: ID -> when it was sent, by the caller's clock.
        self._known: OrderedDict[str, int] = OrderedDict()
        self._forgotten_ms = 0

    @property
    def kept_bytes(self) -> int:
        """How much the kept answers take."""
        return self._done_bytes

    def new_epoch(self, epoch: int) -> None:
        """Begin anew, as one of the ends has connected: of ours, calls meant for the connection before are refused."""
        self.epoch = epoch
        self.age = Age()
        # The caller's clock may count from elsewhere now.
        self._forgotten_ms = 0

    def asked(self, request: Request) -> None:
        """Execute a request, or repeat its answer."""
        age_ms = self.age.of(request.t)
        if request.route == PING:
            self._send(Answer(id=request.id, s=204))
        elif request.id in self._running:
            self._send(Answer(id=request.id, s=STILL_RUNNING))
        elif request.id in self._done:
            self._send(read(self._done[request.id], Answer))
        elif request.id in self._known or 0 < request.t <= self._forgotten_ms:
            self._send(refusal(request, "was or may have been executed; its answer is not kept any more"))
        elif request.ep != self.epoch:
            self._send(refusal(request, "was meant for an earlier connection and is not executed now"))
        elif age_ms > request.x * 1000:
            self._send(refusal(request, f"came {age_ms / 1000:.1f} s late and is not executed now"))
        elif self._crowd.running >= _MAX_RUNNING or (self._crowd.is_shared and len(self._running) >= _MAX_OF_PARTY):
            why = f"{len(self._running)} calls of {self._party} are executed already, {self._crowd.running} in all"
            self._send(Answer(id=request.id, s=503, b=error_body(503, f"{why}; try again later")))
        else:
            self._running.add(request.id)
            self._crowd.running += 1
            self._tasks.start(self._execute(request), f"{self._party}: {request.route}")

    async def _execute(self, request: Request) -> None:
        try:
            answer = await self._play(request)
        finally:
            self._running.discard(request.id)
            self._crowd.running -= 1
        self._keep(request, answer)
        self._send(answer)

    def _keep(self, request: Request, answer: Answer) -> None:
        written = write(answer)
        self._known[request.id] = request.t
        self._done[request.id] = written
        self._done_bytes += len(written)
        # The last one is kept whatever its size: it is the one most likely to be asked for again.
        while len(self._done) > _KEPT_ANSWERS or (self._done_bytes > _KEPT_BYTES and len(self._done) > 1):
            self._done_bytes -= len(self._done.popitem(last=False)[1])
        while len(self._known) > _KNOWN_IDS:
            # Of what is older nobody knows whether it was executed.
            self._forgotten_ms = max(self._forgotten_ms, self._known.popitem(last=False)[1])

    def _send(self, answer: Answer) -> None:
        answer.t = tick_ms()
        try:
            self._reply(answer)
        except LinkError as error:
            log.info("%s does not get its answer now: %s", self._party, error)
        except TooLarge as error:
            log.warning("%s gets no answer: %s", self._party, error.message)
            self._send(Answer(id=answer.id, s=413, b=error_body(413, f"the answer is too large: {error.message}")))


def refusal(request: Request, why: str) -> Answer:
    """Return the answer to a request that is not executed now; whether it was before is not known."""
    return Answer(id=request.id, s=502, b=error_body(502, f"{request.route} {why}: the outcome is unknown"), u=1)


def error_body(status: int, message: str) -> JsonValue:
    """Return an ErrorResponse without cause (contract, Decision 1)."""
    return {"statusCode": status, "message": message}
