"""The REST face: microdot behind a guard, so that no caller can end the program or take its memory."""

import asyncio
import gc
import select
import socket

from microdot import Microdot, Request, Response
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

    `app` is the microdot application; routes that are added to it are served too, to callers with the token.

    Args:
        connections: How many are served at a time; the others wait. Streams may take all but one.
        body_bytes: The longest body that is read.
    """

    def __init__(self, container, port=80, host="0.0.0.0", connections=3, body_bytes=4096):
        self.app = Microdot()
        self.app.options_handler = None
        self.app.errorhandler(404)(self._answer)
        self._container = container
        self._address = host, port
        self._body_bytes = body_bytes
        self._connections = connections
        self._open = []

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
                self._guard(len(self._open) >= self._connections and poller.poll(0))
        finally:
            if accepting:
                accepting.cancel()
            for one in self._open:
                one.task.cancel()
            listener.close()
            await asyncio.sleep(0)
            for one in self._open:
                one.end()

    def _guard(self, is_crowded):
        for one in self._open:
            if one.limit_ms:
                limit_ms = min(one.limit_ms, _CROWDED_MS) if is_crowded and one.is_reading else one.limit_ms
                if passed_ms(one.since) > limit_ms:
                    one.task.cancel()

    async def _accept(self, listener):
        while True:
            if len(self._open) >= self._connections:
                await asyncio.sleep(0.01)
                continue
            one = None
            try:
                if _core:
                    await _readable(listener)
                    one = _Connection(listener.accept()[0])
                else:
                    one = _Connection((await asyncio.get_running_loop().sock_accept(listener))[0])
                one.task = asyncio.create_task(self._work(one))
                self._open.append(one)
            except (OSError, MemoryError):  # the caller has gone already, or there is no room
                if one:
                    one.link.close()
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
            self._open.remove(one)
            one.end()
            gc.collect()

    async def _serve(self, one):
        incoming = Incoming(one.reader)
        try:
            await incoming.head()
            if not self._container.admits(incoming.headers):
                raise Refused(403, "this board is called through its platform: its token is missing or wrong")
            body = await incoming.body(self._body_bytes)
            request = Request(self.app, None, incoming.method, incoming.path, "1.0", incoming.headers, body=body)
            request.content_type = incoming.headers.get("content-type")
            request.query_string = incoming.query
            one.allow(0)
            response = await self.app.dispatch_request(request)
        except Refused as refused:
            response = _response(error_answer(refused.status, str(refused)))
        except MemoryError:
            gc.collect()
            response = _response(error_answer(413, "the board has not enough memory for this"))
        if hasattr(response.body, "__anext__"):
            await self._stream(one, response)
        else:
            await one.write(response)
        if incoming.unread_bytes:
            one.allow(_DROP_MS, True)
            await incoming.drop(_DROPPED_BYTES)

    async def _answer(self, request):
        answer = self._container.answer
        return _response(
            await answer(request.method, request.path, request.query_string, request.headers, request.body)
        )

    async def _stream(self, one, response):
        pieces = response.body
        try:
            if sum([other.is_live for other in self._open]) >= self._connections - 1:
                await one.write(_response(error_answer(503, "too many streams at a time")))
                return
            one.is_live = True
            response.body = ()
            await one.write(response)
            async for piece in pieces:
                await one.add(piece)
        finally:
            await pieces.aclose()


class _Connection:
    """A connection that is served."""

    def __init__(self, link):
        self.link = link
        self.is_live = False
        self._held = b""
        self.reader = self.writer = None
        self.allow(_READ_MS, True)

    async def begin(self):
        self.link.setblocking(False)
        if _core:
            self.reader = self.writer = asyncio.StreamReader(self.link)
        else:
            self.reader, self.writer = await asyncio.open_connection(sock=self.link)
            self.writer.transport.set_write_buffer_limits(0)

    def end(self):
        if self.writer and not _core:
            self.writer.transport.abort()
        self.link.close()

    def allow(self, limit_ms, is_reading=False):
        """Let what follows take this many milliseconds; 0: as long as it likes."""
        self.since = ticks_ms()
        self.limit_ms = limit_ms
        self.is_reading = is_reading

    async def write(self, response):
        body = response.body
        await self.add("HTTP/1.0 %d %s\r\n" % (response.status_code, response.reason or "-"))
        for name, value in response.headers.items():
            await self.add("%s: %s\r\n" % (name, value))
        if isinstance(body, (bytes, str)):
            await self.add("Content-Length: %d\r\n" % len(body))
            body = (body,)
        await self.add("\r\n")
        for piece in body:
            await self.add(piece)
        await self._send()

    async def add(self, piece):
        if isinstance(piece, str):
            piece = piece.encode()
        if len(self._held) + len(piece) > _PIECE:
            await self._send()
        self._held = self._held + piece if self._held else piece
        if self.is_live or len(self._held) >= _PIECE:
            await self._send()

    async def _send(self):
        if self._held:
            self.allow(_WRITE_MS)
            self.writer.write(self._held)
            self._held = b""
            await self.writer.drain()
            self.allow(0)


def _readable(link):
    yield _core._io_queue.queue_read(link)


def _response(answer):
    status, content_type, body = answer
    return Response(body, status, {"Content-Type": content_type} if content_type else None)
