"""Plays what came over a link against the local platform: the same routes, as the remote party's own user."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus

from msgspec import UNSET, UnsetType

from bridge.access import Access
from bridge.answers import error_body
from bridge.calls import unknown
from bridge.envelope import CARRIED_HEADERS, Answer, Request
from bridge.local import LocalPlatform
from bridge.replies import refused
from edge.errors import CalleeError, OpacaError, OutcomeUnknown, RemoteError
from edge.http.errors import error_body as error_tree
from edge.http.errors import status_of
from edge.model.codec import decode_value, encode
from edge.model.json_value import JsonValue
from edge.transport.base import NO_OPTIONS, CallOptions
from edge.transport.http import HttpTransport

log = logging.getLogger(__name__)

# Routes whose answer is bare text, not JSON.
_TEXT = ("POST /login", "POST /containers/login")
# Nothing that is not an OPACA query parameter is passed on; and nothing goes on to a third platform, where nobody has
# said what this party may do.
_QUERY = ("containerId", "timeout", "agent_id")
_GO_ON = ("/send/", "/broadcast/", "/invoke/", "/stream/")
# Who tries passwords has the platform hash some of ours at most this often.
_LET_IN_AGAIN_S = 60.0
# Longer than any caller waits.
_LONGEST_S = 3700.0


class Executor:
    """Plays requests of one remote party."""

    def __init__(self, party: str, access: Access, platform: LocalPlatform) -> None:
        self.access = access
        self._party = party
        self._platform = platform
        self._let_in_s = float("-inf")

    async def transport(self) -> HttpTransport:
        """Return the transport of the party's user; a `CalleeError` if the platform does not let it in."""
        return await self._platform.as_party(self._party, self.access.role or "GUEST")

    def forget_logins(self) -> None:
        """Log in anew for what comes next: the platform has refused the party's token."""
        self._platform.forget_login(self._party)

    async def play(self, request: Request) -> Answer:
        """Execute a request; whatever goes wrong is an answer."""
        try:
            body = None if isinstance(request.b, UnsetType) else encode(request.b)
            status, answer = await self.played(request.route, request.q, request.h, body)
        except Exception:
            log.exception("%s: %s failed", self._party, request.route)
            status, answer = 500, error_body(500, f"the bridge failed at {request.route}")
        return Answer(id=request.id, s=status or 502, b=answer)

    async def played(
        self,
        route: str,
        query: Mapping[str, str],
        headers: Mapping[str, str],
        body: bytes | None,
        idempotency_key: str | None = None,
    ) -> tuple[int, JsonValue | UnsetType]:
        """Call a route of the local platform and return status and body, of errors as well.

        Status 0 with the error's body stands for a platform that did not answer, so that it may be tried again.
        """
        refusal = self.access.refuses(route)
        if refusal is not None:
            return 403, error_body(403, f"{route} {refusal}")
        method, _, path = route.partition(" ")
        limit = asyncio.timeout(_limit_s(query))
        try:
            options = self._options(headers, idempotency_key)
            async with limit:
                answer = await self._let_in(
                    lambda transport: transport.request(
                        method, path, passed_query(path, query), body, options, is_login_token_sent=True
                    ),
                    is_login=route in _TEXT,
                )
            return 200, _value(route, answer)
        except RemoteError as error:
            return refused(error)
        except TimeoutError:
            message = f"the platform behind the bridge did not answer {route}"
            # Else it was the login that took too long, and nothing was begun.
            return 502, error_tree(502, message, unknown(message).cause if limit.expired() else None)
        except CalleeError as error:
            if isinstance(error, OutcomeUnknown):
                return 502, error_tree(502, error.message, unknown(error.message).cause)
            return 0, error_tree(502, error.message, error.cause)
        except OpacaError as error:
            status = int(status_of(error))
            return status, error_tree(status, error.message, error.cause)

    async def _let_in(self, ask: Callable[[HttpTransport], Awaitable[bytes]], *, is_login: bool) -> bytes:
        """Ask the platform; one that knows our token no more has done nothing, and is asked again with a new one.

        What it says to a login (`is_login`) may be about that one's password instead: then not again and again.
        """
        try:
            return await ask(await self.transport())
        except RemoteError as error:
            now_s = time.monotonic()
            if error.status != HTTPStatus.UNAUTHORIZED or (is_login and now_s - self._let_in_s < _LET_IN_AGAIN_S):
                raise
            self._let_in_s = now_s
        self._platform.forget_login(self._party)
        return await ask(await self.transport())

    def _options(self, headers: Mapping[str, str], idempotency_key: str | None) -> CallOptions:
        token = headers.get(CARRIED_HEADERS[0])
        if token is None and idempotency_key is None:
            return NO_OPTIONS
        return CallOptions(login_token=token, idempotency_key=idempotency_key)


def _limit_s(query: Mapping[str, str]) -> float:
    """Return how long an answer is waited for: longer than the platform itself does."""
    asked = query.get("timeout", "")
    return _LONGEST_S + (int(asked) if asked.isdecimal() and len(asked) <= 10 else 0)


def passed_query(path: str, query: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return what of a remote caller's query is passed on, and that the call ends here.

    >>> passed_query("/invoke/Water", {"timeout": "3", "forward": "true", "token": "x"})
    [('forward', 'false'), ('timeout', '3')]
    """
    ends_here = [("forward", "false")] if path.startswith(_GO_ON) else []
    return ends_here + [(name, query[name]) for name in _QUERY if name in query]


def _value(route: str, body: bytes) -> JsonValue | UnsetType:
    if not body:
        return UNSET
    if route.startswith(_TEXT):
        return body.decode("utf-8", "replace")
    return decode_value(body)
