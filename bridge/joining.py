"""Keeps the local platform connected to the remote parties, and the stations told of the platform's description."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping

from bridge.local import LocalPlatform, until_it_answers
from bridge.remote import Remote
from edge.errors import OpacaError

log = logging.getLogger(__name__)

_FIRST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 30.0
# Changes come in bursts; what follows within this is one.
_GATHERED_S = 0.1
# The platform tells when it changes; this is for one that does not (a proxy that swallows WebSockets).
_LOOK_AGAIN_S = 60.0


class Joining:
    """Asks the local platform to connect to each party's base URL, again after it was started anew."""

    def __init__(
        self,
        platform: LocalPlatform,
        remotes: Mapping[str, Remote],
        base_url: Callable[[str], str],
        token: str,
        on_info: Callable[[bytes], None],
    ) -> None:
        """Args:
        platform: The local platform.
        remotes: The parties, by name.
        base_url: Returns a party's base URL.
        token: What the platform is to show there.
        on_info: Told of the platform's `/info`.
        """
        self._platform = platform
        self._remotes = remotes
        self._base_url = base_url
        self._token = token
        self._on_info = on_info
        self._joined: set[str] = set()
        self._gone: set[str] = set()
        self._wake = asyncio.Event()
        self._changed = asyncio.Event()
        self._said: dict[str, str] = {}

    @property
    def joined(self) -> frozenset[str]:
        """The parties that the platform is connected to."""
        return frozenset(self._joined)

    def look(self) -> None:
        """Look at the parties anew: one has come, or described itself."""
        self._wake.set()

    def gone(self, remote: Remote) -> None:
        """Disconnect from a party that was removed for good."""
        self._gone.add(remote.name)
        self._wake.set()

    async def run(self) -> None:
        """Do so until cancelled."""
        while True:
            self._on_info(await until_it_answers(self._platform))
            self._joined.clear()
            try:
                async with self._platform.events("/containers") as events, asyncio.TaskGroup() as tasks:
                    joining = tasks.create_task(self._join(), name="join parties")
                    looking = tasks.create_task(self._look_again(), name="describe the platform")
                    try:
                        async for _ in events:
                            self._changed.set()
                    finally:
                        joining.cancel()
                        looking.cancel()
            except* OpacaError as group:
                log.info("the local platform went away: %s", group.exceptions[0])
            except* TimeoutError:
                log.info("the local platform does not answer")
            await asyncio.sleep(_FIRST_PAUSE_S)

    async def _look_again(self) -> None:
        """Fetch the description when something has changed, or was not told of for long."""
        while True:
            try:
                async with asyncio.timeout(_LOOK_AGAIN_S):
                    await self._changed.wait()
                await asyncio.sleep(_GATHERED_S)
            except TimeoutError:
                pass
            self._changed.clear()
            self._on_info(await self._platform.info())

    async def _join(self) -> None:
        pause_s = _FIRST_PAUSE_S
        while True:
            self._wake.clear()
            # First, as one may be back already.
            are_all_left = all([await self._left_now(name) for name in list(self._gone)])
            missing = [remote for remote in self._remotes.values() if self._is_missing(remote)]
            are_all_joined = all([await self._joined_now(remote.name) for remote in missing])
            if are_all_left and are_all_joined:
                pause_s = _FIRST_PAUSE_S
                await self._wake.wait()
                continue
            try:
                async with asyncio.timeout(pause_s):
                    await self._wake.wait()
            except TimeoutError:
                pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)

    def _is_missing(self, remote: Remote) -> bool:
        return remote.info is not None and remote.name not in self._joined

    async def _joined_now(self, name: str) -> bool:
        url = self._base_url(name)
        try:
            is_new = await self._platform.connect(url, self._token)
        except (OpacaError, TimeoutError) as error:
            self._say(name, f"the local platform does not connect to {url}: {str(error) or 'it does not answer'}")
            return False
        self._said.pop(name, None)
        self._joined.add(name)
        if is_new:
            log.info("the local platform is connected to %s", url)
        return True

    async def _left_now(self, name: str) -> bool:
        self._joined.discard(name)
        try:
            await self._platform.disconnect(self._base_url(name))
        except (OpacaError, TimeoutError) as error:
            self._say(name, f"the local platform does not forget {name}: {str(error) or 'it does not answer'}")
            return False
        self._gone.discard(name)
        self._said.pop(name, None)
        return True

    def _say(self, name: str, problem: str) -> None:
        """Log what goes wrong with a party, once."""
        if self._said.get(name) != problem:
            self._said[name] = problem
            log.warning("%s", problem)
