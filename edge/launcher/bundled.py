"""Containers that run inside the platform's process, declared in the configuration file (design decision 14)."""

from __future__ import annotations

import asyncio
import importlib
import logging
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any
from uuid import UUID, uuid5

import msgspec

from edge.agents import Container
from edge.agents.errors import describe_exception
from edge.agents.identity import Identity
from edge.errors import NotFound, Unsupported
from edge.launcher.base import ContainerState, ContainerStatus, Launched, Registry
from edge.launcher.supervision import Misconfigured, supervise
from edge.model.descriptions import Connectivity, Timestamp, timestamp
from edge.transport.base import Transport
from edge.transport.in_process import InProcessTransport

log = logging.getLogger(__name__)


class BadFactory(Misconfigured):
    """A factory cannot be used; the message names it and what was expected."""


def load_container(factory: str, parameters: Mapping[str, Any]) -> Container:
    """Return the container that `my_module:attribute` names: itself, or what it returns when called.

    Args:
        factory: Module and attribute, joined by a colon.
        parameters: Keyword arguments for a callable.
    Raises:
        BadFactory: there is no such thing, or it is no container. What the module itself raises passes through.
    """
    module_name, _, attribute = factory.partition(":")
    if not module_name or not attribute:
        raise BadFactory(f"factory {factory!r}: expected module:attribute, such as my_module:container")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        raise BadFactory(f"factory {factory!r}: {error}; is its folder on the Python path?") from error
    made = getattr(module, attribute, None)
    if made is None:
        raise BadFactory(f"factory {factory!r}: {module_name} has no {attribute}")
    if callable(made) and not isinstance(made, Container):
        made = made(**parameters)
    elif parameters:
        raise BadFactory(f"factory {factory!r} is a container, not a function: it takes no parameters")
    if not isinstance(made, Container):
        raise BadFactory(f"factory {factory!r}: expected an edge.agents.Container, got {type(made).__name__}")
    return made


@dataclass(slots=True)
class _Entry:
    """One declared container, and how it is doing."""

    name: str
    factory: str
    parameters: Mapping[str, Any]
    container_id: str
    container: Container | None = None
    is_tried: asyncio.Event = field(default_factory=asyncio.Event)
    is_removed: asyncio.Event = field(default_factory=asyncio.Event)
    state: ContainerState = ContainerState.STARTING
    reason: str = ""
    since: Timestamp = field(default_factory=lambda: timestamp(datetime.now(UTC)))
    failures: int = 0
    last_exit: str | None = None

    def become(self, state: ContainerState, reason: str = "") -> None:
        """Note a new state; one that was removed has no further one."""
        if not self.is_removed.is_set():
            self.state, self.reason, self.since = state, reason, timestamp(datetime.now(UTC))

    def failed(self, error: Exception, pause_s: float) -> None:
        """Note that it ended by itself and is started again after a pause."""
        self.failures += 1
        self.last_exit = str(error) if isinstance(error, Misconfigured) else describe_exception(error)
        self.become(ContainerState.RESTARTING, f"{self.last_exit}; started again in about {pause_s:.0f} s")


class BundledLauncher:
    """Runs declared containers; each under supervision of its own, so that one that fails harms no other."""

    name = "bundled"
    keeps_on_failure = False

    def __init__(
        self,
        installation: UUID,
        owner: str,
        registry: Registry,
        connectivity: Callable[[], Connectivity],
        road: Callable[[str], Transport],
    ) -> None:
        """Args:
        installation: Makes the containers' IDs, which stay the same over restarts.
        owner: Who owns them; empty without authentication.
        registry: Is told what runs.
        connectivity: Says where the platform is reached.
        road: Returns a container's road to the platform, by its ID.
        """
        self._installation = installation
        self._owner = owner
        self._registry = registry
        self._connectivity = connectivity
        self._road = road
        self._entries: dict[str, _Entry] = {}

    def declare(self, name: str, factory: str, parameters: Mapping[str, Any]) -> None:
        """Add a container to those that `jobs` runs."""
        container_id = str(uuid5(self._installation, name))
        self._entries[container_id] = _Entry(name, factory, parameters, container_id)

    def jobs(self) -> Iterator[tuple[str, Callable[[], Any]]]:
        """Yield a name and a coroutine function for each declared container, to be run in a task group."""
        for entry in self._entries.values():
            yield f"bundled container {entry.name}", partial(self._keep_running, entry)

    async def all_tried(self, limit_s: float) -> None:
        """Wait until every declared container runs or has failed once, at most `limit_s`; they keep trying."""
        waits = [entry.is_tried.wait() for entry in self._entries.values()]
        try:
            async with asyncio.timeout(limit_s):
                await asyncio.gather(*waits)
        except TimeoutError:
            late = [entry.name for entry in self._entries.values() if not entry.is_tried.is_set()]
            log.warning("bundled containers that are still starting: %s", ", ".join(late))

    async def describe(self, container_id: str) -> Launched | None:
        """Describe a container anew; None if it is not up or not bundled."""
        entry = self._entries.get(container_id)
        return None if entry is None or entry.container is None else self._launched(entry, entry.container)

    async def stop(self, container_id: str) -> bool:
        """Stop a container until the platform starts again; False if it is not bundled."""
        entry = self._entries.get(container_id)
        if entry is None:
            return False
        log.info("bundled container %s is removed; it runs again when the platform starts again", entry.name)
        entry.become(ContainerState.STOPPED, "removed; it runs again when the platform starts again")
        entry.is_removed.set()
        return True

    async def statuses(self) -> list[ContainerStatus]:
        """Return how every declared container is doing; memory and time are those of the platform."""
        return [self._status(entry) for entry in self._entries.values()]

    async def log(self, container_id: str, lines: int) -> list[str] | None:
        """Refuse, because the output of what runs in this process is the platform's own; None if not bundled."""
        if container_id in self._entries:
            raise Unsupported("a bundled container writes to the platform's own log")
        return None

    @asynccontextmanager
    async def follow(self, container_id: str, lines: int) -> AsyncIterator[AsyncIterator[bytes]]:
        """Refuse, as `log`."""
        await self.log(container_id, lines)
        raise NotFound(f"there is no bundled container {container_id}")
        yield  # what makes this a context manager

    def _status(self, entry: _Entry) -> ContainerStatus:
        container = entry.container
        state, reason = entry.state, entry.reason
        if container is not None and container.degraded:
            state = ContainerState.DEGRADED
            reason = "; ".join(f"{work} failed: {why}" for work, why in container.degraded.items())
        return ContainerStatus(
            id=entry.container_id,
            name=entry.name,
            image=entry.name if container is None else container.image.image_name,
            launcher=self.name,
            state=state,
            reason=reason,
            since=entry.since,
            restarts=entry.failures,
            last_exit=entry.last_exit,
        )

    async def _keep_running(self, entry: _Entry) -> None:
        await supervise(f"bundled container {entry.name}", partial(self._run, entry), entry.failed)

    async def _run(self, entry: _Entry) -> None:
        try:
            if not entry.is_removed.is_set():
                await self._run_once(entry)
        finally:
            entry.is_tried.set()

    async def _run_once(self, entry: _Entry) -> None:
        container = load_container(entry.factory, entry.parameters)
        identity = Identity(container_id=entry.container_id, owner=self._owner)
        async with container.running(identity, self._road(entry.container_id)):
            entry.container = container
            container.on_change = lambda: self._registry.appeared(self._launched(entry, container))
            self._registry.appeared(self._launched(entry, container))
            entry.is_tried.set()
            entry.become(ContainerState.RUNNING)
            try:
                await entry.is_removed.wait()
            finally:
                container.on_change = None
                entry.container = None
                self._registry.vanished(entry.container_id)

    def _launched(self, entry: _Entry, container: Container) -> Launched:
        description = msgspec.structs.replace(
            container.describe(),
            container_id=entry.container_id,
            owner=self._owner,
            connectivity=self._connectivity(),
        )
        return Launched(
            description=description,
            transport=InProcessTransport(container),
            definitions=container.definitions,
            launcher=self.name,
        )
