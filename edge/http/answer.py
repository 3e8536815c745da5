"""Replies as aiohttp responses: headers made once, streams passed on piece by piece."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus

from aiohttp import HttpVersion11
from aiohttp.web import BaseRequest, StreamResponse
from multidict import CIMultiDict

from edge.errors import OpacaError
from edge.http import cors
from edge.http.errors import error_reply
from edge.http.replies import JSON, TEXT, Reply, StreamReply
from edge.http.request import Request

log = logging.getLogger(__name__)

# A piece is handed to the socket in parts of this size, so that a huge one is not buffered whole.
_PART_BYTES = 64 * 1024
_USUAL_TYPES = frozenset((None, JSON, TEXT))

_SERVER = ("Server", "opaca-edge")
_NO_SNIFF = ("X-Content-Type-Options", "nosniff")


class CompleteResponse:
    """A response of which everything is known: head and body are written at once.

    aiohttp's own `Response` formats and merges headers for each answer, which costs more than an in-process invoke;
    this one joins bytes that were made ready, and has only what aiohttp's server asks of a response. It is made for one
    request and sent to no other.

    Attributes:
        status: The HTTP status.
        keep_alive: Whether the connection may be used again.
    """

    __slots__ = ("_body", "_head", "_http", "keep_alive", "status")

    def __init__(self, http: BaseRequest, status: int, head: bytes, body: bytes, is_last: bool) -> None:
        self.status = status
        self.keep_alive = not is_last and http.keep_alive
        self._http = http
        self._head = head
        self._body = body

    async def prepare(self, request: BaseRequest) -> None:
        """Do nothing yet: all is written at the end."""

    async def write_eof(self) -> None:
        """Write the whole answer.

        Raises:
            ConnectionResetError: the reader left.
        """
        http, body = self._http, self._body
        connection = b""
        if not self.keep_alive:
            connection = b"Connection: close\r\n"
        elif http.version < HttpVersion11:
            connection = b"Connection: keep-alive\r\n"
        answer = b"%sContent-Length: %d\r\nDate: %s\r\n%s\r\n%s" % (
            self._head, len(body), _date(), connection, b"" if http.method == "HEAD" else body,
        )  # fmt: skip
        if len(answer) > _PART_BYTES:
            await http.writer.write(answer)  # which waits for a slow reader
            return
        transport = http.transport
        if transport is None or transport.is_closing():
            raise ConnectionResetError("the reader left before its answer")
        transport.write(answer)


class _Clock:
    """The Date header, formatted once a second."""

    second = 0
    text = b""


def _date() -> bytes:
    now = int(time.time())
    if now != _Clock.second:
        _Clock.second = now
        _Clock.text = formatdate(now, usegmt=True).encode()
    return _Clock.text


def _head(status: int, content_type: str | None, vary: bool, any_origin: bool) -> bytes:
    fields = [_SERVER, _NO_SNIFF]
    if content_type is not None:
        fields.append(("Content-Type", content_type))
    if vary:
        fields.extend(cors.VARY)
    if any_origin:
        fields.append(cors.ALLOW_ANY_ORIGIN)
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields)
    return f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n{lines}".encode("latin-1")


_ready_head = lru_cache(maxsize=256)(_head)


def response_of(reply: Reply, request: Request, vary: bool, shares: bool) -> CompleteResponse:
    """Return aiohttp's response for a complete reply.

    Args:
        reply: What to answer.
        request: What is answered.
        vary: The answer may depend on the cross-origin headers (all but a refused path).
        shares: The route may be read by pages of any origin.
    """
    any_origin = shares and "Origin" in request.headers and cors.is_foreign(request)
    content_type = reply.content_type
    make = _ready_head if content_type in _USUAL_TYPES else _head  # what a caller made up is not kept
    head = make(reply.status, content_type, vary, any_origin)
    if reply.headers:
        head += "".join(f"{name}: {value}\r\n" for name, value in reply.headers).encode("latin-1", "replace")
    # After these the rest of the body is not waited for.
    return CompleteResponse(request.http, reply.status, head, reply.body, is_last=reply.status in (408, 413))


async def stream_response(
    answer: StreamReply, request: Request, shares: bool, on_start: Callable[[], None]
) -> StreamResponse | CompleteResponse:
    """Open the source, then pass its pieces on as they come.

    Until the first byte is sent an error is an answer of its own; afterwards the connection is cut, so that the
    reader can tell a broken stream from a finished one.

    Raises:
        ConnectionResetError: the source broke off, or the reader left.
    """
    response: StreamResponse | None = None
    request.mark_endless()
    try:
        async with answer.source as pieces:
            any_origin = shares and cors.is_foreign(request)
            response = StreamResponse(headers=_stream_headers(answer.content_type, any_origin))
            await response.prepare(request.http)
            on_start()
            await _pass_on(pieces, response)
            await response.write_eof()
            return response
    except OpacaError as error:
        if response is None:
            return response_of(error_reply(error, request.raw_path), request, True, shares)
        log.warning("%s %s broke off: %s", request.method, request.raw_path, error.message)
        if request.http.transport is not None:
            request.http.transport.abort()
        raise ConnectionResetError("the stream broke off") from error


async def _pass_on(pieces: AsyncIterator[bytes], response: StreamResponse) -> None:
    async for piece in pieces:
        if len(piece) <= _PART_BYTES:
            await response.write(piece)
        else:
            whole = memoryview(piece)
            for start in range(0, len(whole), _PART_BYTES):
                await response.write(whole[start : start + _PART_BYTES])
        # A source that never waits must not keep the loop to itself.
        await asyncio.sleep(0)


def _stream_headers(content_type: str, any_origin: bool) -> CIMultiDict[str]:
    fields = [_SERVER, _NO_SNIFF, ("Content-Type", content_type), *cors.VARY]
    return CIMultiDict([*fields, cors.ALLOW_ANY_ORIGIN] if any_origin else fields)
