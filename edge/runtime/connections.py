"""Connections to other platforms: made, ended, kept over restarts (contract, section 9)."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack, suppress
from functools import partial
from types import TracebackType
from typing import Any, Self

import msgspec

from edge.errors import (
    BadAnswer,
    CalleeError,
    NotFound,
    NotStored,
    OpacaError,
    OutcomeUnknown,
    ParameterMismatch,
    Unreachable,
)
from edge.model.requests import ConnectionRequest
from edge.runtime.call import Call
from edge.runtime.directory import Directory
from edge.runtime.errands import Errands
from edge.runtime.peer_address import base_url_of, identity
from edge.runtime.peer_description import DefinitionsOf, PeerDefinitions, read_description
from edge.runtime.peer_link import Dial, PeerLink, PeerTiming
from edge.runtime.peer_status import ConnectionStatus
from edge.runtime.peer_upkeep import PeerUpkeep
from edge.runtime.peer_users import PeerUsers
from edge.runtime.platform import PlatformFacts
from edge.runtime.stored_connections import StoredConnection, StoredConnections
from edge.transport.base import PlatformTransport

log = logging.getLogger(__name__)

Supervise = Callable[[str, Callable[[], Awaitable[None]]], Coroutine[Any, Any, None]]

_DEFAULT_TIMING = PeerTiming()
# What is called off need not be: the other platform then knows one that it cannot use.
_CALL_OFF_S = 3.0


class Connections:
    """The connected platforms, as an async context manager: they are followed while it is open.

    Leaving it asks none of them to disconnect (contract, section 8.9).
    """

    def __init__(
        self,
        *,
        facts: PlatformFacts,
        directory: Directory,
        stored: StoredConnections,
        users: PeerUsers,
        dial: Dial,
        definitions_of: DefinitionsOf,
        supervise: Supervise,
        timing: PeerTiming = _DEFAULT_TIMING,
    ) -> None:
        """Args:
        facts: Say where and who this platform is.
        directory: Shows the connected platforms.
        stored: What is kept over a restart.
        users: Makes the users by whose names they call this one.
        dial: Returns the way to a platform by base URL and token.
        definitions_of: Returns the defined types of an image.
        supervise: Keeps a job alive.
        """
        self._facts = facts
        self._directory = directory
        self._stored = stored
        self._users = users
        self._errands = Errands()
        self._dial = dial
        self._definitions_of = definitions_of
        self._supervise = supervise
        self._timing = timing
        self._links: dict[str, PeerLink] = {}
        self._following: dict[str, asyncio.Task[None]] = {}
        self._turns: dict[str, asyncio.Lock] = {}
        self._group = asyncio.TaskGroup()
        self._upkeep = PeerUpkeep(self._links, stored, users, facts.base_url, timing)

    async def __aenter__(self) -> Self:
        await self._group.__aenter__()
        await self._errands.__aenter__()
        upkeep = self._group.create_task(self._supervise("upkeep of connections", self._upkeep.run))
        self._following[""] = upkeep
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            # Nothing is connected any more while the connections end.
            await self._errands.__aexit__(None, None, None)
        finally:
            for task in self._following.values():
                task.cancel()
            try:
                await self._group.__aexit__(kind, error, trace)
            finally:
                await self._upkeep.store_descriptions()

    def statuses(self) -> list[ConnectionStatus]:
        """Return how the connections are doing, oldest first."""
        return [link.status() for link in self._links.values()]

    async def restore(self, *, are_kept: bool) -> None:
        """Join again the platforms that are stored; what never came about or was being ended is cleared away.

        Args:
            are_kept: False clears all of them away.
        """
        for stored, info in await self._stored.load():
            if are_kept and stored.is_confirmed and not stored.is_removed:
                self._restore(stored, info)
                continue
            try:
                await self._users.remove(stored.url)
                await self._stored.forget(stored.url)
            except NotStored as error:
                log.error("the connection to %s could not be forgotten: %s", stored.url, error.message)

    async def connect(self, call: Call, wish: ConnectionRequest) -> bool:
        """Connect to a platform; false if it is this one, or connected already.

        A working token that is given for a connected platform takes the place of the old one all the same. A caller who
        leaves does not stop it; where a step fails nothing is left of those before.

        Raises:
            ParameterMismatch: no usable URL, or no usable token.
            CalleeError: the platform does not answer, or not as it should.
            NotStored: it could not be kept.
        """
        url = base_url_of(wish.url)
        if self._is_own(url):
            return False
        _check_token(wish.token)
        return await self._errands.run(f"connecting to {url}", partial(self._connect, call, url, wish))

    async def disconnect(self, call: Call, wish: ConnectionRequest) -> bool:
        """Disconnect from a platform; false if it is not connected.

        Raises:
            ParameterMismatch: no usable URL, or no usable token.
            CalleeError: it is disconnected here, but did not disconnect in turn although that was asked for.
            NotStored: that could not be kept; it is still connected.
        """
        url = base_url_of(wish.url)
        if identity(url) not in self._links:
            return False
        _check_token(wish.token)
        return await self._errands.run(f"disconnecting from {url}", partial(self._disconnect, call, url, wish))

    async def notify(self, text: str) -> bool:
        """Have a platform describe itself anew; false if it is this one, or does not answer: it stays connected.

        Raises:
            ParameterMismatch: no usable URL.
            NotFound: it is not connected.
        """
        url = base_url_of(text)
        if self._is_own(url):
            return False
        link = self._links.get(identity(url))
        if link is None:
            raise NotFound(f"there is no connection to {url}")
        try:
            await link.refresh()
        except CalleeError:
            return False
        return True

    async def _connect(self, call: Call, url: str, wish: ConnectionRequest) -> bool:
        if not wish.connect_back:
            # Never waits for another connect: two platforms that connect to each other at a time would for ever.
            return await self._connect_unless_known(call, url, wish)
        async with self._turn(url):
            return await self._connect_unless_known(call, url, wish)

    async def _connect_unless_known(self, call: Call, url: str, wish: ConnectionRequest) -> bool:
        known = self._links.get(identity(url))
        if known is not None:
            await self._take_token(known, wish.token)
            if wish.connect_back and not known.stored.connects_back:
                await self._add_back(call, known)
            if known.road.away is not None:
                with suppress(CalleeError):  # whoever asks for it says that it is there: a bridge that has just started
                    await known.refresh()
            return False
        line = self._dial(url, wish.token or "")
        info = await self._info(line)
        description, _ = read_description(url, info)
        if description.platform_id == self._facts.platform_id:
            return False
        stored = StoredConnection(url=url, token=wish.token, connects_back=wish.connect_back)
        async with AsyncExitStack() as undo:
            if wish.connect_back:
                stored = await self._ask_back(call, line, stored, undo)
            stored = msgspec.structs.replace(stored, is_confirmed=True, keeps_messages=line.keeps_messages)
            link = self._link(stored, info)
            await self._stored.put(stored, info)
            undo.pop_all()
        other = self._links.get(identity(url))
        if other is not None:  # it connected meanwhile by itself; what was asked for here counts
            other.use(stored)
            return True
        self._follow(link)
        return True

    async def _ask_back(
        self, call: Call, line: PlatformTransport, stored: StoredConnection, undo: AsyncExitStack
    ) -> StoredConnection:
        """Have a platform connect to this one; `undo` gets what is to be done if a later step fails."""
        url = stored.url
        await self._stored.put(stored)  # so that a user is found even if the power fails now
        undo.push_async_callback(self._forget, url)
        issued = await self._hand_over_token(call, line, url)
        undo.push_async_callback(self._call_off, line)
        return msgspec.structs.replace(stored, **issued)

    async def _add_back(self, call: Call, link: PeerLink) -> None:
        """Have a connected platform connect to this one; if it does not, it stays connected as it was."""
        try:
            issued = await self._hand_over_token(call, link.road.line, link.url)
        except BaseException:
            await self._users.remove(link.url)
            raise
        stored = await self._stored.change(link.url, connects_back=True, **issued)
        if stored is not None:
            link.use(stored)

    async def _hand_over_token(self, call: Call, line: PlatformTransport, url: str) -> dict[str, Any]:
        """Make a platform's user and have the platform connect to this one; returns what is to be stored of that."""
        token = await self._users.make(url, call.caller.name)
        wish = ConnectionRequest(url=self._facts.base_url, token=token)
        try:
            async with asyncio.timeout(self._timing.connect_s):
                await line.connect(wish, call.event_id)
        except TimeoutError:
            await self._call_off(line)
            raise OutcomeUnknown(f"{url} did not connect back within {self._timing.connect_s:g} s") from None
        except (OutcomeUnknown, BadAnswer):
            await self._call_off(line)
            raise
        issued_ms = 0 if token is None else time.time_ns() // 1_000_000
        return {"issued_ms": issued_ms, "key_mark": self._users.key_mark}

    async def _disconnect(self, call: Call, url: str, wish: ConnectionRequest) -> bool:
        async with self._turn(url):
            link = self._links.get(identity(url))
            if link is None:
                return False
            url = link.url
            await self._stored.change(url, is_removed=True)
            self._unfollow(link)
            await self._forget(url)
        if wish.connect_back:
            token = wish.token or link.stored.token
            line = self._dial(url, token or "")
            request = ConnectionRequest(url=self._facts.base_url)
            try:
                async with asyncio.timeout(self._timing.info_s):
                    await line.disconnect(request, call.event_id)
            except TimeoutError:
                raise OutcomeUnknown(f"{url} did not answer DELETE /connections") from None
        return True

    async def _take_token(self, link: PeerLink, token: str | None) -> None:
        """Go on with another token, if it is one and works.

        Raises:
            CalleeError: it does not.
        """
        if token is None or token == link.stored.token:
            return
        await self._info(self._dial(link.url, token))
        stored = await self._stored.change(link.url, token=token)
        if stored is not None:
            link.use(stored)
            self._upkeep.soon()
            log.info("%s is called with another token from now on", link.url)

    async def _info(self, line: PlatformTransport) -> bytes:
        try:
            async with asyncio.timeout(self._timing.info_s):
                return await line.info()
        except TimeoutError:
            raise Unreachable(f"{line.name} did not answer GET /info within {self._timing.info_s:g} s") from None

    async def _call_off(self, line: PlatformTransport) -> None:
        """Have a platform disconnect again, if it can be asked."""
        try:
            async with asyncio.timeout(_CALL_OFF_S):
                await line.disconnect(ConnectionRequest(url=self._facts.base_url))
        except (CalleeError, TimeoutError) as error:
            log.warning("%s may still be connected to this platform: %s", line.name, error or "no answer")

    async def _forget(self, url: str) -> None:
        """Remove user and row of a connection that is over; what cannot be removed now is at the next start."""
        try:
            await self._users.remove(url)
            await self._stored.forget(url)
        except OpacaError as error:
            log.error("the connection to %s could not be forgotten: %s", url, error.message)

    def _link(self, stored: StoredConnection, info: bytes) -> PeerLink:
        return PeerLink(stored, self._dial, PeerDefinitions(stored.url, self._definitions_of), self._timing, info)

    def _restore(self, stored: StoredConnection, info: bytes) -> None:
        try:
            try:
                link = self._link(stored, info)
            except BadAnswer as error:
                log.error("what was stored of %s cannot be read: %s", stored.url, error.message)
                link = self._link(stored, b"")
        except OpacaError as error:
            log.error("the stored connection to %s cannot be used: %s", stored.url, error.message)
        else:
            self._follow(link)

    def _follow(self, link: PeerLink) -> None:
        key = identity(link.url)
        self._links[key] = link
        self._directory.put_peer(link.peer)
        self._upkeep.look_for_twins()
        self._upkeep.soon()
        name = f"connection to {link.url}"
        self._following[key] = self._group.create_task(self._supervise(name, link.run), name=name)

    def _unfollow(self, link: PeerLink) -> None:
        key = identity(link.url)
        del self._links[key]
        self._following.pop(key).cancel()
        self._directory.remove_peer(link.url)

    def _is_own(self, url: str) -> bool:
        return identity(url) == identity(self._facts.base_url)

    def _turn(self, url: str) -> asyncio.Lock:
        """Return what keeps connects and disconnects of one platform in order."""
        key = identity(url)
        for other in [other for other, turn in self._turns.items() if other != key and not turn.locked()]:
            del self._turns[other]
        return self._turns.setdefault(key, asyncio.Lock())


def _check_token(token: str | None) -> None:
    if token is not None and not (token.isascii() and token.isprintable()):
        raise ParameterMismatch("token: expected printable ASCII characters only")
