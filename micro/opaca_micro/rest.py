"""The REST face: microdot behind a guard, so that no caller can end the program or take its memory."""

import asyncio
import gc

from microdot import Microdot, Request, Response
from opaca_micro.calling import show
from opaca_micro.clock import passed_ms, ticks_ms
from opaca_micro.incoming import Incoming
from opaca_micro.listening import accept, close, is_waiting, listen
from opaca_micro.request import Refused, error_answer

# Milliseconds: for a request to come in, if nobody else waits and if somebody does; for the caller to take what is
# sent; for what is dropped.
_READ_MS = 5000
_CROWDED_MS = 300
_WRITE_MS = 10000
_DROP_MS = 1000

_DROPPED_BYTES = 16384
# One segment on a small network.
_PIECE = 512


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
        self._turn = asyncio.Lock()
        self._slots = [_Slot() for _ in range(connections)]
        self._streams = 0

    async def serve(self):
        """Serve for ever.

        Raises:
            OSError: the TCP port is taken.
        """
        listener = listen(*self._address)
        try:
            while True:
                for slot in self._slots:
                    if slot.task is None or slot.task.done():
                        slot.task = asyncio.create_task(self._work(slot, listener))
                await asyncio.sleep(0.1)
                self._guard(listener)
        finally:
            for slot in self._slots:
                if slot.task:
                    slot.task.cancel()
                    try:
                        await slot.task
                    except asyncio.CancelledError:
                        pass
            listener.close()

    def _guard(self, listener):
        is_crowded = all(slot.writer for slot in self._slots) and is_waiting(listener)
        for slot in self._slots:
            if slot.limit_ms:
                limit_ms = min(slot.limit_ms, _CROWDED_MS) if is_crowded and slot.is_reading else slot.limit_ms
                if passed_ms(slot.since) > limit_ms:
                    slot.is_cut = True
                    slot.task.cancel()

    async def _work(self, slot, listener):
        while True:
            try:
                async with self._turn:
                    reader, slot.writer = await accept(listener)
                await self._serve(slot, Incoming(reader))
            except asyncio.CancelledError:
                if not slot.is_cut:
                    raise
                if hasattr(slot.task, "uncancel"):
                    slot.task.uncancel()
            except (EOFError, OSError):  # the caller has gone, or there is no socket to be had
                pass
            except Exception as error:  # noqa: BLE001 - no caller may end the program
                show(error)
            finally:
                await slot.close()
            gc.collect()
            await asyncio.sleep(0)

    async def _serve(self, slot, incoming):
        slot.allow(_READ_MS, True)
        try:
            await incoming.head()
            if not self._container.admits(incoming.headers):
                raise Refused(403, "this board is called through its platform: its token is missing or wrong")
            body = await incoming.body(self._body_bytes)
            request = Request(self.app, None, incoming.method, incoming.url, "1.0", incoming.headers, body=body)
            request.content_type = incoming.headers.get("content-type")
        except Refused as refused:
            response = _response(error_answer(refused.status, str(refused)))
        except ValueError:
            response = _response(error_answer(400, "a query that is not escaped as it should be"))
        except MemoryError:
            gc.collect()
            response = _response(error_answer(413, "the board has not enough memory for this"))
        else:
            slot.allow(0)
            response = await self.app.dispatch_request(request)
        await self._write(slot, response)
        if incoming.unread_bytes:
            slot.allow(_DROP_MS, True)
            await incoming.drop(_DROPPED_BYTES)

    async def _answer(self, request):
        answer = self._container.answer
        return _response(
            await answer(request.method, request.path, request.query_string, request.headers, request.body)
        )

    async def _write(self, slot, response):
        if not hasattr(response.body, "__anext__"):
            await response.write(slot)
            await slot.flush()
            return
        stream = response.body
        try:
            if self._streams >= len(self._slots) - 1:
                response = _response(error_answer(503, "too many streams at a time"))
            else:
                slot.is_live = True
            self._streams += 1
            try:
                await response.write(slot)
                await slot.flush()
            finally:
                self._streams -= 1
        finally:
            await stream.aclose()


class _Slot:
    """A connection that is served, or room for one; microdot writes to it."""

    def __init__(self):
        self.task = None
        self.writer = None
        self._clear()

    def _clear(self):
        self.limit_ms = 0
        self.is_reading = False
        self.is_cut = False
        self.is_live = False
        self._held = b""

    def allow(self, limit_ms, is_reading=False):
        """From now on this many milliseconds; 0: as long as it takes."""
        self.since = ticks_ms()
        self.limit_ms = limit_ms
        self.is_reading = is_reading

    async def awrite(self, data):
        if len(self._held) + len(data) > _PIECE:
            await self.flush()
        if len(data) >= _PIECE:
            await self._send(data)
        else:
            self._held += data
            if self.is_live:
                await self.flush()

    async def flush(self):
        if self._held:
            data, self._held = self._held, b""
            await self._send(data)

    async def _send(self, data):
        self.allow(_WRITE_MS)
        self.writer.write(data)
        await self.writer.drain()
        self.allow(0)

    async def close(self):
        self._clear()
        writer, self.writer = self.writer, None
        if writer:
            await close(writer)


def _response(answer):
    status, content_type, body = answer
    return Response(body, status, {"Content-Type": content_type} if content_type else None)
