"""The link to one broker: made, watched, and made again; what is said at its beginning, and at its end."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from bridge.mqtt.client import MAX_PACKET_BYTES, Broker, Will
from bridge.mqtt.driver import Connection, Incoming
from bridge.mqtt.failures import LinkError

log = logging.getLogger(__name__)

# Back-off between attempts, with jitter: a second at first, then longer up to the broker's cap (a minute), and to five
# times that where only a hand helps.
_FIRST_PAUSE_S = 1.0
_HAND_FACTOR = 5
# So often it is looked meanwhile whether that hand has put another password in place.
_LOOK_S = 5.0
# A connection that lasted this long has proved itself, so the next pause is a short one.
_PROVEN_S = 30.0
# Thrown out by another one of the same name: not back before this, and later every time, unless it held for so long.
_TAKEN_OVER_PAUSE_S = 10.0
# So many connections in a row that did not prove themselves are strange.
_SHORT = 3
_SETTLED_S = 900.0


@dataclass(slots=True)
class LinkFigures:
    """How a link is doing.

    Attributes:
        connected_since: Unix time; None while there is no connection.
        away_since: Unix time since when there is none; None while there is one.
        problem: Why there is none, in words; empty if there is one.
        attempts: How often it was tried since the last connection.
        connections: How many connections there have been.
        doubt: What may be wrong though there is a connection: the last ones ended soon, without a word.
    """

    connected_since: float | None = None
    away_since: float | None = field(default_factory=time.time)
    problem: str = "not tried yet"
    attempts: int = 0
    connections: int = 0
    doubt: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Manners:
    """What a link says and hears.

    Attributes:
        filters: What to subscribe to.
        will: Makes the will of each new connection.
        on_message: Called for each message; must not wait.
        on_up: Called on each new connection, after subscribing, before anything else is sent on it.
        on_down: Called when it has ended.
        last_words: What to publish, retained, before an orderly end; None for nothing.
    """

    filters: Sequence[str]
    will: Callable[[], Will]
    on_message: Callable[[Incoming], None]
    on_up: Callable[[Connection], None]
    on_down: Callable[[], None]
    last_words: Callable[[], tuple[str, bytes] | None]


class Link:
    """Keeps one connection to a broker; `run` does so until it is cancelled."""

    def __init__(self, name: str, broker: Broker, manners: Manners) -> None:
        """Args:
        name: For the log.
        broker: Where to connect.
        manners: What to say and hear.
        """
        self.figures = LinkFigures()
        self._name = name
        self._broker = broker
        self._manners = manners
        self._connection: Connection | None = None
        self._is_v5 = True
        # The broker has said that it does not speak MQTT 5.
        self._is_older = False
        self._said = ""
        self._short = self._counted = 0

    @property
    def is_up(self) -> bool:
        """Whether there is a connection."""
        return self._connection is not None

    @property
    def where(self) -> str:
        """The broker's address."""
        return f"{self._broker.host}:{self._broker.port}"

    @property
    def max_packet_bytes(self) -> int:
        """What the broker takes in one packet."""
        return MAX_PACKET_BYTES if self._connection is None else self._connection.max_packet_bytes

    @property
    def is_crowded(self) -> bool:
        """Whether so much waits to be sent that large messages have to wait: small ones of others still pass."""
        return self._connection is not None and self._connection.is_crowded

    @property
    def is_v5(self) -> bool:
        """Whether it speaks MQTT 5."""
        return self._is_v5

    def send(self, topic: str, payload: bytes, *, retain: bool = False, expires_in_s: float | None = None) -> None:
        """Publish once, unconfirmed; `LinkError` if there is no connection."""
        self._open().publish(topic, payload, retain=retain, expires_in_s=expires_in_s)

    async def deliver(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        """Publish until the broker confirms; `LinkError` if there is no connection, or no more."""
        await self._open().deliver(topic, payload, retain=retain)

    async def run(self) -> None:
        """Keep a connection until cancelled; nothing that a broker does ends this."""
        pause_s = first_s = min(_FIRST_PAUSE_S, self._broker.longest_pause_s)
        while True:
            began_s = time.monotonic()
            problem = await self._try()
            held_s = time.monotonic() - began_s
            was_connected = self._count_short(problem, held_s)
            longest_s = self._broker.longest_pause_s * (_HAND_FACTOR if problem.needs_hand else 1)
            if problem.is_taken_over and held_s < _SETTLED_S:
                # Two with one name throw each other out; without a pause they would do nothing else.
                pause_s = max(pause_s, _TAKEN_OVER_PAUSE_S)
            elif was_connected and held_s > _PROVEN_S and not self.figures.doubt:
                pause_s = first_s
            pause_s = min(pause_s, longest_s)
            drawn_s = pause_s * random.uniform(0.5, 1.0)
            # From one attempt's beginning to the next: one that took long to fail shall not add to the cap.
            wait_s = drawn_s if was_connected else max(drawn_s - held_s, min(drawn_s, first_s / 2))
            await self._pause(wait_s, looks=problem.needs_hand)
            pause_s = min(pause_s * 2, longest_s)
            await self._look_again()

    @property
    def _alone_s(self) -> float:
        """After so long nobody takes turns with us: the other one would have been back from its longest pause."""
        return _PROVEN_S + self._broker.longest_pause_s

    @property
    def doubt(self) -> str:
        """The figures' doubt, until a connection has shown that there is no reason for it."""
        since_s = self.figures.connected_since
        return "" if since_s is not None and time.time() - since_s > self._alone_s else self.figures.doubt

    def _count_short(self, problem: LinkError, held_s: float) -> bool:
        """Notice what looks as if two used one name: Mosquitto 2.0 throws one of them out without a word.

        Returns whether there was a connection at all.
        """
        if self.figures.connections == self._counted:
            return False
        self._counted = self.figures.connections
        proven_s = self._alone_s if self.figures.doubt and problem.is_silent else _PROVEN_S
        self._short = self._short + 1 if held_s < proven_s and not problem.needs_hand else 0
        doubt = ""
        if self._short >= _SHORT:
            doubt = f"the last {self._short} connections ended soon after they were made: {problem}"
            if problem.is_silent:
                doubt += f"; does another bridge use the name {self._broker.user}?"
            if not self.figures.doubt:
                log.warning("%s: %s", self._name, doubt)
        self.figures.doubt = doubt
        return True

    async def _try(self) -> LinkError:
        """Connect and return why it ended, or why there was nothing; with the older version if the new is refused."""
        problem = await self._tried(is_v5=not self._is_older)
        if not problem.is_version:
            return problem
        # Once with the other version, at once; who knows neither is asked again like anybody who is away. Whoever
        # hangs up without a word may be away as well, and is asked for the newer version again the next time.
        is_sure = problem.is_sure
        problem = await self._tried(is_v5=self._is_older)
        if is_sure and not problem.is_version:
            self._is_older = not self._is_older
        return problem

    async def _look_again(self) -> None:
        """Read password and certificates anew: they may have been renewed."""
        if self._broker.again is None:
            return
        try:
            self._broker = await asyncio.to_thread(self._broker.again)
        except ValueError as error:
            if str(error) != self._said:
                self._said = str(error)
                log.warning("%s: it goes on with what it read before: %s", self._name, error)

    async def _tried(self, *, is_v5: bool) -> LinkError:
        try:
            self._is_v5 = is_v5
            problem = await self._connect_once()
        except LinkError as error:
            problem = error
        self._tell(problem)
        return problem

    async def _connect_once(self) -> LinkError:
        """Connect, serve until the end, and return why it ended; `LinkError` if there was no beginning."""
        manners = self._manners
        async with Connection(self._broker, manners.on_message, manners.will(), is_v5=self._is_v5) as connection:
            await connection.subscribe(manners.filters)
            self._connection = connection
            figures = self.figures
            figures.connected_since, figures.away_since = time.time(), None
            figures.problem, figures.attempts = "", 0
            figures.connections += 1
            log.info("%s: connected to %s:%d", self._name, self._broker.host, self._broker.port)
            manners.on_up(connection)
            try:
                return await connection.ended()
            except asyncio.CancelledError:
                await self._say_goodbye(connection)
                raise
            finally:
                self._connection = None
                figures.connected_since, figures.away_since = None, time.time()
                manners.on_down()

    async def _say_goodbye(self, connection: Connection) -> None:
        words = self._manners.last_words()
        try:
            if words is not None:
                async with asyncio.timeout(1.0):
                    await connection.deliver(*words, retain=True)
        except (LinkError, TimeoutError):
            return  # the will says it
        connection.needs_will = False

    def _open(self) -> Connection:
        if self._connection is None:
            raise LinkError(self.figures.problem or "not connected")
        return self._connection

    def _tell(self, problem: LinkError) -> None:
        """Log a problem once, not at each attempt."""
        text = str(problem)
        self.figures.attempts += 1
        if text != self.figures.problem:
            level = logging.WARNING if not problem.is_version else logging.INFO
            log.log(level, "%s: no connection: %s", self._name, text)
        self.figures.problem = text

    async def _pause(self, seconds: float, *, looks: bool) -> None:
        """Wait; with `looks` no longer than until the password is another one."""
        refused = self._broker.password
        while looks and seconds > _LOOK_S and self._broker.password == refused:
            await asyncio.sleep(_LOOK_S)
            seconds -= _LOOK_S
            await self._look_again()
        if self._broker.password == refused:
            await asyncio.sleep(seconds)
