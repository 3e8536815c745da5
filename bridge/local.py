"""The local platform, as the bridge talks to it: plain OPACA over HTTP, with two kinds of token.

One token manages connections and users; every remote party's calls run with the token of that party's own user,
which may do no more than its role. Both are renewed at half their life. Without authentication there are neither.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
import logging
import secrets
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self
from urllib.parse import quote

from edge.errors import CalleeError, OpacaError, RemoteError
from edge.model.codec import encode
from edge.model.json_value import JsonValue
from edge.model.requests import ConnectionRequest, Event
from edge.transport.authorities import Authorities
from edge.transport.http import HttpClient, HttpTransport
from edge.transport.http import Kind as TargetKind
from edge.transport.http_events import subscription

log = logging.getLogger(__name__)

_CALL_S = 10.0
_SHORTEST_LIFE_S = 60.0
_UNKNOWN_LIFE_S = 3600.0


@dataclass(frozen=True, slots=True)
class Administrator:
    """Who manages connections and makes the users of remote parties.

    Attributes:
        name: The user's name.
        password: What it logs in with.
        token: Returns a new token without that, where the platform runs in the same process.
    """

    name: str
    password: str = field(default="", repr=False)
    token: Callable[[], str] | None = None


@dataclass(slots=True)
class _Login:
    """A login that is renewed: what is sent, and until when it is not asked for anew (monotonic seconds)."""

    password: str
    transport: HttpTransport
    token: str
    renew_at_s: float


class LocalPlatform:
    """The platform beside the bridge; an async context manager.

    Every method raises a `CalleeError` of `edge.errors` if the platform does not answer, or refuses.

    Attributes:
        problem: Why it cannot be used now; empty if it can.
    """

    def __init__(
        self,
        base_url: str,
        administrator: Administrator | None,
        authorities: Authorities | None,
        sender_id: str | None = None,
    ) -> None:
        """Args:
        base_url: Where its API is.
        administrator: Who logs in; None for a platform without authentication.
        authorities: Whom https is checked with; None trusts the system's.
        sender_id: Who calls, as the platform's events show it: the bridge's base URL.
        """
        self.base_url = base_url
        self.problem = ""
        self._administrator = administrator
        self._http = HttpClient(sender_id=sender_id, authorities=authorities)
        self._open: HttpTransport | None = None
        self._logins: dict[str, _Login] = {}
        self._users: dict[str, str] = {}
        self._locks: dict[str, asyncio.Lock] = {}
        # The platform has those of one address wait for each other, and refuses some where too many do.
        self._login_turn = asyncio.Lock()

    async def __aenter__(self) -> Self:
        await self._http.__aenter__()
        self._open = self._http.transport(self.base_url, kind=TargetKind.PLATFORM)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.__aexit__(kind, error, trace)

    @property
    def requires_auth(self) -> bool:
        """Whether the bridge logs in there."""
        return self._administrator is not None

    async def info(self) -> bytes:
        """Return the platform's `/info` as it is."""
        return await self._manage("GET", "/info")

    async def connect(self, url: str, token: str) -> bool:
        """Have the platform connect to a base URL of ours; false if it is connected already."""
        wish = ConnectionRequest(url=url, connect_back=False, token=token)
        return await self._manage("POST", "/connections", encode(wish)) == b"true"

    async def disconnect(self, url: str) -> bool:
        """Have the platform forget a base URL of ours; false if it was not connected."""
        wish = ConnectionRequest(url=url, connect_back=False)
        return await self._manage("DELETE", "/connections", encode(wish)) == b"true"

    def events(self, topic: str) -> AbstractAsyncContextManager[AsyncIterator[Event]]:
        """Follow the platform's events; the iteration ends only by an error."""
        return self._events(topic)

    def _events(self, topic: str) -> AbstractAsyncContextManager[AsyncIterator[Event]]:
        token = "" if self._administrator is None else self._token_of(self._administrator.name)
        return subscription(self._http, self.base_url, token, topic)

    async def as_party(self, party: str, role: str) -> HttpTransport:
        """Return the transport that calls the platform as a remote party's own user, which is made if need be."""
        assert self._open is not None
        if self._administrator is None:
            return self._open
        user = _user_of(party)
        async with self._locks.setdefault(user, asyncio.Lock()):
            if user not in self._users:
                self._users[user] = await self._made_user(user, role)
            return await self._logged_in(user, self._users[user])

    def forget_login(self, party: str) -> None:
        """Log in anew as a party's user, which is made anew: the platform refused its token. Others keep theirs."""
        user = _user_of(party)
        self._users.pop(user, None)
        self._logins.pop(user, None)
        if self._administrator is not None:  # a platform that was started anew knows neither
            self._logins.pop(self._administrator.name, None)

    def forget_logins(self) -> None:
        """Log in anew from now on: the platform has refused a token, or was started anew."""
        self._logins.clear()
        self._users.clear()

    def explain(self, error: OpacaError | TimeoutError) -> str:
        """Return why it cannot be used, in words."""
        text = str(error) or f"{self.base_url} does not answer"
        if isinstance(error, RemoteError) and error.status in (401, 403):
            if self._administrator is None:
                return f"{text}: it asks who is calling; name a file with its password in [bridge] password_file"
            return f"{text}: is the password of {self._administrator.name} that in [bridge] password_file?"
        return text

    async def _made_user(self, user: str, role: str) -> str:
        """Make a user, or give it another password and its role; returns the password, which nobody else knows."""
        password = secrets.token_urlsafe(24)
        body = encode({"username": user, "password": password, "role": role, "privileges": []})
        try:
            await self._manage("POST", "/users", body)
        except RemoteError as error:
            if error.status != 409:
                raise
            await self._manage("PUT", f"/users/{quote(user, safe='')}", body)
        return password

    async def _manage(self, method: str, path: str, body: bytes | None = None) -> bytes:
        administrator = self._administrator
        assert self._open is not None
        transport = self._open
        if administrator is not None:
            async with self._locks.setdefault("", asyncio.Lock()):
                transport = await self._logged_in(administrator.name, administrator.password, administrator.token)
        async with asyncio.timeout(_CALL_S):
            try:
                return await transport.request(method, path, body=body)
            except RemoteError as error:
                if error.status == 401:
                    self.forget_logins()
                raise

    async def _logged_in(self, user: str, password: str, issued: Callable[[], str] | None = None) -> HttpTransport:
        login = self._logins.get(user)
        if login is not None and login.password == password and time.monotonic() < login.renew_at_s:
            return login.transport
        assert self._open is not None
        if issued is not None:
            token = issued()
        else:
            body: JsonValue = {"username": user, "password": password}
            async with self._login_turn, asyncio.timeout(_CALL_S):
                token = (await self._open.request("POST", "/login", body=encode(body))).decode()
        transport = self._http.transport(self.base_url, token=token, kind=TargetKind.PLATFORM)
        renew_at_s = time.monotonic() + max(_life_s(token) / 2, _SHORTEST_LIFE_S / 2)
        self._logins[user] = _Login(password, transport, token, renew_at_s)
        return transport

    def _token_of(self, user: str) -> str:
        login = self._logins.get(user)
        return "" if login is None else login.token


def _user_of(party: str) -> str:
    return f"site-{party}"


def _life_s(token: str) -> float:
    """Return how long a token lasts by its own claims, `exp` less `iat`: this machine's clock may be wrong."""
    try:
        payload = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        return float(claims["exp"]) - float(claims["iat"])
    except (IndexError, KeyError, TypeError, ValueError, binascii.Error):
        return _UNKNOWN_LIFE_S


async def until_it_answers(platform: LocalPlatform, first_pause_s: float = 0.5, longest_pause_s: float = 10.0) -> bytes:
    """Wait until the platform answers `/info`, and return that; says once why it waits."""
    pause_s = first_pause_s
    while True:
        try:
            info = await platform.info()
            platform.problem = ""
            return info
        except (OpacaError, TimeoutError) as error:
            text = platform.explain(error)
            if text != platform.problem:
                log.warning("waiting for the local platform: %s", text)
                platform.problem = text
            if isinstance(error, CalleeError):
                platform.forget_logins()
        await asyncio.sleep(pause_s)
        pause_s = min(pause_s * 2, longest_pause_s)
