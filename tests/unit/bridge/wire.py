"""A broker in memory, and stations joined by it: what is sent can be looked at, held back, dropped and doubled."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from bridge.access import Access
from bridge.envelope import Answer, Request
from bridge.identity import Identity
from bridge.large import Large
from bridge.mqtt.client import Broker
from bridge.mqtt.driver import Incoming
from bridge.mqtt.failures import LinkError
from bridge.mqtt.link import Link, LinkFigures
from bridge.mqtt.topics import Topics
from bridge.remote import Remote
from bridge.station import Station
from bridge.streams import Streams
from bridge.tasks import Tasks

SITE, GATEWAY = "greenhouse", "cloud"
INFO = (
    b'{"platformId":"p","baseUrl":"http://home:8000","containers":[{"containerId":"c","image":{"imageName":"i"},'
    b'"arguments":{},"agents":[{"agentId":"pump","agentType":"t","actions":[],"streams":[]}],"runningSince":'
    b'"2026-04-21T13:13:39.120Z"}],"provides":[],"connections":[],"runningSince":"2026-04-21T13:13:39.120Z"}'
)


@dataclass
class Air:
    """The broker.

    Attributes:
        said: Topic and payload of everything that was sent, in order.
        changes: Asked of each message: returns what arrives instead, as a list; None lets it pass.
        retained: What it keeps.
    """

    said: list[tuple[str, bytes]] = field(default_factory=list)
    changes: Callable[[str, bytes], list[bytes] | None] = lambda topic, payload: None
    retained: dict[str, bytes] = field(default_factory=dict)
    links: list[MemoryLink] = field(default_factory=list)

    def publish(self, topic: str, payload: bytes, retain: bool = False) -> None:
        self.said.append((topic, payload))
        instead = self.changes(topic, payload)
        for each in [payload] if instead is None else instead:
            if retain:
                self.retained[topic] = each
            for link in self.links:
                link.hear(topic, each)

    def of(self, kind: str) -> list[tuple[str, bytes]]:
        """What was sent of a kind, such as `/rq`."""
        return [(topic, payload) for topic, payload in self.said if f"/{kind}" in topic]


class MemoryLink:
    """Stands for the link of a station."""

    def __init__(self, air: Air, real: Link) -> None:
        self.air = air
        self.figures = LinkFigures()
        self.manners = real._manners
        self.is_up = self.is_crowded = False
        self.max_packet_bytes = 256 * 1024
        self._will: Any = None

    def up(self) -> None:
        self.figures.problem = ""
        self._will = self.manners.will()
        self.is_up = True
        self.air.links.append(self)
        for topic, payload in self.air.retained.items():
            self.hear(topic, payload, is_retained=True)
        self.manners.on_up(None)  # type: ignore[arg-type]

    def down(self, problem: str = "the cable is cut") -> None:
        """Break; the broker publishes the will."""
        self.is_up = False
        self.figures.problem = problem
        self.air.links.remove(self)
        self.manners.on_down()
        self.air.publish(self._will.topic, self._will.payload, retain=True)

    def hear(self, topic: str, payload: bytes, is_retained: bool = False) -> None:
        if any(_fits(topic, each) for each in self.manners.filters):
            message = Incoming(topic, payload, is_retained, lambda: None)
            asyncio.get_running_loop().call_soon(lambda: self.manners.on_message(message) if self.is_up else None)

    def send(self, topic: str, payload: bytes, *, retain: bool = False, expires_in_s: float | None = None) -> None:
        if not self.is_up:
            raise LinkError(self.figures.problem)
        self.air.publish(topic, payload, retain)

    async def deliver(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        self.send(topic, payload, retain=retain)


class FakeTransport:
    """Stands for the local platform in streams: what it yields, and what it took."""

    def __init__(self) -> None:
        self.source: Callable[[], AsyncIterator[bytes]] = _nothing
        self.taken = bytearray()
        self.taken_all = 0
        self.asked: list[tuple[Any, ...]] = []
        self.is_deaf = False
        self.broken: list[str] = []
        self.open_streams = 0

    @asynccontextmanager
    async def open(self, path: str, query: Any = ()) -> AsyncIterator[AsyncIterator[bytes]]:
        self.asked.append((path, query))
        self.open_streams += 1
        try:
            yield self.source()
        finally:
            self.open_streams -= 1

    async def post_stream(self, stream: str, pieces: AsyncIterator[bytes], agent_id: str | None, options: Any) -> None:
        self.asked.append((stream, agent_id, options))
        self.open_streams += 1
        try:
            if self.is_deaf:
                await asyncio.Event().wait()
            async for piece in pieces:
                self.taken += piece
            self.taken_all += 1
        except Exception as error:
            self.broken.append(str(error))
            raise
        finally:
            self.open_streams -= 1


class FakeExecutor:
    """Lets a party do what the test says."""

    def __init__(self) -> None:
        self.access = Access("USER", ["*"])
        self.platform = FakeTransport()
        self.forgotten = 0

    def forget_logins(self) -> None:
        self.forgotten += 1

    async def transport(self) -> FakeTransport:
        return self.platform


@dataclass
class End:
    """One end.

    Attributes:
        station: Its station.
        streams: Its streams.
        executor: What plays the streams of the other end.
        played: The calls that it executed.
        play: How it executes them.
    """

    station: Station
    streams: Streams
    executor: FakeExecutor
    played: list[Request]
    play: Callable[[Request], Awaitable[Answer]] | None = None

    @property
    def link(self) -> MemoryLink:
        link: Any = self.station.link
        return link  # type: ignore[no-any-return]

    @property
    def other(self) -> Remote:
        """The party at the other end."""
        (remote,) = self.station.remotes.values()
        return remote


def end(air: Air, tasks: Tasks, *, is_gateway: bool, site: str = SITE) -> End:
    """Make one end; its link is down."""
    executor, played, streams = FakeExecutor(), list[Request](), Streams(tasks)

    async def play(remote: Remote, request: Request) -> Answer:
        played.append(request)
        if "/stream/" in request.route:
            return await streams.play(remote, request)
        if made.play is not None:
            return await made.play(request)
        return Answer(id=request.id, b=f"played {len(played)}")

    identity = (
        Identity(name=GATEWAY, is_gateway=True) if is_gateway else Identity(name=site, is_gateway=False, serves=GATEWAY)
    )
    broker = Broker(host="nowhere", port=1, user=identity.name)
    station = Station(identity, broker, Topics(), lambda name: executor, play, tasks)  # type: ignore[arg-type, return-value]
    link: Any = MemoryLink(air, station.link)
    station.link = link
    station.large = Large(link)
    station.carriers.append(streams.carrier(station))
    made = End(station, streams, executor, played)
    return made


@asynccontextmanager
async def joined() -> AsyncIterator[tuple[Air, End, End]]:
    """A gateway and a site that have seen each other: the broker, the gateway's end, the site's end."""
    air = Air()
    async with Tasks() as tasks:
        cloud, home = end(air, tasks, is_gateway=True), end(air, tasks, is_gateway=False)
        home.station.describe(INFO)
        cloud.link.up()
        home.link.up()
        await until(lambda: bool(cloud.station.remotes and home.station.remotes))
        await until(lambda: cloud.other.is_there and home.other.is_there and cloud.other.info is not None)
        await settle()
        yield air, cloud, home


async def settle() -> None:
    """Let everything that can happen without waiting happen."""
    for _ in range(30):
        await asyncio.sleep(0)


async def until(claim: Callable[[], Any], limit_s: float = 15.0) -> None:
    """Wait until something is so."""
    async with asyncio.timeout(limit_s):
        while not claim():
            await asyncio.sleep(0.002)


async def _nothing() -> AsyncIterator[bytes]:
    for piece in ():
        yield piece


def _fits(topic: str, pattern: str) -> bool:
    names, wanted = topic.split("/"), pattern.split("/")
    if wanted[-1] == "#":
        names, wanted = names[: len(wanted) - 1], wanted[:-1]
    return len(names) == len(wanted) and all(one in ("+", other) for one, other in zip(wanted, names, strict=True))
