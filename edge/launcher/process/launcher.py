"""The launcher of native processes (design decision 4; contract, section 8).

Half a megabyte of what it is made of is loaded with the first container: many platforms never have one.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from edge.errors import Conflict, NotFound, OpacaError
from edge.launcher.base import ContainerStatus, Launched, Order, Registry
from edge.launcher.images import ImageDirectory
from edge.launcher.process.house import NAME, House, OnEnd, OnRecord, ProcessRecord
from edge.launcher.process.limits import Cgroups
from edge.launcher.process.plan import Plan, make_plan, native_config
from edge.launcher.process.ports import HostPorts, PortRegistry, allowed_ports
from edge.launcher.process.restarts import FIRST_PAUSE_S
from edge.launcher.process.surroundings import STANDARD_PATH
from edge.model.definitions import Definitions
from edge.model.descriptions import AgentContainerImage, Connectivity
from edge.model.json_value import JsonValue
from edge.model.requests import PostAgentContainer
from edge.transport.http import HttpClient

if TYPE_CHECKING:
    from edge.launcher.process.hosted import Hosted
    from edge.launcher.process.life import Body
    from edge.launcher.process.rounds import Rounds

log = logging.getLogger(__name__)

# `stop` answers by then, whatever the container does; a longer grace ends in the background.
_STOP_ANSWER_S = 3.5
_CLOSE_GRACE_S = 3.0
_MOST_NAMED = 20


class ProcessLauncher:
    """Runs containers as processes of this machine; an async context manager, whose end ends them all.

    Args:
        images: What containers are started from.
        state_dir: Where containers get their folders, below `containers`.
        registry: Is told what runs: of each container before `start` returns, of each that came back, of each that
            ended for good by itself.
        http: Makes the roads to containers; must be open.
        connectivity: Says where the platform is reached.
        platform_url: Says where containers reach the platform.
        definitions: Returns the defined types of an image, as a container reported it.
        on_record: Stores what `adopt` needs; awaited before a process starts and when it has started.
        on_end: Told when a container's process has ended, before the next one starts: what is served on its ports must
            let go of them.
        search_path: Where programs are looked for, as in PATH; containers get it as theirs.
        first_pause_s: Pause before the first restart, in seconds.
        tcp_ports: Host ports for containers; None takes those below the kernel's own.
    """

    name = NAME
    keeps_on_failure = False

    def __init__(
        self,
        *,
        images: ImageDirectory,
        state_dir: Path,
        registry: Registry,
        http: HttpClient,
        connectivity: Callable[[], Connectivity],
        platform_url: Callable[[], str],
        definitions: Callable[[AgentContainerImage], Definitions],
        on_record: OnRecord,
        on_end: OnEnd | None = None,
        search_path: str = STANDARD_PATH,
        first_pause_s: float = FIRST_PAUSE_S,
        tcp_ports: range | None = None,
    ) -> None:
        self.images = images
        self._house = House(
            registry=registry,
            http=http,
            connectivity=connectivity,
            platform_url=platform_url,
            definitions=definitions,
            on_record=on_record,
            on_end=on_end or _ignore,
            containers=state_dir / "containers",
            search_path=search_path,
            first_pause_s=first_pause_s,
            tcp_ports=PortRegistry(tcp_ports or range(0)),
        )
        self._has_tcp_ports = tcp_ports is not None
        self._hosted: dict[str, Hosted] = {}
        self._rounds: Rounds | None = None
        self._rounds_task: asyncio.Task[None] | None = None
        self._tasks: asyncio.TaskGroup | None = None
        self._is_closed = False

    async def __aenter__(self) -> Self:
        if not self._has_tcp_ports:
            self._house.tcp_ports = PortRegistry(await asyncio.to_thread(allowed_ports))
        self._house.cgroups = await asyncio.to_thread(Cgroups.delegated)
        self._tasks = asyncio.TaskGroup()
        await self._tasks.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._tasks is not None
        try:
            await self.close()
        finally:
            if self._rounds_task is not None:
                self._rounds_task.cancel()
            # An error of the body stays what it is; a cancellation may be the group's own.
            is_cancelled = isinstance(error, asyncio.CancelledError)
            await self._tasks.__aexit__(*((kind, error, trace) if is_cancelled else (None, None, None)))

    async def close(self, *, leave_running: bool = False, are_folders_kept: bool = True) -> None:
        """End all containers at once, within about 5 s; start no more.

        Args:
            leave_running: Touch nothing: the processes are found again by `adopt`.
            are_folders_kept: Whether data and output stay for when the containers are started again.
        """
        if self._is_closed:
            return
        self._is_closed = True
        ending_now = list(self._hosted.values())
        for hosted in ending_now:
            # One that is not ready yet was promised to nobody; who waits for it hears that it was stopped.
            if leave_running and hosted.first.done():
                hosted.leave_running()
            else:
                hosted.ask_to_stop(grace_s=_CLOSE_GRACE_S, is_folder_kept=are_folders_kept)
        for hosted in ending_now:
            await hosted.gone.wait()
        if self._rounds is not None:
            await self._rounds.close(are_all_ended=not leave_running)

    def when_ended(self, on_end: OnEnd) -> None:
        """Have somebody told when a container's process has ended, before the next one starts."""
        self._house.on_end = on_end

    def check(self, wish: PostAgentContainer) -> None:
        """Look at the `clientConfig` of a wish; Undecodable or ParameterMismatch if it cannot be used."""
        native_config(wish.client_config)

    def identity(self, wish: PostAgentContainer) -> str | None:
        """Every wish is about a new container."""
        return None

    def existing_id(self, owner: str, wish: PostAgentContainer) -> str | None:
        """Every wish is about a new container."""
        return None

    async def is_exclusive(self, wish: PostAgentContainer) -> bool:
        """Tell whether the image says that two of it cannot run at once. Raises as `plan`."""
        return (await self.plan(wish)).image.exclusive

    def kept(self, container_id: str) -> None:
        """Nothing: `on_record` stores what is needed, before a process starts."""

    async def requirements(self, wish: PostAgentContainer) -> Sequence[str]:
        """Return what wish and image together require. Raises as `plan`."""
        return (await self.plan(wish)).requires

    async def plan(self, wish: PostAgentContainer) -> Plan:
        """Return what a wish comes to, without starting anything.

        Raises:
            NotFound: no such image. ParameterMismatch, Undecodable: arguments or configuration that do not fit.
        """
        return make_plan(wish, await self.images.find(wish.image.image_name))

    async def start(
        self, order: Order, *, is_kept: bool = False, record: Mapping[str, JsonValue] | None = None
    ) -> Launched:
        """Start a container and wait until it is ready. A caller that is cancelled cancels nothing.

        Args:
            order: What to start.
            is_kept: Whether a start that fails is followed by others, as after an end: for containers that were
                promised before. The error is raised all the same; the registry is told when it came up after all.
            record: What was stored of an earlier run of it: it gets the same host ports if they are free.
        Raises:
            NotReady: it did not come up, and nothing of it is left unless it is kept; says why, with its last output.
            Conflict: a container of this ID runs. Others as `plan`, and what `on_record` raises.
        """
        from edge.launcher.process.hosted import Hosted

        body = self._body(order, await self.plan(order.wish))
        kept = None if record is None else ProcessRecord.from_json(record)
        ports = None
        if kept is not None and kept.ports.extra.keys() == body.plan.extra_ports.keys():
            ports = kept.ports if self._house.tcp_ports.claim_free(kept.ports) else None
        try:
            hosted = self._host(Hosted(body, is_kept=is_kept, ports=ports))
        except Conflict:
            if ports is not None:
                self._house.tcp_ports.release(ports)
            raise
        return await asyncio.shield(hosted.first)

    async def adopt(self, order: Order, record: Mapping[str, JsonValue]) -> Launched | None:
        """Take over a container that an earlier run of the platform left running.

        Returns:
            It; None if it does not run any more or does not answer, in which case nothing of it is left.
        """
        from edge.launcher.process.hosted import Hosted
        from edge.launcher.process.life import Life
        from edge.launcher.process.spawning import find_again

        kept = ProcessRecord.from_json(record)
        found = None
        if kept is not None and kept.pid is not None:
            found = await asyncio.to_thread(find_again, kept.pid, kept.started, kept.boot_id)
        if kept is None or found is None:
            await self.kill_strays([order.container_id])
            return None
        try:
            body = self._body(order, await self.plan(order.wish))
        except OpacaError as error:
            log.warning("container %s cannot be taken over: %s", order.container_id, error.message)
            await self.kill_strays([order.container_id])
            return None
        self._house.tcp_ports.claim(kept.ports)
        life = Life(body, kept.ports)
        cgroups = self._house.cgroups
        leaf = None if cgroups is None else await asyncio.to_thread(cgroups.leaf, order.container_id, body.limits)
        life.resume(found, leaf)
        hosted = Hosted(body, life)
        try:
            return await asyncio.shield(self._host(hosted).first)
        except OpacaError as error:
            log.warning("container %s cannot be taken over: %s", order.container_id, error.message)
            await hosted.gone.wait()
            return None

    async def describe(self, container_id: str) -> Launched | None:
        """Ask a container anew what it is; None if it does not answer or is none of this launcher's."""
        hosted = self._hosted.get(container_id)
        return None if hosted is None else await hosted.describe()

    async def stop(self, container_id: str) -> bool:
        """Stop a container and remove its folder; False if nothing of this launcher's runs.

        Returns within 4 s; a longer grace ends later.
        """
        hosted = self._hosted.get(container_id)
        if hosted is None:
            await asyncio.to_thread(self._house.folder(container_id).remove)
            return False
        hosted.ask_to_stop()
        try:
            async with asyncio.timeout(_STOP_ANSWER_S):
                await hosted.gone.wait()
        except TimeoutError:
            log.info("%s is given more time to end", hosted.name)
        return True

    async def until_gone(self, container_id: str) -> None:
        """Return when nothing of a container that was stopped is left, which may take longer than `stop`."""
        hosted = self._hosted.get(container_id)
        if hosted is not None:
            await hosted.gone.wait()

    async def suspend(self, container_id: str) -> None:
        """End a container but keep its folder, so that `start` can bring it back; returns when nothing of it runs."""
        hosted = self._hosted.get(container_id)
        if hosted is not None:
            hosted.ask_to_stop(is_folder_kept=True)
            await hosted.gone.wait()

    async def kill_strays(self, container_ids: Collection[str]) -> int:
        """Kill what containers of an earlier run left behind; return how many processes that were."""
        if not container_ids or self._tasks is None:
            return 0
        from edge.launcher.process import ending

        self._go_rounds(self._tasks)  # what they started may come here
        wanted = frozenset(container_ids)
        return await ending.kill_strays(self._house.containers, lambda container_id: container_id in wanted)

    async def kill_others(self, container_ids: Collection[str]) -> int:
        """Kill what runs of containers that are not among these but have a folder; return how many processes that were.

        A folder is there as long as anything of its container may run, whatever became of what was stored. It stays:
        what is in it may be all that is left after the loss of the database.
        """
        kept = {*container_ids, *self._hosted}
        others = [name for name in await asyncio.to_thread(self._house.folders) if name not in kept]
        if not others:
            return 0
        log.warning(
            "%s holds folders of containers that nobody knows any more, remove them if you do not need what is in"
            " them: %s",
            self._house.containers,
            ", ".join(others[:_MOST_NAMED]),
        )
        return await self.kill_strays(others)

    async def record(self, container_id: str) -> dict[str, JsonValue]:
        """Return what `adopt` needs.

        Raises:
            NotFound: it is none of this launcher's.
        """
        return (await self._found(container_id).life.record()).to_json()

    def host_ports(self, container_id: str) -> HostPorts | None:
        """Return where a container listens on this machine; None if it does not, or is none of this launcher's."""
        hosted = self._hosted.get(container_id)
        return None if hosted is None else hosted.life.ports

    def processes(self, container_id: str) -> Collection[int]:
        """Return the IDs of a container's processes, none if it is none of this launcher's. Blocks."""
        from edge.launcher.process.kin import members

        hosted = self._hosted.get(container_id)
        return () if hosted is None else members(hosted.life.marks)

    async def status(self, container_id: str) -> ContainerStatus | None:
        """Return how a container is doing; None if it is none of this launcher's."""
        hosted = self._hosted.get(container_id)
        return None if hosted is None else (await self._statuses([hosted]))[0]

    async def statuses(self) -> list[ContainerStatus]:
        """Return how all containers are doing, whether they run or not."""
        return await self._statuses(list(self._hosted.values())) if self._hosted else []

    async def _statuses(self, all_hosted: list[Hosted]) -> list[ContainerStatus]:
        from edge.launcher.process.rounds import statuses_of

        return await asyncio.to_thread(statuses_of, all_hosted)

    async def log(self, container_id: str, lines: int) -> list[str] | None:
        """Return the newest lines that a container wrote, oldest first; None if it is none of this launcher's."""
        hosted = self._hosted.get(container_id)
        return None if hosted is None else hosted.body.shown(await asyncio.to_thread(hosted.body.output.tail, lines))

    @asynccontextmanager
    async def follow(self, container_id: str, lines: int) -> AsyncIterator[AsyncIterator[bytes]]:
        """Open what a container writes: its newest lines, then each new one, until it is removed or the reader leaves.

        Raises:
            NotFound: it is none of this launcher's.
        """
        async with aclosing(self._found(container_id).body.follow(lines)) as pieces:
            yield pieces

    def _found(self, container_id: str) -> Hosted:
        hosted = self._hosted.get(container_id)
        if hosted is None:
            raise NotFound(f"there is no process of a container {container_id}")
        return hosted

    def _body(self, order: Order, plan: Plan) -> Body:
        from edge.launcher.process.life import Body
        from edge.launcher.process.output import OutputLog

        folder = self._house.folder(order.container_id)
        return Body(order=order, plan=plan, house=self._house, output=OutputLog(folder.output))

    def _host(self, hosted: Hosted) -> Hosted:
        container_id = hosted.body.container_id
        if self._tasks is None or self._is_closed:
            raise Conflict("the platform is stopping: it starts no containers any more")
        if container_id in self._hosted:
            raise Conflict(f"container {container_id} is there already")
        self._go_rounds(self._tasks)
        self._hosted[container_id] = hosted
        self._tasks.create_task(self._keep(hosted), name=f"container {container_id}")
        return hosted

    def _go_rounds(self, tasks: asyncio.TaskGroup) -> None:
        if self._rounds is None:
            from edge.launcher.process.rounds import Rounds

            self._rounds = Rounds(self._hosted)
            self._rounds_task = tasks.create_task(self._rounds.run(), name="rounds of the process launcher")
        self._rounds.wake()

    async def _keep(self, hosted: Hosted) -> None:
        try:
            await hosted.run()
        finally:
            del self._hosted[hosted.body.container_id]


async def _ignore(container_id: str) -> None:
    """Nobody serves anything for containers."""
