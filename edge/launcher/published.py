"""Ports of native processes that the platform serves for them, as long as they are listed (contract, Decision 8)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection
from types import TracebackType
from typing import Protocol, Self

from edge.launcher.port_forward import PortForwards
from edge.launcher.process.ports import HostPorts

log = logging.getLogger(__name__)


class Hosts(Protocol):
    """What knows where native processes listen."""

    def host_ports(self, container_id: str) -> HostPorts | None:
        """Return where a container listens on this machine; None if it is none of a native process."""

    def processes(self, container_id: str) -> Collection[int]:
        """Return the IDs of a container's processes. Blocks."""


class PublishedPorts:
    """Forwards the extra ports of listed containers and serves their files; an async context manager."""

    def __init__(
        self,
        listed: Callable[[], Collection[str]],
        hosts: Hosts,
        forwards: PortForwards,
        host: str,
        lan_host: str | None,
    ) -> None:
        """Args:
        listed: Returns the IDs of all containers that are listed.
        hosts: Says where they listen.
        forwards: Does the work.
        host: Address to serve extra ports on.
        lan_host: Address to serve files on; None if only this machine may use the platform.
        """
        self._listed = listed
        self._hosts = hosts
        self._forwards = forwards
        self._host = host
        self._lan_host = lan_host
        self._published: dict[str, HostPorts] = {}
        self._tasks = asyncio.TaskGroup()
        self._turn = asyncio.Lock()

    async def __aenter__(self) -> Self:
        await self._tasks.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._tasks.__aexit__(kind, error, trace)

    def look(self) -> None:
        """See what is listed now; to be called at every change."""
        self._tasks.create_task(self._settle(), name="ports of containers")

    async def ended(self, container_id: str) -> None:
        """Free the ports of a container whose process has ended, so that the next one gets the same."""
        async with self._turn:
            if self._published.pop(container_id, None) is not None:
                await self._forwards.drop(container_id)

    async def _settle(self) -> None:
        async with self._turn:
            wanted = {
                container_id: ports
                for container_id in self._listed()
                if (ports := self._hosts.host_ports(container_id)) is not None
            }
            for container_id in [each for each, ports in self._published.items() if wanted.get(each) != ports]:
                del self._published[container_id]
                await self._forwards.drop(container_id)
            for container_id, ports in wanted.items():
                if container_id not in self._published:
                    self._published[container_id] = ports
                    await self._publish(container_id, ports)

    async def _publish(self, container_id: str, ports: HostPorts) -> None:
        for own_port, host_port in ports.extra.items():
            self._forwards.forward_when_needed(
                container_id, self._host, host_port, own_port, lambda: self._hosts.processes(container_id)
            )
        if self._lan_host is not None:
            base_url = f"http://127.0.0.1:{ports.api}"
            try:
                await self._forwards.serve_files(container_id, self._lan_host, ports.api, base_url)
            except OSError as error:
                log.warning("files of container %s cannot be served: %s", container_id, error)
