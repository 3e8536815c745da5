"""What targets refused for good: kept to be looked at, played again, or dropped."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from bridge.store.clock import Clock
from bridge.store.event import Entry, Event, event_of
from bridge.store.inbox_rows import InboxRows
from bridge.store.lanes import Lane
from bridge.store.ledger import Ledger
from bridge.store.losses import Losses
from bridge.store.schedule import Key
from bridge.store.schema import SEQ_BITS, row_id
from bridge.store.transaction import Transaction
from bridge.store.writer import Writer

if TYPE_CHECKING:
    from bridge.store.inbox import Inbox

_MOST_LETTERS = 1000
_MOST_BYTES = 16 << 20

_PUT = (
    "INSERT INTO dead (stream, seq, route, body, extra, size, replay, status, why, died_ms)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
# Of the site with the largest share of both bounds: one whose messages are all refused costs no other its letters.
_OLDEST = (
    "SELECT dead.id, stream, size FROM dead JOIN streams ON number = stream WHERE site ="
    " (SELECT site FROM dead JOIN streams ON number = stream GROUP BY site"
    " ORDER BY count(*) * ? + sum(size) DESC LIMIT 1) ORDER BY dead.id LIMIT 1"
)
_LIST = (
    "SELECT dead.id, site, store, lane, seq, route, body, extra, status, why, died_ms FROM dead"
    " JOIN streams ON streams.number = dead.stream WHERE dead.id > ? ORDER BY dead.id LIMIT ?"
)


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """An event that its target refused.

    Attributes:
        letter_id: Names it for `replay` and `drop`.
        site: Who sent it.
        store_id: From which store.
        lane: Its lane.
        seq: Its number there.
        event: What was to be played.
        status: What the target answered.
        why: What it said.
        died_ms: When, as Unix time in ms.
    """

    letter_id: int
    site: str
    store_id: str
    lane: Lane
    seq: int
    event: Event
    status: int
    why: str
    died_ms: int


class DeadLetterRows:
    """Used by the writer's thread only."""

    def __init__(self, ledger: Ledger, losses: Losses, inbox: InboxRows, clock: Clock) -> None:
        self._ledger = ledger
        self._losses = losses
        self._inbox = inbox
        self._clock = clock

    def bury(self, transaction: Transaction, entry: Entry, status: int, why: str) -> None:
        """Move an entry from the inbox here; of too many, the oldest of the site with most are dropped, and counted."""
        stream = self._ledger.by_number.get(entry.row_id >> SEQ_BITS)
        size = entry.size_bytes
        if stream is None or not self._inbox.remove(transaction, stream, entry.row_id, size):
            return
        stream.dead += 1
        event = entry.event
        values = (stream.number, entry.seq, event.route, event.body, event.extra(), size, entry.replay)
        transaction.execute(_PUT, (*values, status, why[:1000], self._clock.now_ms()))
        count, total = transaction.execute("SELECT count(*), sum(size) FROM dead").fetchone()
        share_bytes = _MOST_BYTES // _MOST_LETTERS
        while count > 1 and (count > _MOST_LETTERS or total > _MOST_BYTES):
            letter_id, number, letter_bytes = transaction.execute(_OLDEST, (share_bytes,)).fetchone()
            transaction.execute("DELETE FROM dead WHERE id = ?", (letter_id,))
            count, total = count - 1, total - letter_bytes
            of = self._ledger.by_number.get(number, stream)
            self._losses.count(transaction, ("in", of.site, of.lane, "dead letters full"), 1, letter_bytes)

    def revive(self, transaction: Transaction, letter_id: int) -> tuple[Key, int] | None:
        """Move a letter back into the inbox; return its target and place, or None if there is no such letter."""
        columns = "stream, seq, replay, route, body, extra"
        row = transaction.execute(f"SELECT {columns} FROM dead WHERE id = ?", (letter_id,)).fetchone()  # noqa: S608 - constant
        stream = None if row is None else self._ledger.by_number.get(row[0])
        if row is None or stream is None:
            return None
        transaction.execute("DELETE FROM dead WHERE id = ?", (letter_id,))
        number, seq, replay, *content = row
        identity = row_id(number, seq)
        self._inbox.put_back(transaction, stream, identity, tuple(content), replay + 1)
        stream.dead -= 1
        return Key(stream.site, stream.lane, content[0]), identity

    def drop(self, transaction: Transaction, letter_id: int) -> bool:
        """Remove a letter for good; return whether there was one."""
        return transaction.execute("DELETE FROM dead WHERE id = ?", (letter_id,)).rowcount > 0

    def list(self, transaction: Transaction, after_id: int, most: int) -> list[DeadLetter]:
        """Return letters in the order in which they died."""
        return [
            DeadLetter(row[0], row[1], row[2], Lane(row[3]), row[4], event_of(*row[5:8]), *row[8:])
            for row in transaction.execute(_LIST, (after_id, most))
        ]


class DeadLetters:
    """For the command and whoever else looks after a bridge; at most a thousand are kept, of 16 MiB."""

    def __init__(self, writer: Writer, rows: DeadLetterRows, inbox: Inbox) -> None:
        self._writer = writer
        self._rows = rows
        self._inbox = inbox

    async def list(self, after_id: int = 0, most: int = 100) -> list[DeadLetter]:
        """Return letters, the oldest first."""
        return await self._writer.run(partial(self._rows.list, after_id=after_id, most=most), is_write=False)

    async def replay(self, letter_id: int) -> bool:
        """Play a letter again, without an expiry and under a new idempotency key; False if there is none."""
        return await self._inbox.replay(letter_id)

    async def drop(self, letter_id: int) -> bool:
        """Remove a letter; False if there is none."""
        return await self._writer.run(partial(self._rows.drop, letter_id=letter_id))
