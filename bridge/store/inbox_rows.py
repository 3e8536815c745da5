"""The inbox's rows: taken, read, expired, turned into dead letters, within the writer's transactions."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

from bridge.store.clock import Clock, Deadline
from bridge.store.disk import Disk
from bridge.store.event import Batch, Entry, Numbered, Taken, event_of, size_of
from bridge.store.lanes import Lane, Refused
from bridge.store.ledger import Ledger, StreamState
from bridge.store.losses import Losses
from bridge.store.schedule import Key, Pick
from bridge.store.schema import LAST_SEQ, SEQ_BITS, inbox_statements, row_id, seq_of
from bridge.store.transaction import Transaction
from edge.errors import BadInput


@dataclass(frozen=True, kw_only=True, slots=True)
class InboxBounds:
    """What one site may leave here to be played, in each of its lanes: what fills one leaves room for alarms.

    Attributes:
        max_bytes: How much, with some 64 bytes for each entry.
        max_count: How many entries.
    """

    max_bytes: int = 64 << 20
    max_count: int = 100_000


class Arrival(NamedTuple):
    """What is to be played after a batch was taken."""

    taken: Taken
    entries: list[tuple[Key, int]]


class Claimed(NamedTuple):
    """What became of the entries that were picked.

    Attributes:
        entries: To be played.
        gone: Out of the way: expired, or no longer there.
        held: Whether they have expired, nobody can tell.
    """

    entries: list[Entry]
    gone: list[int]
    held: list[int]


class InboxRows:
    """Used by the writer's thread only."""

    def __init__(self, ledger: Ledger, losses: Losses, clock: Clock, disk: Disk, bounds: InboxBounds) -> None:
        self.boot = 0
        self._ledger = ledger
        self._losses = losses
        self._clock = clock
        self._disk = disk
        self._bounds = bounds

    def load(self, connection: sqlite3.Connection) -> Iterator[tuple[Key, int]]:
        """Return all that is to be played, in order."""
        for lane in Lane:
            table = f"inbox_{lane.word}"
            for identity, route in connection.execute(f"SELECT id, route FROM {table} ORDER BY id"):  # noqa: S608 - a word of the enumeration
                stream = self._ledger.by_number.get(identity >> SEQ_BITS)
                if stream is not None:
                    yield Key(stream.site, lane, route), identity

    def take(
        self, transaction: Transaction, site: str, store_id: str, lane: Lane, batch: Batch, age_s: float
    ) -> Arrival:
        """Store what is new of a batch and move the mark.

        Raises:
            BadInput: the batch contradicts itself.
            Refused: the inbox or the disk is full.
        """
        check(batch)
        known = self._ledger.streams.get((site, store_id, lane))
        mark = 0 if known is None else known.mark
        # Who acknowledged that and does not remember was this end, before it lost its file.
        base = max(mark, batch.acknowledged_seq)
        is_gap = batch.previous_seq > base
        if known is not None and known.tag and any(numbered.seq <= mark for numbered in batch.events):
            # Partly known, or so it seems: the sender shall first make sure that it is the same that it sent before.
            is_gap = batch.last_seq > mark
        if known is not None and (is_gap or batch.last_seq <= mark):
            return Arrival(Taken(mark, is_gap, known.fate, known.tag), [])
        new = [] if is_gap else [numbered for numbered in batch.events if numbered.seq > base]
        self._check_room(transaction, site, lane, new)
        stream = self._ledger.stream(transaction, site, store_id, lane)
        transaction.touch(stream, is_written=True)
        if is_gap:
            return Arrival(Taken(stream.mark, True, stream.fate, stream.tag), [])
        stream.started += base - mark
        stream.mark = max(base, batch.last_seq)
        stream.tag = batch.tag if stream.mark == batch.last_seq else 0
        self._explain(transaction, stream, batch, base, len(new))
        entries = [self._put(transaction, stream, numbered, batch.sent_ms, age_s) for numbered in new]
        return Arrival(Taken(stream.mark, False, stream.fate, stream.tag), entries)

    def claim(
        self, transaction: Transaction, picks: Collection[Pick], now_s: float, offsets_ms: Mapping[str, int]
    ) -> Claimed:
        """Read entries; those that have expired are removed and counted.

        Args:
            picks: Which.
            now_s: The present on the schedule's clock.
            offsets_ms: By how much the clocks of sites are ahead of the time since boot, as far as known.
        """
        claimed = Claimed([], [], [])
        for pick in picks:
            stream = self._ledger.by_number.get(pick.row_id >> SEQ_BITS)
            span = (pick.row_id - 1, pick.row_id)
            row = transaction.execute(inbox_statements(pick.key.lane).read, span).fetchone()
            if stream is None or row is None:
                claimed.gone.append(pick.row_id)
                continue
            left_s = None
            if row[8] is not None:
                left_ms = self._left_ms(Deadline(*row[6:9]), offsets_ms.get(stream.site))
                if left_ms is None:
                    claimed.held.append(pick.row_id)
                    continue
                if left_ms <= 0:
                    self.expire(transaction, stream, pick.row_id, row[4])
                    claimed.gone.append(pick.row_id)
                    continue
                left_s = left_ms / 1000
            event = event_of(*row[1:4])
            refused_for_s = 0.0 if pick.refused_s is None else now_s - pick.refused_s
            claimed.entries.append(
                Entry(
                    stream.site, stream.store_id, stream.lane, seq_of(pick.row_id), event, left_s,
                    pick.tries, refused_for_s, row[9] or 0, pick.row_id, row[4],
                )
            )  # fmt: skip
        return claimed

    def expire(self, transaction: Transaction, stream: StreamState, identity: int, size: int) -> None:
        """Remove an entry that is too old."""
        if self.remove(transaction, stream, identity, size):
            stream.expired += 1
            self._losses.count(transaction, ("in", stream.site, stream.lane, "expired"), 1, size)

    def played(self, transaction: Transaction, entry: Entry) -> None:
        """Remove an entry that its target took."""
        stream = self._ledger.by_number.get(entry.row_id >> SEQ_BITS)
        if stream is not None and self.remove(transaction, stream, entry.row_id, entry.size_bytes):
            stream.played += 1

    def drop(self, transaction: Transaction, site: str, lane: Lane, seq: int | None) -> list[int]:
        """Remove what waits in a site's lane, or what has a number, counted as expired; return their IDs."""
        gone: list[int] = []
        if seq is not None and not 0 < seq <= LAST_SEQ:
            return gone
        after, last = (0, LAST_SEQ) if seq is None else (seq - 1, seq)
        for stream in self._ledger.streams_of(site):
            if stream.lane is not lane:
                continue
            ask, span = inbox_statements(lane), (row_id(stream.number, after), row_id(stream.number, last))
            count, size = transaction.execute(ask.total, span).fetchone()
            if count:
                gone += [row[0] for row in transaction.execute(ask.oldest, (*span, LAST_SEQ))]
                transaction.execute(ask.delete, span)
                transaction.touch(stream, is_written=True)
                self._losses.count(transaction, ("in", site, lane, "dropped"), count, size)
                stream.expired += count
                stream.count -= count
                stream.size_bytes -= size
        return gone

    def remove(self, transaction: Transaction, stream: StreamState, identity: int, size: int) -> bool:
        """Delete an entry; return whether it was there."""
        if not transaction.execute(inbox_statements(stream.lane).delete, (identity - 1, identity)).rowcount:
            return False
        transaction.touch(stream, is_written=True)
        stream.count -= 1
        stream.size_bytes -= size
        return True

    def put_back(
        self, transaction: Transaction, stream: StreamState, identity: int, content: tuple[Any, ...], replay: int
    ) -> None:
        """Insert an entry that was a dead letter; it does not expire any more, somebody wants it."""
        values = (identity, *content, self._clock.now_ms() // 1000, None, None, None, replay)
        transaction.execute(inbox_statements(stream.lane).put, values)
        transaction.touch(stream, is_written=True)
        stream.count += 1
        stream.size_bytes += size_of(*content)

    def _put(
        self, transaction: Transaction, stream: StreamState, numbered: Numbered, sent_ms: int, age_s: float
    ) -> tuple[Key, int]:
        event, identity = numbered.event, row_id(stream.number, numbered.seq)
        extra = event.extra()
        size = size_of(event.route, event.body, extra)
        deadline: tuple[int | None, ...] = (None, None, None)
        if numbered.seconds_left is not None:
            ms = int(numbered.seconds_left * 1000)
            deadline = Deadline(self._clock.alive_ms() + ms - int(age_s * 1000), self.boot, sent_ms + ms)
        values = (identity, event.route, event.body, extra, self._clock.now_ms() // 1000, *deadline, None)
        transaction.execute(inbox_statements(stream.lane).put, values)
        stream.count += 1
        stream.size_bytes += size
        return Key(stream.site, stream.lane, event.route), identity

    def _explain(self, transaction: Transaction, stream: StreamState, batch: Batch, base: int, taken: int) -> None:
        """Count what did not come: numbers of the batch without an event, for the reasons that it names."""
        missing = batch.last_seq - base - taken
        if missing <= 0:
            return
        stream.skipped += missing
        for loss in batch.losses:
            count = min(missing, min(loss.last_seq, batch.last_seq) - max(loss.first_seq, base + 1) + 1)
            if count > 0:
                missing -= count
                size = loss.size_bytes * count // loss.count
                self._losses.count(transaction, ("in", stream.site, stream.lane, loss.why), count, size)
        if missing:
            self._losses.count(transaction, ("in", stream.site, stream.lane, "unexplained"), missing, 0)

    def _check_room(self, transaction: Transaction, site: str, lane: Lane, new: list[Numbered]) -> None:
        if not new:
            return
        count, size = self._ledger.inbox_of(site, lane)
        if count >= self._bounds.max_count or size >= self._bounds.max_bytes:
            raise Refused("full", f"{count} messages of {site} wait to be played, {size} bytes: no more are taken")
        more = sum(size_of(event.route, event.body, None) for _, event, _ in new)
        if not self._disk.has_room(transaction.connection, more):
            raise Refused("disk", f"the disk has no more room for messages of {site}")

    def _left_ms(self, deadline: Deadline, offset_ms: int | None) -> int | None:
        alive_ms = self._clock.alive_ms()
        return deadline.left_ms(alive_ms, self.boot, None if offset_ms is None else alive_ms + offset_ms)


def check(batch: Batch) -> None:
    """Raise `BadInput` if a batch contradicts itself; it comes from others."""
    seqs = [numbered.seq for numbered in batch.events]
    is_ascending = all(one < other for one, other in pairwise(seqs))
    begin, end = batch.previous_seq, batch.last_seq
    if not (0 <= begin <= end <= LAST_SEQ and 0 <= batch.acknowledged_seq <= LAST_SEQ and is_ascending):
        raise BadInput(f"a batch from {begin} to {end} whose numbers make no sense")
    if seqs and not begin < seqs[0] <= seqs[-1] <= end:
        raise BadInput(f"a batch from {begin} to {end} with events {seqs[0]} to {seqs[-1]}")
    if any(not 0 < loss.first_seq <= loss.last_seq <= LAST_SEQ or loss.size_bytes < 0 for loss in batch.losses):
        raise BadInput("a loss whose numbers make no sense")
