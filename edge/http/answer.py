"""Replies as aiohttp responses: headers made once, streams passed on piece by piece."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable

from aiohttp.web import Response, StreamResponse
from multidict import CIMultiDict

from edge.errors import OpacaError
from edge.http import cors
from edge.http.errors import error_reply
from edge.http.replies import JSON, TEXT, Reply, StreamReply
from edge.http.request import Request

log = logging.getLogger(__name__)

# A piece is handed to the socket in parts of this size, so that a huge one is not buffered whole.
_PART_BYTES = 64 * 1024

_SERVER = ("Server", "opaca-edge")
_NO_SNIFF = ("X-Content-Type-Options", "nosniff")


class _Untyped(Response):
    """A body without content type, which aiohttp would add by itself."""

    async def _prepare_headers(self) -> None:
        await super()._prepare_headers()
        self._headers.popall("Content-Type", None)


def _headers(content_type: str | None, vary: bool, any_origin: bool) -> CIMultiDict[str]:
    headers = CIMultiDict([_SERVER, _NO_SNIFF])
    if content_type is not None:
        headers["Content-Type"] = content_type
    if vary:
        headers.extend(cors.VARY)
    if any_origin:
        headers.extend((cors.ALLOW_ANY_ORIGIN,))
    return headers


# Formatting headers anew costs as much as an invoke; the usual ones are made once and copied.
_READY = {
    (content_type, vary, any_origin): _headers(content_type, vary, any_origin)
    for content_type in (None, JSON, TEXT)
    for vary in (False, True)
    for any_origin in (False, True)
}


def response_of(reply: Reply, request: Request, vary: bool, shares: bool) -> Response:
    """Return aiohttp's response for a complete reply.

    Args:
        vary: The answer may depend on the cross-origin headers (all but a refused path).
        shares: The route may be read by pages of any origin.
    """
    any_origin = shares and "Origin" in request.headers and cors.is_foreign(request)
    headers = _READY.get((reply.content_type, vary, any_origin))
    if headers is None:
        headers = _headers(reply.content_type, vary, any_origin)
    if reply.headers:
        headers = headers.copy()
        for name, value in reply.headers:
            if name not in headers or name == "Vary":
                headers.add(name, value)
    factory = Response if reply.content_type is not None or not reply.body else _Untyped
    response = factory(body=reply.body, status=reply.status, headers=headers)
    if reply.status in (408, 413):
        response.force_close()  # what is left of the body is not waited for
    return response


async def stream_response(
    answer: StreamReply, request: Request, shares: bool, on_start: Callable[[], None]
) -> StreamResponse:
    """Open the source, then pass its pieces on as they come.

    Until the first byte is sent an error is an answer of its own; afterwards the connection is cut, so that the
    reader can tell a broken stream from a finished one.

    Raises:
        ConnectionResetError: the source broke off, or the reader left.
    """
    response: StreamResponse | None = None
    try:
        async with answer.source as pieces:
            any_origin = shares and cors.is_foreign(request)
            response = StreamResponse(headers=_headers(answer.content_type, True, any_origin))
            request.mark_endless()
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
