"""One connected platform: followed over its WebSocket, described anew when it changes, kept while it is away."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus

from edge.errors import BadAnswer, CalleeError, RemoteError, Unreachable
from edge.model.descriptions import RuntimePlatform, timestamp
from edge.model.requests import Event
from edge.runtime.catalogue import Catalogue
from edge.runtime.directory import Peer
from edge.runtime.peer_description import PeerDefinitions, read_description
from edge.runtime.peer_road import PeerRoad
from edge.runtime.peer_status import ConnectionStatus, PeerState
from edge.runtime.peer_tokens import life_of
from edge.runtime.stored_connections import StoredConnection
from edge.transport.base import PlatformTransport

log = logging.getLogger(__name__)

Dial = Callable[[str, str], PlatformTransport]

_TOPIC = "/containers"
# They change nothing that a description shows.
_NO_CHANGE = ("POST /containers/login/", "POST /containers/logout/")
# After a look that an event has caused, measured by how long that took.
_REST_PER_LOOK = 4.0
_LONGEST_REST_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerTiming:
    """Time limits and pauses, in seconds.

    Attributes:
        info_s: Longest wait for a platform's `/info`.
        connect_s: Longest wait for a platform to connect to this one, for which it calls back.
        first_pause_s: Before the first further attempt to reach one that is away; doubled with each one.
        longest_pause_s: Between attempts.
        well_after_s: Who was followed for so long is tried again after the first pause.
        shortest_pause_s: Between attempts when calls ask for one.
        lost_after_s: Calls under way to one that has been away for so long are given up.
        upkeep_s: Between looks at tokens, and at what is to be stored.
    """

    info_s: float = 10.0
    connect_s: float = 30.0
    first_pause_s: float = 1.0
    longest_pause_s: float = 30.0
    well_after_s: float = 30.0
    shortest_pause_s: float = 0.5
    lost_after_s: float = 60.0
    upkeep_s: float = 60.0


class PeerLink:
    """A connection to a platform.

    Attributes:
        stored: What is stored of it.
        road: The way to it.
        peer: What callers see of it.
        info: Its last `/info`, undecoded; empty if it never gave one.
        held_since_s: Since when its token is held, on the loop's clock.
    """

    def __init__(
        self, stored: StoredConnection, dial: Dial, definitions: PeerDefinitions, timing: PeerTiming, info: bytes = b""
    ) -> None:
        self.stored = stored
        self.road = PeerRoad(dial(stored.url, stored.token or ""), self._doubt)
        self.info = b""
        self.held_since_s = asyncio.get_running_loop().time()
        nothing_yet = RuntimePlatform(platform_id="", base_url=stored.url, running_since=_now())
        self.peer = Peer(stored.url, nothing_yet, self.road, Catalogue(()), stored.keeps_messages)
        self._definitions = definitions
        self._dial = dial
        self._timing = timing
        self._state = PeerState.JOINING
        self._reason = ""
        self._since = _now()
        self._is_followed = False
        self._look = asyncio.Event()
        self._turn = asyncio.Lock()
        self._told_unknown: set[str] = set()
        if info:
            self.take(info)

    @property
    def url(self) -> str:
        """The platform's base URL, as it was connected."""
        return self.stored.url

    def status(self) -> ConnectionStatus:
        """Return how it is doing."""
        token = self.stored.token or ""
        life = life_of(token)
        containers = self.peer.info.containers
        return ConnectionStatus(
            url=self.url,
            state=self._state,
            reason=self._reason,
            since=self._since,
            containers=len(containers),
            agents=sum(len(container.agents) for container in containers),
            connects_back=self.stored.connects_back,
            has_token=bool(token),
            token_until=None if life is None else life.until,
        )

    def use(self, stored: StoredConnection) -> None:
        """Go on with a changed connection; calls under way end as they began."""
        if stored.token != self.stored.token:
            self.road.line = self._dial(stored.url, stored.token or "")
            self.held_since_s = asyncio.get_running_loop().time()
            self._look.set()
        self.stored = stored

    def take(self, info: bytes) -> None:
        """Show what the platform says of itself.

        Raises:
            BadAnswer: it cannot be used; what was shown before stays.
        """
        if info == self.info:
            return
        description, unknown = read_description(self.url, info)
        if unknown - self._told_unknown:
            self._told_unknown |= unknown
            log.warning("%s describes itself with unknown properties, which are dropped: %s", self.url, sorted(unknown))
        self.peer.catalogue = self._definitions.catalogue(description.containers)
        self.peer.info = description
        self.info = info

    async def refresh(self) -> None:
        """Have the platform describe itself anew.

        Raises:
            CalleeError: it did not, or not so that it can be used; what was shown before stays.
        """
        async with self._turn:
            self._look.clear()
            try:
                self.take(await self._ask())
            except RemoteError as error:
                self._answers(PeerState.REFUSED, error.message + self._way_out(error))
                raise
            except BadAnswer as error:
                self._answers(PeerState.UNREADABLE, error.message)
                raise
            except CalleeError as error:
                self._does_not_answer(error.message)
                raise
            self._answers(PeerState.CONNECTED if self._is_followed else PeerState.UNFOLLOWED, "")

    def _way_out(self, error: RemoteError) -> str:
        if error.cause is None or error.cause.status != HTTPStatus.UNAUTHORIZED:
            return ""
        return f'; "opaca-edge connections add {self.url} --logged-in" gives another token'

    async def run(self) -> None:
        """Follow the platform until cancelled."""
        timing = self._timing
        loop = asyncio.get_running_loop()
        pause_s = timing.first_pause_s
        while True:
            began_s = loop.time()
            # One that is away is asked the cheaper question first.
            if self.road.away is None or await self._is_there():
                reason = await self._follow()
                if loop.time() - began_s > timing.well_after_s:
                    pause_s = timing.first_pause_s
                if await self._is_there():
                    self._answers(PeerState.UNFOLLOWED, reason)
            self.road.cut_lost_calls(timing.lost_after_s)
            await self._rest(pause_s)
            pause_s = min(pause_s * 2, timing.longest_pause_s)

    async def _follow(self) -> str:
        """Follow the platform until that ends, and return why it did."""
        try:
            async with self.road.line.events(_TOPIC) as events:
                self._is_followed = True
                await self._stay(events)
        except CalleeError as error:
            return error.message
        finally:
            self._is_followed = False
        return ""

    async def _is_there(self) -> bool:
        try:
            await self.refresh()
        except CalleeError:
            return False
        return True

    async def _ask(self) -> bytes:
        try:
            async with asyncio.timeout(self._timing.info_s):
                return await self.road.line.info()
        except TimeoutError:
            raise Unreachable(f"{self.url} did not answer GET /info within {self._timing.info_s:g} s") from None

    async def _stay(self, events: AsyncIterator[Event]) -> None:
        """Read events, each of which may mean a change, until the subscription ends."""
        self._look.set()
        failure: CalleeError | None = None
        async with asyncio.TaskGroup() as tasks:
            refreshing = tasks.create_task(self._keep_fresh(), name=f"refreshing of {self.url}")
            try:
                async for event in events:
                    if not (event.route or "").startswith(_NO_CHANGE):
                        self._look.set()
            except CalleeError as error:
                failure = error
            finally:
                refreshing.cancel()
        if failure is not None:
            raise failure

    async def _keep_fresh(self) -> None:
        loop = asyncio.get_running_loop()
        pause_s = self._timing.first_pause_s
        while True:
            await self._look.wait()
            began_s = loop.time()
            if await self._is_there():
                pause_s = self._timing.first_pause_s
                # Who tells of changes without end, or has much to say of itself, must not keep everybody else waiting.
                await asyncio.sleep(min(_REST_PER_LOOK * (loop.time() - began_s), _LONGEST_REST_S))
            else:
                self.road.cut_lost_calls(self._timing.lost_after_s)
                await asyncio.sleep(pause_s * random.uniform(0.5, 1.0))
                pause_s = min(pause_s * 2, self._timing.longest_pause_s)
                self._look.set()

    async def _rest(self, pause_s: float) -> None:
        """Wait for the next attempt; calls make it come sooner, but not at once."""
        pause_s *= random.uniform(0.5, 1.0)
        soonest_s = min(pause_s, self._timing.shortest_pause_s)
        await asyncio.sleep(soonest_s)
        try:
            async with asyncio.timeout(pause_s - soonest_s):
                await self._look.wait()
        except TimeoutError:
            pass

    def _doubt(self, reason: str | None) -> None:
        if reason is not None:
            self._does_not_answer(reason)
        self._look.set()

    def _answers(self, state: PeerState, reason: str) -> None:
        self.peer.keeps_messages |= self.road.line.keeps_messages
        away = self.road.came_back()
        if away is not None:
            log.info("%s is back; it was away since %s", self.url, away.since)
        self._is_now(state, reason)

    def _does_not_answer(self, reason: str) -> None:
        is_news = self.road.went_away(reason)
        if not is_news and reason != self._reason:
            log.info("%s is still away: %s", self.url, reason)
        self._is_now(PeerState.AWAY, reason)

    def _is_now(self, state: PeerState, reason: str) -> None:
        if state is not self._state:
            self._since = _now()
            if state not in (PeerState.CONNECTED, PeerState.UNFOLLOWED):
                log.warning("%s is %s: %s", self.url, state, reason)
            elif self._state is not PeerState.AWAY:
                log.info("%s is %s%s", self.url, state, f": {reason}" if reason else "")
        self._state, self._reason = state, reason


def _now() -> str:
    return timestamp(datetime.now(UTC))
