"""The road of an in-process container to its own platform: the same calls as over HTTP, without HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from typing import NoReturn

from edge.errors import OpacaError, Unsupported
from edge.http.caller import Caller, Role
from edge.http.errors import status_of
from edge.model.codec import encode
from edge.model.json_value import JsonValue
from edge.model.requests import Login, Message
from edge.runtime.call import Call
from edge.runtime.forwarding import Forwarding
from edge.runtime.history import History
from edge.runtime.platform import PlatformFacts
from edge.transport.base import NO_OPTIONS, CallOptions


class LocalRoad:
    """What an in-process container uses as its platform; a Transport.

    Its calls make the same events as over HTTP; errors are the runtime's own, so that an agent may tell an unknown
    action (`NotFound`) from one that failed (`CalleeError`).
    """

    name = "this platform"

    def __init__(self, container_id: str, forwarding: Forwarding, history: History, facts: PlatformFacts) -> None:
        self._caller = Caller(name=container_id, role=Role.CONTRIBUTOR, is_authenticated=True)
        self._forwarding = forwarding
        self._history = history
        self._facts = facts

    async def info(self) -> bytes:
        """Return the platform's `/info` document."""
        return encode(self._facts.info())

    async def invoke(
        self, action: str, arguments: dict[str, JsonValue], agent_id: str | None, options: CallOptions = NO_OPTIONS
    ) -> JsonValue:
        """Invoke an action, wherever it is."""
        with self._told(_route("POST /invoke", action, agent_id)) as event_id:
            return await self._forwarding.invoke(self._call(options, event_id), action, arguments, agent_id)

    async def send(self, agent_id: str, message: Message, options: CallOptions = NO_OPTIONS) -> None:
        """Send a message to an agent, wherever it is."""
        with self._told(_route("POST /send", agent_id, None)) as event_id:
            await self._forwarding.send(self._call(options, event_id), agent_id, message)

    async def broadcast(self, channel: str, message: Message, options: CallOptions = NO_OPTIONS) -> None:
        """Send a message to all agents that listen on a channel."""
        with self._told(_route("POST /broadcast", channel, None)) as event_id:
            await self._forwarding.broadcast(self._call(options, event_id), channel, message)

    def get_stream(
        self, stream: str, agent_id: str | None, options: CallOptions = NO_OPTIONS
    ) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """Open a stream, wherever it is."""
        return self._get_stream(stream, agent_id, options)

    async def post_stream(
        self, stream: str, pieces: AsyncIterator[bytes], agent_id: str | None, options: CallOptions = NO_OPTIONS
    ) -> None:
        """Hand a stream of bytes to an agent, wherever it is."""
        with self._told(_route("POST /stream", stream, agent_id)) as event_id:
            await self._forwarding.post_stream(self._call(options, event_id), stream, pieces, agent_id)

    async def login(self, login: Login, options: CallOptions = NO_OPTIONS) -> str:
        """A bundled container needs no login."""
        self._no_login()

    async def logout(self, options: CallOptions) -> bool:
        """A bundled container needs no login."""
        self._no_login()

    @asynccontextmanager
    async def _get_stream(
        self, stream: str, agent_id: str | None, options: CallOptions
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        with self._told(_route("GET /stream", stream, agent_id)) as event_id:
            async with self._forwarding.get_stream(self._call(options, event_id), stream, agent_id) as pieces:
                yield pieces

    def _call(self, options: CallOptions, event_id: str) -> Call:
        return Call(
            caller=self._caller,
            container_id=options.container_id,
            forward=options.forward,
            timeout_s=options.timeout_s,
            sender_id=self._caller.name,
            event_id=event_id,
        )

    @contextmanager
    def _told(self, route: str) -> Iterator[str]:
        event_id = self._history.call(route, self._caller.name)
        status = 499
        try:
            yield event_id
            status = 200
        except OpacaError as error:
            status = status_of(error)
            raise
        finally:
            self._history.end(event_id, route, self._caller.name, status)

    def _no_login(self) -> NoReturn:
        raise Unsupported("a container inside the platform needs no login there")


def _route(kind: str, name: str, agent_id: str | None) -> str:
    return f"{kind}/{name}" if agent_id is None else f"{kind}/{name}/{agent_id}"
