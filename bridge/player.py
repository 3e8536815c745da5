"""Plays what the inbox holds against the local platform: in order for each target, the most urgent lane first."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Sequence

from msgspec import UnsetType

from bridge.access import is_message
from bridge.executor import Executor
from bridge.once import Once
from bridge.store import Entry, Lane, Store
from bridge.tasks import Tasks
from edge.model.json_value import JsonValue

log = logging.getLogger(__name__)

# In flight at one time, of all sites and of one: what hangs at the targets of one leaves places for others. As many are
# free besides as one may have: so many are read from the disk at once, and each time costs as much as a few messages.
_AT_ONCE = 32
_AT_ONCE_OF_SITE = 16
_ALARMS_AT_ONCE = 8
_ALARMS_AT_ONCE_OF_SITE = 4
# Refused for good, and refused in a way that may pass: an agent starts anew, a token is renewed.
_HOPELESS = frozenset({400, 413, 422})
_REFUSED = frozenset({401, 403, 404})
# Nobody's answer: the bridge itself cannot play it, now or ever.
_OURS = 500
_NO_MESSAGE = 400
_LONGEST_WHY = 1000
# Why messages of one site are tried again, in the log; the queue shows all of it.
_SAID = 50
_REFUSED_FOR_S = 600.0
_FIRST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 60.0
# More would come to the same, and after a day of them to a number that is none.
_DOUBLINGS = 16


class Player:
    """Plays entries, of one site up to 16 at once, and 4 alarms besides; of all sites 32 and 8."""

    def __init__(self, store: Store, executor_of: Callable[[str], Executor], tasks: Tasks) -> None:
        self._inbox = store.inbox
        self._executor_of = executor_of
        self._tasks = tasks
        self._said = Once(_SAID)

    async def run(self) -> None:
        """Play for as long as the bridge runs; slow targets of other lanes never keep an alarm waiting."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._run(tuple(Lane), _AT_ONCE, _AT_ONCE_OF_SITE), name="play all lanes")
            tasks.create_task(self._run((Lane.ALARM,), _ALARMS_AT_ONCE, _ALARMS_AT_ONCE_OF_SITE), name="play alarms")

    async def _run(self, lanes: Sequence[Lane], at_once: int, of_site: int) -> None:
        room = asyncio.Semaphore(at_once)
        while True:
            await room.acquire()
            places = 1
            while not room.locked():  # as many as are free, read from the disk at once
                await room.acquire()
                places += 1
            entries: list[Entry] = []
            try:
                await self._inbox.ready(lanes, of_site)
                entries = await self._inbox.claim(places, lanes, of_site)
            finally:
                for _ in range(places - len(entries)):
                    room.release()
            for entry in entries:
                self._tasks.start(self._play(entry, room), f"play {entry.event.route[:200]!r} of {entry.site}")

    async def _play(self, entry: Entry, room: asyncio.Semaphore) -> None:
        event = entry.event
        try:
            if not is_message(event.route):
                why = f"{event.route[:200]!r} is no message that a bridge carries"
                await self._settle(entry, _NO_MESSAGE, why, ())
                return
            status, body = await self._executor_of(entry.site).played(
                event.route, event.query, event.headers, event.body, entry.idempotency_key
            )
            await self._settle(entry, status, _text(status, body), _REFUSED)
        except Exception as error:
            if not entry.tries:
                log.exception("%.200r of %s cannot be played", event.route, entry.site)
            await self._settle(entry, _OURS, f"{type(error).__name__}: {error}", _REFUSED | {_OURS})
        except BaseException:
            await self._inbox.again(entry, _FIRST_PAUSE_S)
            raise
        finally:
            room.release()

    async def _settle(self, entry: Entry, status: int, why: str, refused: Collection[int]) -> None:
        """Say what becomes of an entry: played, dead at once or after ten minutes of being refused, or tried again."""
        event, inbox, why = entry.event, self._inbox, why[:_LONGEST_WHY]
        if status == 200:
            await inbox.done(entry)
            return
        is_refused = status in refused
        if status in _HOPELESS or (is_refused and entry.refused_for_s > _REFUSED_FOR_S):
            log.warning("%.200r of %s is refused and kept as a dead letter: %s", event.route, entry.site, why)
            await inbox.dead(entry, status, why)
            return
        if self._said.is_new(entry.site, why):
            log.warning("%.200r of %s is tried again: %s", event.route, entry.site, why)
        pause_s = min(_FIRST_PAUSE_S * 2 ** min(entry.tries, _DOUBLINGS), _LONGEST_PAUSE_S)
        await inbox.again(entry, pause_s, why, is_refused=is_refused)


def _text(status: int, body: JsonValue | UnsetType) -> str:
    message = body.get("message") or body.get("error") if isinstance(body, dict) else None
    return f"{status}: {message}" if message else str(status)
