"""Ports of containers that the platform serves: TCP to where a container really listens, and its files (Decision 8)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self, TypeAlias

from edge.launcher.listeners import listening_ports
from edge.launcher.pipe import End

log = logging.getLogger(__name__)

_MOST_CONNECTIONS = 64
_CONNECT_S = 5.0
_BACKLOG = 64
# Where a container listens that was told no address, in the order of trying.
_LOOPBACKS = ("127.0.0.1", "::1")
# How often to see whether a container has begun to listen on an extra port.
_FIRST_PAUSE_S = 0.2
_LONGEST_PAUSE_S = 30.0

# Serves the files of a container on an address and port, given its base URL, as long as the context is open.
FileServing: TypeAlias = Callable[[str, int, str], AbstractAsyncContextManager[object]]
# Returns the IDs of a container's processes; called in a thread.
Processes: TypeAlias = Callable[[], Collection[int]]


class Forward:
    """One port of the host that leads to a port on loopback; an async context manager.

    Attributes:
        open: The connections.
        refused: How many connections were cut because too many were open.
    """

    def __init__(
        self, tasks: asyncio.TaskGroup, host: str, host_port: int, target_port: int, most: int = _MOST_CONNECTIONS
    ) -> None:
        self.open: set[End] = set()
        self.refused = 0
        self._tasks = tasks
        self._host = host
        self._host_port = host_port
        self._target_port = target_port
        self._most = most
        self._server: asyncio.Server | None = None
        self._is_full = False

    async def __aenter__(self) -> Self:
        """Listen; OSError if somebody else does or the address is not ours."""
        self._server = await asyncio.get_running_loop().create_server(
            lambda: End(self._accept, self._lose), self._host, self._host_port, backlog=_BACKLOG
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        server, self._server = self._server, None
        if server is not None:
            server.close()
            for end in list(self.open):
                end.cut()
            await server.wait_closed()

    def _accept(self, end: End) -> None:
        if self._server is None or len(self.open) >= self._most:
            self._refuse(end)
            return
        self._is_full = False
        self.open.add(end)
        self._tasks.create_task(self._connect(end), name=f"connection to port {self._target_port}")

    def _refuse(self, end: End) -> None:
        self.refused += 1
        if not self._is_full:
            self._is_full = True
            log.warning("port %d: %d connections are open, more are refused", self._host_port, len(self.open))
        end.cut()

    def _lose(self, end: End) -> None:
        self.open.discard(end)

    async def _connect(self, end: End) -> None:
        reason: Exception | None = None
        for address in _LOOPBACKS:
            try:
                async with asyncio.timeout(_CONNECT_S):
                    _, target = await asyncio.get_running_loop().create_connection(
                        lambda: End(lambda _: None, lambda _: None), address, self._target_port
                    )
            except (OSError, TimeoutError) as error:
                reason = reason or error
                continue
            end.join(target)
            return
        log.info("port %d leads nowhere: port %d: %s", self._host_port, self._target_port, reason)
        end.cut()


@dataclass(slots=True)
class _Served:
    """What is served for one container."""

    opened: AsyncExitStack = field(default_factory=AsyncExitStack)
    waiting: set[asyncio.Task[None]] = field(default_factory=set)


class PortForwards:
    """Everything that the platform serves on ports of containers; an async context manager, whose end closes it all."""

    def __init__(self, files: FileServing) -> None:
        """Args:
        files: Serves the files of a container.
        """
        self._files = files
        self._tasks = asyncio.TaskGroup()
        self._served: dict[str, _Served] = {}

    async def __aenter__(self) -> Self:
        await self._tasks.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            for container_id in list(self._served):
                await self.drop(container_id)
        finally:
            await self._tasks.__aexit__(kind, error, trace)

    async def forward(self, container_id: str, host: str, host_port: int, target_port: int) -> None:
        """Lead connections to a port of the host to a port on loopback, until `drop`.

        Raises:
            OSError: somebody else listens there, or the address is not ours.
        """
        forward = Forward(self._tasks, host, host_port, target_port)
        await self._of(container_id).opened.enter_async_context(forward)
        log.info("container %s: port %d leads to its port %d", container_id, host_port, target_port)

    def forward_when_needed(
        self, container_id: str, host: str, host_port: int, target_port: int, processes: Processes
    ) -> None:
        """Do as `forward` once one of the processes listens on `target_port`, unless one listens on `host_port` itself.

        Only the container's own processes count: another container may listen on the port that it would like to have.
        """
        if host_port == target_port:
            return
        waiting = self._of(container_id).waiting
        task = self._tasks.create_task(
            self._forward_late(container_id, host, host_port, target_port, processes),
            name=f"port {host_port} of container {container_id}",
        )
        waiting.add(task)
        task.add_done_callback(waiting.discard)

    async def serve_files(self, container_id: str, host: str, port: int, base_url: str) -> None:
        """Serve `GET /files/…` of a container, and nothing else of it, until `drop`.

        Args:
            host: Address to listen on.
            port: The container's `apiPortMapping`.
            base_url: Where its API is.
        Raises:
            OSError: somebody else listens there, or the address is not ours.
        """
        await self._of(container_id).opened.enter_async_context(self._files(host, port, base_url))

    async def drop(self, container_id: str) -> None:
        """Serve nothing more of a container and cut its connections; nothing happens if nothing is served."""
        served = self._served.pop(container_id, None)
        if served is not None:
            for task in served.waiting:
                task.cancel()
            await served.opened.aclose()

    def _of(self, container_id: str) -> _Served:
        return self._served.setdefault(container_id, _Served())

    async def _forward_late(
        self, container_id: str, host: str, host_port: int, target_port: int, processes: Processes
    ) -> None:
        pause_s = _FIRST_PAUSE_S
        while True:
            try:
                ports = await asyncio.to_thread(lambda: listening_ports(processes()))
            except OSError as error:  # processes come and go
                log.debug("container %s: its ports cannot be seen: %s", container_id, error)
                ports = frozenset()
            if host_port in ports:
                return
            if target_port in ports:
                try:
                    await self.forward(container_id, host, host_port, target_port)
                except OSError as error:
                    log.warning("container %s: port %d cannot be served: %s", container_id, host_port, error)
                return
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)
