"""Looking after all containers once a second, while there are any: what the kernel cannot tell by itself."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping

from edge.launcher.base import ContainerStatus
from edge.launcher.process import kin
from edge.launcher.process.hosted import Hosted
from edge.launcher.process.house import NAME
from edge.launcher.process.limits import enforced
from edge.launcher.process.orphans import Orphanage

log = logging.getLogger(__name__)

_PAUSE_S = 1.0
# In one pause.
_LOOKS_AT_WRITERS = 10


class Rounds:
    """Bounds output files and memory, reaps orphans.

    Args:
        hosted: The containers that there are; changes while it runs.
    """

    def __init__(self, hosted: Mapping[str, Hosted], pause_s: float = _PAUSE_S) -> None:
        self._hosted = hosted
        self._orphanage = Orphanage()
        self._pause_s = pause_s
        self._is_needed = asyncio.Event()

    def wake(self) -> None:
        """Go on: there is a container, or will be before anything else is done; its orphans come here."""
        self._orphanage.open()
        self._is_needed.set()

    async def close(self, are_all_ended: bool) -> None:
        """Reap what is left; orphans go where they went before the first container.

        Args:
            are_all_ended: Whether zombies of unknown origin can have no other waiter.
        """
        await asyncio.to_thread(self._orphanage.reap, (), are_all_ended)
        self._orphanage.close()

    async def run(self) -> None:
        """Go round until cancelled; rests while there are no containers."""
        while True:
            await self._is_needed.wait()
            if not self._hosted:
                self._is_needed.clear()
                continue
            try:
                await self._go_round()
            except Exception:  # supervise(): the next round may do better
                log.exception("a look after the containers failed")
                await asyncio.sleep(self._pause_s)

    async def _go_round(self) -> None:
        for hosted, reason in await asyncio.to_thread(self._look, list(self._hosted.values())):
            hosted.life.kill(reason)
        writing = [*self._hosted.values()]
        for _ in range(_LOOKS_AT_WRITERS):
            # Who has just filled a file will soon have filled the next one.
            writing = await asyncio.to_thread(_rotate, writing)
            await asyncio.sleep(self._pause_s / _LOOKS_AT_WRITERS if writing else self._pause_s)
            if not writing:
                return

    def _look(self, all_hosted: list[Hosted]) -> list[tuple[Hosted, str]]:
        self._orphanage.reap({hosted.life.watched.pid for hosted in all_hosted if hosted.life.watched is not None})
        return list(_above_limit(all_hosted))


def _rotate(all_hosted: list[Hosted]) -> list[Hosted]:
    """Bound the output of containers; return those whose file was full."""
    were_full: list[Hosted] = []
    for hosted in all_hosted:
        try:
            if hosted.body.output.rotate():
                were_full.append(hosted)
        except OSError as error:
            log.warning("%s: its output cannot be bounded: %s", hosted.name, error)
    return were_full


def _above_limit(all_hosted: Iterable[Hosted]) -> Iterable[tuple[Hosted, str]]:
    limited = [(hosted, hosted.body.limits.memory_bytes) for hosted in all_hosted if _is_watched_for_memory(hosted)]
    processes = kin.all_processes() if limited else {}
    for hosted, limit_bytes in limited:
        assert limit_bytes is not None
        used_bytes = kin.memory_bytes(
            kin.members(hosted.life.marks, processes, is_thorough=False).values(), limit_bytes
        )
        if used_bytes > limit_bytes:
            yield (
                hosted,
                f"was killed: its processes used {used_bytes / 2**20:.0f} MiB together, its limit is"
                f" {limit_bytes / 2**20:.0f} MiB",
            )


def _is_watched_for_memory(hosted: Hosted) -> bool:
    life = hosted.life
    is_kernels = life.leaf is not None and life.leaf.enforces_memory
    return hosted.body.limits.memory_bytes is not None and life.watched is not None and not is_kernels


def statuses_of(all_hosted: list[Hosted]) -> list[ContainerStatus]:
    """Return how containers are doing. Blocks for reading /proc."""
    processes = kin.all_processes()
    return [
        _status(hosted, kin.members(hosted.life.marks, processes, is_thorough=False).values()) for hosted in all_hosted
    ]


def _status(hosted: Hosted, processes: Iterable[kin.Process]) -> ContainerStatus:
    body, life = hosted.body, hosted.life
    living = [process for process in processes if not process.is_zombie]
    image = body.plan.image.description
    watched = life.watched
    is_running = watched is not None and not watched.ended.done()
    return ContainerStatus(
        id=body.container_id,
        name=image.name or body.plan.image.name,
        image=body.plan.image_name,
        launcher=NAME,
        state=hosted.state,
        reason=hosted.reason,
        since=hosted.since,
        pid=watched.pid if watched is not None and is_running else None,
        host_port=None if life.ports is None else life.ports.api,
        memory_bytes=sum(process.memory_bytes for process in living),
        cpu_seconds=round(sum(process.cpu_s for process in living), 2),
        restarts=hosted.restarts.count,
        last_exit=None if hosted.last_exit is None else hosted.last_exit.words,
        limits=enforced(body.limits, life.leaf),
    )
