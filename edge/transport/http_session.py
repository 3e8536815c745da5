"""Outgoing HTTP: one pool of connections for all targets, and the names that the failures of the network get."""

from __future__ import annotations

import os
import select
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from contextvars import ContextVar
from io import BytesIO
from ssl import SSLContext, SSLError
from typing import Any, Self

from aiohttp import (
    ClientConnectorCertificateError,
    ClientConnectorError,
    ClientError,
    ClientResponse,
    ClientSession,
    ClientTimeout,
    ConnectionTimeoutError,
    DummyCookieJar,
    TCPConnector,
    TraceConfig,
    TraceRequestRedirectParams,
)
from aiohttp.connector import Connection
from yarl import URL

from edge.errors import CalleeError, OutcomeUnknown, RemoteError, Unreachable
from edge.transport.authorities import Authorities, certificate_problem, tls_problem
from edge.transport.http_answers import read_cause

# Below the 5 s after which the servers of many containers (uvicorn, Node.js) close an idle connection.
KEEP_ALIVE_S = 4.0
CONNECT_S = 5.0
_MAX_HEADER_BYTES = 16 * 1024
# So many dead connections of one target are passed over before a new one is taken as it is.
_STALE_TRIES = 16

# Larger bodies are written piece by piece, which lets the loop breathe.
_WHOLE_BYTES = 256 * 1024

_connected: ContextVar[Callable[[], None] | None] = ContextVar("connected", default=None)


class Redirected(Exception):
    """The other party wants to be asked elsewhere."""


class Session:
    """Owns the connections; an async context manager, whose end closes them all."""

    def __init__(self, authorities: Authorities | None = None) -> None:
        """Args:
        authorities: Whom https targets are checked with; None trusts the system's.
        """
        self._authorities = authorities or Authorities()
        self._session: ClientSession | None = None
        self._sockets: ClientSession | None = None

    async def __aenter__(self) -> Self:
        # Where a call goes is decided by its base URL alone: no proxies and no cookies.
        self._session = ClientSession(
            connector=_Connector(limit=0, keepalive_timeout=KEEP_ALIVE_S),
            timeout=ClientTimeout(total=None, connect=CONNECT_S),
            cookie_jar=DummyCookieJar(),
            # What is not asked for compressed need not be unpacked, so nothing small can become large.
            headers={"Accept-Encoding": "identity", "User-Agent": "opaca-edge"},
            auto_decompress=False,
            trust_env=False,
            max_line_size=_MAX_HEADER_BYTES,
            max_field_size=_MAX_HEADER_BYTES,
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        session, self._session = self._session, None
        sockets, self._sockets = self._sockets, None
        if sockets is not None:
            sockets.detach()  # has no connections of its own
        if session is not None:
            await session.close()

    @property
    def aiohttp(self) -> ClientSession:
        """The open session; RuntimeError before `async with` and after it."""
        if self._session is None:
            raise RuntimeError("the HTTP client is not open: use it inside `async with`")
        return self._session

    @property
    def sockets(self) -> ClientSession:
        """As `aiohttp`, for WebSockets: a handshake that is redirected is not followed, but raises `Redirected`."""
        if self._sockets is None:
            no_redirects = TraceConfig()
            no_redirects.on_request_redirect.append(_refuse_redirect)
            self._sockets = ClientSession(
                connector=self.aiohttp.connector,
                connector_owner=False,
                timeout=ClientTimeout(total=None, connect=CONNECT_S),
                cookie_jar=DummyCookieJar(),
                headers={"Accept-Encoding": "identity", "User-Agent": "opaca-edge"},
                trust_env=False,
                max_line_size=_MAX_HEADER_BYTES,
                max_field_size=_MAX_HEADER_BYTES,
                trace_configs=[no_redirects],
            )
        return self._sockets

    async def tls(self, target: str) -> SSLContext | bool:
        """Return how the connection to a base URL is checked: aiohttp's `ssl`.

        Raises:
            BadAuthorities: the file of authorities cannot be used.
        """
        return await self._authorities.context() if target.startswith("https:") else True

    @asynccontextmanager
    async def open(
        self,
        method: str,
        target: str,
        path: str,
        headers: Mapping[str, str],
        data: Any = None,
        on_connect: Callable[[], None] | None = None,
    ) -> AsyncIterator[ClientResponse]:
        """Send a request and yield the answer once its headers are there and say success.

        Leaving closes the connection unless the body was read to its end.

        Args:
            target: Base URL of the other party, without a final slash.
            path: Path and query, percent-encoded, beginning with a slash.
            data: The body: bytes, or an async iterable, which is sent chunked.
            on_connect: Called when a connection to the target stands, before anything is sent.
        Raises:
            RemoteError: an answer other than success; redirects are not followed.
            Unreachable: no connection; for GET also none any more.
            OutcomeUnknown: it was sent, but there is no answer, or none that is HTTP.
        """
        context = _connected.set(on_connect)
        if isinstance(data, bytes) and len(data) > _WHOLE_BYTES:
            data = BytesIO(data)
        try:
            response = await self.aiohttp.request(
                method,
                URL(target + path, encoded=True),
                data=data,
                headers=headers,
                allow_redirects=False,
                ssl=await self.tls(target),
            )
        except (ClientError, OSError, ValueError) as error:
            raise failure(error, method, target, path) from error
        finally:
            _connected.reset(context)
        try:
            if not 200 <= response.status < 300:
                raise await _refusal(response, method, target, path)
            yield response
        finally:
            if not response.content.at_eof():
                response.close()
            response.release()


def failure(error: Exception, method: str, target: str, path: str) -> CalleeError:
    """Return the domain error for what aiohttp or the system raised while asking `target`."""
    if isinstance(error, ClientConnectorCertificateError):
        return Unreachable(f"{target} is not trusted: {certificate_problem(error.certificate_error)}")
    reason = _system_text(error)
    if isinstance(error, _NOT_ASKED):
        return Unreachable(f"{target} cannot be reached: {reason}")
    what = f"{method} {path.partition('?')[0]}"
    if method == "GET":  # nothing can have happened by it
        return Unreachable(f"{target} went away during {what}: {reason}")
    return OutcomeUnknown(f"{target} went away during {what}, which may have had its effect: {reason}")


def _system_text(error: Exception) -> str:
    """Return what the system says of an error, without aiohttp's own words where there are shorter ones."""
    inner = error.os_error if isinstance(error, ClientConnectorError) else error
    if isinstance(inner, SSLError):
        return tls_problem(inner)  # its number is none of the system's
    if isinstance(inner, OSError) and inner.errno is not None:
        # Numbers below zero are the resolver's, which brings its own text.
        return os.strerror(inner.errno) if inner.errno > 0 else str(inner.strerror)
    return str(inner) or type(inner).__name__


# A host name or header value that cannot be encoded is a ValueError.
_NOT_ASKED = (ClientConnectorError, ClientConnectorCertificateError, ConnectionTimeoutError, ValueError)


async def _refusal(response: ClientResponse, method: str, target: str, path: str) -> RemoteError:
    what = f"{method} {path.partition('?')[0]}"
    if response.status < 400:
        where = response.headers.get("Location", "nowhere")[:200]
        return RemoteError(f"{target} redirects {what} to {where}; redirects are not followed", status=response.status)
    return RemoteError(f"{target} answered {response.status} to {what}", await read_cause(response), response.status)


async def _refuse_redirect(_session: ClientSession, _context: Any, asked: TraceRequestRedirectParams) -> None:
    raise Redirected(asked.response.headers.get("Location", "nowhere")[:200])


class _Connector(TCPConnector):
    """Passes over idle connections that their server has closed, and tells when a connection stands."""

    async def connect(self, *args: Any, **kwargs: Any) -> Connection:
        connection = await super().connect(*args, **kwargs)
        for _ in range(_STALE_TRIES):
            if not _is_stale(connection):
                break
            connection.close()
            connection = await super().connect(*args, **kwargs)
        tell = _connected.get()
        if tell is not None:
            tell()
        return connection


def _is_stale(connection: Connection) -> bool:
    """Tell whether the server has already ended a connection on which nothing was asked yet.

    The loop may not have seen the end so far, and a request sent now would be lost although it can be sent anew safely.
    """
    transport = connection.transport
    if transport is None or transport.get_extra_info("ssl_object") is not None:  # TLS sends of its own accord
        return transport is None
    sock = transport.get_extra_info("socket")
    poll = select.poll()
    poll.register(sock.fileno(), select.POLLIN)
    return bool(poll.poll(0))
