"""What was accepted for others and is not known to have reached them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial

from bridge.store.event import Batch, Event, Fate, size_of
from bridge.store.lanes import Lane, LanePolicy
from bridge.store.ledger import LaneState, Ledger
from bridge.store.outbox_rows import OutboxRows, Wish
from bridge.store.transaction import Transaction
from bridge.store.writer import Writer
from edge.errors import NotStored

# What may wait in memory to be written, having been answered; more is written before it is answered.
_BUFFER_BYTES = 1 << 20

Policies = Callable[[str, Lane], LanePolicy]


class Outbox:
    """Durable queues, one for each lane towards each site. Sites are named by the caller; nothing here sends.

    A sender takes batches after what it sent last, says what was acknowledged, and begins at `mark` again when it is
    told of a gap or hears nothing. Only what is on the disk is ever returned.
    """

    def __init__(self, writer: Writer, ledger: Ledger, rows: OutboxRows, policies: Policies) -> None:
        self._writer = writer
        self._ledger = ledger
        self._rows = rows
        self._policies = policies
        self._seen: dict[tuple[str, Lane], LaneState] = {}
        self._changed: dict[str, asyncio.Event] = {}
        self._deleting: set[tuple[str, Lane]] = set()
        self._buffered_bytes = 0
        self.refused: dict[tuple[str, Lane], int] = {}
        self.buffered: dict[tuple[str, Lane], int] = {}

    async def put(
        self, site: str, lane: Lane, event: Event, expires_in_s: float | None = None, *, buffered: bool = False
    ) -> int:
        """Store an event; when this returns it is on the disk, and will reach the site or be reported lost.

        Args:
            site: Towards whom.
            lane: Its class.
            event: What shall be played there.
            expires_in_s: How long it is worth sending; None takes the lane's own.
            buffered: Answer at once and write within a second: a power cut may cost two seconds, unreported. Lanes
                may have it as their policy.

        Returns:
            The event's number in its lane; 0 for a buffered one, which gets its number later.

        Raises:
            Refused: the lane or the disk is full, or the bridge is stopping; `reason` says which.
            NotStored: the disk is broken; nothing was kept.
        """
        policy = self._policies(site, lane)
        extra = event.extra()
        size = size_of(event.route, event.body, extra)
        expires_in_s = policy.expiry_s if expires_in_s is None else expires_in_s
        is_buffered = (buffered or policy.is_buffered) and self._has_place(site, lane, policy, size)
        wish = Wish(site, lane, policy, event, extra, size, expires_in_s, is_buffered)
        try:
            self._writer.check_room()
            if is_buffered:
                self._writer.later(partial(self._rows.put, wish=wish), partial(self._wrote, size))
                self._buffered_bytes += size
                self.buffered[site, lane] = self.buffered.get((site, lane), 0) + 1
                return 0
            return await self._writer.run(partial(self._rows.put, wish=wish))
        except NotStored:
            self.refused[site, lane] = self.refused.get((site, lane), 0) + 1
            raise

    async def batch(self, site: str, lane: Lane, after_seq: int, max_events: int = 50, max_bytes: int = 16384) -> Batch:
        """Return what follows a number, in order; what has expired is dropped and accounted for on the way.

        Args:
            site: Towards whom.
            lane: Which lane.
            after_seq: What was sent last; `mark(site, lane)` to begin again.
            max_events: Most events.
            max_bytes: Most bytes; one event alone may have more.
        """
        state = self._seen.get((site, lane))
        if state is None or state.last_seq <= max(after_seq, state.mark):
            seq = max(after_seq, state.mark) if state is not None else after_seq
            mark = state.mark if state is not None else 0
            return Batch(seq, seq, acknowledged_seq=mark, sent_ms=self._rows.now_ms())

        def read(transaction: Transaction) -> Batch:
            state = self._ledger.lane(transaction, site, lane)
            return self._rows.read(transaction, state, after_seq, max_events, max_bytes)

        return await self._writer.run(read, is_write=False)

    async def acknowledge(self, site: str, lane: Lane, up_to_seq: int, fate: Fate | None = None, tag: int = 0) -> bool:
        """Take note of the receiver's mark; rows are deleted with the next commit, within a second.

        Args:
            site: Who has it.
            lane: Which lane.
            up_to_seq: Everything up to this number is there.
            fate: What became of it.
            tag: Of the batch that ended there, as it came back with the mark; 0 if it did not.

        Returns:
            False for a mark of something that was never sent from here, which is ignored: the file was restored from
            a copy, or the same card is in two machines. `Store.renew` makes it another store to that site.
        """

        def note(transaction: Transaction) -> tuple[bool, bool]:
            state = self._ledger.lanes.get((site, lane))
            if state is None:
                return up_to_seq == 0, False
            if not self._rows.is_ours(transaction, state, up_to_seq, tag):
                return False, False
            return True, self._rows.acknowledge(transaction, state, up_to_seq, fate)

        is_known, _ = await self._writer.run(note, lambda noted: self._delete(site, lane, noted[1]), is_write=False)
        return is_known

    async def drop(self, site: str, lane: Lane, seq: int | None = None, why: str = "dropped") -> int:
        """Drop what waits in a lane, or the one with a number; it is reported to the site as lost. Return how many."""

        def drop(transaction: Transaction) -> int:
            state = self._ledger.lanes.get((site, lane))
            return 0 if state is None else self._rows.drop(transaction, state, why, seq)

        return await self._writer.run(drop)

    async def expire(self, site: str) -> None:
        """Drop and account for what is too old, up to the first of each lane that is not, though nothing is sent."""
        for lane in Lane:
            seq, is_all_expired = self.mark(site, lane), True
            while is_all_expired:
                batch = await self.batch(site, lane, seq, max_events=1)
                seq, is_all_expired = batch.last_seq, not batch.events and not batch.is_empty

    async def list(self, site: str, lane: Lane, after_seq: int = 0, most: int = 100) -> list[tuple[int, int, Event]]:
        """Return what waits: its number, when it was accepted (Unix ms, by the clock of then), and the event."""

        def read(transaction: Transaction) -> list[tuple[int, int, Event]]:
            state = self._ledger.lanes.get((site, lane))
            return [] if state is None else self._rows.waiting(transaction, state, after_seq, most)

        return await self._writer.run(read, is_write=False)

    def mark(self, site: str, lane: Lane) -> int:
        """Return the number up to which the site acknowledged."""
        state = self._seen.get((site, lane))
        return 0 if state is None else state.mark

    def last_seq(self, site: str, lane: Lane) -> int:
        """Return the highest number on the disk; 0 if there is none."""
        state = self._seen.get((site, lane))
        return 0 if state is None else state.last_seq

    def waiting(self, site: str) -> dict[Lane, int]:
        """Return how many messages wait in each lane."""
        states = ((lane, self._seen.get((site, lane))) for lane in Lane)
        return {lane: 0 if state is None else state.count for lane, state in states}

    def sites(self) -> set[str]:
        """Return all sites that ever got something."""
        return {site for site, _ in self._seen}

    def changed(self, site: str) -> asyncio.Event:
        """Return what is set whenever there may be something new to send to a site; the sender clears it."""
        return self._changed.setdefault(site, asyncio.Event())

    def seen(self, state: LaneState) -> None:
        """Take a copy of a lane's counters after a commit."""
        key = (state.site, state.lane)
        before = self._seen.get(key)
        self._seen[key] = state
        if before is None or state.last_seq > before.last_seq or state.mark > before.mark or state.count < before.count:
            self.changed(state.site).set()

    def _has_place(self, site: str, lane: Lane, policy: LanePolicy, size: int) -> bool:
        if self._writer.is_failing:  # who knows for how long: what is answered now is to be on the disk
            return False
        state = self._seen.get((site, lane))
        in_lane = self._buffered_bytes + size + (0 if state is None else state.size_bytes)
        return self._buffered_bytes + size <= _BUFFER_BYTES and in_lane <= policy.max_bytes

    def _wrote(self, size: int, seq: int) -> None:
        self._buffered_bytes -= size

    def _delete(self, site: str, lane: Lane, is_needed: bool) -> None:
        if not is_needed or (site, lane) in self._deleting or self._writer.is_closed:
            return
        self._deleting.add((site, lane))

        def delete(transaction: Transaction) -> None:
            self._rows.delete_acknowledged(transaction, self._ledger.lane(transaction, site, lane))

        self._writer.later(delete, lambda _: self._deleting.discard((site, lane)))
