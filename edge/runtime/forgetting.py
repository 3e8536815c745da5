"""Containers that are gone for good, taken off the disk: now, or as soon as the disk allows it."""

from __future__ import annotations

import asyncio
from functools import partial

from edge.errors import NotStored
from edge.runtime.errands import Errands
from edge.runtime.session import Session

# Until a disk that was full is tried again.
_FIRST_PAUSE_S = 1.0
_LONGEST_PAUSE_S = 60.0


class Forgetting:
    """Forgets stored containers."""

    def __init__(self, session: Session, errands: Errands) -> None:
        self._session = session
        self._errands = errands

    async def forget(self, container_id: str) -> None:
        """Store a container no more; where that fails now, try again as long as the platform runs."""
        try:
            await self._session.forget(container_id)
        except NotStored:
            self._errands.start(f"forgetting of {container_id}", partial(self._forget_some_day, container_id))

    async def _forget_some_day(self, container_id: str) -> None:
        pause_s = _FIRST_PAUSE_S
        while True:
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)
            try:
                await self._session.forget(container_id)
                return
            except NotStored:
                continue  # the database has logged it
