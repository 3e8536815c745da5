"""Accounting for what was accepted and will not come: in the transaction that drops it, and for ever in totals."""

from __future__ import annotations

import logging
import sqlite3
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple

from bridge.store.event import Loss
from bridge.store.lanes import Lane
from bridge.store.schema import LAST_SEQ, row_id, seq_of
from bridge.store.transaction import Transaction

log = logging.getLogger(__name__)

# Why a message that was accepted may not come. What others say besides is counted as one: each is a row, for ever.
REASONS = frozenset({"damaged", "disk", "dropped", "expired", "full", "too large", "unreadable"})
OTHER = "other"

# Losses of one kind that follow each other within this are one burst, and told once.
_BURST_S = 10.0

_PUT = "INSERT INTO losses (id, last_seq, why, size, since_ms, until_ms) VALUES (?, ?, ?, ?, ?, ?)"
_LAST = "SELECT id, last_seq, why FROM losses WHERE id > ? AND id <= ? ORDER BY id DESC LIMIT 1"
_GROW = (
    "UPDATE losses SET last_seq = ?, size = size + ?, since_ms = min(since_ms, ?), until_ms = max(until_ms, ?)"
    " WHERE id = ?"
)
_READ = (
    "SELECT id, last_seq, why, size, since_ms, until_ms FROM losses"
    " WHERE id > ? AND id <= ? AND last_seq > ? ORDER BY id LIMIT ?"
)
_FORGET = "DELETE FROM losses WHERE id > ? AND id <= ? AND last_seq <= ?"


class Dropped(NamedTuple):
    """A row that is dropped."""

    seq: int
    size_bytes: int
    at_ms: int


@dataclass(slots=True, eq=False)
class Total:
    """How much was ever lost: `side` is `out` for what was accepted here, `in` for what was to come from there."""

    side: str
    site: str
    lane: Lane
    why: str
    count: int = 0
    size_bytes: int = 0

    @property
    def key(self) -> tuple[str, str, Lane, str]:
        """What it counts."""
        return self.side, self.site, self.lane, self.why

    def write(self, connection: sqlite3.Connection) -> None:
        """Store it."""
        connection.execute(
            "INSERT OR REPLACE INTO totals (side, site, lane, why, count, size) VALUES (?, ?, ?, ?, ?, ?)",
            (*self.key, self.count, self.size_bytes),
        )


class Losses:
    """The losses of all lanes; used by the writer's thread only."""

    def __init__(self) -> None:
        self.totals: dict[tuple[str, str, Lane, str], Total] = {}

    def load(self, connection: sqlite3.Connection) -> None:
        """Read the totals."""
        self.totals.clear()
        for side, site, lane, why, count, size in connection.execute("SELECT * FROM totals"):
            total = Total(side, site, Lane(lane), why, count, size)
            self.totals[total.key] = total

    def count(self, transaction: Transaction, key: tuple[str, str, Lane, str], count: int, size_bytes: int) -> None:
        """Add to a total."""
        total = self.totals.get(key)
        if total is None:
            total = self.totals[key] = Total(*key)
            transaction.on_rollback(lambda: self.totals.pop(key))
        transaction.touch(total, is_written=True)
        total.count += count
        total.size_bytes += size_bytes

    def account(self, transaction: Transaction, number: int, rows: Iterable[Dropped], why: str) -> None:
        """Account for rows of a lane, in order, that are dropped in the same transaction; to be reported."""
        first: Dropped | None = None
        last_seq = size = until_ms = 0
        for row in rows:
            if first is not None and row.seq == last_seq + 1:
                last_seq, size, until_ms = row.seq, size + row.size_bytes, max(until_ms, row.at_ms)
                continue
            if first is not None:
                self._put(transaction, number, first, last_seq, size, until_ms, why)
            first, last_seq, size, until_ms = row, row.seq, row.size_bytes, row.at_ms
        if first is not None:
            self._put(transaction, number, first, last_seq, size, until_ms, why)

    def _put(
        self, transaction: Transaction, number: int, first: Dropped, last_seq: int, size: int, until_ms: int, why: str
    ) -> None:
        row = transaction.execute(_LAST, (row_id(number, 0), row_id(number, first.seq))).fetchone()
        if row is not None and row[1] == first.seq - 1 and row[2] == why:
            transaction.execute(_GROW, (last_seq, size, first.at_ms, until_ms, row[0]))
        else:
            transaction.execute(_PUT, (row_id(number, first.seq), last_seq, why, size, first.at_ms, until_ms))

    def read(
        self, transaction: Transaction, number: int, lane: Lane, after_seq: int, up_to_seq: int, most: int
    ) -> list[Loss]:
        """Return the losses that reach beyond `after_seq` and begin up to `up_to_seq`, in order."""
        rows = transaction.execute(_READ, (row_id(number, 0), row_id(number, up_to_seq), after_seq, most))
        return [
            Loss(lane, why, seq_of(identity), last_seq, size, since_ms, until_ms)
            for identity, last_seq, why, size, since_ms, until_ms in rows
        ]

    def forget(self, transaction: Transaction, number: int, up_to_seq: int) -> None:
        """Remove what was reported: the receiver has acknowledged up to there."""
        transaction.execute(_FORGET, (row_id(number, 0), row_id(number, LAST_SEQ), up_to_seq))


class Bursts:
    """Tells of losses once for each burst, in the log and to whoever wants to know."""

    def __init__(self, monotonic_s: Callable[[], float] = time.monotonic) -> None:
        self.on_loss: Callable[[Total], None] | None = None
        self._monotonic_s = monotonic_s
        self._seen: dict[tuple[str, str, Lane, str], float] = {}

    def saw(self, total: Total) -> None:
        """Take note that a total grew."""
        now_s = self._monotonic_s()
        last_s = self._seen.get(total.key)
        self._seen[total.key] = now_s
        if last_s is not None and now_s - last_s < _BURST_S:
            return
        party = f"towards {total.site}" if total.side == "out" else f"from {total.site}"
        log.warning("lane %s %s loses messages: %s (%d so far)", total.lane.word, party, total.why, total.count)
        if self.on_loss is not None:
            try:
                self.on_loss(total)
            except Exception:
                log.exception("whoever is told of losses failed")
