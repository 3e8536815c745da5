"""Which entry of the inbox is played next: one at a time and in order for each target, alarms before all others.

Sites take turns, however many targets each has, and none has more than so many entries in flight.

Pure: it knows the entries' IDs, not what they say, so that a long backlog costs eight bytes for each.
"""

from __future__ import annotations

from array import array
from collections import OrderedDict, defaultdict, deque
from collections.abc import Collection, Iterable, Iterator
from heapq import heappop, heappush
from itertools import count
from typing import NamedTuple, TypeAlias

from bridge.store.lanes import Lane

# More entries than anybody has in flight.
ANY_NUMBER = 1 << 30
# How many positions of a queue may be behind its head before it is shortened.
_SLACK = 1024


class Key(NamedTuple):
    """A target: entries of one site and lane for the same route."""

    site: str
    lane: Lane
    route: str


class Pick(NamedTuple):
    """An entry that is to be played now.

    Attributes:
        key: Its target.
        row_id: Its place in the inbox.
        tries: How often it was tried before.
        since_s: When it was tried first, on the caller's clock.
        refused_s: Since when its target refuses it; None if the last try came to something else.
    """

    key: Key
    row_id: int
    tries: int
    since_s: float
    refused_s: float | None = None


class Retry(NamedTuple):
    """An entry that was tried in vain.

    Attributes:
        key: Its target.
        row_id: Its place in the inbox.
        tries: How often it was tried.
        since_s: When it was tried first, on the caller's clock.
        due_s: When it is tried next; in the past while it is tried.
        why: What the last try came to.
        of_target: How many entries wait for the same target, this one included.
    """

    key: Key
    row_id: int
    tries: int
    since_s: float
    due_s: float
    why: str
    of_target: int


# A site, and the lanes that were asked for when its entry was picked.
_Place: TypeAlias = tuple[str, tuple[Lane, ...]]


class _Target:
    __slots__ = (
        "due_s", "head", "in_flight", "is_listed", "key", "refused_s", "row_ids", "since_s", "taken_as", "tries", "why",
    )  # fmt: skip

    def __init__(self, key: Key) -> None:
        self.key = key
        self.row_ids = array("q")
        self.head = 0
        self.tries = 0
        self.since_s = 0.0
        self.refused_s: float | None = None
        self.due_s = 0.0
        self.why = ""
        self.in_flight = False
        # Whose place it takes while it is in flight.
        self.taken_as: _Place | None = None
        # In a queue of ready ones or among those that wait for a time.
        self.is_listed = False

    def __len__(self) -> int:
        return len(self.row_ids) - self.head

    def pop(self) -> None:
        self.head += 1
        self.tries = 0
        self.refused_s = None
        if self.head == len(self.row_ids):
            del self.row_ids[:]
            self.head = 0
        elif self.head >= _SLACK and self.head * 2 > len(self.row_ids):
            del self.row_ids[: self.head]
            self.head = 0


class Schedule:
    """Times are seconds on any clock that only grows; the caller names the present."""

    def __init__(self) -> None:
        self._targets: dict[Key, _Target] = {}
        self._in_flight: dict[int, _Target] = {}
        # By site; the one that comes first has its turn.
        self._ready: dict[Lane, OrderedDict[str, deque[_Target]]] = {lane: OrderedDict() for lane in Lane}
        self._taken: dict[_Place, int] = defaultdict(int)
        self._blocked: list[tuple[float, int, _Target]] = []
        self._numbers = count()
        self._turn = 0
        self._held: set[_Target] = set()

    def __len__(self) -> int:
        return sum(map(len, self._targets.values()))

    def add(self, key: Key, row_id: int) -> None:
        """Put an entry behind the others of its target."""
        target = self._targets.get(key)
        if target is None:
            target = self._targets[key] = _Target(key)
        target.row_ids.append(row_id)
        self._list(target)

    def is_ready(self, now_s: float, lanes: Collection[Lane] = tuple(Lane), most_of_site: int = ANY_NUMBER) -> bool:
        """Return whether `pick` has something."""
        self._wake(now_s)
        return any(self._next_site(lane, lanes, most_of_site) is not None for lane in lanes)

    def pick(self, now_s: float, lanes: Collection[Lane] = tuple(Lane), most_of_site: int = ANY_NUMBER) -> Pick | None:
        """Return the next entry, which then is in flight, or None if none is due.

        Args:
            now_s: The present.
            lanes: Of which lanes.
            most_of_site: How many entries of one site may be in flight that were picked from these lanes.
        """
        self._wake(now_s)
        for lane in self._order(lanes):
            site = self._next_site(lane, lanes, most_of_site)
            if site is not None:
                target = self._ready[lane][site].popleft()
                self._took(lane, site)
                target.is_listed = False
                target.in_flight = True
                target.taken_as = (site, tuple(lanes))
                self._taken[target.taken_as] += 1
                row_id = target.row_ids[target.head]
                self._in_flight[row_id] = target
                if not target.tries:
                    target.since_s = now_s
                return Pick(target.key, row_id, target.tries, target.since_s, target.refused_s)
        return None

    def next_due_s(self) -> float | None:
        """Return when something that waits for a time is due; None if nothing does."""
        return self._blocked[0][0] if self._blocked else None

    def finish(self, row_id: int) -> None:
        """Say that an entry is out of the way; nothing happens if it is not in flight."""
        target = self._land(row_id)
        if target is None:
            return
        target.pop()
        if len(target):
            self._list(target)
        elif self._targets.get(target.key) is target:
            del self._targets[target.key]

    def again(self, row_id: int, due_s: float, why: str = "", refused_s: float | None = None) -> None:
        """Say that an entry was tried in vain, and when to try it next; the others of its target wait for it.

        Args:
            row_id: The entry.
            due_s: When.
            why: What the try came to.
            refused_s: When its target refused it; None if it came to something else.
        """
        target = self._land(row_id)
        if target is not None:
            target.tries += 1
            target.refused_s = refused_s if refused_s is None or target.refused_s is None else target.refused_s
            target.due_s, target.why = due_s, why
            target.is_listed = True
            heappush(self._blocked, (due_s, next(self._numbers), target))

    def retries(self) -> Iterator[Retry]:
        """Yield what was tried in vain and is not out of the way."""
        for target in self._targets.values():
            if target.tries and len(target):
                row_id = target.row_ids[target.head]
                yield Retry(target.key, row_id, target.tries, target.since_s, target.due_s, target.why, len(target))

    def release(self, row_id: int) -> None:
        """Say that an entry was not tried after all."""
        target = self._land(row_id)
        if target is not None:
            self._list(target)

    def hold(self, row_id: int) -> None:
        """Say that nobody knows yet whether an entry has expired; the others of its target wait for it."""
        target = self._land(row_id)
        if target is not None:
            self._held.add(target)

    def unhold(self, site: str) -> None:
        """Say that this can be told now for a site."""
        for target in [target for target in self._held if target.key.site == site]:
            self._held.remove(target)
            self._list(target)

    def forget(self, row_ids: Iterable[int]) -> None:
        """Take entries out that are no longer there, but for those in flight."""
        gone = set(row_ids)
        for target in list(self._targets.values()):
            in_flight = target.row_ids[target.head] if target.in_flight else None
            kept = [row_id for row_id in target.row_ids[target.head :] if row_id not in gone or row_id == in_flight]
            if len(kept) != len(target):
                target.row_ids, target.head = array("q", kept), 0
                if not kept:
                    self._unlist(target)

    def _order(self, lanes: Collection[Lane]) -> Iterator[Lane]:
        if Lane.ALARM in lanes:
            yield Lane.ALARM
        # One in four for telemetry, so that neither starves the other.
        self._turn += 1
        first, second = (Lane.TELEMETRY, Lane.MESSAGE) if self._turn % 4 == 0 else (Lane.MESSAGE, Lane.TELEMETRY)
        yield from (lane for lane in (first, second) if lane in lanes)

    def _list(self, target: _Target) -> None:
        if not (target.in_flight or target.is_listed or target in self._held):
            target.is_listed = True
            sites = self._ready[target.key.lane]
            ready = sites.get(target.key.site)
            if ready is None:
                sites[target.key.site] = deque((target,))
            else:
                ready.append(target)

    def _unlist(self, target: _Target) -> None:
        del self._targets[target.key]
        self._held.discard(target)
        if target.is_listed:
            ready = self._ready[target.key.lane].get(target.key.site)
            if ready is not None and target in ready:
                ready.remove(target)
                self._took(target.key.lane, target.key.site)
            self._blocked = [entry for entry in self._blocked if entry[2] is not target]
            self._blocked.sort()

    def _wake(self, now_s: float) -> None:
        while self._blocked and self._blocked[0][0] <= now_s:
            target = heappop(self._blocked)[2]
            target.is_listed = False
            self._list(target)

    def _land(self, row_id: int) -> _Target | None:
        target = self._in_flight.pop(row_id, None)
        if target is not None:
            target.in_flight = False
            assert target.taken_as is not None
            self._taken[target.taken_as] -= 1
        return target

    def _next_site(self, lane: Lane, lanes: Collection[Lane], most_of_site: int) -> str | None:
        """Return whose turn it is: few are passed over, as only few can have so many in flight."""
        asked = tuple(lanes)
        for site in self._ready[lane]:
            if self._taken[site, asked] < most_of_site:
                return site
        return None

    def _took(self, lane: Lane, site: str) -> None:
        """The next turn is another site's."""
        sites = self._ready[lane]
        if sites[site]:
            sites.move_to_end(site)
        else:
            del sites[site]
