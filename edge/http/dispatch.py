"""The way of a request: path, route, caller, events, handler, answer. One for platform, container and bridge."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable
from http import HTTPStatus
from typing import Protocol
from urllib.parse import unquote_to_bytes

from aiohttp.web import BaseRequest, StreamResponse

from edge.errors import NotLoggedIn, OpacaError
from edge.http import cors
from edge.http.answer import CompleteResponse, response_of, stream_response
from edge.http.caller import Gate
from edge.http.errors import error_reply, generic_reply
from edge.http.limits import Limits
from edge.http.replies import Kind, Reply, StreamReply, demand_json, prefers_html
from edge.http.request import BodyBudget, Bounds, Request
from edge.http.routes import Match, Route, RouteTable

log = logging.getLogger(__name__)

# Raw paths that the reference's firewall refuses, and what is no printable ASCII (contract, section 1.2).
_BAD_PATH = re.compile(r"//|[;\\#]|\.\.|%(?:2[fFeE]|3[bB]|5[cC]|25|00|0[aAdD])|[^\x21-\x7e]|^[^/]")
_ORIGIN_OF_ABSOLUTE_FORM = re.compile(r"https?://[^/?#]*", re.ASCII | re.IGNORECASE)

# The caller left before the answer; nobody sees this status but the history.
_CALLER_LEFT = 499

_MAX_KNOWN_PATHS = 1024
_LONGEST_KNOWN_PATH = 256


class EventSink(Protocol):
    """Where the events of requests go."""

    def call(self, route: str, sender_id: str | None) -> str:
        """Record the beginning of a request and return the event's ID."""

    def end(self, call_id: str, route: str, sender_id: str | None, status: int) -> None:
        """Record with which status it was answered."""


class Dispatcher:
    """Answers requests by a route table.

    Attributes:
        endless: Streams and WebSockets, which have no end of their own, by task; whoever stops the server cancels them.
    """

    def __init__(
        self,
        table: RouteTable,
        gate: Gate,
        limits: Limits,
        events: EventSink | None = None,
        audit: Callable[[Request, int], None] | None = None,
    ) -> None:
        """Args:
        events: Where the events of requests go.
        audit: Is told how a request of an audited route was answered.
        """
        self.endless: dict[asyncio.Task[object], Request] = {}
        self._table = table
        self._gate = gate
        self._limits = limits
        self._events = events
        self._audit = audit
        self._bounds = Bounds(limits.max_body_bytes, BodyBudget(limits.max_bodies_bytes), self.endless)
        # Clients call few paths, and often: what they mean is remembered.
        self._known: dict[tuple[str, str], Match] = {}

    async def __call__(self, http: BaseRequest) -> StreamResponse | CompleteResponse:
        """Answer one request; raises nothing but `ConnectionError` and `CancelledError`."""
        raw_path, _, raw_query = http.raw_path.partition("?")
        if raw_path[:1] != "/":
            raw_path = _ORIGIN_OF_ABSOLUTE_FORM.sub("", raw_path) or "/"
        request = Request(http, raw_path, raw_query, self._bounds)
        match = self._known.get((request.method, raw_path)) or self._find(request.method, raw_path)
        if match is None:
            return response_of(generic_reply(400, raw_path), request, False, False)
        if http.method == "OPTIONS":
            return response_of(self._options(request, match), request, True, False)
        if http.method == "HEAD" and match.route is not None and match.route.produces is Kind.OCTETS:
            match = Match(None, {}, match.allowed, match.has_cors)  # a stream has no head of its own
        try:
            request.caller = self._gate.admit(request, match.route)
        except OpacaError as error:
            refusal = await self._refusal(request, match, error)
            self._tell(request, match, refusal.status)
            return response_of(refusal, request, True, True)
        story = self._begin(request, match)
        status = _CALLER_LEFT
        try:
            answer = await self._handle(request, match)
            if isinstance(answer, Reply):
                status = answer.status
                self._tell(request, match, status)
                return response_of(answer, request, True, match.has_cors)
            if isinstance(answer, StreamReply):
                return await self._stream(request, match, answer, story)
            return answer
        finally:
            # The history is told before the answer is sent: who has read an answer may rely on its event.
            if story is not None:
                story.end(status)
            request.release()

    def end_barred(self, may_still: Callable[[Request, Route], bool]) -> None:
        """End the streams and WebSockets of those who may not use them any more; other requests end by themselves."""
        for task, request in list(self.endless.items()):
            route = self._table.find(request.method, _decoded(request.raw_path) or "").route
            if route is not None and not may_still(request, route):
                log.info("%s %s of %s is ended: not allowed any more", request.method, request.raw_path,
                         request.caller.name)  # fmt: skip
                task.cancel()

    def _tell(self, request: Request, match: Match, status: int) -> None:
        if match.route is not None and match.route.is_audited and self._audit is not None:
            self._audit(request, int(status))

    async def _refusal(self, request: Request, match: Match, error: OpacaError) -> Reply:
        """Return what who is not let in is told; a browser gets the page on which to log in along with the 401."""
        refusal = error_reply(error, request.raw_path)
        if match.route is None or not match.route.is_login_page or not isinstance(error, NotLoggedIn):
            return refusal
        page = await self._handle(request, match) if prefers_html(request.accept) else None
        if not isinstance(page, Reply) or page.status != HTTPStatus.OK:
            return refusal
        return Reply(page.body, page.content_type, refusal.status, (*refusal.headers, *page.headers))

    def _begin(self, request: Request, match: Match) -> _Story | None:
        """Record the CALL of a request that makes events."""
        route = match.route
        makes_events = (
            route.makes_events if route is not None else self._table.makes_events(request.method, request.raw_path)
        )
        if not makes_events or self._events is None:
            return None
        story = _Story(self._events, f"{request.method} {request.raw_path}", request.sender_id)
        request.call_id = story.call_id
        return story

    async def _stream(
        self, request: Request, match: Match, answer: StreamReply, story: _Story | None
    ) -> StreamResponse | CompleteResponse:
        response = await stream_response(
            answer, request, match.has_cors, lambda: None if story is None else story.end(200)
        )
        if story is not None:
            story.end(response.status)
        return response

    def _find(self, method: str, raw_path: str) -> Match | None:
        """Return what the table knows of a path, None if it is one that is refused."""
        path = _decoded(raw_path)
        if path is None:
            return None
        match = self._table.find(method, path)
        if match.route is not None and len(raw_path) <= _LONGEST_KNOWN_PATH:
            if len(self._known) >= _MAX_KNOWN_PATHS:
                self._known.clear()
            self._known[method, raw_path] = match
        return match

    def _options(self, request: Request, match: Match) -> Reply:
        try:
            # Browsers send preflights without token (contract, Q29).
            if not cors.is_preflight(request):
                self._gate.admit(request, match.route)
        except OpacaError as error:
            return error_reply(error, request.raw_path)
        return cors.answer_options(request, match) or generic_reply(404, request.raw_path)

    async def _handle(self, request: Request, match: Match) -> Reply | StreamReply | StreamResponse:
        route = match.route
        if route is None:
            if not match.allowed:
                return generic_reply(404, request.raw_path)
            refusal = generic_reply(405, request.raw_path)
            return Reply(refusal.body, refusal.content_type, 405, (("Allow", ",".join(match.allowed)),))
        request.parameters = match.parameters
        try:
            if route.produces is Kind.JSON:
                demand_json(request.accept)
            return await route.handler(request)
        except OpacaError as error:
            return error_reply(error, request.raw_path)
        except Exception:
            log.exception("%s %s failed", request.method, request.raw_path)
            return generic_reply(500, request.raw_path)


class _Story:
    """The events of one request: a CALL, and one end."""

    __slots__ = ("_events", "_has_ended", "_route", "_sender_id", "call_id")

    def __init__(self, events: EventSink, route: str, sender_id: str | None) -> None:
        self._events = events
        self._route = route
        self._sender_id = sender_id
        self._has_ended = False
        self.call_id = events.call(route, sender_id)

    def end(self, status: int) -> None:
        """Tell the end; only the first one counts."""
        if not self._has_ended:
            self._has_ended = True
            self._events.end(self.call_id, self._route, self._sender_id, status)


def _decoded(raw_path: str) -> str | None:
    """Return the percent-decoded path, None if it is one that is refused."""
    if _BAD_PATH.search(raw_path):
        return None
    if "%" not in raw_path:
        return raw_path
    try:
        path = unquote_to_bytes(raw_path).decode()
    except UnicodeDecodeError:
        return None
    # A percent sign that is left was no escape.
    return None if "%" in path else path
