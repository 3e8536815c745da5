"""Keeping a job alive: what runs on is restarted with back-off instead of taking the platform along."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable

log = logging.getLogger(__name__)

_FIRST_PAUSE_S = 1.0
_LONGEST_PAUSE_S = 60.0
# A job that ran this long was well; the next fault starts the back-off anew.
_WELL_AFTER_S = 60.0


class Misconfigured(Exception):
    """A job cannot run as it is configured; the message says all, so the log needs no traceback."""


async def supervise(
    name: str, job: Callable[[], Awaitable[None]], on_failure: Callable[[Exception, float], None] | None = None
) -> None:
    """Run a job until it returns; whenever it raises, log why and start it again after a growing pause.

    Args:
        on_failure: Told of each failure and of the seconds until the next start.
    """
    loop = asyncio.get_running_loop()
    pause_s = _FIRST_PAUSE_S
    while True:
        started = loop.time()
        try:
            await job()
            return
        except Exception as error:
            if loop.time() - started > _WELL_AFTER_S:
                pause_s = _FIRST_PAUSE_S
            if isinstance(error, Misconfigured):
                log.error("%s: %s; tried again in %.0f s", name, error, pause_s)
            else:
                log.exception("%s failed; it is started again in %.0f s", name, pause_s)
            if on_failure is not None:
                on_failure(error, pause_s)
        await asyncio.sleep(pause_s * random.uniform(0.9, 1.1))
        pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)
