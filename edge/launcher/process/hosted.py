"""A container over all its lives: started, announced, started again when it ends, ended for good."""

from __future__ import annotations

import asyncio
import logging
import time
from datetime import UTC, datetime

from edge.errors import CalleeError, NotReady, OpacaError, OutcomeUnknown, Unreachable
from edge.launcher.base import ContainerState, Launched
from edge.launcher.process.description import as_shown
from edge.launcher.process.exits import Exit
from edge.launcher.process.house import NAME
from edge.launcher.process.life import Body, Life
from edge.launcher.process.ports import HostPorts, is_free
from edge.launcher.process.readiness import Died, read_info
from edge.launcher.process.restarts import Done, GiveUp, Restarts
from edge.launcher.process.supervised import SupervisedTransport
from edge.model.definitions import Definitions, NoDefinitions
from edge.model.descriptions import AgentContainer, timestamp
from edge.transport.base import Transport

log = logging.getLogger(__name__)

# A container that did not come up has nothing to finish.
_UNREADY_GRACE_S = 0.5
_DESCRIBE_LIMIT_S = 8.0
# How long a failed call waits for the news that its container has just ended.
_EXPLANATION_S = 0.1


class Hosted:
    """Supervises one container; `run` is its whole story.

    Attributes:
        body: What it is.
        state: How it is doing.
        since: Since when.
        restarts: Counts its ends.
        last_exit: How it ended last; None if it never did.
        first: Done when it came up for the first time, or could not.
        gone: Set when nothing of it is left.
    """

    def __init__(
        self, body: Body, life: Life | None = None, *, is_kept: bool = False, ports: HostPorts | None = None
    ) -> None:
        """Args:
        body: What it is.
        life: Its process, where that runs already; None starts one.
        is_kept: Whether a first start that fails is followed by others.
        ports: Reserved for the process that is started; None takes new ones.
        """
        self.body = body
        self.restarts = Restarts(body.plan.restart, body.house.first_pause_s)
        self.last_exit: Exit | None = None
        self.gone = asyncio.Event()
        self.first: asyncio.Future[Launched] = asyncio.get_running_loop().create_future()
        self.first.add_done_callback(_look_at)
        self.state = ContainerState.STARTING
        self.since = timestamp(datetime.now(UTC))
        self._is_adopted = life is not None
        self._is_kept = is_kept
        self.life = life or Life(body, ports)
        self._reported: AgentContainer | None = None
        self._definitions: Definitions = NoDefinitions()
        self._transport = SupervisedTransport(self)
        self._road: Transport | None = None
        self._up = asyncio.Event()
        self._reason = ""
        self._next_start_s = 0.0
        self._stopping: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._grace_s = body.plan.image.stop_grace_s
        # Who cannot take over a container may start it anew, with its data.
        self._is_folder_kept = life is not None
        self._is_left_running = False

    @property
    def name(self) -> str:
        """What it is called in messages."""
        return f"container {self.body.plan.image_name} ({self.body.container_id[:8]})"

    @property
    def base_url(self) -> str:
        """Where it is, or was last."""
        return self.life.base_url

    @property
    def reason(self) -> str:
        """Why it is in its state, in words; empty where there is nothing to say."""
        if self.state is ContainerState.RESTARTING:
            return f"{self._reason}; {self._next_start()}"
        return self._reason

    def road(self) -> Transport:
        """Return the road to the container; `Unreachable` with the reason while it is down."""
        if self.state is ContainerState.RUNNING and self._road is not None and not self._has_ended():
            return self._road
        raise Unreachable(f"{self.base_url}: {self._why_down()}")

    async def explained(self, error: CalleeError) -> CalleeError:
        """Return what to raise in place of an error of the road: the same, with the reason if one is known."""
        watched = self.life.watched
        if watched is None or self.state is not ContainerState.RUNNING:
            return error
        await asyncio.wait((watched.ended,), timeout=_EXPLANATION_S)
        if watched.ended.done():
            words = f"{error.message}; {self._why_down()}"
            return OutcomeUnknown(words, error.cause) if isinstance(error, OutcomeUnknown) else Unreachable(words)
        if isinstance(error, Unreachable):
            self.life.doubt()
        return error

    async def describe(self) -> Launched | None:
        """Ask the container anew what it is; None if it does not answer as one. One that is starting is waited for."""
        if self.state in (ContainerState.CRASH_LOOP, ContainerState.STOPPED):
            return None
        try:
            async with asyncio.timeout(_DESCRIBE_LIMIT_S):
                await self._up.wait()
                reported = read_info(await self._transport.info(), self.body.container_id, self.body.unknown_keys)
        except (CalleeError, TimeoutError) as error:
            log.warning("%s does not describe itself: %s", self.name, error)
            return None
        if reported is None:
            return None
        if reported.container_id != self.body.container_id:
            log.warning("%s says it were container %s", self.name, reported.container_id)
        return self._launched(reported)

    def ask_to_stop(self, *, grace_s: float | None = None, is_folder_kept: bool = False) -> None:
        """Begin its end; `gone` is set when that is over.

        Args:
            grace_s: Shorter grace than its image gives it, in seconds.
            is_folder_kept: Whether its data and output stay.
        """
        if grace_s is not None:
            self._grace_s = min(self._grace_s, grace_s)
        self._is_folder_kept = is_folder_kept
        if not self._stopping.done():
            self._stopping.set_result(None)

    def leave_running(self) -> None:
        """End the supervision but nothing else."""
        self._is_left_running = True
        self.ask_to_stop(is_folder_kept=True)

    async def run(self) -> None:
        """Keep it running until it is done or asked to stop; raises nothing."""
        error: OpacaError | None = None
        try:
            async with asyncio.TaskGroup() as tasks:
                living = tasks.create_task(self._live(), name=f"lives of {self.name}")
                await asyncio.wait((living, self._stopping), return_when=asyncio.FIRST_COMPLETED)
                living.cancel()
            error = None if living.cancelled() else living.result()
        except Exception:  # supervise(): one container must not take the platform along
            log.exception("%s: its supervision failed, it is ended", self.name)
        finally:
            await self._depart(error)

    async def _live(self) -> OpacaError | None:
        """Live one life after the other; return why the first did not begin, or None when it is done."""
        while True:
            began_s = time.monotonic()
            try:
                ended, was_ready = await self._live_once(), True
            except (CalleeError, OpacaError) as error:
                was_ready = False
                if not self.first.done():
                    why = await self._why_not_ready(error)
                    if not self._is_kept:
                        return why
                    self.first.set_exception(why)
                ended = Exit(reason=error.message)
            self._up.clear()
            self.last_exit = ended
            self._reason = f"it {ended.words}"
            lived_s = time.monotonic() - began_s
            verdict = self.restarts.after(is_success=ended.is_success, lived_s=lived_s, was_ready=was_ready)
            if isinstance(verdict, Done):
                log.info("%s is done: it %s", self.name, ended.words)
                return None
            if isinstance(verdict, GiveUp):
                await self._give_up(verdict)
            else:
                await self._pause(ended, verdict.pause_s)
            self._is_adopted = False
            self.life = Life(self.body, self._kept_ports(), is_first=False)

    async def _live_once(self) -> Exit:
        life = self.life
        try:
            if self._is_adopted:
                try:
                    reported = await life.answer(self.body.order.timeout_s)
                except Died as died:
                    raise NotReady(died.ended.words) from None
            else:
                reported = await life.come_up(self.body.order.timeout_s)
            self._road = life.transport()
            launched = self._launched(reported)
            self._enter(ContainerState.RUNNING)
            self._up.set()
            self.body.house.registry.appeared(launched)
            if not self.first.done():
                self.first.set_result(launched)
            return await life.until_ended()
        finally:
            if self._has_ended() or (not self._stopping.done() and not self._up.is_set()):
                # What it started goes with it; while it is being stopped, its grace counts.
                await life.end(0 if self._has_ended() else _UNREADY_GRACE_S)
                life.leave()
                await self.body.house.on_end(self.body.container_id)

    async def _why_not_ready(self, error: OpacaError) -> OpacaError:
        if not isinstance(error, NotReady):
            return error
        words = "" if self.life.watched is None else await asyncio.to_thread(self.body.last_words)
        return NotReady(f"{self.name} {error.message}{words}", error.cause)

    async def _pause(self, ended: Exit, pause_s: float) -> None:
        log.warning("%s %s; it is started again in %.1f s", self.name, ended.words, pause_s)
        self._next_start_s = time.monotonic() + pause_s
        self._enter(ContainerState.RESTARTING, self._reason)
        await asyncio.sleep(pause_s)

    async def _give_up(self, verdict: GiveUp) -> None:
        reason = f"{self._reason}; {verdict.reason}: it is not started again"
        reason += await asyncio.to_thread(self.body.last_words)
        self._enter(ContainerState.CRASH_LOOP if self.restarts.count else ContainerState.STOPPED, reason)
        log.error("%s is given up: %s", self.name, reason)
        await asyncio.Event().wait()  # until it is removed

    async def _depart(self, error: OpacaError | None) -> None:
        self._up.clear()
        self._enter(ContainerState.STOPPED, "it was stopped" if error is None else error.message)
        try:
            if self._is_left_running:
                self.life.leave()
            else:
                await self._clear_away()
        finally:
            self.gone.set()
            if not self._stopping.done() and error is None:
                self.body.house.registry.vanished(self.body.container_id)
            if not self.first.done():
                self.first.set_exception(error or NotReady(f"{self.name} was stopped before it came up"))

    async def _clear_away(self) -> None:
        life, house = self.life, self.body.house
        await life.end(self._grace_s if self.first.done() else min(self._grace_s, _UNREADY_GRACE_S))
        life.leave()
        if life.ports is not None:
            house.tcp_ports.release(life.ports)
        if life.leaf is not None:
            await asyncio.to_thread(life.leaf.remove)
        if not self._is_folder_kept:
            await asyncio.to_thread(house.folder(self.body.container_id).remove)

    def _launched(self, reported: AgentContainer) -> Launched:
        body, ports = self.body, self.life.ports
        assert ports is not None
        if self._reported is None or self._reported.image != reported.image:
            self._definitions = body.house.definitions(reported.image)
        self._reported = reported
        return Launched(
            description=as_shown(reported, body.order, body.plan, ports, body.house.connectivity()),
            transport=self._transport,
            definitions=self._definitions,
            launcher=NAME,
        )

    def _kept_ports(self) -> HostPorts | None:
        """Return the ports of the last life if nobody took them meanwhile, so that the container stays where it is."""
        ports = self.life.ports
        # On loopback: elsewhere the platform itself may serve the container's files on that port.
        if ports is None or is_free(ports.api, host="127.0.0.1"):
            return ports
        self.body.house.tcp_ports.release(ports)
        return None

    def _enter(self, state: ContainerState, reason: str = "") -> None:
        self.state, self._reason = state, reason
        self.since = timestamp(datetime.now(UTC))

    def _has_ended(self) -> bool:
        watched = self.life.watched
        return watched is not None and watched.ended.done()

    def _next_start(self) -> str:
        left_s = self._next_start_s - time.monotonic()
        return f"it is started again in {left_s:.1f} s" if left_s > 0 else "it is being started again"

    def _why_down(self) -> str:
        if self.state is ContainerState.RUNNING and self.life.watched is not None and self._has_ended():
            return f"{self.name} {self.life.watched.ended.result().words} just now"
        if self.state is ContainerState.STARTING:
            return f"{self.name} is starting"
        if self.state is ContainerState.RESTARTING and self.last_exit is not None:
            ago_s = time.monotonic() - self.last_exit.at_s
            return f"{self.name} {self.last_exit.words} {ago_s:.0f} s ago; {self._next_start()}"
        return f"{self.name}: {self._reason}"


def _look_at(first: asyncio.Future[Launched]) -> None:
    """Keep asyncio from complaining that nobody asked why a container did not come up."""
    if not first.cancelled():
        first.exception()
