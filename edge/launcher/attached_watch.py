"""Whether attached containers still answer: those that are silent are looked at (contract, Decision 9)."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from msgspec.structs import replace

from edge.errors import CalleeError
from edge.launcher.attached_log import AttachedLog
from edge.launcher.attachment import Attachment, Away, Info, described, digest_of
from edge.launcher.checks import Checks
from edge.model.definitions import Definitions
from edge.model.descriptions import AgentContainerImage, timestamp

log = logging.getLogger(__name__)

_MOST_CHECKS_AT_ONCE = 8
# So many looks must fail until a container is away that has calls in flight: a board takes few connections at once.
_MISSES_WHILE_BUSY = 3
# A container that was away when the platform stopped has at least this long to come back after its start.
_GRACE_S = 3600.0
_LONGEST_REASON = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How often attached containers are looked at.

    Attributes:
        check_s: From a container's last answer, whatever to, to the next `GET /info`; up to a quarter more.
        answer_s: Longest wait for the answer.
        first_return_s: From the moment a container is away to the next look; doubles with each look.
        last_return_s: The longest that it becomes.
        forget_after_s: An away container is forgotten after this.
    """

    check_s: float = 30.0
    answer_s: float = 10.0
    first_return_s: float = 1.0
    last_return_s: float = 30.0
    forget_after_s: float = 7 * 86_400.0


@dataclass(frozen=True, slots=True)
class _Miss:
    """A look at a container that did not find it.

    Attributes:
        reason: For people; does not repeat the URL.
        is_slow: It may only be busy: it took the connection and did not answer.
    """

    reason: str
    is_slow: bool = False


class Watch:
    """Holds the attached containers and keeps up what is known of them.

    Args:
        definitions: Returns the defined types of a container, given its name for the log and its image.
        pace: How often to look.
        clock: Seconds that only ever grow.
        on_change: Told of a container that describes itself differently.
        on_forget: Told of one that was away for too long; it is not held any more.
    """

    def __init__(
        self,
        definitions: Callable[[str, AgentContainerImage], Definitions],
        pace: Pace,
        clock: Callable[[], float],
        on_change: Callable[[Attachment], None],
        on_forget: Callable[[Attachment], None],
    ) -> None:
        self._definitions = definitions
        self._pace = pace
        self._clock = clock
        self._on_change = on_change
        self._on_forget = on_forget
        self._checks = Checks(clock, _MOST_CHECKS_AT_ONCE)
        self._held: dict[str, Attachment] = {}
        self._log = AttachedLog(log, clock)

    async def run(self) -> None:
        """Look at containers when it is time to, until cancelled."""
        await self._checks.run(self._check)

    @property
    def held(self) -> Mapping[str, Attachment]:
        """The containers by ID."""
        return self._held

    def hold(self, attachment: Attachment, info: Info | None) -> None:
        """Begin to watch a container, in the place of one with the same ID.

        Args:
            info: What it just said of itself; None if it was not asked.
        """
        old = self._held.get(attachment.container_id)
        if old is not None and old.away is not None:
            self._log.came(attachment, f"back at {attachment.record.url}")
        elif old is not None and old.record.url != attachment.record.url:
            self._log.moved(attachment, old.record.url)
        self._checks.drop(attachment.container_id)
        self._held[attachment.container_id] = attachment
        if info is not None:
            attachment.unknown_keys = info.unknown_keys
            attachment.digest = info.digest
            self._answered(attachment)

    def hold_unasked(self, attachment: Attachment) -> None:
        """Begin to watch a container that was attached before the platform's start: away, until the first look."""
        self.hold(attachment, None)
        now = datetime.now(UTC)
        since = attachment.record.away_since or timestamp(now)
        away_s = max(0.0, (now - datetime.fromisoformat(since)).total_seconds())
        away_s = min(away_s, max(0.0, self._pace.forget_after_s - _GRACE_S))
        attachment.away = Away(
            since, self._clock() - away_s, "it has not answered since the platform started", is_certain=False
        )
        self._checks.plan(attachment.container_id, self._clock())

    def release(self, container_id: str) -> Attachment | None:
        """Watch a container no more, and return it; None if it was not watched."""
        self._checks.drop(container_id)
        self._log.forget(container_id)
        return self._held.pop(container_id, None)

    def look_soon(self, attachment: Attachment) -> None:
        """Have a look at a container as soon as possible, but not much more often than once in `first_return_s`."""
        if self._held.get(attachment.container_id) is attachment:
            self._checks.hasten(attachment.container_id, attachment.looked_s + self._pace.first_return_s)

    def look_at_clock(self) -> None:
        """Do what has become due, after the clock was put forward."""
        self._checks.wake()

    async def ask(self, attachment: Attachment) -> bool:
        """Look at a container now; False if it does not answer."""
        miss = await self._look(attachment)
        if self._held.get(attachment.container_id) is not attachment:
            return False
        if miss is not None:
            self._missed(attachment, miss)
            return False
        self._answered(attachment)
        return True

    async def _check(self, container_id: str) -> None:
        attachment = self._held.get(container_id)
        if attachment is None:
            self._checks.drop(container_id)
            return
        is_doubted = attachment.away is not None or attachment.doubted_s > attachment.heard_s
        due_s = attachment.heard_s + attachment.pause_s
        if not is_doubted and self._clock() < due_s:
            self._checks.plan(container_id, due_s)  # calls to it succeeded meanwhile
            return
        before = attachment.description
        if await self.ask(attachment) and attachment.description is not before:
            self._on_change(attachment)

    async def _look(self, attachment: Attachment) -> _Miss | None:
        """Ask a container what it is, and keep that; return why there is nothing to keep, None if all is well."""
        if attachment.road is None:
            return None
        attachment.looked_s = self._clock()
        url = attachment.record.url
        newer = next(self._newer_at(attachment), None)
        if newer is not None:
            return _Miss(f"container {newer.container_id} is at its address now")
        try:
            async with asyncio.timeout(self._pace.answer_s):
                body = await attachment.road.info()
            if digest_of(body) == attachment.digest:
                return None
            info = Info.read(body, url)
        except TimeoutError:
            return _Miss(f"it did not answer GET /info in {self._pace.answer_s:g} s", is_slow=True)
        except CalleeError as error:
            return _Miss(error.message.removeprefix(f"{url} ")[:_LONGEST_REASON])
        other = self._held.get(info.reported.container_id)
        if other is not None and other is not attachment:
            return _Miss(f"container {other.container_id} answers at its address")
        self._learn(attachment, info)
        return None

    def _newer_at(self, attachment: Attachment) -> Iterator[Attachment]:
        """Yield containers that their owner attached later at the same URL: addresses wander from board to board."""
        for other in self._held.values():
            is_newer = other.number > attachment.number and other.owner == attachment.owner
            if is_newer and other.record.url == attachment.record.url:
                yield other

    def _learn(self, attachment: Attachment, info: Info) -> None:
        info.warn(attachment.record.url, attachment.unknown_keys)
        attachment.unknown_keys |= info.unknown_keys
        attachment.digest = info.digest
        description = described(info.reported, attachment.container_id, attachment.owner, attachment.record.url)
        if description != attachment.description:
            attachment.description = description
            attachment.record = replace(attachment.record, description=description)
            attachment.definitions = self._definitions(description.image.image_name, description.image)

    def _answered(self, attachment: Attachment) -> None:
        now = self._clock()
        away, attachment.away = attachment.away, None
        if away is not None:
            how = f"back after {now - away.began_s:.0f} s" if away.is_certain else "attached again"
            self._log.came(attachment, how)
            attachment.since = timestamp(datetime.now(UTC))
        attachment.heard_s = now
        attachment.misses = 0
        self._log.stays(attachment)
        if attachment.road is not None:
            attachment.pause_s = self._pace.check_s * random.uniform(1.0, 1.25)
            self._checks.plan(attachment.container_id, now + attachment.pause_s)

    def _missed(self, attachment: Attachment, miss: _Miss) -> None:
        now = self._clock()
        attachment.misses += 1
        away = attachment.away
        if away is not None and away.is_certain:
            if now - away.began_s >= self._pace.forget_after_s:
                self._forget(attachment)
                return
            away.pause_s = min(away.pause_s * 2, self._pace.last_return_s)
        elif attachment.calls and (miss.is_slow or attachment.misses < _MISSES_WHILE_BUSY):
            # A container of the Python SDK answers nothing while a sync action runs.
            pause_s = self._pace.check_s if miss.is_slow else self._pace.first_return_s
            self._checks.plan(attachment.container_id, now + pause_s)
            return
        else:
            since, began_s = (timestamp(datetime.now(UTC)), now) if away is None else (away.since, away.began_s)
            away = attachment.away = Away(since, began_s, miss.reason, pause_s=self._pace.first_return_s)
            self._log.went(attachment, miss.reason)
        away.reason = miss.reason
        self._checks.plan(attachment.container_id, now + away.pause_s * random.uniform(0.9, 1.1))

    def _forget(self, attachment: Attachment) -> None:
        days = self._pace.forget_after_s / 86_400
        log.warning("%s is forgotten: it has been away for more than %.3g days", attachment.name, days)
        self.release(attachment.container_id)
        self._on_forget(attachment)
