"""The road to a supervised container: quick to say why there is none while it is down."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Protocol

from edge.errors import CalleeError, OutcomeUnknown, Unreachable
from edge.model.json_value import JsonValue
from edge.model.requests import Login, Message
from edge.transport.base import NO_OPTIONS, CallOptions, Transport


class Supervisor(Protocol):
    """Who knows how the container is doing."""

    @property
    def base_url(self) -> str:
        """Where it is, or was last."""

    def road(self) -> Transport:
        """Return the road to the container; `Unreachable` with the reason while it is down."""

    async def explained(self, error: CalleeError) -> CalleeError:
        """Return what to raise in place of an error of the road: the same, with the reason if one is known."""


class SupervisedTransport:
    """Calls a container that may end and come back, perhaps on another port."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor

    @property
    def name(self) -> str:
        """The container's base URL."""
        return self._supervisor.base_url

    async def info(self) -> bytes:
        """Return the container's `/info` document, undecoded."""
        road = self._supervisor.road()
        try:
            return await road.info()
        except (Unreachable, OutcomeUnknown) as error:
            raise await self._supervisor.explained(error) from error

    async def invoke(
        self, action: str, arguments: dict[str, JsonValue], agent_id: str | None, options: CallOptions = NO_OPTIONS
    ) -> JsonValue:
        """Invoke an action and return its result."""
        road = self._supervisor.road()
        try:
            return await road.invoke(action, arguments, agent_id, options)
        except (Unreachable, OutcomeUnknown) as error:
            raise await self._supervisor.explained(error) from error

    async def send(self, agent_id: str, message: Message, options: CallOptions = NO_OPTIONS) -> None:
        """Send a message to one agent."""
        road = self._supervisor.road()
        try:
            await road.send(agent_id, message, options)
        except (Unreachable, OutcomeUnknown) as error:
            raise await self._supervisor.explained(error) from error

    async def broadcast(self, channel: str, message: Message, options: CallOptions = NO_OPTIONS) -> None:
        """Send a message to all agents that listen on a channel."""
        road = self._supervisor.road()
        try:
            await road.broadcast(channel, message, options)
        except (Unreachable, OutcomeUnknown) as error:
            raise await self._supervisor.explained(error) from error

    @asynccontextmanager
    async def get_stream(
        self, stream: str, agent_id: str | None, options: CallOptions = NO_OPTIONS
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        """Open a stream and yield its pieces as they come."""
        road = self._supervisor.road()
        try:
            async with road.get_stream(stream, agent_id, options) as pieces:
                yield pieces
        except (Unreachable, OutcomeUnknown) as error:
            raise await self._supervisor.explained(error) from error

    async def post_stream(
        self, stream: str, pieces: AsyncIterator[bytes], agent_id: str | None, options: CallOptions = NO_OPTIONS
    ) -> None:
        """Hand a stream of bytes to an agent, piece by piece."""
        road = self._supervisor.road()
        try:
            await road.post_stream(stream, pieces, agent_id, options)
        except (Unreachable, OutcomeUnknown) as error:
            raise await self._supervisor.explained(error) from error

    async def login(self, login: Login, options: CallOptions = NO_OPTIONS) -> str:
        """Log a user in at the container and return the login token verbatim."""
        road = self._supervisor.road()
        try:
            return await road.login(login, options)
        except (Unreachable, OutcomeUnknown) as error:
            raise await self._supervisor.explained(error) from error

    async def logout(self, options: CallOptions) -> bool:
        """Log out the user whose `login_token` the options carry."""
        road = self._supervisor.road()
        try:
            return await road.logout(options)
        except (Unreachable, OutcomeUnknown) as error:
            raise await self._supervisor.explained(error) from error
