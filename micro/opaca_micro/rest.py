"""The REST face, behind a guard, so that no caller can end the program or take its memory.

Pages of the author's own go through microdot, which is loaded only then: it costs 8 kB of the heap.
"""

import asyncio
import gc
import select
import socket

from opaca_micro.calling import show
from opaca_micro.clock import passed_ms, ticks_ms
from opaca_micro.incoming import Incoming
from opaca_micro.request import Refused, error_answer

try:
    from asyncio import core as _core  # MicroPython's
except ImportError:
    _core = None

# Milliseconds: for a request to come in, if nobody else waits and if somebody does; for the caller to take what is
# sent; for what is dropped.
_READ_MS = 5000
_CROWDED_MS = 300
_WRITE_MS = 10000
_DROP_MS = 1000

_DROPPED_BYTES = 16384
# One segment on a small network.
_PIECE = 512
# Who waits in the backlog costs the board next to nothing, and is served in turn.
_BACKLOG = 8


class Rest:
    """Serves a container over HTTP.

    Args:
        connections: How many are served at a time; the others wait. Streams may take all but one.
        body_bytes: The longest body that is read.
    """

    def __init__(self, container, port=80, host="0.0.0.0", connections=3, body_bytes=4096):
        self._container = container
        self._address = host, port
        self._body_bytes = body_bytes
        self._connections = [_Connection() for _ in range(connections)]
        self._app = None

    @property
    def app(self):
        """The microdot application: routes that are added to it are served too, to callers with the token."""
        if self._app is None:
            from microdot import Microdot

            self._app = Microdot()
            self._app.options_handler = None
            self._app.errorhandler(404)(self._unknown)
        return self._app

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
                await asyncio.sleep(0.1)
                self._guard(self._free() is None and poller.poll(0))
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

    def _free(self):
        for one in self._connections:
            if not one.task:
                return one
        return None

    def _guard(self, is_crowded):
        for one in self._connections:
            if one.limit_ms:
                limit_ms = min(one.limit_ms, _CROWDED_MS) if is_crowded and one.is_reading else one.limit_ms
                if passed_ms(one.since) > limit_ms:
                    one.task.cancel()

    async def _accept(self, listener):
        while True:
            one = self._free()
            if not one:
                await asyncio.sleep(0.01)
                continue
            try:
                if _core:
                    await _readable(listener)
                    one.link = listener.accept()[0]
                else:
                    one.link = (await asyncio.get_running_loop().sock_accept(listener))[0]
                one.task = asyncio.create_task(self._work(one))
            except (OSError, MemoryError):  # the caller has gone already, or there is no room
                one.end()
                gc.collect()
                await asyncio.sleep(0.1)

    async def _work(self, one):
        try:
            await one.begin()
            await self._serve(one)
        except (EOFError, OSError):  # the caller has gone
            pass
        except Exception as error:  # noqa: BLE001 - no caller may end the program
            show(error)
        finally:
            one.end()
            gc.collect()

    async def _serve(self, one):
        incoming = Incoming(one.reader)
        try:
            await incoming.head()
            if not self._container.admits(incoming.headers):
                raise Refused(403, "this board is called through its platform: its token is missing or wrong")
            body = await incoming.body(self._body_bytes)
            one.allow(0)
            answer = await self._answer(incoming, body)
            body = None
        except Refused as refused:
            answer = error_answer(refused.status, str(refused))
        except MemoryError:
            gc.collect()
            answer = error_answer(413, "the board has not enough memory for this")
        if hasattr(answer[2], "__anext__"):
            await self._stream(one, answer)
        else:
            await one.write(*answer)
        if incoming.unread_bytes:
            one.allow(_DROP_MS, True)
            await incoming.drop(_DROPPED_BYTES)

    async def _answer(self, incoming, body):
        if not self._app:
            return await self._container.answer(incoming.method, incoming.path, incoming.query, incoming.headers, body)
        from microdot import Request

        request = Request(self._app, None, incoming.method, incoming.path, "1.0", incoming.headers, body=body)
        request.content_type = incoming.headers.get("content-type")
        request.query_string = incoming.query
        response = await self._app.dispatch_request(request)
        content_type = response.headers.get("Content-Type", None if response.body == b"" else "text/plain")
        return response.status_code, content_type, response.body

    async def _unknown(self, request):
        """What microdot has no route for is the container's."""
        from microdot import Response

        status, content_type, body = await self._container.answer(
            request.method, request.path, request.query_string, request.headers, request.body
        )
        return Response(body, status, {"Content-Type": content_type} if content_type else None)

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
        self.link = self.task = self.reader = self.writer = None
        self.end()

    async def begin(self):
        """Start to wait for a request."""
        self.allow(_READ_MS, True)
        self.link.setblocking(False)
        if _core:
            self.reader = self.writer = asyncio.StreamReader(self.link)
        else:
            self.reader, self.writer = await asyncio.open_connection(sock=self.link)
            self.writer.transport.set_write_buffer_limits(0)

    def end(self):
        """Close it, whatever is still to be sent, and make room for the next."""
        if self.writer and not _core:
            self.writer.transport.abort()
        if self.link:
            self.link.close()
        self.link = self.task = self.reader = self.writer = None
        self.is_live = False
        self._used = 0
        self.allow(0)

    def allow(self, limit_ms, is_reading=False):
        """Let what follows take this many milliseconds; 0: as long as it likes."""
        self.since = ticks_ms()
        self.limit_ms = limit_ms
        self.is_reading = is_reading

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
        if self._used:
            self.allow(_WRITE_MS)
            self.writer.write(self._buffer[: self._used])
            await self.writer.drain()
            self._used = 0
            self.allow(0)


def _readable(link):
    yield _core._io_queue.queue_read(link)
