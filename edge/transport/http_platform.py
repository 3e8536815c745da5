"""Other platforms over HTTP: the calls that only platforms know (contract, section 9)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager

from edge.errors import BadAnswer
from edge.model.codec import encode
from edge.model.requests import ConnectionRequest, Event
from edge.transport.base import NO_OPTIONS, CallOptions
from edge.transport.http import HttpClient, HttpTransport, Kind
from edge.transport.http_answers import as_text
from edge.transport.http_events import subscription

_HEARTBEAT_S = 30.0


class HttpPlatform(HttpTransport):
    """Calls another platform; a `PlatformTransport`.

    Args:
        client: Owns the connections; must be open while calls are made.
        base_url: As registered; nothing else is ever called.
        token: Sent as bearer token with every call; empty sends none.
        heartbeat_s: How often a followed platform is asked whether it is still there.
    """

    def __init__(
        self, client: HttpClient, base_url: str, *, token: str = "", heartbeat_s: float = _HEARTBEAT_S
    ) -> None:
        super().__init__(client, base_url, token=token, kind=Kind.PLATFORM)
        self._token = token
        self._heartbeat_s = heartbeat_s

    async def connect(self, wish: ConnectionRequest, relate_to: str | None = None) -> bool:
        """Ask it to connect to a platform; false if it is connected already."""
        return await self._manage("POST", wish, relate_to)

    async def disconnect(self, wish: ConnectionRequest, relate_to: str | None = None) -> bool:
        """Ask it to disconnect from a platform; false if it was not connected."""
        return await self._manage("DELETE", wish, relate_to)

    async def fresh_token(self) -> str:
        """Return a new token for the user of the one that is sent."""
        return as_text(await self.request("GET", "/token"), f"{self.name}/token")

    def events(self, topic: str) -> AbstractAsyncContextManager[AsyncIterator[Event]]:
        """Subscribe to a topic and yield its events as they come."""
        return subscription(self._client, self._wire_url, self._token, topic, heartbeat_s=self._heartbeat_s)

    async def _manage(self, method: str, wish: ConnectionRequest, relate_to: str | None) -> bool:
        options = NO_OPTIONS if relate_to is None else CallOptions(relate_to=relate_to)
        body = await self.request(method, "/connections", body=encode(wish), options=options)
        answer = self._json(body, "/connections")
        if not isinstance(answer, bool):
            raise BadAnswer(f"{self.name}/connections: expected true or false")
        return answer
