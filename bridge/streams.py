"""Streams over a link, both ways: as the caller's side, and as the side where the agent is."""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from http import HTTPStatus
from urllib.parse import unquote

from bridge.answers import error_body
from bridge.carrier import Carrier
from bridge.chunks import unpack
from bridge.envelope import Answer, Credit, Request, new_id, read, write
from bridge.executor import passed_query
from bridge.mqtt.driver import Incoming
from bridge.mqtt.link import Link
from bridge.mqtt.topics import Address
from bridge.pipes import Reader, Writer
from bridge.remote import Remote
from bridge.replies import check, failed
from bridge.station import Station
from bridge.tasks import Tasks
from edge.errors import BrokenRequest, OpacaError, Overloaded, RemoteError, Unreachable
from edge.http.errors import status_of
from edge.http.replies import StreamReply
from edge.http.request import Request as HttpRequest
from edge.transport.base import CallOptions
from edge.transport.http import HttpTransport

log = logging.getLogger(__name__)

_PREFIX = "S"
# An agent may have nothing to say for long, and some containers begin to answer with the first piece only.
_OPEN_S = 3600.0
_LONGEST_POST_S = 24 * 3600.0
_LONGEST_SID = 64
# What passes at one time; no party takes all of it from the others.
_MAX_STREAMS = 64
_MAX_OF_PARTY = 16


class Streams:
    """All streams under way."""

    def __init__(self, tasks: Tasks) -> None:
        self._tasks = tasks
        self._readers: dict[tuple[str, str], Reader] = {}
        self._writers: dict[tuple[str, str], Writer] = {}
        self._stations: dict[str, Station] = {}
        self._left: dict[str, deque[str]] = defaultdict(lambda: deque(maxlen=_MAX_OF_PARTY))

    def carrier(self, station: Station) -> Carrier:
        """Return what takes the chunks and credits of a station."""
        return _StreamCarrier(self, station)

    @property
    def count(self) -> int:
        """How many are under way."""
        return len(self._readers) + len(self._writers)

    def opened(self, remote: Remote, route: str, query: Mapping[str, str], headers: dict[str, str]) -> StreamReply:
        """Return the reply that passes on what a remote agent sends."""
        return StreamReply(self._open(remote, route, query, headers))

    @asynccontextmanager
    async def _open(
        self, remote: Remote, route: str, query: Mapping[str, str], headers: dict[str, str]
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        remote.check_there()
        with self._reading(remote) as (sid, reader):
            try:
                answer = await remote.call(route, dict(query), headers, limit_s=_OPEN_S, sid=sid)
                check(answer, remote.name, route)
                reader.ready()
                yield reader.pieces()
            finally:
                reader.leave()

    async def fed(
        self, remote: Remote, route: str, query: Mapping[str, str], headers: dict[str, str], request: HttpRequest
    ) -> None:
        """Pass a caller's bytes on to a remote agent; returns when the agent has taken the last one."""
        remote.check_there()
        key, writer = self._new_writer(remote)
        failure: OpacaError | None = None
        try:
            async with asyncio.TaskGroup() as tasks:
                feeding = tasks.create_task(_feed(writer, request.pieces()), name=f"feed {route}")
                attending = tasks.create_task(writer.attend(), name=f"attend {route}")
                answer = await remote.call(route, dict(query), headers, limit_s=_LONGEST_POST_S, sid=key[1])
                feeding.cancel()
                attending.cancel()
        except* OpacaError as group:
            failure = _first(group)
        finally:
            self._writers.pop(key, None)
            writer.break_off("its source has left")
        if failure is not None:
            raise failure
        check(answer, remote.name, route)

    async def play(self, remote: Remote, request: Request) -> Answer:
        """Open a stream of the local platform for a remote caller."""
        refusal = remote.executor.access.refuses(request.route)
        if refusal is not None:
            return Answer(id=request.id, s=403, b=error_body(403, f"{request.route} {refusal}"))
        names = [unquote(segment) for segment in request.route.split("/")[2:]]
        if not 1 <= len(names) <= 2 or not request.sid.startswith(_PREFIX) or len(request.sid) > _LONGEST_SID:
            return Answer(id=request.id, s=400, b=error_body(400, "expected the name of a stream, and an ID for it"))
        try:
            transport = await remote.executor.transport()
            if request.route.startswith("GET "):
                return await self._sent(remote, request, transport)
            return await self._received(remote, request, transport, *names)
        except OpacaError as error:
            if isinstance(error, RemoteError) and error.status == HTTPStatus.UNAUTHORIZED:
                remote.executor.forget_logins()  # what was begun is not played again; the next one finds a new token
            return failed(request.id, error, int(status_of(error)))
        except TimeoutError:
            return Answer(id=request.id, s=502, b=error_body(502, "the platform behind the bridge does not answer"))

    async def _sent(self, remote: Remote, request: Request, transport: HttpTransport) -> Answer:
        """Open the source; the answer goes out when it is open, then its pieces follow."""
        key, writer = self._new_writer(remote, request.sid)
        is_open: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        pumping = self._tasks.start(self._pump(transport, request, key, writer, is_open), f"stream to {remote.name}")
        try:
            async with asyncio.timeout(_OPEN_S):
                await is_open
        except TimeoutError:
            pumping.cancel()
            raise
        return Answer(id=request.id)

    async def _pump(
        self,
        transport: HttpTransport,
        request: Request,
        key: tuple[str, str],
        writer: Writer,
        is_open: asyncio.Future[None],
    ) -> None:
        """Send the pieces of a source, until its end, or until nobody reads any more."""
        path = request.route.partition(" ")[2]
        try:
            async with asyncio.TaskGroup() as tasks:
                # From the beginning: whoever leaves before the source is open leaves nothing behind.
                attending = tasks.create_task(writer.attend(), name="attend to the reader")
                async with transport.open(path, passed_query(path, request.q)) as pieces:
                    is_open.set_result(None)
                    await _feed(writer, pieces)
                attending.cancel()
        except* OpacaError as group:
            error = _first(group)
            if not is_open.done():
                is_open.set_exception(error)
            else:
                writer.break_off(error.message)
        finally:
            self._writers.pop(key, None)
            writer.break_off("it was ended")

    async def _received(
        self, remote: Remote, request: Request, transport: HttpTransport, stream: str, agent_id: str | None = None
    ) -> Answer:
        options = CallOptions(container_id=request.q.get("containerId"))
        failure: OpacaError | None = None
        try:
            with self._reading(remote, request.sid) as (_, reader):
                reader.ready()
                async with asyncio.TaskGroup() as tasks:
                    # An agent that takes nothing must not keep a stream whose caller has left.
                    watching = tasks.create_task(reader.until_broken(), name="watch the caller")
                    await transport.post_stream(stream, reader.pieces(), agent_id, options)
                    watching.cancel()
        except* OpacaError as group:
            failure = _first(group)
        if failure is not None:
            raise failure
        return Answer(id=request.id)

    def _reading(self, remote: Remote, sid: str = "") -> _Reading:
        return _Reading(self, remote, sid or _PREFIX + new_id())

    def _new_writer(self, remote: Remote, sid: str = "") -> tuple[tuple[str, str], Writer]:
        key = remote.name, sid or _PREFIX + new_id()
        self._make_sure_of_room(key)
        link = self._link(remote)
        topic = remote.wires.stream(key[1])
        writer = Writer(remote.name, lambda chunk: link.send(topic, chunk))
        if key[1] in self._left[remote.name]:
            writer.credit(Credit(end=1))
        self._writers[key] = writer
        return key, writer

    def _link(self, remote: Remote) -> Link:
        station = self._stations.get(remote.name)
        if station is None:
            raise Unreachable(f"{remote.name} has not been seen yet")
        return station.link

    def _credited(self, key: tuple[str, str], credit: Credit) -> None:
        """Take what a reader says; one that has left before its stream was open is remembered."""
        writer = self._writers.get(key)
        if writer is not None:
            writer.credit(credit)
        elif credit.end and len(key[1]) <= _LONGEST_SID:
            self._left[key[0]].append(key[1])

    def _make_sure_of_room(self, key: tuple[str, str]) -> None:
        if key in self._readers or key in self._writers:  # the first one would be neither counted nor ended any more
            raise BrokenRequest("another stream has this ID")
        if self.count >= _MAX_STREAMS:
            raise Overloaded(f"{_MAX_STREAMS} streams pass through this bridge already; try again later")
        if sum(party == key[0] for party, _ in (*self._readers, *self._writers)) >= _MAX_OF_PARTY:
            raise Overloaded(f"{_MAX_OF_PARTY} streams from and to {key[0]} pass already; try again later")

    def broken(self, remote: Remote, why: str) -> None:
        """End all streams with a party."""
        self._left.pop(remote.name, None)
        for (party, _), reader in self._readers.items():
            if party == remote.name:
                reader.fail(why)
        for (party, _), writer in self._writers.items():
            if party == remote.name:
                writer.fail(why)


class _Reading:
    """A reader for as long as it is needed."""

    def __init__(self, streams: Streams, remote: Remote, sid: str) -> None:
        self._streams = streams
        self._key = remote.name, sid
        streams._make_sure_of_room(self._key)
        link = streams._link(remote)
        topic = remote.wires.credit(sid)
        self._reader = Reader(remote.name, lambda credit: link.send(topic, write(credit)))

    def __enter__(self) -> tuple[str, Reader]:
        self._streams._readers[self._key] = self._reader
        return self._key[1], self._reader

    def __exit__(self, *_: object) -> None:
        self._streams._readers.pop(self._key, None)


class _StreamCarrier(Carrier):
    """Takes chunks and credits."""

    def __init__(self, streams: Streams, station: Station) -> None:
        self._streams = streams
        self._station = station

    def received(self, remote: Remote, address: Address, incoming: Incoming) -> bool:
        key = remote.name, address.name
        if address.kind == "sm":
            reader = self._streams._readers.get(key)
            if reader is not None:
                reader.take(unpack(incoming.payload))
        elif address.kind == "sc":
            self._streams._credited(key, read(incoming.payload, Credit))
        return False

    def came(self, remote: Remote) -> None:
        self._streams._stations[remote.name] = self._station

    def went(self, remote: Remote) -> None:
        self._streams.broken(remote, "the link was lost")


async def _feed(writer: Writer, pieces: AsyncIterator[bytes]) -> None:
    async for piece in pieces:
        await writer.write(piece)
    await writer.end()


def _first(group: BaseExceptionGroup[OpacaError]) -> OpacaError:
    first: BaseException = group
    while isinstance(first, BaseExceptionGroup):
        first = first.exceptions[0]
    assert isinstance(first, OpacaError)
    return first
