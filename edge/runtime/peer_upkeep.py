"""What connections need from time to time: fresh tokens in both directions, and their description on the disk."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping

from edge.errors import OpacaError, ParameterMismatch
from edge.model.requests import ConnectionRequest
from edge.runtime.peer_address import base_url_of, identity
from edge.runtime.peer_link import PeerLink, PeerTiming
from edge.runtime.peer_tokens import TokenLife, is_for, life_of
from edge.runtime.peer_twins import PeerTwins
from edge.runtime.peer_users import PeerUsers
from edge.runtime.stored_connections import StoredConnections

log = logging.getLogger(__name__)

# Half the life of what platforms make for each other (contract, section 7.2).
_RENEW_AFTER_S = 7 * 24 * 3600.0 / 2
_FIRST_LOOK_S = 2.0
# A renewal that failed is tried again after this.
_TRY_AGAIN_S = 600.0
# Descriptions that change are written so seldom for the sake of the SD card.
_STORE_EVERY_S = 600.0
# A platform of this kind takes another token without being disconnected first.
_TAKES_TOKENS = "config:container-env=NATIVE"


class PeerUpkeep:
    """Renews tokens before they end, and stores descriptions."""

    def __init__(
        self,
        links: Mapping[str, PeerLink],
        stored: StoredConnections,
        users: PeerUsers,
        base_url: str,
        timing: PeerTiming,
    ) -> None:
        """Args:
        links: The connections there are, which change.
        base_url: Of this platform.
        """
        self._links = links
        self._stored = stored
        self._users = users
        self._base_url = base_url
        self._timing = timing
        self._is_wanted = asyncio.Event()
        self._twins = PeerTwins()
        self._not_before_s: dict[tuple[str, str], float] = {}
        self._stored_info: dict[str, tuple[bytes, float]] = {}

    async def run(self) -> None:
        """Look after all connections until cancelled, first soon: the platform may have been off for days."""
        soon_s = min(_FIRST_LOOK_S, self._timing.upkeep_s)
        await asyncio.sleep(soon_s)
        while True:
            self._is_wanted.clear()
            await self.look()
            try:
                async with asyncio.timeout(self._timing.upkeep_s):
                    await self._is_wanted.wait()
                    await asyncio.sleep(soon_s)
            except TimeoutError:
                pass

    def soon(self) -> None:
        """Have connections looked after soon: there is another one, or another token."""
        self._is_wanted.set()

    async def look(self) -> None:
        """Do what is due."""
        self.look_for_twins()
        for link in list(self._links.values()):
            if link.road.away is None:
                await self._ask_for_own_user(link)
                await self._renew_own(link)
                await self._renew_theirs(link)
        await self.store_descriptions(_STORE_EVERY_S)

    def look_for_twins(self) -> None:
        """Tell of platforms that are connected by two ways."""
        self._twins.look(self._links.values())

    async def store_descriptions(self, every_s: float = 0.0) -> None:
        """Store descriptions that have changed, at most one in `every_s` seconds for each platform."""
        now_s = asyncio.get_running_loop().time()
        for link in list(self._links.values()):
            info, at_s = self._stored_info.get(link.url, (b"", -_STORE_EVERY_S))
            if not link.info or link.info == info or now_s - at_s < every_s:
                continue
            self._stored_info[link.url] = (link.info, now_s)
            try:
                await self._stored.change(link.url, link.info)
            except OpacaError as error:
                log.warning("what %s offers is not kept over a restart: %s", link.url, error.message)

    async def _ask_for_own_user(self, link: PeerLink) -> None:
        """Have a platform of this kind make a user for this one, if what it is called with is a person's token.

        That is one more connect: it makes such a user when it is to have this one connect, and hands its token over in
        turn. From then on both keep each other in tokens, also when their secrets change or one was off for days.
        """
        token = link.stored.token
        if token is None or not link.stored.connects_back or is_for(token, self._base_url):
            return
        info = link.peer.info
        if not _is_of_this_kind(link) or not _is_same(info.base_url, link.url):
            return  # by another name it would be connected once more
        # Who has disconnected is not to be connected again by this.
        if not any(_is_same(url, self._base_url) for url in info.connections) or not self._may_try("user", link):
            return
        try:
            async with asyncio.timeout(self._timing.connect_s):
                await link.road.line.connect(ConnectionRequest(url=self._base_url, connect_back=True))
        except (OpacaError, TimeoutError) as error:
            log.info("%s makes no user for this platform: %s", link.url, error or "no answer")

    async def _renew_own(self, link: PeerLink) -> None:
        """Ask for another token before the one that calls to the platform carry ends."""
        token = link.stored.token
        life = None if token is None else life_of(token)
        held_s = asyncio.get_running_loop().time() - link.held_since_s
        if life is None or not life.is_due(time.time(), held_s) or not self._may_try("own", link):
            return
        try:
            async with asyncio.timeout(self._timing.info_s):
                fresh = await link.road.line.fresh_token()
            if link.stored.token == token and _is_longer(fresh, life):
                await self._keep(link, token=fresh)
                log.info("the token for %s was renewed", link.url)
        except (OpacaError, TimeoutError) as error:
            log.warning("the token for %s, which ends %s, could not be renewed: %s", link.url, life.until, error)

    async def _renew_theirs(self, link: PeerLink) -> None:
        """Have the platform connect anew with another token before the one that it has for this platform ends.

        Also after the secret has changed, or callers have to log in from now on: then it cannot call this platform.
        """
        stored, key_mark = link.stored, self._users.key_mark
        if not stored.connects_back or not key_mark:
            return
        is_due = stored.key_mark != key_mark or time.time() > stored.issued_ms / 1000 + _RENEW_AFTER_S
        if not is_due or not self._may_try("theirs", link):
            return
        try:
            token = await self._users.make(link.url, link.url)
            async with asyncio.timeout(self._timing.connect_s):
                await self._connect_anew(link, token)
            await self._keep(link, issued_ms=time.time_ns() // 1_000_000, key_mark=key_mark)
            log.info("the token that %s has for this platform was renewed", link.url)
        except (OpacaError, TimeoutError) as error:
            log.warning(
                "the token that %s has for this platform could not be renewed: %s", link.url, error or "no answer"
            )

    async def _connect_anew(self, link: PeerLink, token: str | None) -> None:
        line = link.road.line
        wish = ConnectionRequest(url=self._base_url, token=token)
        if not await line.connect(wish) and not _is_of_this_kind(link):
            await line.disconnect(ConnectionRequest(url=self._base_url))
            await line.connect(wish)

    async def _keep(self, link: PeerLink, **fields: object) -> None:
        stored = await self._stored.change(link.url, None, **fields)
        if stored is not None:
            link.use(stored)

    def _may_try(self, what: str, link: PeerLink) -> bool:
        now_s = asyncio.get_running_loop().time()
        if now_s < self._not_before_s.get((what, link.url), now_s):
            return False
        self._not_before_s[what, link.url] = now_s + _TRY_AGAIN_S
        return True


def _is_of_this_kind(link: PeerLink) -> bool:
    return _TAKES_TOKENS in link.peer.info.provides


def _is_same(url: str, known: str) -> bool:
    """Tell whether what a platform calls a base URL means a known one."""
    try:
        return identity(base_url_of(url)) == identity(known)
    except ParameterMismatch:
        return False


def _is_longer(fresh: str, life: TokenLife) -> bool:
    new = life_of(fresh)
    return new is not None and new.expires_s > life.expires_s
