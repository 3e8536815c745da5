"""Ending a container: with everything that it started, wherever that went."""

from __future__ import annotations

import asyncio
import logging
import signal
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from edge.launcher.process import kin
from edge.launcher.process.exits import Watched, all_end
from edge.launcher.process.kin import Marks, Process
from edge.launcher.process.limits import CgroupLeaf

log = logging.getLogger(__name__)

# What a kill may take to be carried out: longer only for what hangs in the kernel.
_KILL_LIMIT_S = 3.0


async def end(watched: Watched, marks: Marks, leaf: CgroupLeaf | None, grace_s: float) -> None:
    """Ask all processes of a container to end, and make those that do not within the grace."""
    asked: list[int] = []
    if grace_s > 0 and not watched.ended.done():
        asked = await asyncio.to_thread(_ask, marks, watched)
        await all_end(asked, grace_s)
    await sweep(marks, leaf, asked)


async def sweep(marks: Marks, leaf: CgroupLeaf | None, ended: Iterable[int] = ()) -> None:
    """Kill every process that a container has left, until none is found, and reap those that are ours to reap.

    Args:
        ended: Processes of it that have ended already.
    """
    if leaf is not None:
        await asyncio.to_thread(leaf.kill)
    killed = await _kill_all(lambda: kin.members(marks), f"container {marks.container_id}")
    # The leader keeps its ID until it is released: the group and the session are named by it.
    await asyncio.to_thread(kin.reap, (killed | set(ended)) - {marks.leader})


async def kill_strays(containers: Path, is_wanted: Callable[[str], bool]) -> int:
    """Kill what containers of an earlier run left behind; return how many processes that were.

    Args:
        containers, is_wanted: As for `kin.strays`.
    """
    killed = await _kill_all(lambda: kin.strays(containers, is_wanted), "an earlier run")
    await asyncio.to_thread(kin.reap, killed)
    return len(killed)


async def _kill_all(find: Callable[[], Mapping[int, Process]], whose: str) -> set[int]:
    killed: set[int] = set()
    give_up_s = time.monotonic() + _KILL_LIMIT_S
    while living := await asyncio.to_thread(_kill, find):
        killed.update(living)
        if time.monotonic() > give_up_s:
            log.error("%s: processes that cannot be killed: %s", whose, ", ".join(map(str, living)))
            break
        await all_end(living, 0.2)
    return killed


def _ask(marks: Marks, watched: Watched) -> list[int]:
    """Tell every process of a container once to end; return those that live."""
    found = kin.members(marks)
    watched.signal(signal.SIGTERM)
    for process in found.values():
        if process.group != watched.pid:
            kin.kill(process, signal.SIGTERM)
    return [process.pid for process in found.values() if not process.is_zombie]


def _kill(find: Callable[[], Mapping[int, Process]]) -> list[int]:
    living = [process for process in find().values() if not process.is_zombie]
    for process in living:
        kin.kill(process)
    return [process.pid for process in living]
