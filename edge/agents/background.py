"""Work that goes on beside an agent's actions: started again with back-off when it fails."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable

from edge.agents.errors import describe_exception

log = logging.getLogger("edge.agents")

FIRST_PAUSE_S = 1.0
_LONGEST_PAUSE_S = 60.0
# Work that ran so long had started well: the next failure is a new one.
_HEALTHY_S = 60.0


async def keep_running(
    agent_id: str,
    name: str,
    work: Callable[[], Awaitable[object]],
    troubles: dict[str, str],
) -> None:
    """Run work until it returns; when it fails, log that and run it again after a pause, each time a longer one.

    Args:
        troubles: Where it stands while the work is not running: `agent.name` -> why.
    """
    label = f"{agent_id}.{name}"
    pause_s = FIRST_PAUSE_S
    while True:
        started_s = time.monotonic()
        try:
            await work()
            return
        except asyncio.CancelledError as raised:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            error: BaseException = raised  # the work waited for something that was cancelled
        except (Exception, SystemExit, BaseExceptionGroup) as raised:  # noqa: BLE001 - supervision of an agent's work
            error = raised
        if time.monotonic() - started_s > _HEALTHY_S:
            pause_s = FIRST_PAUSE_S
        reason = describe_exception(error)
        log.error("agent %s: its work %s failed: %s; again in %.0f s", agent_id, name, reason, pause_s, exc_info=error)
        troubles[label] = reason
        try:
            # Not all at the same moment after a common cause, say a lost network.
            await asyncio.sleep(pause_s * random.uniform(0.8, 1.2))
        finally:
            del troubles[label]
        pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)
