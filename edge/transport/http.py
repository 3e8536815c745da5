"""Calls over HTTP, to agent containers and to other platforms (contract, sections 3.2, 3.3 and 5.3)."""

from __future__ import annotations

import functools
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from enum import Enum
from typing import TypeAlias
from urllib.parse import quote, urlsplit

from aiohttp import ClientError, ClientResponse
from yarl import URL

from edge.errors import BadAnswer, OutcomeUnknown, ParameterMismatch, Undecodable, Unreachable
from edge.model.codec import decode_value, encode
from edge.model.json_value import JsonValue
from edge.model.requests import Login, Message
from edge.transport.authorities import Authorities
from edge.transport.base import NO_OPTIONS, CallOptions
from edge.transport.http_answers import MAX_ANSWER_BYTES, AnswerTooLong, as_text, collect, drain, read_body
from edge.transport.http_session import Session, failure

# Told of each connected call that belongs to an event: base URL called, ID of the event.
OnForward: TypeAlias = Callable[[str, str], None]
Query: TypeAlias = Sequence[tuple[str, str]]

# What a board takes of a POST stream at once, because it reads no chunks (contract, Decision 20).
MAX_UNCHUNKED_BYTES = 4 * 1024
# A bridge answers so: it keeps messages for a platform that may be away, so whoever cannot hand them over must say so.
KEEPS_MESSAGES = "Opaca-Edge-Keeps-Messages"
_MAX_TOKEN_BYTES = 64 * 1024
_LONGEST_URL = 2048


class Kind(Enum):
    """What a target is, for the few things in which containers and platforms differ."""

    CONTAINER = "container"
    PLATFORM = "platform"


class HttpClient(Session):
    """Makes transports that share one pool of connections; an async context manager.

    Args:
        on_forward: Told of each call that got connected and belongs to an event.
        sender_id: Sent as `sender-id` with every call, whatever its options say; None leaves it to them.
        authorities: Whom https targets are checked with; None trusts the system's.
    """

    def __init__(
        self,
        on_forward: OnForward | None = None,
        sender_id: str | None = None,
        authorities: Authorities | None = None,
    ) -> None:
        super().__init__(authorities)
        self.on_forward = on_forward
        self.sender_id = sender_id

    def transport(self, base_url: str, *, token: str = "", kind: Kind = Kind.CONTAINER) -> HttpTransport:
        """Return the transport to a target; nothing is sent yet.

        Raises:
            ParameterMismatch: the URL or the token cannot be used.
        """
        return HttpTransport(self, base_url, token=token, kind=kind)


class HttpTransport:
    """Calls one target over HTTP; it has no time limit but that of connecting (5 s).

    Args:
        client: Owns the connections; must be open while calls are made.
        base_url: `http` or `https`; a final slash is dropped, a path is kept.
        token: Sent as bearer token with every call; empty sends none.
        kind: What the target is.
    """

    def __init__(self, client: HttpClient, base_url: str, *, token: str = "", kind: Kind = Kind.CONTAINER) -> None:
        self._client = client
        self._base_url = _checked_url(base_url)
        self._wire_url = _as_sent(self._base_url)
        self._kind = kind
        self._headers = {"Content-Type": "application/json; charset=UTF-8"}
        if client.sender_id is not None:
            self._headers["sender-id"] = client.sender_id
        if token:
            if not token.isprintable() or not token.isascii():
                raise ParameterMismatch("token: expected printable ASCII characters only")
            self._headers["Authorization"] = f"Bearer {token}"
        self._keeps_messages = False
        # Of HTTP; None before the first answer.
        self._is_chunk_reader: bool | None = True if kind is Kind.PLATFORM else None

    @property
    def name(self) -> str:
        """The target's base URL."""
        return self._base_url

    @property
    def keeps_messages(self) -> bool:
        """Whether it has said that what it takes is stored first; false before its first answer."""
        return self._keeps_messages

    async def info(self, options: CallOptions = NO_OPTIONS) -> bytes:
        """Return the target's `/info` document, undecoded."""
        return await self.request("GET", "/info", options=options)

    async def invoke(
        self, action: str, arguments: dict[str, JsonValue], agent_id: str | None, options: CallOptions = NO_OPTIONS
    ) -> JsonValue:
        """Invoke an action and return its result, any JSON value."""
        path = _path("invoke", action, agent_id)
        query = [("timeout", str(options.timeout_s)), *_query(options)]
        body = await self.request("POST", path, query, encode(arguments), options, is_login_token_sent=True)
        return self._json(body, path)

    async def send(self, agent_id: str, message: Message, options: CallOptions = NO_OPTIONS) -> None:
        """Send a message to one agent."""
        await self._deliver(_path("send", agent_id), message, options)

    async def broadcast(self, channel: str, message: Message, options: CallOptions = NO_OPTIONS) -> None:
        """Send a message to all agents that listen on a channel."""
        await self._deliver(_path("broadcast", channel), message, options)

    @asynccontextmanager
    async def get_stream(
        self, stream: str, agent_id: str | None, options: CallOptions = NO_OPTIONS
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        """Open a stream and yield its pieces as they come; leaving closes the connection."""
        path = _path("stream", stream, agent_id)
        async with self.open(path, self._stream_query(agent_id, options), options) as pieces:
            yield pieces

    @asynccontextmanager
    async def open(
        self, path: str, query: Query = (), options: CallOptions = NO_OPTIONS
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        """Open any route that can be read, and yield what it answers as it comes; arguments as for `request`."""
        async with (
            self._open("GET", path, query, None, options) as response,
            aclosing(self._pieces(response, path)) as pieces,
        ):
            yield pieces

    async def post_stream(
        self, stream: str, pieces: AsyncIterator[bytes], agent_id: str | None, options: CallOptions = NO_OPTIONS
    ) -> None:
        """Hand a stream of bytes to an agent, chunk by chunk; what `pieces` raises is raised here.

        No piece is asked for before the connection stands. A target that speaks HTTP/1.0 gets up to 4 KiB at once.

        Raises:
            TooLarge: more than that for such a target.
        """
        path = _path("stream", stream, agent_id)
        query = self._stream_query(agent_id, options)
        if self._is_chunk_reader is None:
            await self.info()  # its answer tells
        if not self._is_chunk_reader:
            whole = await collect(pieces, MAX_UNCHUNKED_BYTES, self._base_url)
            async with self._open("POST", path, query, whole, options) as response:
                await drain(response)
            return
        upload = _Upload(pieces)
        try:
            async with self._open("POST", path, query, upload, options) as response:
                await drain(response)
        except (OutcomeUnknown, Unreachable):
            if upload.error is not None:
                raise upload.error from None
            raise

    async def login(self, login: Login, options: CallOptions = NO_OPTIONS) -> str:
        """Log a user in and return the token, verbatim: quotes that stand around it belong to it."""
        async with self._open("POST", "/login", (), encode(login), options) as response:
            return as_text(await self._body(response, "/login", _MAX_TOKEN_BYTES), f"{self._base_url}/login")

    async def logout(self, options: CallOptions) -> bool:
        """Log out the user whose `login_token` the options carry."""
        answer = self._json(await self.request("POST", "/logout", options=options, is_login_token_sent=True), "/logout")
        if not isinstance(answer, bool):
            raise BadAnswer(f"{self._base_url}/logout: expected true or false")
        return answer

    async def request(
        self,
        method: str,
        path: str,
        query: Query = (),
        body: bytes | None = None,
        options: CallOptions = NO_OPTIONS,
        *,
        is_login_token_sent: bool = False,
    ) -> bytes:
        """Return the body of the answer to any request, at most 16 MiB; for routes that only platforms have.

        Args:
            path: Percent-encoded, beginning with a slash.
            query: Names and values as they are, not encoded.
        """
        async with self._open(method, path, query, body, options, is_login_token_sent) as response:
            return await self._body(response, path, MAX_ANSWER_BYTES)

    async def _deliver(self, path: str, message: Message, options: CallOptions) -> None:
        if message.reply_to is None and self._kind is Kind.CONTAINER:
            # Containers of the Python SDK take nothing but a string (contract, Decision 16).
            message = Message(message.payload, "")
        async with self._open("POST", path, _query(options), encode(message), options) as response:
            await drain(response)

    def _stream_query(self, agent_id: str | None, options: CallOptions) -> Query:
        query = _query(options)
        if agent_id is not None and self._kind is Kind.CONTAINER:
            # The Python SDK reads the agent of a stream from here and not from its path.
            query.append(("agent_id", agent_id))
        return query

    @asynccontextmanager
    async def _open(
        self,
        method: str,
        path: str,
        query: Query,
        data: bytes | _Upload | None,
        options: CallOptions,
        is_login_token_sent: bool = False,
    ) -> AsyncIterator[ClientResponse]:
        headers = self._headers
        if options is not NO_OPTIONS:
            headers = _with_options(headers, options, is_login_token_sent)
        on_connect = None
        if self._client.on_forward is not None and options.relate_to is not None:
            on_connect = functools.partial(self._client.on_forward, self._base_url, options.relate_to)
        if query:
            path += "?" + "&".join(f"{name}={quote(value, safe='')}" for name, value in query)
        async with self._client.open(method, self._wire_url, path, headers, data, on_connect) as response:
            if self._is_chunk_reader is None and response.version is not None:
                self._is_chunk_reader = response.version >= (1, 1)
            if KEEPS_MESSAGES in response.headers:
                self._keeps_messages = True
            yield response

    async def _body(self, response: ClientResponse, path: str, limit_bytes: int) -> bytes:
        try:
            return await read_body(response, limit_bytes)
        except AnswerTooLong:
            raise BadAnswer(f"{self._base_url}{path}: the answer is larger than {limit_bytes} bytes") from None
        except (ClientError, OSError) as error:
            raise failure(error, response.method, self._base_url, path) from error

    async def _pieces(self, response: ClientResponse, path: str) -> AsyncGenerator[bytes, None]:
        try:
            while piece := await response.content.readany():
                yield piece
        except (ClientError, OSError) as error:
            raise failure(error, "GET", self._base_url, path) from error

    def _json(self, body: bytes, path: str) -> JsonValue:
        try:
            return decode_value(body)
        except Undecodable as error:
            raise BadAnswer(f"{self._base_url}{path}: the answer is {error.message}") from error


class _Upload:
    """Passes the pieces of a stream on, and remembers how their source broke."""

    def __init__(self, pieces: AsyncIterator[bytes]) -> None:
        self._pieces = pieces
        self.error: Exception | None = None

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for piece in self._pieces:
                if piece:
                    yield piece
        except Exception as error:
            self.error = error
            raise


def _checked_url(base_url: str) -> str:
    try:
        parts = urlsplit(base_url)
        is_usable = bool(parts.scheme in ("http", "https") and parts.hostname and parts.port != 0)
    except ValueError:
        is_usable = False
    is_usable = is_usable and len(base_url) <= _LONGEST_URL and base_url.isprintable()
    if not is_usable or any(mark in base_url for mark in " ?#@\\"):
        raise _no_usable_url(base_url)
    return base_url.rstrip("/")


def _as_sent(base_url: str) -> str:
    """Return a URL as it is sent, which is in ASCII."""
    if base_url.isascii():
        return base_url
    try:
        return str(URL(base_url))
    except ValueError:  # a host that can have no name
        raise _no_usable_url(base_url) from None


def _no_usable_url(url: str) -> ParameterMismatch:
    return ParameterMismatch(f"{url[:200]!r}: expected an absolute URL such as http://192.168.1.7:8000")


def _path(*segments: str | None) -> str:
    """Return the path of the segments that there are, percent-encoded."""
    return "".join("/" + _segment(segment) for segment in segments if segment is not None)


@functools.lru_cache(maxsize=1024)
def _segment(name: str) -> str:
    # Dots alone mean folders in a path, also to the library that sends it.
    return name.replace(".", "%2E") if name in (".", "..") else quote(name, safe="")


def _query(options: CallOptions) -> list[tuple[str, str]]:
    query = [("forward", "true" if options.forward else "false")]
    if options.container_id is not None:
        query.append(("containerId", options.container_id))
    return query


def _with_options(headers: dict[str, str], options: CallOptions, is_login_token_sent: bool) -> dict[str, str]:
    headers = dict(headers)
    if options.sender_id is not None and "sender-id" not in headers:
        headers["sender-id"] = options.sender_id
    if is_login_token_sent and options.login_token is not None:
        headers["ContainerLoginToken"] = options.login_token
    if options.idempotency_key is not None:
        headers["Idempotency-Key"] = options.idempotency_key
    return headers
