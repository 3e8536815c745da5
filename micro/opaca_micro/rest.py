"""The REST face, behind a guard, so that no caller can end the program or take its memory."""

import asyncio
import gc
import select
import socket
from errno import EAGAIN

from opaca_micro.calling import show
from opaca_micro.clock import passed_ms, ticks_ms
from opaca_micro.incoming import Incoming
from opaca_micro.request import JSON, Refused, error_answer

try:
    from asyncio import core as _core  # MicroPython's
except ImportError:
    from opaca_micro import cpython

    _core = None

# Milliseconds: for a request to come in; for each that is served, if others wait; for the caller to take what is sent;
# for what is dropped; that a stream is quiet until it is looked whether somebody still follows it.
_READ_MS = 5000
_CROWDED_MS = 150
_WRITE_MS = 10000
_DROP_MS = 1000
_QUIET_MS = 1000

# Bytes: dropped at most, and at once of what a follower says; sent at once; to be free before another is served beside
# one, and beside a body.
_DROPPED = 16384
_DROPPED_AT_ONCE = 16
_PIECE = 256
_SPARE = 4000
_RESERVE = 800
_TOO_LARGE = b'{"statusCode": 413, "message": "the board has not enough memory for this"}'
# Who waits in the backlog costs the board next to nothing, and is served in turn.
_BACKLOG = 8


class Rest:
    """Serves a container over HTTP.

    Args:
        connections: How many are served at a time; the others wait. Streams may take all but one.
        body_bytes: The longest body that is read.

    Attributes:
        answer: What answers requests: the container's `answer`, unless there are `Pages` of the author's own.
    """

    def __init__(self, container, port=80, host="0.0.0.0", connections=3, body_bytes=4096):
        self.answer = container.answer
        self._admits = container.admits
        self._address = host, port
        self._body_bytes = body_bytes
        self._connections = [_Connection() for _ in range(connections)]
        self._has_room = asyncio.Event()

    async def serve(self):
        """Serve for ever.

        asyncio's own server takes as many connections as come; a board has no memory for them.

        Raises:
            OSError: the TCP port is taken.
        """
        listener = socket.socket()
        accepting = None
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(socket.getaddrinfo(*self._address)[0][-1])
            listener.listen(_BACKLOG)
            listener.setblocking(False)
            poller = select.poll()
            poller.register(listener, select.POLLIN)
            while True:
                if accepting is None or accepting.done():
                    accepting = asyncio.create_task(self._accept(listener))
                await asyncio.sleep(0.05)
                # Memory gets free elsewhere, too.
                self._has_room.set()
                self._guard(not self._room() and poller.poll(0))
        finally:
            if accepting:
                accepting.cancel()
            for one in self._connections:
                if one.task:
                    one.task.cancel()
            listener.close()
            await asyncio.sleep(0)
            for one in self._connections:
                one.end()

    def _room(self):
        """Return room for another connection, if there is some and memory for it; who is alone gets what there is."""
        free = None
        for one in self._connections:
            if not one.task:
                free = one
        if free and (self._count() == 0 or _is_free(_SPARE)):
            return free
        return None

    def _count(self):
        return sum([one.task is not None for one in self._connections])

    def _guard(self, is_crowded):
        # Whoever waits is let in within 4 s, also behind 20 that never say what they want.
        crowded_ms = _CROWDED_MS * self._count()
        for one in self._connections:
            if one.limit_ms:
                limit_ms = min(one.limit_ms, crowded_ms) if is_crowded and one.is_reading else one.limit_ms
                if passed_ms(one.since) > limit_ms:
                    one.task.cancel()
            elif one.is_live and passed_ms(one.since) > _QUIET_MS:
                # A stream may have nothing to say for hours, and few can be followed at a time.
                one.since = ticks_ms()
                try:
                    if not one.link.recv(_DROPPED_AT_ONCE):
                        one.task.cancel()
                except OSError as error:
                    if error.args[0] != EAGAIN:
                        one.task.cancel()

    async def _accept(self, listener):
        while True:
            one = self._room()
            if not one:
                self._has_room.clear()
                await self._has_room.wait()
                continue
            try:
                await _readable(listener)
                one.link = listener.accept()[0]
                one.task = asyncio.create_task(self._work(one))
            except (OSError, MemoryError):  # the caller has gone already, or there is no room
                one.end()
                gc.collect()
                await asyncio.sleep(0.1)

    async def _work(self, one):
        try:
            one.begin()
            await self._serve(one)
        except (EOFError, OSError):  # the caller has gone
            pass
        except Exception as error:  # noqa: BLE001 - no caller may end the program
            show(error)
        finally:
            one.end()
            gc.collect()
            self._has_room.set()

    async def _serve(self, one):
        incoming = Incoming(one)
        try:
            await incoming.head()
            if not self._admits(incoming.headers):
                raise Refused(403, "this board is called through its platform: its token is missing or wrong")
            # It comes in pieces that are then put together, and the answer wants some memory, too.
            size_bytes = incoming.unread_bytes
            if size_bytes <= self._body_bytes and not _is_free(2 * size_bytes + _RESERVE):
                raise MemoryError
            body = await incoming.body(self._body_bytes)
            one.allow(0)
            body = b"".join(body)
            answer = await self.answer(incoming.method, incoming.path, incoming.query, incoming.headers, body)
            body = None
        except Refused as refused:
            answer = error_answer(refused.status, str(refused))
        except MemoryError:
            body = None
            gc.collect()
            answer = 413, JSON, _TOO_LARGE
        if hasattr(answer[2], "__anext__"):
            await self._stream(one, answer)
        else:
            await one.write(*answer)
        if incoming.unread_bytes:
            one.allow(_DROP_MS, True)
            await incoming.drop(_DROPPED)

    async def _stream(self, one, answer):
        status, content_type, pieces = answer
        try:
            if sum([other.is_live for other in self._connections]) >= len(self._connections) - 1:
                await one.write(*error_answer(503, "too many streams at a time"))
                return
            one.is_live = True
            await one.write(status, content_type, ())
            async for piece in pieces:
                await one.add(piece)
        finally:
            await pieces.aclose()


class _Connection:
    """A connection that is served, or room for one."""

    def __init__(self):
        # Made once: room of this size would be hard to find later.
        self._buffer = memoryview(bytearray(_PIECE))
        self.link = self.task = None
        self.end()

    def begin(self):
        """Start to wait for a request."""
        self.allow(_READ_MS, True)
        self.link.setblocking(False)

    def end(self):
        """Close it, whatever is still to be sent, and make room for the next."""
        if self.link:
            self.link.close()
        self.link = self.task = None
        self.is_live = False
        self._used = 0
        self.allow(0)

    def allow(self, limit_ms, is_reading=False):
        """Let what follows take this many milliseconds; 0: as long as it likes."""
        self.since = ticks_ms()
        self.limit_ms = limit_ms
        self.is_reading = is_reading

    async def read(self, most_bytes):
        """Return what the caller sent, as soon as there is something; empty when it has gone."""
        await _readable(self.link)
        return self.link.recv(most_bytes)

    async def write(self, status, content_type, body):
        """Answer; pieces of a generator are gathered, what follows on a live stream is sent as it comes."""
        await self.add("HTTP/1.0 %d -\r\n" % status)
        if content_type:
            await self.add("Content-Type: %s\r\n" % content_type)
        if isinstance(body, (bytes, str)):
            await self.add("Content-Length: %d\r\n" % len(body))
            body = (body,)
        await self.add("\r\n")
        for piece in body:
            await self.add(piece)
        await self._send()

    async def add(self, piece):
        """Send a piece, or keep it until there are more."""
        if isinstance(piece, str):
            piece = piece.encode()
        at = 0
        while at < len(piece):
            size = min(len(piece) - at, _PIECE - self._used)
            self._buffer[self._used : self._used + size] = piece[at : at + size]
            self._used += size
            at += size
            if self.is_live or self._used == _PIECE:
                await self._send()

    async def _send(self):
        self.allow(_WRITE_MS)
        at = 0
        while at < self._used:
            await _writable(self.link)
            at += self.link.send(self._buffer[at : self._used])
        self._used = 0
        self.allow(0)


def _is_free(size_bytes):
    if not _core or gc.mem_free() > size_bytes:
        return True
    gc.collect()
    return gc.mem_free() > size_bytes


# Not asyncio's streams: they cost a kilobyte, and keep what a slow caller does not take.
if _core:

    def _readable(link):
        yield _core._io_queue.queue_read(link)

    def _writable(link):
        yield _core._io_queue.queue_write(link)

else:
    _readable, _writable = cpython.readable, cpython.writable
