"""The outbox's rows: stored, read, dropped and expired, within the writer's transactions."""

from __future__ import annotations

import time
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

from bridge.store.clock import Clock, Deadline
from bridge.store.disk import Disk
from bridge.store.event import Batch, Event, Fate, Numbered, event_of
from bridge.store.lanes import Lane, LanePolicy, Refused, WhenFull
from bridge.store.ledger import LaneState, Ledger
from bridge.store.losses import Dropped, Losses
from bridge.store.schema import LAST_SEQ, outbox_statements, row_id, seq_of
from bridge.store.transaction import Transaction

# What one batch drops or explains at most; the next one goes on.
_MOST_EXPIRED = 500
_MOST_LOSSES = 64
# The tag of a number whose message is lost.
_LOST = 1
# A full lane looks for what has expired this often.
_SWEEP_EVERY_S = 1.0


@dataclass(frozen=True, slots=True)
class Wish:
    """What shall be stored.

    Attributes:
        site: Towards whom.
        lane: In which lane.
        policy: What the lane may take.
        event: What.
        extra: Its query and headers as they are stored.
        size_bytes: What it counts for.
        expires_in_s: How long it is worth sending; None: always.
        is_answered: Whether it was accepted already, so that it is accounted for if it does not fit.
    """

    site: str
    lane: Lane
    policy: LanePolicy
    event: Event
    extra: bytes | None
    size_bytes: int
    expires_in_s: float | None
    is_answered: bool


class OutboxRows:
    """Used by the writer's thread only."""

    def __init__(self, ledger: Ledger, losses: Losses, clock: Clock, disk: Disk) -> None:
        self.boot = 0
        self._ledger = ledger
        self._losses = losses
        self._clock = clock
        self._disk = disk
        self._swept_s: dict[int, float] = {}

    def now_ms(self) -> int:
        """Return the time of day that batches tell; for any thread."""
        return self._clock.now_ms()

    def put(self, transaction: Transaction, wish: Wish) -> int:
        """Store an event and return its number.

        Raises:
            Refused: the lane or the disk is full.
        """
        state = self._ledger.lane(transaction, wish.site, wish.lane)
        transaction.touch(state)
        refusal = self._make_room(transaction, state, wish)
        seq = state.last_seq + 1
        now_ms = self._clock.now_ms()
        if refusal is not None:
            if not wish.is_answered:
                raise refusal
            state.last_seq = seq
            self._account(transaction, state, [Dropped(seq, wish.size_bytes, now_ms)], refusal.reason)
            return 0
        deadline: tuple[int | None, ...] = (None, None, None)
        if wish.expires_in_s is not None:
            ms = int(wish.expires_in_s * 1000)
            deadline = Deadline(self._clock.alive_ms() + ms, self.boot, now_ms + ms)
        event = wish.event
        values = (state.row(seq), event.route, event.body, wish.extra, now_ms // 1000, *deadline)
        transaction.execute(outbox_statements(state.lane).put, values)
        state.last_seq = seq
        state.count += 1
        state.size_bytes += wish.size_bytes
        return seq

    def read(
        self, transaction: Transaction, state: LaneState, after_seq: int, max_events: int, max_bytes: int
    ) -> Batch:
        """Return the next batch; what has expired is dropped on the way."""
        start = max(after_seq, state.mark)
        events, expired, up_to = self._next(transaction, state, start, max_events, max_bytes)
        if expired:
            self._drop(transaction, state, expired, "expired")
        before = transaction.execute(
            outbox_statements(state.lane).before, (state.row(state.mark), state.row(start))
        ).fetchone()[0]
        previous = state.mark if before is None else seq_of(before)
        if up_to <= start:
            is_held = up_to < state.last_seq
            return Batch(up_to, up_to, acknowledged_seq=state.mark, sent_ms=self._clock.now_ms(), is_held=is_held)
        losses = self._losses.read(transaction, state.number, state.lane, previous, up_to, _MOST_LOSSES + 1)
        if len(losses) > _MOST_LOSSES:
            up_to = losses.pop().first_seq - 1
            events = [event for event in events if event.seq <= up_to]
        return Batch(previous, up_to, events, losses, state.mark, self._clock.now_ms(), _tag(transaction, state, up_to))

    def _next(
        self, transaction: Transaction, state: LaneState, start: int, max_events: int, max_bytes: int
    ) -> tuple[list[Numbered], list[Dropped], int]:
        """Return events after `start`, what has expired among them, and up to where that is everything."""
        events: list[Numbered] = []
        expired: list[Dropped] = []
        up_to, total = start, 0
        rows = transaction.execute(outbox_statements(state.lane).read, (state.row(start), state.end))
        try:
            for identity, route, body, extra, size, at_ms, *deadline in rows:
                seq = seq_of(identity)
                left_s = None
                if deadline[2] is not None:
                    left_ms = self._left_ms(Deadline(*deadline), at_ms)
                    if left_ms is None:
                        return events, expired, up_to
                    left_s = left_ms / 1000
                if left_s is not None and left_s <= 0:
                    expired.append(Dropped(seq, size, at_ms))
                    up_to = seq
                    if len(expired) == _MOST_EXPIRED:
                        return events, expired, up_to
                    continue
                if events and total + size > max_bytes:
                    return events, expired, up_to
                events.append(Numbered(seq, event_of(route, body, extra), left_s))
                up_to, total = seq, total + size
                if len(events) >= max_events:
                    return events, expired, up_to
        finally:
            rows.close()
        return events, expired, max(up_to, state.last_seq)

    def is_ours(self, transaction: Transaction, state: LaneState, up_to_seq: int, tag: int) -> bool:
        """Return whether a mark can be that of what was sent from this file; if not, it is an older copy."""
        own = _tag(transaction, state, up_to_seq) if state.mark < up_to_seq <= state.last_seq else _LOST
        # What was sent may be lost by now; what is here was not lost before.
        return up_to_seq <= state.last_seq and (own in (tag, _LOST) or not tag)

    def acknowledge(self, transaction: Transaction, state: LaneState, up_to_seq: int, fate: Fate | None) -> bool:
        """Move the mark, in memory; return whether there is something to delete later.

        Nothing is written before that: what is lost of this is told again, a card wears, and a disk that is full must
        not keep what waits from being sent.
        """
        is_news = False
        if up_to_seq > state.mark:
            count, size = transaction.execute(
                outbox_statements(state.lane).total, (state.row(state.mark), state.row(up_to_seq))
            ).fetchone()
            transaction.touch(state)
            state.mark = up_to_seq
            state.count -= count
            state.size_bytes -= size
            is_news = True
        if fate is not None and fate != state.fate and fate.seq >= state.fate.seq:
            transaction.touch(state)
            state.fate = fate
        return is_news

    def delete_acknowledged(self, transaction: Transaction, state: LaneState) -> None:
        """Delete what is not needed any more; if that is undone, it is only sent again."""
        transaction.touch(state, is_written=True)
        if state.deleted_to < state.mark:
            transaction.execute(outbox_statements(state.lane).delete, (state.row(0), state.row(state.mark)))
            self._losses.forget(transaction, state.number, state.mark)
            state.deleted_to = state.mark

    def drop(self, transaction: Transaction, state: LaneState, why: str, seq: int | None = None) -> int:
        """Drop what waits, or one of it, and account for it; return how many that were."""
        if seq is not None and not 0 < seq <= LAST_SEQ:
            return 0
        first = state.mark if seq is None else max(state.mark, seq - 1)
        last = state.end if seq is None else state.row(seq)
        dropped = self._oldest(transaction, state, first, last, LAST_SEQ)
        self._drop(transaction, state, dropped, why)
        return len(dropped)

    def waiting(
        self, transaction: Transaction, state: LaneState, after_seq: int, most: int
    ) -> list[tuple[int, int, Event]]:
        """Return number, time of acceptance in ms, and event of what waits, in order."""
        span = (state.row(max(after_seq, state.mark)), state.end, most)
        rows = transaction.execute(f"{outbox_statements(state.lane).read} LIMIT ?", span)
        return [(seq_of(row[0]), row[5], event_of(*row[1:4])) for row in rows]

    def oldest_ms(self, transaction: Transaction, state: LaneState) -> int | None:
        """Return when the oldest that waits was accepted; None if nothing waits."""
        rows = self._oldest(transaction, state, state.mark, state.end, 1)
        return rows[0].at_ms if rows else None

    def _make_room(self, transaction: Transaction, state: LaneState, wish: Wish) -> Refused | None:
        policy, size = wish.policy, wish.size_bytes
        name = f"lane {state.lane.word} towards {state.site}"
        if size > policy.max_bytes:
            return Refused("too large", f"{name} takes {policy.max_bytes} bytes, this message alone has {size}")
        if state.count >= policy.max_count or state.size_bytes + size > policy.max_bytes:
            self._sweep(transaction, state)
            self._drop_oldest(transaction, state, policy, size)
            if state.count >= policy.max_count or state.size_bytes + size > policy.max_bytes:
                return Refused("full", f"{name} is full: {state.count} messages wait, {state.size_bytes} bytes")
        if not self._disk.has_room(transaction.connection, size):
            if policy.when_full is WhenFull.DROP_OLDEST and state.size_bytes >= size:
                self._drop_bytes(transaction, state, size, "disk")
                return None
            return Refused("disk", f"{name}: the disk has no more room for messages")
        return None

    def _drop_oldest(self, transaction: Transaction, state: LaneState, policy: LanePolicy, size: int) -> None:
        if policy.when_full is not WhenFull.DROP_OLDEST:
            return
        if state.count >= policy.max_count:
            # One in a hundred at once: the accounting is then paid once for all of them.
            most = state.count - policy.max_count + max(1, min(1000, policy.max_count // 100))
            self._drop(transaction, state, self._oldest(transaction, state, state.mark, state.end, most), "full")
        if state.size_bytes + size > policy.max_bytes:
            excess = state.size_bytes + size - policy.max_bytes
            self._drop_bytes(transaction, state, excess + policy.max_bytes // 100, "full")

    def _drop_bytes(self, transaction: Transaction, state: LaneState, size_bytes: int, why: str) -> None:
        after, freed = state.mark, 0
        while freed < size_bytes and (rows := self._oldest(transaction, state, after, state.end, 50)):
            enough: list[Dropped] = []
            for row in rows:
                enough.append(row)
                freed += row.size_bytes
                if freed >= size_bytes:
                    break
            after = enough[-1].seq
            self._drop(transaction, state, enough, why)

    def _sweep(self, transaction: Transaction, state: LaneState) -> None:
        now_s = time.monotonic()
        if now_s - self._swept_s.get(state.number, -_SWEEP_EVERY_S) < _SWEEP_EVERY_S:
            return
        self._swept_s[state.number] = now_s
        rows = transaction.execute(outbox_statements(state.lane).due, (state.row(state.mark), state.end))
        expired = []
        for identity, size, at_ms, *deadline in rows:
            left_ms = self._left_ms(Deadline(*deadline), at_ms)
            if left_ms is not None and left_ms <= 0:
                expired.append(Dropped(seq_of(identity), size, at_ms))
        self._drop(transaction, state, expired, "expired")

    def _oldest(self, transaction: Transaction, state: LaneState, after_seq: int, end: int, most: int) -> list[Dropped]:
        rows = transaction.execute(outbox_statements(state.lane).oldest, (row_id(state.number, after_seq), end, most))
        return [Dropped(seq_of(identity), size, at_ms) for identity, size, at_ms in rows]

    def _drop(self, transaction: Transaction, state: LaneState, rows: Sequence[Dropped], why: str) -> None:
        if not rows:
            return
        transaction.touch(state)
        delete = outbox_statements(state.lane).delete
        for row in rows:
            transaction.execute(delete, (state.row(row.seq - 1), state.row(row.seq)))
        size = sum(row.size_bytes for row in rows)
        state.count -= len(rows)
        state.size_bytes -= size
        self._account(transaction, state, rows, why)

    def _account(self, transaction: Transaction, state: LaneState, rows: Sequence[Dropped], why: str) -> None:
        self._losses.account(transaction, state.number, rows, why)
        size = sum(row.size_bytes for row in rows)
        self._losses.count(transaction, ("out", state.site, state.lane, why), len(rows), size)

    def _left_ms(self, deadline: Deadline, at_ms: int) -> int | None:
        alive_ms = self._clock.alive_ms()
        if deadline.boot == self.boot:
            return deadline.left_ms(alive_ms, self.boot, None)
        now_ms = self._clock.now_ms()
        # Earlier than when the message was accepted: the clock is wrong, whoever has set it.
        is_known = now_ms >= at_ms and self._clock.is_set()
        return deadline.left_ms(alive_ms, self.boot, now_ms if is_known else None)


def _tag(transaction: Transaction, state: LaneState, seq: int) -> int:
    """Return what tells a message from any other with its number: what it says, and when it was accepted."""
    row = transaction.execute(outbox_statements(state.lane).one, (state.row(seq),)).fetchone()
    if row is None:
        return _LOST
    route, body, extra, at_s = row
    return max(zlib.crc32(b"%d %b\n%b\n%b" % (at_s, route.encode(), body or b"", extra or b"")), _LOST + 1)
