"""Listening: sockets, with TLS or without, and an orderly end."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self

from edge.http.certificate import Certificate
from edge.http.dispatch import Dispatcher
from edge.http.handshakes import Handshakes
from edge.http.limits import GuardedServer, Limits

log = logging.getLogger(__name__)

_BACKLOG = 128


class HttpServer:
    """Serves a dispatcher on listening sockets, as an async context manager.

    Leaving it stops listening, cancels streams and WebSockets, gives running requests `limits.shutdown_time_s` and
    closes every connection.

    Args:
        dispatcher: Answers.
        sockets: Where to listen; with TLS if there is a certificate.
        limits: Bounds of all of them together.
        certificate: What callers are shown; None serves without TLS.
        plain_sockets: Where to listen without TLS in any case.
    """

    def __init__(
        self,
        dispatcher: Dispatcher,
        sockets: Sequence[socket.socket],
        limits: Limits,
        certificate: Certificate | None = None,
        plain_sockets: Sequence[socket.socket] = (),
    ) -> None:
        self._dispatcher = dispatcher
        self._sockets = sockets
        self._limits = limits
        self._certificate = certificate
        self._plain_sockets = plain_sockets
        self._handshakes: Handshakes | None = None
        self._listeners: list[asyncio.Server] = []
        self._server: GuardedServer | None = None

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._server = GuardedServer(self._dispatcher, self._limits)
        factory: Callable[[], asyncio.BaseProtocol] = self._server
        if self._certificate is not None:
            factory = self._handshakes = await Handshakes(self._server, self._certificate).__aenter__()
        for listening in self._sockets:
            self._listeners.append(await loop.create_server(factory, sock=listening, backlog=_BACKLOG))
        for listening in self._plain_sockets:
            self._listeners.append(await loop.create_server(self._server, sock=listening, backlog=_BACKLOG))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        for listener in self._listeners:
            listener.close()
        for task in list(self._dispatcher.endless):
            task.cancel()
        self._server.pre_shutdown()
        try:
            if self._handshakes is not None:
                await self._handshakes.__aexit__(kind, error, trace)
        finally:
            # aiohttp waits for a handler to finish, then once more for it to be cancelled.
            await self._server.shutdown(self._limits.shutdown_time_s / 2)

    @property
    def connection_count(self) -> int:
        """How many connections are open."""
        return 0 if self._server is None else len(self._server.connections)


def url_of(host: str, tcp_port: int) -> str:
    """Return the base URL of an address that is served without TLS; an IPv6 address gets its brackets."""
    return f"http://[{host}]:{tcp_port}" if ":" in host else f"http://{host}:{tcp_port}"


def listen(host: str, tcp_port: int) -> socket.socket:
    """Return a socket listening on one address; `tcp_port` 0 lets the system choose.

    Raises:
        OSError: the address is taken, not ours, or not permitted.
    """
    # As bytes: a text would be looked at as an international name, with tables that nothing else here needs.
    found = socket.getaddrinfo(host.encode(), tcp_port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    family, _, _, _, address = found[0]
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(_BACKLOG)
        listening.setblocking(False)
    except OSError:
        listening.close()
        raise
    return listening
