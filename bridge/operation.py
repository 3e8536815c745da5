"""What an operator asks the bridge itself, below `/_bridge/`: how it is doing, what waits, what was refused.

The token is the one that the local platform shows; the command reads it from the state directory.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from msgspec import Struct

from bridge.answers import PING
from bridge.joining import Joining
from bridge.local import LocalPlatform
from bridge.queue import queue
from bridge.relay import LANES
from bridge.remote import Remote
from bridge.station import Station
from bridge.store import Lane, Store
from bridge.streams import Streams
from bridge.telemetry import Telemetry
from edge.errors import NotFound, ParameterMismatch
from edge.http.caller import Role
from edge.http.replies import Kind, Reply, boolean_reply, json_reply
from edge.http.request import Request
from edge.http.routes import Handler, Route, RouteTable

_PING_S = 10.0


class LinkStatus(Struct, kw_only=True):
    """One link. Times are Unix seconds.

    Attributes:
        problem: Why there is no connection, or why the others do not know of us though there is one; empty if all is
            well.
        passed_over: How many messages came that were of no use.
    """

    name: str
    role: str
    broker: str
    connected_since: float | None
    away_since: float | None
    problem: str
    attempts: int
    connections: int
    mqtt: str
    passed_over: int = 0


class SiteStatus(Struct, kw_only=True):
    """One remote party.

    Attributes:
        joined: Whether the local platform is connected to it.
        problem: What is wrong with it though it is there, in words; empty if nothing is.
    """

    name: str
    link: str = ""
    state: str
    since: float | None
    software: str
    agents: int
    joined: bool
    calls: int
    role: str | None
    allow: list[str]
    url: str
    problem: str = ""


class LaneStatus(Struct, kw_only=True):
    """One lane with one party, both ways: what waits to be sent, and what waits to be played.

    `there` says what became of what arrived: played, refused, expired and never come, as the party says.
    """

    site: str
    lane: str
    waiting: int
    waiting_bytes: int
    oldest_s: float | None
    accepted: int
    acknowledged: int
    lost: dict[str, int]
    refused: int
    to_play: int
    to_play_bytes: int
    played: int
    dead: int
    missed: dict[str, int]
    there: dict[str, int] = {}


class BridgeStatus(Struct, kw_only=True):
    """The bridge as a whole; `platform_problem` says why the platform beside it cannot be used, empty if it can."""

    url: str
    platform: str
    platform_problem: str = ""
    store: str
    since: float
    links: list[LinkStatus]
    sites: list[SiteStatus]
    lanes: list[LaneStatus]
    streams: int
    dead_letters: int
    written_today_bytes: int | None
    file_bytes: int
    telemetry_passed_over: int


class Operation:
    """Handlers of the bridge's own routes."""

    def __init__(
        self,
        url: str,
        platform: LocalPlatform,
        stations: Sequence[Station],
        joining: Joining,
        store: Store,
        streams: Streams,
        telemetry: Telemetry,
    ) -> None:
        self._url = url
        self._platform = platform
        self._stations = stations
        self._joining = joining
        self._store = store
        self._streams = streams
        self._telemetry = telemetry
        self._since_s = time.time()

    def routes(self) -> RouteTable:
        """Return them."""

        def route(method: str, path: str, handler: Handler) -> Route:
            return Route(
                method=method,
                path=f"/_bridge{path}",
                handler=handler,
                role=Role.ADMIN,
                produces=Kind.JSON,
                has_cors=False,
            )

        return RouteTable(
            [
                route("GET", "/status", self._status),
                route("GET", "/queue", self._queue),
                route("POST", "/ping/{site}", self._ping),
                route("POST", "/refused/{id}/replay", self._replay),
                route("DELETE", "/refused/{id}", self._drop_refused),
                route("DELETE", "/queue/{site}/{lane}", self._drop),
            ]
        )

    async def _status(self, request: Request) -> Reply:
        return json_reply(await self.status())

    async def status(self) -> BridgeStatus:
        """Return how the bridge is doing."""
        figures = await self._store.figures()
        lanes = [
            LaneStatus(
                site=site,
                lane=lane.word,
                waiting=one.waiting,
                waiting_bytes=one.waiting_bytes,
                oldest_s=one.oldest_s,
                accepted=one.last_seq,
                acknowledged=one.acknowledged,
                lost=one.lost,
                refused=one.refused,
                to_play=one.to_play,
                to_play_bytes=one.to_play_bytes,
                played=one.played,
                dead=one.dead,
                missed=one.missed,
                there={
                    "played": one.fate.played,
                    "refused": one.fate.dead,
                    "expired": one.fate.expired,
                    "skipped": one.fate.skipped,
                },
            )
            for (site, lane), one in sorted(figures.lanes.items())
        ]
        return BridgeStatus(
            url=self._url,
            platform=self._platform.base_url,
            platform_problem=self._platform.problem,
            store=self._store.store_id,
            since=self._since_s,
            links=[_link(station) for station in self._stations],
            sites=[self._site(station, remote) for station in self._stations for remote in station.remotes.values()],
            lanes=lanes,
            streams=self._streams.count,
            dead_letters=figures.dead_letters,
            written_today_bytes=figures.written_today_bytes,
            file_bytes=figures.file_bytes,
            telemetry_passed_over=self._telemetry.passed_over,
        )

    def _site(self, station: Station, remote: Remote) -> SiteStatus:
        presence, access = remote.presence, remote.executor.access
        return SiteStatus(
            name=remote.name,
            link=station.identity.name,
            state="connected" if remote.is_there else "away",
            since=remote.there_since_s if remote.is_there else remote.away_since_s,
            software="" if presence is None else presence.sw,
            agents=len(remote.agent_ids()),
            joined=remote.name in self._joining.joined,
            calls=remote.calls.count,
            role=access.role,
            allow=list(access.allow),
            url=f"{self._url}/{remote.name}",
            problem=station.problem_with(remote),
        )

    async def _queue(self, request: Request) -> Reply:
        site, lane = request.query.text("site"), request.query.text("lane")
        if site is not None:
            self._check_known(site)
        lanes = list(Lane) if lane is None else [_lane(lane)]
        return json_reply(await queue(self._store, site, lanes))

    def _check_known(self, site: str) -> None:
        """Raise `NotFound` if nobody of this name was ever seen, or sent to."""
        known = {name for station in self._stations for name in station.remotes}
        known |= self._store.outbox.sites() | self._store.inbox.sites()
        if site not in known:
            raise NotFound(f"this bridge knows no site {site!r}; it knows {', '.join(sorted(known)) or 'nobody yet'}")

    async def _ping(self, request: Request) -> Reply:
        """Answer with the milliseconds that a question to a party and its answer take."""
        name = request.parameters["site"]
        for station in self._stations:
            remote = station.remotes.get(name)
            if remote is not None:
                began_s = time.perf_counter()
                await remote.call(PING, limit_s=_PING_S)
                return json_reply(round((time.perf_counter() - began_s) * 1000, 2))
        raise NotFound(f"this bridge knows no {name!r}")

    async def _replay(self, request: Request) -> Reply:
        return boolean_reply(await self._store.dead_letters.replay(_number(request)))

    async def _drop_refused(self, request: Request) -> Reply:
        return boolean_reply(await self._store.dead_letters.drop(_number(request)))

    async def _drop(self, request: Request) -> Reply:
        site, lane = request.parameters["site"], _lane(request.parameters["lane"])
        self._check_known(site)
        text = request.query.text("seq")
        seq = None if text is None else _whole(text, "the number of a message, from 1")
        end = self._store.inbox if request.query.boolean("received", False) else self._store.outbox
        return json_reply(await end.drop(site, lane, seq))


def _link(station: Station) -> LinkStatus:
    figures, identity = station.link.figures, station.identity
    return LinkStatus(
        name=identity.name,
        role="gateway" if identity.is_gateway else "device",
        broker=station.link.where,
        connected_since=figures.connected_since,
        away_since=figures.away_since,
        problem=figures.problem or station.problem or station.link.doubt,
        attempts=figures.attempts,
        connections=figures.connections,
        mqtt="5" if station.link.is_v5 else "3.1.1",
        passed_over=station.passed_over,
    )


def _lane(word: str) -> Lane:
    lane = LANES.get(word)
    if lane is None:
        raise ParameterMismatch(f"{word!r}: expected a lane: {', '.join(LANES)}")
    return lane


def _number(request: Request) -> int:
    return _whole(request.parameters["id"], "the number of a refused message")


def _whole(text: str, what: str) -> int:
    if not text.isascii() or not text.isdecimal() or len(text) > 18 or not int(text):
        raise ParameterMismatch(f"{text[:50]!r}: expected {what}")
    return int(text)
