"""What was taken from others and is to be played here: each once on the disk, then at least once to its target."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Collection
from functools import partial

from bridge.store.clock import Clock
from bridge.store.dead_letters import DeadLetterRows
from bridge.store.event import Batch, Entry, Fate, Taken
from bridge.store.inbox_rows import Arrival, Claimed, InboxRows
from bridge.store.lanes import Lane
from bridge.store.ledger import Ledger, StreamState
from bridge.store.schedule import ANY_NUMBER, Key, Pick, Retry, Schedule
from bridge.store.schema import SEQ_BITS
from bridge.store.transaction import Transaction
from bridge.store.writer import Writer
from edge.errors import NotStored

# Where the disk does not take what became of an entry, the entry is played again after this.
_AGAIN_S = 10.0


class Inbox:
    """Durable and without repetitions; whoever plays it claims entries and says what became of each.

    One entry at a time is in flight for each target of a site and lane, in order; others go on. What was played is
    deleted with the next commit, within a second or after 32 of them: a kill repeats no more than these and those in
    flight, and the platform drops what it knows by the entry's `idempotency_key`.
    """

    def __init__(
        self, writer: Writer, ledger: Ledger, rows: InboxRows, dead_rows: DeadLetterRows, clock: Clock
    ) -> None:
        self._writer = writer
        self._ledger = ledger
        self._rows = rows
        self._dead_rows = dead_rows
        self._clock = clock
        self._schedule = Schedule()
        self._offsets_ms: dict[str, int] = {}
        self._seen: dict[str, dict[tuple[str, Lane], StreamState]] = defaultdict(dict)
        self._news = asyncio.Event()
        self._changed: dict[str, asyncio.Event] = {}

    async def take(self, site: str, store_id: str, lane: Lane, batch: Batch, age_s: float = 0.0) -> Taken:
        """Store what is new of a batch; when this returns it is on the disk, and the mark may be told.

        A batch that was taken before changes nothing and returns the mark; so does one after a gap.

        Args:
            site: Who sent it.
            store_id: From which of its stores.
            lane: Which lane.
            batch: What arrived.
            age_s: How long it was under way, as far as that is known.

        Raises:
            BadInput: the batch contradicts itself.
            Refused: the inbox or the disk is full: nothing was stored, acknowledge nothing, take it again later.
            NotStored: the disk is broken.
        """

        self._writer.check_room()

        def take(transaction: Transaction) -> Arrival:
            return self._rows.take(transaction, site, store_id, lane, batch, age_s)

        return (await self._writer.run(take, self._add)).taken

    def fate(self, site: str, store_id: str, lane: Lane) -> Fate:
        """Return the mark and what became of a lane so far: what is told to the sender."""
        stream = self._seen[site].get((store_id, lane))
        return Fate() if stream is None else stream.fate

    def taken(self, site: str, store_id: str, lane: Lane) -> Taken:
        """Return the same with the mark's tag: never tell a mark without it."""
        stream = self._seen[site].get((store_id, lane))
        return Taken(0, False, Fate()) if stream is None else Taken(stream.mark, False, stream.fate, stream.tag)

    def all_taken(self, site: str) -> dict[tuple[str, Lane], Taken]:
        """Return the same for all lanes of all stores of a site."""
        return {(store_id, lane): self.taken(site, store_id, lane) for store_id, lane in self._seen[site]}

    async def claim(
        self, limit: int, lanes: Collection[Lane] = tuple(Lane), most_of_site: int = ANY_NUMBER
    ) -> list[Entry]:
        """Return entries that are due, alarms first, sites in turn; none if there are none.

        What has expired is removed and counted on the way; where the disk does not take that, nothing is claimed for
        some seconds. Entries that can expire and were taken before the last boot are held back, with what follows for
        the same target, until `clock_known`.

        Args:
            limit: Most entries.
            lanes: Of which lanes.
            most_of_site: Most entries of one site, with those claimed from these lanes before and not given back.
        """
        while picks := self._pick(limit, lanes, most_of_site):
            now_s, offsets_ms = time.monotonic(), dict(self._offsets_ms)

            def claim(transaction: Transaction, picks: list[Pick] = picks, now_s: float = now_s) -> Claimed:
                return self._rows.claim(transaction, picks, now_s, offsets_ms)  # noqa: B023 - runs before the next turn

            try:
                claimed = await self._writer.run(claim, self._clear, is_write=False)
            except NotStored:
                for pick in picks:
                    self._schedule.again(pick.row_id, now_s + _AGAIN_S)
                return []
            except BaseException:
                for pick in picks:
                    self._schedule.release(pick.row_id)
                raise
            if claimed.entries:
                return claimed.entries
        return []

    async def ready(self, lanes: Collection[Lane] = tuple(Lane), most_of_site: int = ANY_NUMBER) -> None:
        """Wait until `claim` has something to do."""
        while not self._schedule.is_ready(time.monotonic(), lanes, most_of_site):
            self._news.clear()
            due_s = self._schedule.next_due_s()
            try:
                async with asyncio.timeout(None if due_s is None else max(0.0, due_s - time.monotonic())):
                    await self._news.wait()
            except TimeoutError:
                pass

    async def done(self, entry: Entry) -> None:
        """Say that the target took an entry; it is deleted a little later, the target's next one may be claimed now."""
        if not self._writer.is_closed:  # else it is played again after the next start
            self._writer.later(partial(self._rows.played, entry=entry))
        self._finish(entry)

    async def again(self, entry: Entry, after_s: float, why: str = "", *, is_refused: bool = False) -> None:
        """Say that an entry could not be played, and when to try it next; later ones for its target wait for it.

        Args:
            entry: Which.
            after_s: In how many seconds.
            why: What came of it.
            is_refused: Whether its target refused it; `refused_for_s` counts for how long it goes on doing so.
        """
        now_s = time.monotonic()
        self._schedule.again(entry.row_id, now_s + after_s, why, now_s if is_refused else None)
        self._news.set()

    async def dead(self, entry: Entry, status: int, why: str) -> None:
        """Say that the target refuses an entry for good: it is kept as a dead letter.

        Where the disk does not take that, the entry is tried again later.
        """
        await self._resolve(entry, partial(self._dead_rows.bury, entry=entry, status=status, why=why))

    async def expired(self, entry: Entry) -> None:
        """Say that an entry has become too old since it was claimed."""

        def expire(transaction: Transaction) -> None:
            stream = self._ledger.by_number.get(entry.row_id >> SEQ_BITS)
            if stream is not None:
                self._rows.expire(transaction, stream, entry.row_id, entry.size_bytes)

        await self._resolve(entry, expire)

    async def replay(self, letter_id: int) -> bool:
        """Put a dead letter back, behind what waits for its target; return whether there is such a one."""

        def revive(transaction: Transaction) -> tuple[Key, int] | None:
            return self._dead_rows.revive(transaction, letter_id)

        return await self._writer.run(revive, self._add_revived) is not None

    async def drop(self, site: str, lane: Lane, seq: int | None = None) -> int:
        """Remove what waits in a site's lane to be played, or what has a number; return how many that were.

        It is counted for the site as expired; marks stay. What is being played may have its effect all the same.
        """

        def drop(transaction: Transaction) -> list[int]:
            return self._rows.drop(transaction, site, lane, seq)

        gone = await self._writer.run(drop, self._schedule.forget)
        return len(gone)

    def clock_known(self, site: str, sender_now_ms: int) -> None:
        """Say what time it is at a sender, by the clock of its batches' `sent_ms`."""
        self._offsets_ms[site] = sender_now_ms - self._clock.alive_ms()
        self._schedule.unhold(site)
        self._news.set()

    def retries(self) -> list[Retry]:
        """Return what was tried in vain and will be tried again, the longest tried first; times are monotonic."""
        return sorted(self._schedule.retries(), key=lambda retry: retry.since_s)

    def waiting(self, site: str) -> dict[Lane, int]:
        """Return how many entries of a site wait in each lane to be played."""
        counts = dict.fromkeys(Lane, 0)
        for (_, lane), stream in self._seen[site].items():
            counts[lane] += stream.count
        return counts

    def sites(self) -> set[str]:
        """Return all sites that something was ever taken from."""
        return {site for site, streams in self._seen.items() if streams}

    def changed(self, site: str) -> asyncio.Event:
        """Return what is set whenever `all_taken` of a site may have changed; whoever tells them clears it."""
        return self._changed.setdefault(site, asyncio.Event())

    def load(self, entries: list[tuple[Key, int]]) -> None:
        """Take what is on the disk when the store is opened."""
        for key, row_id in entries:
            self._schedule.add(key, row_id)

    def seen(self, stream: StreamState) -> None:
        """Take a copy of a stream's counters after a commit."""
        if stream.is_gone:
            self._seen[stream.site].pop((stream.store_id, stream.lane), None)
        else:
            self._seen[stream.site][stream.store_id, stream.lane] = stream
        self.changed(stream.site).set()

    def _pick(self, limit: int, lanes: Collection[Lane], most_of_site: int) -> list[Pick]:
        now_s = time.monotonic()
        picks: list[Pick] = []
        while len(picks) < limit and (pick := self._schedule.pick(now_s, lanes, most_of_site)) is not None:
            picks.append(pick)
        return picks

    async def _resolve(self, entry: Entry, run: Callable[[Transaction], None]) -> None:
        try:
            await self._writer.run(run, lambda _: self._finish(entry))
        except NotStored:
            await self.again(entry, _AGAIN_S)

    def _add(self, arrival: Arrival) -> None:
        for key, row_id in arrival.entries:
            self._schedule.add(key, row_id)
        if arrival.entries:
            self._news.set()

    def _add_revived(self, revived: tuple[Key, int] | None) -> None:
        if revived is not None:
            self._schedule.add(*revived)
            self._news.set()

    def _clear(self, claimed: Claimed) -> None:
        for row_id in claimed.gone:
            self._schedule.finish(row_id)
        for row_id in claimed.held:
            self._schedule.hold(row_id)

    def _finish(self, entry: Entry) -> None:
        self._schedule.finish(entry.row_id)
        self._news.set()
