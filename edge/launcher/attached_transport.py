"""The ways to attached containers: one that notices whether they answer, and none at all to those that sleep."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager, contextmanager
from typing import NoReturn

from edge.errors import Asleep, OutcomeUnknown, StillAway, Unreachable
from edge.launcher.attachment import Attachment
from edge.model.json_value import JsonValue
from edge.model.requests import Login, Message
from edge.transport.base import NO_OPTIONS, CallOptions, Transport


class WatchedTransport:
    """A `Transport` to an attached container; every answer through it makes a check unnecessary.

    While the container is away nothing is sent: each call raises `StillAway`, which says since when.
    """

    def __init__(
        self, attachment: Attachment, road: Transport, clock: Callable[[], float], look: Callable[[Attachment], None]
    ) -> None:
        """Args:
        attachment: Is told of answers.
        road: Does the calls.
        clock: Seconds that only ever grow.
        look: Has a look at the container, after a call that may mean that it is away.
        """
        self._attachment = attachment
        self._road = road
        self._clock = clock
        self._look = look

    @property
    def name(self) -> str:
        """The container's base URL."""
        return self._road.name

    async def info(self) -> bytes:
        """Return its `/info` document."""
        with self._call():
            return await self._road.info()

    async def invoke(
        self, action: str, arguments: dict[str, JsonValue], agent_id: str | None, options: CallOptions = NO_OPTIONS
    ) -> JsonValue:
        """Invoke an action."""
        with self._call():
            return await self._road.invoke(action, arguments, agent_id, options)

    async def send(self, agent_id: str, message: Message, options: CallOptions = NO_OPTIONS) -> None:
        """Send a message to one agent."""
        with self._call():
            await self._road.send(agent_id, message, options)

    async def broadcast(self, channel: str, message: Message, options: CallOptions = NO_OPTIONS) -> None:
        """Send a message to all agents that listen on a channel."""
        with self._call():
            await self._road.broadcast(channel, message, options)

    @asynccontextmanager
    async def get_stream(
        self, stream: str, agent_id: str | None, options: CallOptions = NO_OPTIONS
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        """Open a stream."""
        with self._call():
            async with (
                self._road.get_stream(stream, agent_id, options) as pieces,
                aclosing(self._heard(pieces)) as heard,
            ):
                yield heard

    async def post_stream(
        self, stream: str, pieces: AsyncIterator[bytes], agent_id: str | None, options: CallOptions = NO_OPTIONS
    ) -> None:
        """Hand a stream of bytes to an agent."""
        with self._call():
            await self._road.post_stream(stream, pieces, agent_id, options)

    async def login(self, login: Login, options: CallOptions = NO_OPTIONS) -> str:
        """Log a user in."""
        with self._call():
            return await self._road.login(login, options)

    async def logout(self, options: CallOptions) -> bool:
        """Log a user out."""
        with self._call():
            return await self._road.logout(options)

    @contextmanager
    def _call(self) -> Iterator[None]:
        attachment = self._attachment
        away = attachment.away
        if away is not None and away.is_certain:
            raise StillAway(f"{self.name} is away since {away.since}: {away.reason}")
        attachment.calls += 1
        try:
            yield
            attachment.heard_s = self._clock()
        except (Unreachable, OutcomeUnknown):
            attachment.doubted_s = self._clock()
            self._look(attachment)
            raise
        finally:
            attachment.calls -= 1

    async def _heard(self, pieces: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
        async for piece in pieces:
            self._attachment.heard_s = self._clock()
            yield piece


class SleepingTransport:
    """The `Transport` to a container that only reports: every call is refused, nothing is ever sent."""

    def __init__(self, url: str) -> None:
        self.name = url

    async def info(self) -> bytes:
        """Not possible."""
        self._refuse()

    async def invoke(
        self, action: str, arguments: dict[str, JsonValue], agent_id: str | None, options: CallOptions = NO_OPTIONS
    ) -> JsonValue:
        """Not possible."""
        self._refuse()

    async def send(self, agent_id: str, message: Message, options: CallOptions = NO_OPTIONS) -> None:
        """Not possible."""
        self._refuse()

    async def broadcast(self, channel: str, message: Message, options: CallOptions = NO_OPTIONS) -> None:
        """Not possible."""
        self._refuse()

    def get_stream(
        self, stream: str, agent_id: str | None, options: CallOptions = NO_OPTIONS
    ) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """Not possible."""
        self._refuse()

    async def post_stream(
        self, stream: str, pieces: AsyncIterator[bytes], agent_id: str | None, options: CallOptions = NO_OPTIONS
    ) -> None:
        """Not possible."""
        self._refuse()

    async def login(self, login: Login, options: CallOptions = NO_OPTIONS) -> str:
        """Not possible."""
        self._refuse()

    async def logout(self, options: CallOptions) -> bool:
        """Not possible."""
        self._refuse()

    def _refuse(self) -> NoReturn:
        raise Asleep(f"{self.name} sleeps and only reports: it cannot be called (clientConfig.push)")
