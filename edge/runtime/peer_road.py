"""The way to a connected platform: notices when it is away, and then keeps nobody waiting."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from http import HTTPStatus

from edge.errors import OutcomeUnknown, RemoteError, StillAway, Unreachable
from edge.model.descriptions import timestamp
from edge.model.json_value import JsonValue
from edge.model.requests import Login, Message
from edge.transport.base import NO_OPTIONS, CallOptions, PlatformTransport

# Messages are taken at once by whoever is well: after this it is asked whether the platform still is.
_DOUBTFUL_S = 3.0


@dataclass(frozen=True, slots=True)
class Away:
    """That a platform does not answer.

    Attributes:
        since: When that was noticed, in the contract's form.
        since_s: The same on the loop's clock, in seconds.
        reason: What was tried last, and how it failed.
    """

    since: str
    since_s: float
    reason: str


class PeerRoad:
    """A `Transport` to a connected platform.

    While it is away nothing is sent: each call raises `StillAway`, which says since when, and has it looked at again.

    Attributes:
        line: Does the calls; replaced when the token changes.
        away: None while it answers.
    """

    def __init__(self, line: PlatformTransport, doubt: Callable[[str | None], None]) -> None:
        """Args:
        doubt: Has the platform looked at soon; told why it is away, if a call has shown that it is.
        """
        self.line = line
        self.away: Away | None = None
        self._doubt = doubt
        self._in_flight: dict[asyncio.Timeout, float] = {}

    @property
    def name(self) -> str:
        """The platform's base URL."""
        return self.line.name

    def went_away(self, reason: str) -> bool:
        """Say that it does not answer, and how it failed this time; true if it answered before."""
        if self.away is not None:
            self.away = replace(self.away, reason=reason)
            return False
        self.away = Away(timestamp(datetime.now(UTC)), asyncio.get_running_loop().time(), reason)
        return True

    def came_back(self) -> Away | None:
        """Say that it answers; returns how it was away until now."""
        away, self.away = self.away, None
        return away

    def cut_lost_calls(self, after_s: float) -> None:
        """End the calls that began before it went away, if that is longer ago than `after_s`: no answer will come."""
        now_s = asyncio.get_running_loop().time()
        if self.away is None or now_s - self.away.since_s < after_s:
            return
        for limit, began_s in self._in_flight.items():
            if began_s <= self.away.since_s:
                limit.reschedule(now_s)

    async def info(self) -> bytes:
        """Return its `/info` document."""
        async with self._call():
            return await self.line.info()

    async def invoke(
        self, action: str, arguments: dict[str, JsonValue], agent_id: str | None, options: CallOptions = NO_OPTIONS
    ) -> JsonValue:
        """Invoke an action."""
        async with self._call():
            return await self.line.invoke(action, arguments, agent_id, options)

    async def send(self, agent_id: str, message: Message, options: CallOptions = NO_OPTIONS) -> None:
        """Send a message to one agent."""
        async with self._message():
            await self.line.send(agent_id, message, options)

    async def broadcast(self, channel: str, message: Message, options: CallOptions = NO_OPTIONS) -> None:
        """Send a message to all agents that listen on a channel."""
        async with self._message():
            await self.line.broadcast(channel, message, options)

    @asynccontextmanager
    async def get_stream(
        self, stream: str, agent_id: str | None, options: CallOptions = NO_OPTIONS
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        """Open a stream."""
        async with self._call(is_reading=True), self.line.get_stream(stream, agent_id, options) as pieces:
            yield pieces

    async def post_stream(
        self, stream: str, pieces: AsyncIterator[bytes], agent_id: str | None, options: CallOptions = NO_OPTIONS
    ) -> None:
        """Hand a stream of bytes to an agent."""
        async with self._call():
            await self.line.post_stream(stream, pieces, agent_id, options)

    async def login(self, login: Login, options: CallOptions = NO_OPTIONS) -> str:
        """Log a user in."""
        async with self._call():
            return await self.line.login(login, options)

    async def logout(self, options: CallOptions) -> bool:
        """Log a user out."""
        async with self._call():
            return await self.line.logout(options)

    @asynccontextmanager
    async def _message(self) -> AsyncIterator[None]:
        doubting = asyncio.get_running_loop().call_later(_DOUBTFUL_S, self._doubt, None)
        try:
            async with self._call():
                yield
        finally:
            doubting.cancel()

    @asynccontextmanager
    async def _call(self, is_reading: bool = False) -> AsyncIterator[None]:
        away = self.away
        if away is not None:
            self._doubt(None)
            raise StillAway(f"{self.name} is away since {away.since}: {away.reason}")
        limit = asyncio.timeout(None)
        try:
            async with limit:
                self._in_flight[limit] = asyncio.get_running_loop().time()
                try:
                    yield
                finally:
                    del self._in_flight[limit]
        except TimeoutError:
            if not limit.expired():
                raise
            raise OutcomeUnknown(f"{self.name} went away during the call, which may have had its effect") from None
        except (Unreachable, OutcomeUnknown) as error:
            # What reads may also break off where the platform is well.
            is_certain = isinstance(error, Unreachable) and not is_reading
            self._doubt(error.message if is_certain else None)
            raise
        except RemoteError as error:
            if error.cause is not None and error.cause.status == HTTPStatus.UNAUTHORIZED:
                self._doubt(None)  # the token has ended, which who follows it with an open connection does not notice
            raise
