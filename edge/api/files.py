"""Files of a container for everybody on the network: `GET /files/…` is passed on, the rest of its API stays hidden."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from urllib.parse import unquote_to_bytes

from aiohttp import ClientError, ClientResponse, ClientTimeout
from aiohttp.web import BaseRequest, Response, StreamResponse
from multidict import CIMultiDict
from yarl import URL

from edge.http.certificate import Certificate
from edge.http.errors import generic_reply
from edge.http.handshakes import Handshakes
from edge.http.limits import GuardedServer, Limits
from edge.http.server import listen
from edge.transport.http_session import CONNECT_S, Session

log = logging.getLogger(__name__)

LIMITS = Limits(max_connections=32, max_body_bytes=0, shutdown_time_s=0.2)
_BACKLOG = 32
_PREFIX = "/files/"
# The longest silence of a container in the middle of a file.
_SILENCE_S = 60.0
_PASSED_ON = ("Range", "If-Range", "If-None-Match", "If-Modified-Since")
_PASSED_BACK = (
    "Content-Type", "Content-Length", "Content-Range", "Content-Encoding", "Content-Disposition", "Accept-Ranges",
    "ETag", "Last-Modified", "Cache-Control",
)  # fmt: skip


@asynccontextmanager
async def serving_files(
    client: Session,
    host: str,
    tcp_port: int,
    base_url: str,
    limits: Limits = LIMITS,
    *,
    certificate: Certificate | None = None,
) -> AsyncIterator[int]:
    """Serve the files of a container and yield the port, which the system chooses if `tcp_port` is 0.

    Args:
        client: Makes the connections to the container.
        host: Address to listen on.
        tcp_port: Port to listen on.
        base_url: Where the container's API is.
        limits: Bounds of the server.
        certificate: What readers are shown; None serves without TLS.
    Raises:
        OSError: the port cannot be listened on.
    """
    listening = listen(host, tcp_port)
    server = GuardedServer(FileProxy(client, base_url), limits)
    async with AsyncExitStack() as stack:
        factory: Callable[[], asyncio.BaseProtocol] = server
        if certificate is not None:
            factory = await stack.enter_async_context(Handshakes(server, certificate))
        listener = await asyncio.get_running_loop().create_server(factory, sock=listening, backlog=_BACKLOG)
        try:
            yield listening.getsockname()[1]
        finally:
            listener.close()
            server.pre_shutdown()
            await server.shutdown(limits.shutdown_time_s)


class FileProxy:
    """Answers requests for the files of one container; nothing else of it can be reached through this."""

    def __init__(self, client: Session, base_url: str) -> None:
        self._client = client
        self._base_url = base_url

    async def __call__(self, request: BaseRequest) -> StreamResponse:
        """Answer one request; raises nothing but `ConnectionError` and `CancelledError`."""
        raw_path = request.raw_path.partition("?")[0]
        if request.method != "GET" or not is_file_path(raw_path):
            return _generic(404, raw_path)
        headers = {name: request.headers[name] for name in _PASSED_ON if name in request.headers}
        begun: StreamResponse | None = None
        try:
            async with self._client.aiohttp.get(
                URL(self._base_url + request.raw_path, encoded=True),
                headers=headers,
                allow_redirects=False,
                timeout=ClientTimeout(total=None, sock_connect=CONNECT_S, sock_read=_SILENCE_S),
            ) as answer:
                if answer.status not in (200, 206):
                    return _generic(answer.status if answer.status in (304, 403, 404, 416) else 502, raw_path)
                begun = StreamResponse(status=answer.status, headers=_headers(answer))
                await begun.prepare(request)
                while piece := await answer.content.readany():
                    await begun.write(piece)
                await begun.write_eof()
                return begun
        except (ClientError, OSError, ValueError) as error:
            if request.transport is None or request.transport.is_closing():
                raise ConnectionResetError("the reader left") from error
            log.info("GET %s%s: %s", self._base_url, raw_path, error)
            if begun is None:
                return _generic(502, raw_path)
            # Half a file must not look like a whole one.
            request.transport.abort()
            raise ConnectionResetError("the file broke off") from error


def is_file_path(raw_path: str) -> bool:
    """Tell whether a percent-encoded path names something below `/files/` and can mean nothing else."""
    if not raw_path.startswith(_PREFIX) or not raw_path.isascii() or not raw_path.isprintable():
        return False
    try:
        # Whoever decodes it once or twice must come to the same folder.
        once = unquote_to_bytes(raw_path).decode()
    except UnicodeDecodeError:
        return False
    if "%" in once or "\\" in once or not once.isprintable() or once.count("/") != raw_path.count("/"):
        return False
    # What follows a semicolon is no part of a folder's name to servers in Java: `..;a` is a step up.
    folders = (segment.partition(";")[0] for segment in once[len(_PREFIX) :].split("/"))
    return not {"", ".", ".."}.intersection(folders)


def _headers(answer: ClientResponse) -> CIMultiDict[str]:
    fields = [(name, answer.headers[name]) for name in _PASSED_BACK if name in answer.headers]
    return CIMultiDict([("Server", "opaca-edge"), ("X-Content-Type-Options", "nosniff"), *fields])


def _generic(status: int, raw_path: str) -> Response:
    if status == 304:
        return Response(status=304)
    reply = generic_reply(status, raw_path)
    return Response(body=reply.body, status=reply.status, content_type="application/json")
