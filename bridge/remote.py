"""One party at the other end of a link: a site, or the gateway; what is known of it, and the calls both ways."""

from __future__ import annotations

import logging
import time
import zlib
from collections.abc import Callable

import msgspec

from bridge.answers import Answers
from bridge.calls import Calls, away
from bridge.envelope import Answer, Presence, Request, Unreadable, new_id, read
from bridge.executor import Executor
from bridge.wires import Wires
from edge.errors import BadInput, Unreachable
from edge.model.codec import decode, encode
from edge.model.descriptions import RuntimePlatform

log = logging.getLogger(__name__)

# A description is deflated above 8 KiB; what it may be unpacked is bounded, as is everything that strangers send.
_DEFLATE_FROM_BYTES = 8 * 1024
_MINUTE_S = 60.0
_MOST_TOLD = 20
_MAX_PRESENCE_BYTES = 2048
MAX_INFO_BYTES = 4 * 1024 * 1024


class Remote:
    """A remote party.

    Attributes:
        name: Site name or gateway name.
        wires: Its topics.
        calls: Our calls to it.
        answers: Its calls to us.
        executor: Plays its calls at the local platform.
        presence: What it said of itself last; None before that.
        away_since_s: Unix time since when it is not there; None while it is, or if it was never seen.
        there_since_s: Unix time of its last coming; None if it was never seen.
        info: Its `/info`; None if it is not known.
        description: The same, decoded.
        problem: What is wrong though it is there, in words; empty if nothing is.
        heard: How many messages of it came since it was seen to connect.
        is_removed: Whether it was removed for good; if it comes again, it is another one.
        on_change: Called when its description has changed, or it came or went.
    """

    def __init__(self, name: str, wires: Wires, calls: Calls, answers: Answers, executor: Executor) -> None:
        self.name = name
        self.wires = wires
        self.calls = calls
        self.answers = answers
        self.executor = executor
        self.presence: Presence | None = None
        self.away_since_s: float | None = None
        self.there_since_s: float | None = None
        self._is_in_sight = False
        self.info: bytes | None = None
        self._described = b""
        self.description: RuntimePlatform | None = None
        self.problem = ""
        self.heard = 0
        self._minute_s, self._told = float("-inf"), 0
        self.is_removed = False
        self.on_change: list[Callable[[], None]] = []
        self.link_problem: Callable[[], str] = lambda: ""

    @property
    def is_there(self) -> bool:
        """Whether it is connected: it, or its broker, has said so since we are connected ourselves."""
        return self._is_in_sight and self.presence is not None and bool(self.presence.on)

    async def call(
        self,
        route: str,
        query: dict[str, str] | None = None,
        headers: dict[str, str] | None = None,
        body: object = msgspec.UNSET,
        *,
        limit_s: float,
        begin_within_s: float = 30.0,
        sid: str = "",
    ) -> Answer:
        """Ask it to play a route, and return its answer.

        Args:
            limit_s: Longest wait for the answer.
            begin_within_s: Later it is refused by the other end.

        Raises:
            Unreachable: it is away, or there is no link; nothing was sent.
            OutcomeUnknown: no answer; or it refused because it cannot know.
        """
        self.check_there()
        assert self.presence is not None
        request = Request(
            id=new_id(),
            ep=self.presence.ep,
            route=route,
            q=query or {},
            h=headers or {},
            b=body,
            x=begin_within_s,
            sid=sid,
        )
        return await self.calls.call(request, limit_s)

    def check_there(self) -> None:
        """Raise `Unreachable` if it cannot be asked now, saying since when."""
        problem = self.link_problem()
        if problem:
            raise Unreachable(f"{self.name} cannot be reached: the bridge has no broker: {problem}")
        if not self.is_there:
            raise away(self.name, self.away_since_s)

    def seen(self, presence: Presence) -> bool:
        """Take note of what it says of itself; returns whether it has connected, or is seen again."""
        known, was_there = self.presence, self.is_there
        if not presence.on and was_there and known is not None and known.ep != presence.ep:
            return False  # the late will of an earlier connection
        self.presence, self._is_in_sight = presence, True
        if not presence.on:
            if known is None or known.on:
                self.away_since_s = self.away_since_s or time.time()
                self._tell("is away")
                self.calls.give_up("went away")
                self._changed()
            return False
        self.away_since_s = None
        if known is None or not known.on or known.ep != presence.ep:
            self.there_since_s = time.time()
            self._tell("is there")
            # Whoever waits for the connection before this one waits in vain.
            self.calls.give_up("has connected anew")
            self._changed()
        elif was_there:
            return False
        self.heard = 0
        return True

    def out_of_sight(self) -> None:
        """Take note that our own connection ended: who is there is not known before it is said anew.

        Its broker may have been started anew, and know nothing of it.
        """
        if self.is_there:
            self.away_since_s = time.time()
        self._is_in_sight = False

    def removed(self) -> None:
        """Take note that it was removed for good: who follows this has nothing more to expect."""
        self.is_removed = True
        self.calls.give_up("was removed")
        self._changed()

    def describe(self, payload: bytes) -> bool:
        """Take its `/info`, deflated or not; returns whether it is another one. `Unreadable` if it is none."""
        if payload == self._described:
            return False
        try:
            description = decode(inflated(payload), RuntimePlatform, ignored=set())
        except BadInput as error:
            raise Unreadable(f"not a platform's description: {error.message}") from error
        # Written anew: a platform that decodes strictly must not meet what only a later version knows.
        self._described, self.info, self.description = payload, encode(description), description
        self._changed()
        return True

    def complain(self, problem: str) -> None:
        """Note what is wrong though it is there, and log it once; nothing, if it is right again."""
        if problem and problem != self.problem:
            log.warning("%s: %s", self.name, problem)
        self.problem = problem

    def agent_ids(self, container_id: str | None = None) -> set[str]:
        """Return the agents that it says it has, or those of one container."""
        if self.description is None:
            return set()
        return {
            agent.agent_id
            for container in self.description.containers
            if container_id in (None, container.container_id)
            for agent in container.agents
        }

    def _tell(self, what: str) -> None:
        """Log that it came or went; one that does so all the time fills no log."""
        now_s = time.monotonic()
        if now_s - self._minute_s > _MINUTE_S:
            self._minute_s, self._told = now_s, 0
        self._told += 1
        if self._told <= _MOST_TOLD:
            log.info("%s %s", self.name, what)
        elif self._told == _MOST_TOLD + 1:
            log.warning("%s comes and goes all the time; no more is said of it for a minute", self.name)

    def _changed(self) -> None:
        for tell in list(self.on_change):
            tell()


def deflated(info: bytes) -> bytes:
    """Return a description as it travels: deflated if it is large, which the first byte tells."""
    return zlib.compress(info, 6) if len(info) > _DEFLATE_FROM_BYTES else info


def inflated(payload: bytes) -> bytes:
    """Return a description as it is.

    Raises:
        Unreadable: it is broken, or larger than 4 MiB.
    """
    if payload[:1] == b"{":
        return payload
    unpacking = zlib.decompressobj()
    try:
        info = unpacking.decompress(payload, MAX_INFO_BYTES)
    except zlib.error as error:
        raise Unreadable(f"not a deflated description: {error}") from error
    if not unpacking.eof:
        raise Unreadable(f"a description above {MAX_INFO_BYTES} bytes, or a broken one")
    return info


def read_presence(payload: bytes) -> Presence | None:
    """Return a presence, None for an empty payload: the party was removed for good.

    Raises:
        Unreadable: it is none, or too large to be kept for each party.
    """
    if len(payload) > _MAX_PRESENCE_BYTES:
        raise Unreadable(f"a presence of {len(payload)} bytes")
    return read(payload, Presence) if payload else None
