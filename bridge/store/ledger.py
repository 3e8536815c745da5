"""Counters of the lanes towards sites and of the streams from them, in memory: right after each commit and restart."""

from __future__ import annotations

import sqlite3
from dataclasses import asdict, dataclass, field
from functools import partial

import msgspec

from bridge.store.event import Fate
from bridge.store.lanes import Lane, Refused
from bridge.store.schema import LAST_SEQ, inbox_statements, outbox_statements, row_id, seq_of
from bridge.store.transaction import Transaction

# A site that keeps changing its store (a card written anew, a new file after damage) leaves so many behind.
_STORES_OF_A_SITE = 32
_MOST_STORES_OF_A_SITE = 128


@dataclass(slots=True, eq=False)
class LaneState:
    """A lane towards a site.

    Attributes:
        site: The site.
        lane: The class of its messages.
        number: Of its row; begins the IDs of its messages.
        last_seq: The highest number given.
        mark: What the receiver acknowledged; `mark` <= `last_seq`.
        deleted_to: Up to where rows were really deleted; `deleted_to` <= `mark`.
        count: How many wait: beyond the mark, and not lost.
        size_bytes: How much that is.
        fate: What the receiver says became of them.
    """

    site: str
    lane: Lane
    number: int
    last_seq: int = 0
    mark: int = 0
    deleted_to: int = 0
    count: int = 0
    size_bytes: int = 0
    fate: Fate = field(default_factory=Fate)

    def row(self, seq: int) -> int:
        """Return the ID of the row with a number."""
        return row_id(self.number, seq)

    @property
    def end(self) -> int:
        """The highest ID that a row of the lane can have."""
        return row_id(self.number, LAST_SEQ)

    def write(self, connection: sqlite3.Connection) -> None:
        """Store what rows do not tell once they are deleted."""
        connection.execute(
            "UPDATE lanes SET last_seq = ?, mark = ?, fate = ? WHERE number = ?",
            (self.last_seq, self.mark, msgspec.json.encode(asdict(self.fate)).decode(), self.number),
        )


@dataclass(slots=True, eq=False)
class StreamState:
    """A lane of one store of a site, as it arrives here.

    Attributes:
        site: Who sends.
        store_id: From which store of theirs.
        lane: The class.
        number: Of its row; begins the IDs of its entries.
        started: Where it began: 0, but after this end lost its file.
        mark: Everything up to it is here, was here, or is lost.
        played: Taken by their targets.
        dead: Refused by their targets.
        expired: Too old before they could be played.
        skipped: Lost before they came here.
        tag: Of the batch that ended at the mark.
        count: How many wait to be played.
        size_bytes: How much that is.
        is_gone: Whether it was removed, to make room for that of another store.
    """

    site: str
    store_id: str
    lane: Lane
    number: int
    started: int = 0
    mark: int = 0
    played: int = 0
    dead: int = 0
    expired: int = 0
    skipped: int = 0
    tag: int = 0
    count: int = 0
    size_bytes: int = 0
    is_gone: bool = False

    @property
    def fate(self) -> Fate:
        """What is said to the sender."""
        return Fate(self.mark, self.played, self.dead, self.expired, self.skipped)

    def write(self, connection: sqlite3.Connection) -> None:
        """Store it."""
        connection.execute(
            "UPDATE streams SET started = ?, mark = ?, played = ?, dead = ?, expired = ?, skipped = ?, tag = ?"
            " WHERE number = ?",
            (self.started, self.mark, self.played, self.dead, self.expired, self.skipped, self.tag, self.number),
        )


class Ledger:
    """All lanes and streams; used by the writer's thread only, others get copies."""

    def __init__(self) -> None:
        self.lanes: dict[tuple[str, Lane], LaneState] = {}
        self.streams: dict[tuple[str, str, Lane], StreamState] = {}
        self.by_number: dict[int, StreamState] = {}
        self._of_site: dict[str, list[StreamState]] = {}

    def load(self, connection: sqlite3.Connection) -> None:
        """Read and count everything."""
        for known in (self.lanes, self.streams, self.by_number, self._of_site):
            known.clear()
        rows = connection.execute("SELECT number, site, lane, last_seq, mark, fate FROM lanes").fetchall()
        for number, site, lane, last_seq, mark, fate in rows:
            state = LaneState(site, Lane(lane), number, last_seq, mark, fate=msgspec.json.decode(fate, type=Fate))
            ask = outbox_statements(state.lane)
            state.count, state.size_bytes = connection.execute(ask.total, (state.row(mark), state.end)).fetchone()
            youngest = connection.execute(ask.before, (state.row(0), state.end)).fetchone()[0]
            lost = connection.execute(
                "SELECT max(last_seq) FROM losses WHERE id > ? AND id <= ?", (state.row(0), state.end)
            ).fetchone()[0]
            # Numbers that were given are found in the rows; the lane's own row is written when these are deleted.
            state.last_seq = max(last_seq, mark, seq_of(youngest or 0), lost or 0)
            self.lanes[site, state.lane] = state
        columns = "site, store, lane, number, started, mark, played, dead, expired, skipped, tag"
        for site, store_id, lane, *others in connection.execute(f"SELECT {columns} FROM streams").fetchall():  # noqa: S608 - constant
            stream = StreamState(site, store_id, Lane(lane), *others)
            span = (row_id(stream.number, 0), row_id(stream.number, LAST_SEQ))
            stream.count, stream.size_bytes = connection.execute(inbox_statements(stream.lane).total, span).fetchone()
            self._add(stream)

    def lane(self, transaction: Transaction, site: str, lane: Lane) -> LaneState:
        """Return the state of a lane, which is made if it is new."""
        state = self.lanes.get((site, lane))
        if state is None:
            number = transaction.execute(
                "INSERT INTO lanes (site, lane, last_seq, mark, fate) VALUES (?, ?, 0, 0, '{}')", (site, lane)
            ).lastrowid
            assert number is not None
            state = self.lanes[site, lane] = LaneState(site, lane, number)
            transaction.on_rollback(lambda: self.lanes.pop((site, lane)))
        return state

    def stream(self, transaction: Transaction, site: str, store_id: str, lane: Lane) -> StreamState:
        """Return the state of a stream, which is made if it is new."""
        state = self.streams.get((site, store_id, lane))
        if state is None:
            self._make_room(transaction, site)
            number = transaction.execute(
                "INSERT INTO streams (site, store, lane, started, mark, played, dead, expired, skipped)"
                " VALUES (?, ?, ?, 0, 0, 0, 0, 0, 0)",
                (site, store_id, lane),
            ).lastrowid
            assert number is not None
            state = StreamState(site, store_id, lane, number)
            self._add(state)
            transaction.on_rollback(lambda: self._remove(state))
        return state

    def inbox_of(self, site: str, lane: Lane) -> tuple[int, int]:
        """Return how many entries of a site's lane wait to be played, and how many bytes they are."""
        streams = [stream for stream in self._of_site.get(site, ()) if stream.lane is lane]
        return sum(stream.count for stream in streams), sum(stream.size_bytes for stream in streams)

    def streams_of(self, site: str) -> list[StreamState]:
        """Return the streams of a site."""
        return list(self._of_site.get(site, ()))

    def _make_room(self, transaction: Transaction, site: str) -> None:
        streams = self.streams_of(site)
        stores = {stream.store_id for stream in streams}
        if len(stores) < _STORES_OF_A_SITE:
            return
        if len(stores) >= _MOST_STORES_OF_A_SITE:
            raise Refused("full", f"{site} changed its store {len(stores)} times, and each left something here")
        # Numbers only grow: the first one is that of the store that began longest ago.
        busy = {stream.store_id for stream in streams if stream.count or stream.dead}
        idle = [stream for stream in streams if stream.store_id not in busy]
        if not idle:
            return
        oldest = min(idle, key=lambda stream: stream.number).store_id
        for stream in [stream for stream in idle if stream.store_id == oldest]:
            transaction.execute("DELETE FROM streams WHERE number = ?", (stream.number,))
            transaction.touch(stream)
            stream.is_gone = True
            self._remove(stream)
            transaction.on_rollback(partial(self._add, stream))

    def _add(self, stream: StreamState) -> None:
        self.streams[stream.site, stream.store_id, stream.lane] = stream
        self.by_number[stream.number] = stream
        self._of_site.setdefault(stream.site, []).append(stream)

    def _remove(self, stream: StreamState) -> None:
        del self.streams[stream.site, stream.store_id, stream.lane]
        del self.by_number[stream.number]
        self._of_site[stream.site].remove(stream)
