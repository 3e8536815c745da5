"""What becomes of stored containers when the platform starts, and what else starts with it (contract, section 8.9)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Protocol

from edge.errors import BadInput, Conflict, NotReady, NotStored, OpacaError
from edge.launcher.base import Launched, Order
from edge.model.codec import decode
from edge.model.json_value import JsonValue
from edge.model.requests import PostAgentContainer
from edge.runtime.deployment import Deployment, order_of
from edge.runtime.session import Session, StoredContainer

log = logging.getLogger(__name__)

_AT_ONCE = 4
_FIRST_PAUSE_S = 5.0
_LONGEST_PAUSE_S = 300.0


class Processes(Protocol):
    """The launcher whose containers may have outlived the platform."""

    async def start(
        self, order: Order, *, is_kept: bool = False, record: Mapping[str, JsonValue] | None = None
    ) -> Launched:
        """Start a container, on its old ports if it can; with `is_kept` a start that fails is followed by others."""

    async def adopt(self, order: Order, record: Mapping[str, JsonValue]) -> Launched | None:
        """Take over a container that still runs, by what was kept of it; None if it does not run any more."""

    async def kill_strays(self, container_ids: Collection[str]) -> int:
        """Kill what containers of an earlier platform left behind."""

    async def kill_others(self, container_ids: Collection[str]) -> int:
        """Kill what runs of containers that are not among these."""

    async def stop(self, container_id: str) -> bool:
        """Stop a container and remove its folder; False if it did not run."""


class Attached(Protocol):
    """The launcher of containers that run by themselves."""

    def attach_again(self, order: Order, record: JsonValue) -> Launched:
        """List a container as it was, without asking it."""


class Revival:
    """Brings back what the session policy says."""

    def __init__(
        self,
        deployment: Deployment,
        session: Session,
        processes: Processes,
        attached: Attached,
        start_time_s: float,
    ) -> None:
        self._deployment = deployment
        self._session = session
        self._processes = processes
        self._attached = attached
        self._start_time_s = start_time_s
        self._slots = asyncio.Semaphore(_AT_ONCE)

    async def prepare(self, policy: str) -> None:
        """Deal with what an earlier platform left, before anybody calls; nothing is started yet."""
        stored = self._session.all()
        dropped = [s for s in stored if policy == "SHUTDOWN" or s.is_removed or not s.is_confirmed]
        ended = dropped if policy == "RECONNECT" else stored
        killed = await self._processes.kill_strays([s.container_id for s in ended if s.launcher == "process"])
        for container in dropped:
            await self._processes.stop(container.container_id)
            await self._forget(container.container_id)
        left = [s for s in stored if s not in dropped]
        killed += await self._processes.kill_others([s.container_id for s in left])
        if killed:
            log.warning("%d processes of containers had outlived an earlier platform and were ended", killed)
        async with asyncio.TaskGroup() as tasks:
            for container in left:
                if container.launcher == "attached":
                    self._attach(container)
                elif policy == "RECONNECT":
                    tasks.create_task(self._adopt(container), name=f"adoption of {container.container_id}")

    async def run(self, default_directory: Path | None) -> None:
        """Start what is to run and does not yet, each container on its own."""
        async with asyncio.TaskGroup() as tasks:
            for stored in self._session.all():
                if stored.launcher == "process" and not self._deployment.is_listed(stored.container_id):
                    tasks.create_task(self._keep_trying(stored), name=f"revival of {stored.container_id}")
            if default_directory is not None:
                tasks.create_task(self._start_defaults(default_directory), name="default images")

    def _attach(self, stored: StoredContainer) -> None:
        order = order_of(stored, self._start_time_s)
        try:
            self._deployment.appeared(self._attached.attach_again(order, stored.launch))
        except OpacaError as error:
            log.error("container %s could not be attached again: %s", stored.container_id, error.message)

    async def _adopt(self, stored: StoredContainer) -> None:
        await self._processes.adopt(order_of(stored, self._start_time_s), _record(stored) or {})

    async def _keep_trying(self, stored: StoredContainer) -> None:
        pause_s = _FIRST_PAUSE_S
        order = order_of(stored, self._start_time_s)
        while (now := self._session.get(stored.container_id)) is not None and not now.is_removed:
            try:
                async with self._slots:
                    await self._processes.start(order, is_kept=True, record=_record(stored))
                return
            except (NotReady, NotStored, Conflict) as error:
                log.error("container %s is not up yet: %s", stored.container_id, error.message)
                return  # the launcher goes on
            except OpacaError as error:
                log.error(
                    "container %s (%s) cannot be started again: %s; tried again in %.0f s",
                    stored.wish.image.image_name,
                    stored.container_id,
                    error.message,
                    pause_s,
                )
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)

    async def _forget(self, container_id: str) -> None:
        try:
            await self._session.forget(container_id)
        except NotStored:
            log.error("container %s could not be forgotten and may come back", container_id)

    async def _start_defaults(self, directory: Path) -> None:
        """Start every `*.json` of a folder that no stored container came from (contract, Decision 11)."""
        known = {stored.file for stored in self._session.all()}
        try:
            files = await asyncio.to_thread(_json_files, directory)
        except OSError as error:
            log.error("DEFAULT_IMAGE_DIRECTORY: %s", error)
            return
        async with asyncio.TaskGroup() as tasks:
            for path in files:
                if path.name not in known:
                    tasks.create_task(self._start_default(path), name=f"default image {path.name}")

    async def _start_default(self, path: Path) -> None:
        try:
            wish = decode(await asyncio.to_thread(path.read_bytes), PostAgentContainer)
            async with self._slots:
                await self._deployment.add(wish, 0, file=path.name)
        except (OSError, BadInput) as error:
            log.error("%s is skipped: %s", path, error)
        except OpacaError as error:
            log.error("%s did not start: %s", path, error.message)


def _record(stored: StoredContainer) -> Mapping[str, JsonValue] | None:
    """Return what the launcher of a process stored of it."""
    return stored.launch if isinstance(stored.launch, dict) else None


def _json_files(directory: Path) -> list[Path]:
    return sorted(path for path in directory.iterdir() if path.suffix.lower() == ".json" and path.is_file())
