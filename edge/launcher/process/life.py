"""One life of a container: from the start of its process until that has ended."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field

from edge.errors import NotReady, OpacaError
from edge.launcher.base import Order
from edge.launcher.process import ending, kin
from edge.launcher.process.exits import Exit, Watched
from edge.launcher.process.house import House, ProcessRecord, refuses
from edge.launcher.process.kin import Marks
from edge.launcher.process.limits import CgroupLeaf, Limits
from edge.launcher.process.output import OutputLog, redact
from edge.launcher.process.plan import Plan
from edge.launcher.process.ports import HostPorts, is_free
from edge.launcher.process.readiness import Died, until_ready
from edge.launcher.process.spawning import Spawned, spawn
from edge.launcher.process.surroundings import command, variables
from edge.model.descriptions import AgentContainer
from edge.transport.base import Transport

log = logging.getLogger(__name__)

# A stranger may take a port between our look and the container's: then another one is tried.
_PORT_TRIES = 3
# So often a port must refuse before its container counts as deaf, with these pauses in between.
_REFUSAL_PAUSES_S = (0.2, 0.5, 1.0)
_REFUSAL_LIMIT_S = 2.0
_LAST_LINES = 10
_LAST_LINES_BYTES = 2048


@dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    """What stays the same over all lives of a container."""

    order: Order
    plan: Plan
    house: House
    output: OutputLog
    unknown_keys: set[str] = field(default_factory=set)

    @property
    def container_id(self) -> str:
        """The container's ID."""
        return self.order.container_id

    @property
    def limits(self) -> Limits:
        """Its bounds."""
        return Limits(self.plan.memory_mb, self.plan.cpu_percent)

    def last_words(self) -> str:
        """Return the last lines that it wrote, as the end of a message. Blocks."""
        lines = self.shown(self.output.tail(_LAST_LINES, _LAST_LINES_BYTES))
        return "; its last output:\n" + "\n".join(lines) if lines else "; it wrote nothing"

    def shown(self, lines: list[str]) -> list[str]:
        """Return lines of its output without what must not be shown."""
        return redact(lines, [*self.plan.secrets, self.order.token])

    async def follow(self, lines: int) -> AsyncGenerator[bytes, None]:
        """Yield its newest lines, then each new one, as they may be shown."""
        async for line in self.output.follow(lines):
            yield self.shown([line])[0].encode() + b"\n"


class Life:
    """A process of a container, and the ports it has; made anew for each start.

    Attributes:
        ports: Where it listens on this machine.
        watched: Its first process; None before it was started.
        leaf: Its control group; None if there is none.
    """

    def __init__(self, body: Body, ports: HostPorts | None, is_first: bool = True) -> None:
        """Args:
        body: What the lives of the container have in common.
        ports: The ports of its last life; None takes new ones.
        is_first: Nothing of it runs unless that is stored; later lives go on even if the disk is full.
        """
        self.body = body
        self.ports = ports
        self._is_first = is_first
        self.watched: Watched | None = None
        self.leaf: CgroupLeaf | None = None
        self._started = 0
        self._kill_reason: str | None = None
        self._oom_kills = 0
        self._is_doubted = asyncio.Event()

    @property
    def base_url(self) -> str:
        """Where its API is."""
        return f"http://127.0.0.1:{0 if self.ports is None else self.ports.api}"

    @property
    def marks(self) -> Marks:
        """What tells its processes from others."""
        watched = self.watched
        leader = None
        if watched is not None and not watched.is_released and (watched.is_child or not watched.ended.done()):
            leader = watched.pid
        return Marks(self.body.container_id, self.body.output.path, leader)

    async def record(self) -> ProcessRecord:
        """Return what must be stored to find its process again."""
        ports = self.ports
        return ProcessRecord(
            pid=None if self.watched is None else self.watched.pid,
            started=self._started,
            boot_id=await asyncio.to_thread(kin.boot_id),
            api_port=0 if ports is None else ports.api,
            extra_ports={} if ports is None else {str(own): host for own, host in ports.extra.items()},
            folder=str(self.body.output.path.parent),
        )

    def transport(self) -> Transport:
        """Return the road to it."""
        return self.body.house.http.transport(self.base_url, token=self.body.order.token)

    async def come_up(self, limit_s: float) -> AgentContainer:
        """Start the process and wait until it answers; on another port if a stranger took the first one.

        Raises:
            NotReady: it did not come up; the message says why. It may still run.
            Overloaded: there is no free port.
        """
        give_up_s = asyncio.get_running_loop().time() + limit_s
        for tries_left in reversed(range(_PORT_TRIES)):
            await self._start()
            assert self.watched is not None
            try:
                return await self.answer(give_up_s - asyncio.get_running_loop().time())
            except Died as died:
                if tries_left == 0 or self.ports is None or not await self._is_taken_by_stranger():
                    raise NotReady(died.ended.because(self._kill_reason).words) from None
                log.warning("container %s: another program took its port, another try", self.body.container_id)
                self.watched.release()
                self.body.house.tcp_ports.release(self.ports)
                self.ports = None
        raise AssertionError("unreachable")

    async def answer(self, limit_s: float) -> AgentContainer:
        """Wait until the running process answers as this container.

        Raises:
            Died: it has ended. NotReady: it did not answer, or not as it should.
        """
        assert self.watched is not None
        body = self.body
        return await until_ready(
            self.transport().info, self.watched.ended, body.container_id, limit_s, body.unknown_keys
        )

    async def until_ended(self) -> Exit:
        """Wait for the end of the process; one that turns deaf is killed."""
        assert self.watched is not None
        async with asyncio.TaskGroup() as tasks:
            doubts = tasks.create_task(self._look_when_doubted(), name=f"doubts about {self.body.container_id}")
            await asyncio.wait((self.watched.ended,))
            doubts.cancel()
        return await self.named_end()

    async def named_end(self) -> Exit:
        """Return how the ended process came to its end, as far as the platform knows better than the status says."""
        assert self.watched is not None
        reason = self._kill_reason
        if reason is None and self.leaf is not None and await asyncio.to_thread(self._was_out_of_memory, self.leaf):
            reason = f"was killed by the kernel: it needed more than its {self.body.plan.memory_mb} MiB"
        return self.watched.ended.result().because(reason)

    def doubt(self) -> None:
        """Have a look whether it still listens: a call was refused."""
        self._is_doubted.set()

    def kill(self, reason: str) -> None:
        """Kill its processes; `reason` names why, as the rest of a sentence that begins with the container."""
        if self.watched is None or self.watched.ended.done():
            return
        log.warning("container %s %s", self.body.container_id, reason)
        self._kill_reason = reason
        self.watched.signal(9)

    async def end(self, grace_s: float) -> None:
        """End all its processes, at once or after a grace; it can still be asked how it ended."""
        if self.watched is not None:
            await ending.end(self.watched, self.marks, self.leaf, grace_s)

    def leave(self) -> None:
        """Watch it no more; it is reaped if it ended, and goes on if it did not."""
        if self.watched is not None:
            self.watched.release()

    def resume(self, found: Spawned, leaf: CgroupLeaf | None) -> None:
        """Take over a process that an earlier run of the platform started."""
        self._started = found.started
        self.leaf = leaf
        self.watched = Watched(found.pid, found.descriptor, is_child=False)

    async def _start(self) -> None:
        body = self.body
        if self.ports is None:
            self.ports = body.house.tcp_ports.reserve(body.plan.extra_ports)
        self.watched = None
        await self._store()
        spawning = asyncio.get_running_loop().run_in_executor(None, self._spawn, self.ports)
        spawning.add_done_callback(self._on_spawned)
        try:
            await asyncio.shield(spawning)
        except asyncio.CancelledError:
            # The thread cannot be stopped; its process must not be lost.
            await asyncio.wait((spawning,))
            raise
        await self._store()

    async def _store(self) -> None:
        record = await self.record()
        try:
            await self.body.house.on_record(self.body.container_id, record.to_json())
        except OpacaError as error:
            if self._is_first:
                raise
            log.error("container %s: its new process is not stored: %s", self.body.container_id, error.message)

    def _spawn(self, ports: HostPorts) -> Spawned:
        body, house = self.body, self.body.house
        folder = house.folder(body.container_id)
        try:
            folder.make()
        except OSError as error:
            raise NotReady(f"cannot be started: {folder.path}: {error.strerror or error}") from error
        if house.cgroups is not None:
            self.leaf = house.cgroups.leaf(body.container_id, body.limits)
            self._oom_kills = 0 if self.leaf is None else self.leaf.oom_kills
        return spawn(
            command(body.plan, ports, house.search_path),
            body.plan.image.folder,
            variables(body.order, body.plan, ports, folder, house.platform_url(), house.search_path),
            body.output,
            self.leaf,
        )

    def _on_spawned(self, spawning: asyncio.Future[Spawned]) -> None:
        if spawning.cancelled() or spawning.exception() is not None:
            return
        spawned = spawning.result()
        self._started = spawned.started
        self.watched = Watched(spawned.pid, spawned.descriptor, is_child=True)

    async def _is_taken_by_stranger(self) -> bool:
        # Its own children may hold the port; they go first.
        await self.end(0)
        return self.ports is not None and not is_free(self.ports.api, host="127.0.0.1")

    def _was_out_of_memory(self, leaf: CgroupLeaf) -> bool:
        return leaf.oom_kills > self._oom_kills

    async def _look_when_doubted(self) -> None:
        while True:
            await self._is_doubted.wait()
            if await self._is_deaf():
                self.kill("lives but does not listen on its port any more, so it was killed")
                return
            self._is_doubted.clear()

    async def _is_deaf(self) -> bool:
        for pause_s in _REFUSAL_PAUSES_S:
            if self.ports is None or not await refuses(self.ports.api, _REFUSAL_LIMIT_S):
                return False
            await asyncio.sleep(pause_s)
        return True
