"""A request as the handlers see it: parameters, query, and a body that is bounded before it is read."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import TypeVar

from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.web import BaseRequest, RequestPayloadError

from edge.errors import BrokenRequest, EmptyBody, Overloaded, TooLarge, TooSlow, UnsupportedContent
from edge.http.caller import Caller, Role
from edge.http.query import EMPTY_QUERY, Query
from edge.model.codec import decode

T = TypeVar("T")

# The slowest body that is waited for: this long, and longer by what has come at 1 KiB/s.
_BODY_TIME_S = 30.0
_SLOWEST_BYTES_PER_S = 1024.0
# A body that came along with its headers counts as held from here up: what all connections together hold of smaller
# ones does not matter.
_UNCOUNTED_BYTES = 16 * 1024

NOBODY = Caller(name="", role=Role.OPEN)


class BodyBudget:
    """Bounds the bodies that are in memory at one time, over all connections."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self.held_bytes = 0

    def take(self, count: int) -> None:
        """Count bytes as held.

        Raises:
            Overloaded: the bodies in flight would exceed the limit.
        """
        if self.held_bytes + count > self._limit_bytes:
            raise Overloaded(
                f"the requests being served hold {self.held_bytes} bytes of bodies, at most {self._limit_bytes} are"
                " allowed; try again in a moment"
            )
        self.held_bytes += count

    def give_back(self, count: int) -> None:
        """Count bytes as freed."""
        self.held_bytes -= count


@dataclass(frozen=True, slots=True)
class Bounds:
    """What all requests of one server have in common.

    Attributes:
        max_body_bytes: Of one body that is read as a whole.
        budget: Of all bodies together.
        endless: Requests that have no end of their own, by task.
    """

    max_body_bytes: int
    budget: BodyBudget
    endless: dict[asyncio.Task[object], Request]


class Request:
    """One request.

    Attributes:
        method: HEAD arrives as GET.
        raw_path: As it came, without the query.
        parameters: Percent-decoded values of the path's segments.
        caller: Who is calling; set by the gate.
        call_id: ID of the CALL event of this request; None where it makes none.
        headers: Names in any case.
        sender_id: Who says to be calling: the value of the header `sender-id`.
        http: aiohttp's request, for handlers that take over the connection.
    """

    __slots__ = (
        "_bounds", "_held_bytes", "_query", "_raw_query", "call_id", "caller", "headers", "http", "method",
        "parameters", "raw_path", "sender_id",
    )  # fmt: skip

    def __init__(self, http: BaseRequest, raw_path: str, raw_query: str, bounds: Bounds) -> None:
        method = http.method
        self.http = http
        self.headers: Mapping[str, str] = http.headers
        self.method = "GET" if method == "HEAD" else method
        self.raw_path = raw_path
        self.parameters: dict[str, str] = {}
        self.caller = NOBODY
        self.call_id: str | None = None
        self.sender_id = self.headers.get("sender-id")
        self._raw_query = raw_query
        self._query: Query | None = None
        self._bounds = bounds
        self._held_bytes = 0

    @property
    def accept(self) -> str | None:
        """The Accept header."""
        return self.headers.get("Accept")

    @property
    def query(self) -> Query:
        """The query parameters; `ParameterMismatch` if they cannot be read."""
        if self._query is None:
            self._query = Query(self._raw_query) if self._raw_query else EMPTY_QUERY
        return self._query

    async def json(self, model: type[T]) -> T:
        """Return the body, decoded.

        Raises:
            UnsupportedContent: the content type is not JSON; a missing one is taken for JSON (contract, Q30).
            EmptyBody, Undecodable, TooLarge, TooSlow, BrokenRequest, Overloaded: as their names say.
        """
        body = self._complete_body()
        if body is None:
            body = await self._incomplete_body()
        content_type = self.headers.get("Content-Type")
        if body and content_type != "application/json" and content_type is not None and not _is_json(content_type):
            raise UnsupportedContent(f"Content-Type {content_type[:100]}: expected application/json")
        return decode(body, model)

    async def text(self) -> str:
        """Return a bare text, trimmed, without one pair of quotes around it (contract, section 1.2).

        Raises:
            BrokenRequest: no UTF-8. Others as `json`.
        """
        try:
            text = (await self.body()).decode().strip()
        except UnicodeDecodeError as error:
            raise BrokenRequest("the body is no UTF-8") from error
        text = text.removeprefix('"').removesuffix('"')
        if not text:
            raise EmptyBody("a text is expected as body, none was given")
        return text

    async def body(self) -> bytes:
        """Return the whole body; its size and the time it takes are bounded."""
        body = self._complete_body()
        return await self._incomplete_body() if body is None else body

    def _complete_body(self) -> bytes | None:
        """Return a body that came along with the headers, which is the usual case; None if some is still to come."""
        content = self.http.content
        if not content.is_eof() or content.exception() is not None:
            return None
        body = content.read_nowait(-1)
        if len(body) > self._bounds.max_body_bytes:
            raise self._too_large()
        if len(body) > _UNCOUNTED_BYTES:
            self._hold(len(body))
        return body

    async def _incomplete_body(self) -> bytes:
        declared = self.headers.get("Content-Length", "")
        if declared.isdecimal() and int(declared) > self._bounds.max_body_bytes:
            raise self._too_large()
        await self._continue()
        try:
            return await self._collect()
        except (RequestPayloadError, HttpProcessingError, ValueError) as error:
            raise BrokenRequest(f"the body broke off: {error}") from error

    def pieces(self) -> AsyncIterator[bytes]:
        """Return the body as it comes, any size.

        Raises:
            BrokenRequest: the caller broke off.
        """
        self.mark_endless()  # now, and not when the first piece is asked for: until then its caller may be removed
        return self._pieces()

    async def _pieces(self) -> AsyncIterator[bytes]:
        await self._continue()
        try:
            while piece := await self.http.content.readany():
                yield piece
        except (RequestPayloadError, HttpProcessingError) as error:
            raise BrokenRequest(f"the body broke off: {error}") from error

    def mark_endless(self) -> None:
        """Say that this request has no end of its own: cancelled when the server stops or its caller is barred."""
        task = asyncio.current_task()
        if task is not None:
            endless = self._bounds.endless
            endless[task] = self
            task.add_done_callback(lambda done: endless.pop(done, None))

    def release(self) -> None:
        """Give back what the body held; called once when the request is over."""
        if self._held_bytes:
            self._bounds.budget.give_back(self._held_bytes)
            self._held_bytes = 0

    async def _collect(self) -> bytes:
        body = bytearray()
        loop = asyncio.get_running_loop()
        started = loop.time()
        while True:
            try:
                async with asyncio.timeout_at(started + _BODY_TIME_S + len(body) / _SLOWEST_BYTES_PER_S):
                    piece = await self.http.content.readany()
            except TimeoutError:
                raise TooSlow(f"{len(body)} bytes of the body came in {loop.time() - started:.0f} s") from None
            if not piece:
                return bytes(body)
            if len(body) + len(piece) > self._bounds.max_body_bytes:
                raise self._too_large()
            self._hold(len(piece))
            body += piece

    def _hold(self, count: int) -> None:
        self._bounds.budget.take(count)
        self._held_bytes += count

    async def _continue(self) -> None:
        """Tell a client that waits for permission to send its body (RFC 9110, section 10.1.1)."""
        if self.headers.get("Expect", "").lower() == "100-continue" and not self.http.content.is_eof():
            writer = self.http.writer
            await writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            writer.output_size = 0  # the answer itself has not begun

    def _too_large(self) -> TooLarge:
        return TooLarge(f"the body is larger than {self._bounds.max_body_bytes} bytes")


def _is_json(content_type: str) -> bool:
    media_type = content_type.partition(";")[0].strip().lower()
    return media_type == "application/json" or (media_type.startswith("application/") and media_type.endswith("+json"))
