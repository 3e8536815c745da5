"""Calls from agents to the platform."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager

from edge.agents.results import NotJson, to_json
from edge.agents.tasks import current_owner
from edge.errors import CalleeError, Cause, OpacaError, ParameterMismatch, RemoteError, Unreachable
from edge.http.errors import status_of
from edge.model.json_value import JsonValue
from edge.model.requests import Message
from edge.transport.base import CallOptions, Transport


@contextmanager
def _as_platform() -> Iterator[None]:
    """Mark what runs inside as nobody's: tasks that the platform starts on the way must not end with the agent.

    Errors look the same whether the platform is reached over HTTP or in this process, and they are never taken for the
    agent's own answer to its caller.
    """
    owner = current_owner.get()
    current_owner.set(None)
    try:
        yield
    except CalleeError:
        raise
    except OpacaError as error:
        raise RemoteError(error.message, Cause(status_of(error), error.message, error.cause)) from error
    finally:
        current_owner.set(owner)


class Outgoing:
    """One agent's calls; arguments and payloads may be dataclasses and the like."""

    def __init__(self, container_name: str, container_id: str, platform: Transport | None) -> None:
        self._container_name = container_name
        self._container_id = container_id
        self._platform = platform

    async def invoke(
        self,
        action: str,
        arguments: Mapping[str, object],
        agent_id: str | None,
        container_id: str | None,
        timeout_s: int,
    ) -> JsonValue:
        """Invoke an action; see `Agent.invoke`."""
        given = _json(dict(arguments), f"arguments of {action}")
        options = self._options(container_id, timeout_s)
        with _as_platform():
            return await self._road().invoke(action, given, agent_id, options)

    async def send(self, agent_id: str, payload: object, reply_to: str | None) -> None:
        """Send a message to an agent."""
        message = Message(_json(payload, "payload"), reply_to)
        with _as_platform():
            await self._road().send(agent_id, message, self._options(None))

    async def broadcast(self, channel: str, payload: object, reply_to: str | None) -> None:
        """Send a message to a channel."""
        message = Message(_json(payload, "payload"), reply_to)
        with _as_platform():
            await self._road().broadcast(channel, message, self._options(None))

    def open_stream(
        self, stream: str, agent_id: str | None, container_id: str | None
    ) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """Read a GET stream; see `Agent.open_stream`."""
        return self._reading(self._road().get_stream(stream, agent_id, self._options(container_id)))

    async def post_stream(
        self, stream: str, pieces: AsyncIterator[bytes], agent_id: str | None, container_id: str | None
    ) -> None:
        """Send bytes to a POST stream."""
        with _as_platform():
            await self._road().post_stream(stream, pieces, agent_id, self._options(container_id))

    @asynccontextmanager
    async def _reading(
        self, opened: AbstractAsyncContextManager[AsyncIterator[bytes]]
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        with _as_platform():
            pieces = await opened.__aenter__()
        try:
            yield _Pieces(pieces)
        finally:
            with _as_platform():
                await opened.__aexit__(None, None, None)

    def _road(self) -> Transport:
        if self._platform is None:
            raise Unreachable(f"container {self._container_name!r} runs without a platform")
        return self._platform

    def _options(self, container_id: str | None, timeout_s: int = -1) -> CallOptions:
        return CallOptions(
            container_id=container_id, timeout_s=timeout_s, sender_id=self._container_id or None, forward=True
        )


class _Pieces:
    """The pieces of a stream, fetched as the platform's own work."""

    def __init__(self, pieces: AsyncIterator[bytes]) -> None:
        self._pieces = pieces

    def __aiter__(self) -> _Pieces:
        return self

    async def __anext__(self) -> bytes:
        with _as_platform():
            return await anext(self._pieces)


def _json(value: object, what: str) -> JsonValue:
    try:
        return to_json(value)
    except NotJson as error:
        raise ParameterMismatch(f"{what}: {error}") from None
