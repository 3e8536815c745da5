"""Containers come and go: adding, updating, removing, describing anew (contract, section 8)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable
from functools import partial
from uuid import uuid4

import msgspec

from edge.errors import NotFound, NotStored, OpacaError, ParameterMismatch, Undecodable
from edge.launcher.base import Launched, Launcher, Order, Starter
from edge.model.image_names import plain_image_name
from edge.model.requests import PostAgentContainer
from edge.runtime.directory import Directory, LocalContainer
from edge.runtime.errands import Errands
from edge.runtime.logins import Logins
from edge.runtime.provisions import Provisions
from edge.runtime.session import Session, StoredContainer

log = logging.getLogger(__name__)

_THEIRS = ("DOCKER", "KUBERNETES")


class Deployment:
    """Puts into the directory what the launchers run, and carries out the wishes of callers."""

    def __init__(
        self,
        directory: Directory,
        provisions: Provisions,
        session: Session,
        logins: Logins,
        errands: Errands,
        start_time_s: float,
    ) -> None:
        """Args:
        start_time_s: Longest wait for a new container where the caller names none.
        """
        self._directory = directory
        self._provisions = provisions
        self._session = session
        self._logins = logins
        self._errands = errands
        self._start_time_s = start_time_s
        self._launchers: dict[str, Launcher] = {}
        self._starters: dict[str, Starter] = {}
        self._updating = asyncio.Lock()

    def use(self, launcher: Launcher) -> None:
        """Add a launcher that runs what it runs."""
        self._launchers[launcher.name] = launcher

    def use_for(self, kind: str, starter: Starter) -> None:
        """Add a launcher that starts what is asked for with `clientConfig.type` `kind`."""
        self.use(starter)
        self._starters[kind] = starter

    def appeared(self, launched: Launched) -> None:
        """List a container, or show its new description in the old one's place."""
        container_id = launched.description.container_id
        if self._directory.container(container_id) is None:
            log.info("container %s (%s) runs", launched.description.image.image_name, container_id)
        self._directory.put(
            LocalContainer(launched.description, launched.transport, launched.definitions, launched.launcher)
        )
        starter = next((s for s in self._starters.values() if s.name == launched.launcher), None)
        if starter is not None and self._session.get(container_id) is not None:
            self._errands.start(f"keeping of {container_id}", partial(self._keep_what_is, starter, container_id))

    def vanished(self, container_id: str) -> None:
        """Take a container off the list; what was stored of it is forgotten."""
        gone = self._directory.remove(container_id)
        self._logins.forget(container_id)
        if self._session.get(container_id) is not None:
            self._errands.start(f"forgetting of {container_id}", partial(self._session.forget, container_id))
        if gone is not None:
            log.info("container %s (%s) is gone", gone.description.image.image_name, container_id)

    async def add(self, wish: PostAgentContainer, timeout_s: float, owner: str = "", file: str | None = None) -> str:
        """Start a container and return its ID, which is kept before it is answered.

        Args:
            wish: What to start.
            timeout_s: Longest wait until it is ready; 0 or less takes the platform's.
            owner: The acting user; empty without authentication.
            file: The file of DEFAULT_IMAGE_DIRECTORY it comes from.
        Raises:
            ParameterMismatch: configuration, requirements or parameters that do not fit.
            Undecodable: a `clientConfig` that no platform knows.
            NotFound: no such image.
            NotReady: it did not come up.
            NotStored: it could not be kept; it was stopped.
        """
        starter = self._checked(wish)
        job = partial(self._start, starter, wish, self._limit(timeout_s), owner, file)
        return await self._errands.run(f"start of {wish.image.image_name}", job)

    async def update(self, wish: PostAgentContainer, timeout_s: float, owner: str = "") -> str:
        """Replace the one running container of the same image and return the new one's ID (contract, Decision 12).

        Raises:
            ParameterMismatch: not exactly one runs, or it is one that cannot be updated. Others as `add`.
        """
        starter = self._checked(wish)
        job = partial(self._replace, starter, wish, self._limit(timeout_s), owner)
        return await self._errands.run(f"update of {wish.image.image_name}", job)

    async def remove(self, container_id: str) -> bool:
        """Stop a container for good; False if there is none of that ID."""
        if self._directory.container(container_id) is None and self._session.get(container_id) is None:
            return False
        await self._errands.run(f"stop of {container_id}", partial(self._remove, container_id))
        return True

    async def notify(self, container_id: str) -> bool:
        """Ask a container what it is now; False if it does not answer.

        One that does not is removed, but for attached ones, which stay listed as away (contract, Q22, Decision 9).

        Raises:
            NotFound: no such container.
        """
        container = self._directory.container(container_id)
        if container is None:
            raise NotFound(f"there is no container {container_id}")
        launcher = self._launchers[container.launcher]
        launched = await launcher.describe(container_id)
        if launched is None:
            if not launcher.keeps_on_failure:
                await self.remove(container_id)
            return False
        self.appeared(launched)
        return True

    def is_listed(self, container_id: str) -> bool:
        """Tell whether a container is in the directory."""
        return self._directory.container(container_id) is not None

    async def keep(self, container_id: str, launch: object) -> None:
        """Store what a launcher needs to find a container again.

        Raises:
            NotStored: it could not be kept.
        """
        await self._session.change(container_id, launch=msgspec.to_builtins(launch))

    async def _keep_what_is(self, starter: Starter, container_id: str) -> None:
        kept = starter.kept(container_id)
        if kept is not None:
            await self.keep(container_id, kept)

    async def _start(
        self, starter: Starter, wish: PostAgentContainer, limit_s: float, owner: str, file: str | None
    ) -> str:
        container_id = starter.existing_id(owner, wish) or str(uuid4())
        before = self._session.get(container_id)
        stored = StoredContainer(container_id=container_id, launcher=starter.name, wish=wish, owner=owner, file=file)
        await self._session.put(stored)
        try:
            launched = await starter.start(order_of(stored, limit_s))
            try:
                kept = starter.kept(container_id)
                launch = {} if kept is None else {"launch": msgspec.to_builtins(kept)}
                await self._session.change(container_id, is_confirmed=True, **launch)
            except NotStored:
                await starter.stop(container_id)
                raise
        except BaseException:
            await self._put_back(container_id, before)
            raise
        self.appeared(launched)
        return container_id

    async def _put_back(self, container_id: str, before: StoredContainer | None) -> None:
        """Undo the storing of a container that did not come up."""
        try:
            if before is None:
                await self._session.forget(container_id)
            else:
                await self._session.put(before)
        except NotStored:
            pass  # logged; an unconfirmed container is dropped at the next start

    async def _replace(self, starter: Starter, wish: PostAgentContainer, limit_s: float, owner: str) -> str:
        async with self._updating:
            old = self._only_one_of(plain_image_name(wish.image.image_name))
            if old.launcher != starter.name or old.launcher != "process":
                raise ParameterMismatch(
                    f"container {old.container_id} of image {wish.image.image_name} is {old.launcher}:"
                    " only containers that the platform started as processes can be updated"
                )
            if not await starter.is_exclusive(wish):
                new_id = await self._start(starter, wish, limit_s, owner, None)
                await self._remove(old.container_id)
                return new_id
            stored = self._session.get(old.container_id)
            await starter.stop(old.container_id)
            try:
                new_id = await self._start(starter, wish, limit_s, owner, None)
            except OpacaError:
                if stored is not None:
                    await self._bring_back(stored)
                raise
            await self._remove(old.container_id)
            return new_id

    async def _bring_back(self, stored: StoredContainer) -> None:
        try:
            starter = self._starters["NATIVE"]
            self.appeared(await starter.start(order_of(stored, self._start_time_s)))
        except OpacaError as error:
            log.error("container %s did not come back after a failed update: %s", stored.container_id, error.message)
            self._directory.remove(stored.container_id)

    async def _remove(self, container_id: str) -> None:
        container = self._directory.remove(container_id)
        stored = self._session.get(container_id)
        name = container.launcher if container is not None else stored.launcher if stored is not None else ""
        self._logins.forget(container_id)
        await self._stored(self._session.change(container_id, is_removed=True))
        launcher = self._launchers.get(name)
        if launcher is not None:
            await launcher.stop(container_id)
        await self._stored(self._session.forget(container_id))

    async def _stored(self, writing: Awaitable[None]) -> None:
        """Removing goes on without a disk: at the next start the container would only be found once more."""
        try:
            await writing
        except NotStored:
            pass

    def _only_one_of(self, name: str) -> LocalContainer:
        running = [container for container in self._directory.containers if name in self._names_of(container)]
        if len(running) != 1:
            raise ParameterMismatch(f"{len(running)} containers of image {name} run, expected exactly one to update")
        return running[0]

    def _names_of(self, container: LocalContainer) -> set[str]:
        """Return the names of a container's image: as it says itself, and as it was asked for (contract, Q21)."""
        names = {plain_image_name(container.description.image.image_name)}
        stored = self._session.get(container.container_id)
        if stored is not None:
            names.add(plain_image_name(stored.wish.image.image_name))
        return names

    def _limit(self, timeout_s: float) -> float:
        return timeout_s if timeout_s > 0 else self._start_time_s

    def _checked(self, wish: PostAgentContainer) -> Starter:
        """Return who can start this, if the platform meets its requirements."""
        kind = "NATIVE" if wish.client_config is None else wish.client_config.get("type")
        if kind in _THEIRS:
            # Clients look for these words (contract, section 1.3).
            raise ParameterMismatch(
                f"clientConfig.type {kind} does not match the container environment of this platform, which is NATIVE"
            )
        starter = self._starters.get(kind) if isinstance(kind, str) else None
        if starter is None:
            raise Undecodable(f"clientConfig.type {kind!r}: expected {' or '.join(self._starters)}")
        starter.check(wish)
        provided = set(self._provisions.all())
        missing = [requirement for requirement in wish.image.requires if requirement not in provided]
        if missing:
            raise ParameterMismatch(f"the image requires what this platform does not provide: {', '.join(missing)}")
        return starter


def order_of(stored: StoredContainer, timeout_s: float) -> Order:
    """Return the order for a stored container."""
    return Order(
        container_id=stored.container_id,
        token=stored.token,
        owner=stored.owner,
        wish=stored.wish,
        timeout_s=timeout_s,
    )
