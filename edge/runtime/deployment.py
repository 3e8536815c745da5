"""Containers come and go: adding, updating, removing, describing anew (contract, section 8)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from functools import partial
from uuid import uuid4

import msgspec

from edge.errors import NotFound, NotReady, NotStored, OpacaError, ParameterMismatch, Undecodable
from edge.http.caller import Caller
from edge.launcher.base import Launched, Launcher, Order, Starter, Updater
from edge.model.image_names import plain_image_name
from edge.model.requests import PostAgentContainer
from edge.runtime.directory import Directory, LocalContainer
from edge.runtime.errands import Errands
from edge.runtime.forgetting import Forgetting
from edge.runtime.logins import Logins
from edge.runtime.provisions import Provisions
from edge.runtime.session import Session, StoredContainer
from edge.runtime.tenants import Tenants
from edge.runtime.turns import Turns

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
        tenants: Tenants,
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
        self._tenants = tenants
        self._errands = errands
        self._forgetting = Forgetting(session, errands)
        self._start_time_s = start_time_s
        self._launchers: dict[str, Launcher] = {}
        self._starters: dict[str, Starter] = {}
        self._updaters: dict[str, Updater] = {}
        self._updating = asyncio.Lock()
        # A board that attaches twice at once is one container, under one ID.
        self._attaching = Turns()
        # Containers whose start is under way and was not ended by anybody meanwhile.
        self._starting: set[str] = set()

    def use(self, launcher: Launcher) -> None:
        """Add a launcher that runs what it runs."""
        self._launchers[launcher.name] = launcher

    def use_for(self, kind: str, starter: Starter) -> None:
        """Add a launcher that starts what is asked for with `clientConfig.type` `kind`."""
        self.use(starter)
        self._starters[kind] = starter

    def use_for_updates(self, kind: str, updater: Updater) -> None:
        """Add a launcher like `use_for`, whose containers can also be replaced by newer ones."""
        self.use_for(kind, updater)
        self._updaters[updater.name] = updater

    def appeared(self, launched: Launched) -> None:
        """List a container, or show its new description in the old one's place.

        One that is being started is listed when it is certain that it will be there again after a restart.
        """
        container_id = launched.description.container_id
        if container_id not in self._starting or self.is_listed(container_id):
            self._list(launched)

    def _list(self, launched: Launched) -> None:
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
        self._starting.discard(container_id)
        self._logins.forget(container_id)
        if self._session.get(container_id) is not None:
            self._errands.start(f"forgetting of {container_id}", partial(self._forgetting.forget, container_id))
        if gone is not None:
            log.info("container %s (%s) is gone", gone.description.image.image_name, container_id)

    async def add(
        self, wish: PostAgentContainer, timeout_s: float, caller: Caller | None = None, file: str | None = None
    ) -> str:
        """Start a container and return its ID, which is kept before it is answered.

        Args:
            wish: What to start.
            timeout_s: Longest wait until it is ready; 0 or less takes the platform's.
            caller: The acting user; None if the platform itself starts it.
            file: The file of DEFAULT_IMAGE_DIRECTORY it comes from.
        Raises:
            ParameterMismatch: configuration, requirements or parameters that do not fit.
            Undecodable: a `clientConfig` that no platform knows.
            NotFound: no such image.
            NotReady: it did not come up.
            NotAllowed: the caller may not start this.
            NotStored: it could not be kept; it was stopped.
        """
        starter = self._starter(wish)
        self._tenants.check_attaching(caller, wish)
        # A board may keep itself waiting, but not for ever.
        limit_s = self._limit(0 if self._tenants.board(caller) else timeout_s)
        job = partial(self._add, starter, wish, limit_s, caller, file)
        return await self._errands.run(f"start of {wish.image.image_name}", job)

    async def update(self, wish: PostAgentContainer, timeout_s: float, caller: Caller | None = None) -> str:
        """Replace the one running container of the same image and return the new one's ID (contract, Decision 12).

        Raises:
            ParameterMismatch: not exactly one runs, or it is one that cannot be updated.
            NotAllowed: it belongs to somebody else. Others as `add`.
        """
        starter = self._starter(wish)
        job = partial(self._update, starter, wish, self._limit(timeout_s), caller)
        return await self._errands.run(f"update of {wish.image.image_name}", job)

    async def remove(self, container_id: str, caller: Caller | None = None) -> bool:
        """Stop a container for good; False if there is none of that ID.

        Args:
            caller: The acting user; None if the platform itself stops it.
        Raises:
            NotAllowed: it belongs to somebody else.
            NotStored: it was stopped, but might be there again after a restart.
        """
        stored = self._session.get(container_id)
        if self._directory.container(container_id) is None and (stored is None or stored.is_removed):
            return False
        self._check_removing(caller, container_id)
        await self._errands.run(f"stop of {container_id}", partial(self._remove, container_id))
        return True

    async def notify(self, container_id: str, caller: Caller | None = None) -> bool:
        """Ask a container what it is now; False if it does not answer.

        One that does not is removed, but for attached ones, which stay listed as away (contract, Q22, Decision 9).

        Raises:
            NotFound: no such container. NotAllowed: the caller may not speak for it.
        """
        self._tenants.check_notifying(caller, container_id)
        container = self._directory.container(container_id)
        if container is None:
            raise NotFound(f"there is no container {container_id}")
        launcher = self._launchers[container.launcher]
        launched = await launcher.describe(container_id)
        if self._directory.container(container_id) is None:
            return False  # it was removed meanwhile
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

    async def _add(
        self, starter: Starter, wish: PostAgentContainer, limit_s: float, caller: Caller | None, file: str | None
    ) -> str:
        await self._check_requirements(starter, wish)
        async with self._attaching.taken(*self._tenants.turns(caller, starter.identity(wish))):
            return await self._start(starter, wish, limit_s, caller, file)

    async def _start(
        self,
        starter: Starter,
        wish: PostAgentContainer,
        limit_s: float,
        caller: Caller | None,
        file: str | None,
        old_id: str | None = None,
    ) -> str:
        """Start a container; `old_id` is the one whose place it takes, which is to be stopped afterwards."""
        owner = self._tenants.owner(caller)
        existing_id = starter.existing_id(owner, wish)
        self._tenants.check_place(caller, existing_id)
        container_id = existing_id or str(uuid4())
        before = self._session.get(container_id)
        stored = StoredContainer(
            container_id=container_id,
            launcher=starter.name,
            wish=wish,
            token=self._tenants.token(container_id, starter.name),
            owner=owner,
            attached_by=self._tenants.board(caller),
            file=file,
        )
        if before is None:
            # What was answered with this ID before stays as it is until the new one is there.
            await self._session.put(stored)
        self._starting.add(container_id)
        try:
            if before is None:
                await self._tenants.move_in(stored, caller)
            launched = await starter.start(order_of(stored, limit_s))
            try:
                await self._confirm(starter, stored, old_id)
            except NotStored:
                if before is None:
                    await self._discard(starter, container_id)
                else:
                    self._list(launched)  # it was here before, and is still
                raise
            if container_id not in self._starting or self._tenants.has_left(caller):
                await self._discard(starter, container_id)
                raise NotReady(f"container {container_id} of image {wish.image.image_name} was stopped at once")
        except BaseException:
            if before is None:
                await self._forgetting.forget(container_id)
            raise
        finally:
            self._starting.discard(container_id)
        self._list(launched)
        return container_id

    async def _discard(self, starter: Starter, container_id: str) -> None:
        """Stop a container whose ID is not answered to anybody."""
        self._directory.remove(container_id)
        await starter.stop(container_id)

    async def _confirm(self, starter: Starter, stored: StoredContainer, old_id: str | None) -> None:
        """Store that a container came up, so that it is there again after a restart."""
        if old_id is not None:
            await self._session.take_over(stored.container_id, old_id)
            return
        kept = starter.kept(stored.container_id)
        launch = {} if kept is None else {"launch": msgspec.to_builtins(kept)}
        await self._session.change(
            stored.container_id, wish=stored.wish, owner=stored.owner, is_confirmed=True, **launch
        )

    async def _update(self, starter: Starter, wish: PostAgentContainer, limit_s: float, caller: Caller | None) -> str:
        async with self._updating:
            old = self._only_one_of(plain_image_name(wish.image.image_name))
            updater = self._updaters.get(old.launcher)
            if updater is None or updater is not starter:
                raise ParameterMismatch(
                    f"container {old.container_id} of image {wish.image.image_name} is {old.launcher}:"
                    " only containers that the platform started as processes can be updated"
                )
            self._check_removing(caller, old.container_id)
            await self._check_requirements(updater, wish)
            stored = self._session.get(old.container_id)
            file = None if stored is None else stored.file
            is_exclusive = stored is not None and await updater.is_exclusive(wish)
            if is_exclusive:
                await updater.suspend(old.container_id)
            try:
                new_id = await self._start(updater, wish, limit_s, caller, file, old.container_id)
            except OpacaError:
                if is_exclusive and stored is not None:
                    await self._bring_back(updater, stored)
                raise
            await self._remove(old.container_id)
            return new_id

    async def _bring_back(self, updater: Updater, stored: StoredContainer) -> None:
        """Start a container again that made room for a newer one in vain."""
        if stored.container_id not in (each.container_id for each in self._directory.containers):
            return  # it was removed meanwhile
        try:
            record = stored.launch if isinstance(stored.launch, dict) else None
            await updater.start(order_of(stored, self._start_time_s), is_kept=True, record=record)
        except OpacaError as error:
            log.error("container %s did not come back after a failed update: %s", stored.container_id, error.message)

    async def _remove(self, container_id: str) -> None:
        container = self._directory.remove(container_id)
        self._starting.discard(container_id)
        stored = self._session.get(container_id)
        name = container.launcher if container is not None else stored.launcher if stored is not None else ""
        self._logins.forget(container_id)
        try:
            await self._session.dismiss(container_id)
            is_stored = True
        except NotStored:
            is_stored = False  # it ends all the same, the caller is told
        await self._tenants.move_out(container_id)
        launcher = self._launchers.get(name)
        if launcher is not None:
            await launcher.stop(container_id)
        self._errands.start(f"forgetting of {container_id}", partial(self._forget_when_gone, name, container_id))
        if not is_stored:
            raise NotStored(
                f"container {container_id} was stopped, but that cannot be kept as the disk is full or broken:"
                " if the platform ends before there is space again, it is started with the next one"
            )

    async def _forget_when_gone(self, launcher_name: str, container_id: str) -> None:
        """What is left of a container after the platform is killed is only found if it is stored until then."""
        updater = self._updaters.get(launcher_name)
        if updater is not None:
            await updater.until_gone(container_id)
        await self._forgetting.forget(container_id)

    def _check_removing(self, caller: Caller | None, container_id: str) -> None:
        container, stored = self._directory.container(container_id), self._session.get(container_id)
        owner = container.description.owner if container is not None else stored.owner if stored is not None else ""
        self._tenants.check_removing(caller, container_id, owner or "")

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

    def _starter(self, wish: PostAgentContainer) -> Starter:
        """Return who can start this."""
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
        return starter

    async def _check_requirements(self, starter: Starter, wish: PostAgentContainer) -> None:
        """Look whether the platform provides what wish and image require; the wish first, it needs no image."""
        self._demand(wish.image.requires)
        self._demand(await starter.requirements(wish))

    def _demand(self, requires: Sequence[str]) -> None:
        provided = set(self._provisions.all())
        missing = [requirement for requirement in requires if requirement not in provided]
        if missing:
            raise ParameterMismatch(f"the image requires what this platform does not provide: {', '.join(missing)}")


def order_of(stored: StoredContainer, timeout_s: float) -> Order:
    """Return the order for a stored container."""
    return Order(
        container_id=stored.container_id,
        token=stored.token,
        owner=stored.owner,
        attached_by=stored.attached_by,
        wish=stored.wish,
        timeout_s=timeout_s,
    )
