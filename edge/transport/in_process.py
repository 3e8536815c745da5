"""The road to a container that lives in this process: a Python call, no JSON, no socket."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import NoReturn, Protocol

import msgspec

from edge.errors import (
    Cause,
    NotAllowed,
    NotFound,
    NotLoggedIn,
    OpacaError,
    OutcomeUnknown,
    RemoteError,
    TooLarge,
    Unreachable,
    Unsupported,
)
from edge.model.descriptions import AgentContainer
from edge.model.json_value import JsonValue
from edge.model.requests import Login, Message
from edge.transport.base import NO_OPTIONS, CallOptions

# What the container would answer over HTTP (contract, section 3.4); everything else is 500.
_STATUS: tuple[tuple[type[OpacaError], int], ...] = (
    (NotFound, 404),
    (NotLoggedIn, 401),
    (NotAllowed, 403),
    (Unsupported, 501),
    (TooLarge, 413),
    (OutcomeUnknown, 504),
)


class LocalContainer(Protocol):
    """What the transport needs of a container: the calls of `Transport`, raising what went wrong inside."""

    @property
    def name(self) -> str:
        """Its name, for messages."""

    def describe(self) -> AgentContainer:
        """Describe it for callers."""

    async def invoke(
        self, action: str, arguments: dict[str, JsonValue], agent_id: str | None, options: CallOptions
    ) -> JsonValue:
        """Invoke an action."""

    async def send(self, agent_id: str, message: Message, options: CallOptions) -> None:
        """Send a message to one agent."""

    async def broadcast(self, channel: str, message: Message, options: CallOptions) -> None:
        """Send a message to a channel."""

    def get_stream(
        self, stream: str, agent_id: str | None, options: CallOptions
    ) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """Open a GET stream."""

    async def post_stream(
        self, stream: str, pieces: AsyncIterator[bytes], agent_id: str | None, options: CallOptions
    ) -> None:
        """Hand over a POST stream."""

    async def login(self, login: Login, options: CallOptions) -> str:
        """Log a user in."""

    async def logout(self, options: CallOptions) -> bool:
        """Log a user out."""


def container_status(error: OpacaError) -> int:
    """Return the status with which a container answers an error."""
    return next((status for kind, status in _STATUS if isinstance(error, kind)), 500)


class InProcessTransport:
    """A `Transport` to a container in this process; its errors look as if they had come over HTTP."""

    def __init__(self, container: LocalContainer) -> None:
        self._container = container

    @property
    def name(self) -> str:
        """The container's name."""
        return self._container.name

    async def info(self) -> bytes:
        """Return the container's description as JSON."""
        return msgspec.json.encode(self._container.describe())

    async def invoke(
        self, action: str, arguments: dict[str, JsonValue], agent_id: str | None, options: CallOptions = NO_OPTIONS
    ) -> JsonValue:
        """Invoke an action."""
        try:
            return await self._container.invoke(action, arguments, agent_id, options)
        except OpacaError as error:
            _fail(self.name, error)

    async def send(self, agent_id: str, message: Message, options: CallOptions = NO_OPTIONS) -> None:
        """Send a message to one agent."""
        try:
            await self._container.send(agent_id, message, options)
        except OpacaError as error:
            _fail(self.name, error)

    async def broadcast(self, channel: str, message: Message, options: CallOptions = NO_OPTIONS) -> None:
        """Send a message to all agents that listen on a channel."""
        try:
            await self._container.broadcast(channel, message, options)
        except OpacaError as error:
            _fail(self.name, error)

    def get_stream(
        self, stream: str, agent_id: str | None, options: CallOptions = NO_OPTIONS
    ) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """Open a GET stream."""
        return _Reading(self.name, lambda: self._container.get_stream(stream, agent_id, options))

    async def post_stream(
        self, stream: str, pieces: AsyncIterator[bytes], agent_id: str | None, options: CallOptions = NO_OPTIONS
    ) -> None:
        """Hand a stream of bytes to an agent."""
        source = _Source(pieces)
        try:
            await self._container.post_stream(stream, source, agent_id, options)
        except OpacaError as error:
            if error is source.error:
                raise  # the caller's own side broke off, not the container
            _fail(self.name, error)

    async def login(self, login: Login, options: CallOptions = NO_OPTIONS) -> str:
        """Log a user in."""
        try:
            return await self._container.login(login, options)
        except OpacaError as error:
            _fail(self.name, error)

    async def logout(self, options: CallOptions) -> bool:
        """Log a user out."""
        try:
            return await self._container.logout(options)
        except OpacaError as error:
            _fail(self.name, error)


def _fail(container: str, error: OpacaError) -> NoReturn:
    text = f"container {container}: {error.message}"
    if isinstance(error, OutcomeUnknown | Unreachable):
        raise type(error)(text, error.cause) from error
    raise RemoteError(text, Cause(container_status(error), error.message, error.cause)) from error


class _Reading:
    """A GET stream being read; what goes wrong is told as by every other call."""

    def __init__(self, container: str, opener: Callable[[], AbstractAsyncContextManager[AsyncIterator[bytes]]]) -> None:
        self._container = container
        self._opener = opener

    async def __aenter__(self) -> _Reading:
        try:
            self._opened = self._opener()
            self._pieces = await self._opened.__aenter__()
        except OpacaError as error:
            _fail(self._container, error)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._opened.__aexit__(kind, error, traceback)

    def __aiter__(self) -> _Reading:
        return self

    async def __anext__(self) -> bytes:
        try:
            return await anext(self._pieces)
        except OpacaError as error:
            _fail(self._container, error)


class _Source:
    """The caller's pieces of a POST stream.

    Attributes:
        error: What the caller's side raised.
    """

    def __init__(self, pieces: AsyncIterator[bytes]) -> None:
        self._pieces = pieces
        self.error: OpacaError | None = None

    def __aiter__(self) -> _Source:
        return self

    async def __anext__(self) -> bytes:
        try:
            return await anext(self._pieces)
        except OpacaError as error:
            self.error = error
            raise
