"""Opens the store and wires its parts; what runs in the writer's thread and what runs on the loop meet here."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from bridge.store import damage
from bridge.store.clock import Clock
from bridge.store.database import Lock, begin_anew, identify, make_folder, open_database, renewed_ids, set_store_id
from bridge.store.dead_letters import DeadLetterRows, DeadLetters
from bridge.store.disk import Disk
from bridge.store.figures import Figures, LaneFigures
from bridge.store.inbox import Inbox
from bridge.store.inbox_rows import InboxBounds, InboxRows
from bridge.store.lanes import Lane
from bridge.store.ledger import LaneState, Ledger, StreamState
from bridge.store.losses import Bursts, Losses, Total
from bridge.store.outbox import Outbox, Policies
from bridge.store.outbox_rows import OutboxRows
from bridge.store.schedule import Key
from bridge.store.transaction import Transaction
from bridge.store.writer import Writer
from edge.errors import NotStored

log = logging.getLogger(__name__)


class Store:
    """The durable store of one bridge, in one file; an async context manager.

    Attributes:
        outbox: What was accepted for others.
        inbox: What was taken from others and is to be played.
        dead_letters: What could not be played.
    """

    def __init__(
        self,
        path: Path,
        policies: Policies,
        clock: Clock | None = None,
        *,
        inbox_bounds: InboxBounds | None = None,
        floor_bytes: int = 64 << 20,
    ) -> None:
        """Take what the store needs; nothing is opened yet.

        Args:
            path: The database; a lock and SQLite's own files lie beside it.
            policies: What a lane towards a site may take: `lambda site, lane: UP[lane]`.
            clock: None takes the machine's own.
            inbox_bounds: What one site may leave here to be played.
            floor_bytes: How much of the disk is left to others.
        """
        self._path = path
        self._clock = clock or Clock()
        self._lock = Lock(path.with_name(f"{path.name}.lock"))
        self._store_id = ""
        self._ledger = Ledger()
        self._losses = Losses()
        self._bursts = Bursts()
        self._disk = Disk(path.parent, floor_bytes)
        self._writer = Writer(str(path), self._open, lambda: self._disk.turn(self._clock.now_ms()))
        self._outbox_rows = OutboxRows(self._ledger, self._losses, self._clock, self._disk)
        self._inbox_rows = InboxRows(self._ledger, self._losses, self._clock, self._disk, inbox_bounds or InboxBounds())
        dead_rows = DeadLetterRows(self._ledger, self._losses, self._inbox_rows, self._clock)
        self._due: list[tuple[Key, int]] = []
        self._renewed_ids: dict[str, str] = {}
        self._renewed_now: set[str] = set()
        self.outbox = Outbox(self._writer, self._ledger, self._outbox_rows, policies)
        self.inbox = Inbox(self._writer, self._ledger, self._inbox_rows, dead_rows, self._clock)
        self.dead_letters = DeadLetters(self._writer, dead_rows, self.inbox)

    async def __aenter__(self) -> Self:
        """Open the file; a damaged one is set aside, named in the log, and a new one begun.

        Raises:
            InUse: another bridge has it.
            NewerSchema: it was written by a newer version.
            NotStored: it cannot be used: no space, no permission, a broken disk.
        """
        try:
            await self._writer.start(self._publish)
        except BaseException as error:
            self._lock.release()
            if isinstance(error, OSError | sqlite3.Error):
                raise NotStored(f"{self._path} cannot be used: {error}") from error
            raise
        for lane in self._ledger.lanes.values():
            self.outbox.seen(lane)
        for stream in self._ledger.streams.values():
            self.inbox.seen(stream)
        self.inbox.load(self._due)
        self._due = []
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await self._writer.stop()
            if self._writer.damage is not None:
                await asyncio.to_thread(self._begin_anew, self._writer.damage)
        finally:
            self._lock.release()

    @property
    def store_id(self) -> str:
        """Names the file: 16 hexadecimal digits, new for each new file; numbers mean something only with it."""
        return self._store_id

    def on_loss(self, tell: Callable[[Total], None]) -> None:
        """Have losses told, once for each burst, on the loop."""
        self._bursts.on_loss = tell

    async def damaged(self) -> None:
        """Return when the open file turns out to be damaged: nothing is stored until the store is opened anew.

        Closing it then sets the file aside and begins another, which says what was lost, and has another ID.
        """
        await self._writer.damaged()

    def id_for(self, site: str) -> str:
        """Return the ID under which the store's numbers mean something to a site: its own, unless it was renewed."""
        return self._renewed_ids.get(site, self._store_id)

    async def renew(self, site: str) -> bool:
        """Take another ID towards a site that has messages of an older copy of the file; other sites keep theirs.

        What waits for it is to be sent again, under the new one. False if that was done since the store was opened:
        an older copy cannot show itself as one twice, so that site says what is not so.
        """
        if site in self._renewed_now:
            return False

        def renew(transaction: Transaction) -> str:
            return set_store_id(transaction.connection, site)

        self._renewed_ids[site] = await self._writer.run(renew)
        self._renewed_now.add(site)
        return True

    async def figures(self) -> Figures:
        """Return what waits, what was lost and why, and what was written."""

        def read(transaction: Transaction) -> Figures:
            return self._figures(transaction)

        figures = await self._writer.run(read, is_write=False)
        for key, count in self.outbox.refused.items():
            figures.lanes[key].refused = count
        for key, count in self.outbox.buffered.items():
            figures.lanes[key].buffered = count
        return figures

    def _open(self) -> sqlite3.Connection:
        make_folder(self._path.parent)
        self._lock.take()
        return open_database(self._path, self._load, self._account)

    def _account(self, connection: sqlite3.Connection, kept: Path) -> None:
        ledger, losses = damage.survey(kept)
        damage.account(connection, ledger, losses)
        damage.name(ledger)

    def _begin_anew(self, error: Exception) -> None:
        """Set the damaged file aside; what waited in it is known in memory."""
        try:
            begin_anew(self._path, error, lambda connection, _: damage.account(connection, self._ledger, self._losses))
        except (OSError, sqlite3.Error) as failure:
            log.error("%s: no new file can be begun: %s", self._path, failure)
        damage.name(self._ledger)

    def _load(self, connection: sqlite3.Connection) -> None:
        self._store_id, boot = identify(connection, self._clock.boot)
        self._renewed_ids = renewed_ids(connection)
        self._outbox_rows.boot = self._inbox_rows.boot = boot
        self._ledger.load(connection)
        self._losses.load(connection)
        self._due = list(self._inbox_rows.load(connection))

    def _publish(self, counters: Sequence[Any]) -> None:
        for state in counters:
            if isinstance(state, LaneState):
                self.outbox.seen(state)
            elif isinstance(state, StreamState):
                self.inbox.seen(state)
            elif isinstance(state, Total):
                self._bursts.saw(state)

    def _figures(self, transaction: Transaction) -> Figures:
        now_ms = self._clock.now_ms()
        lanes: dict[tuple[str, Lane], LaneFigures] = {}
        for key, state in self._ledger.lanes.items():
            oldest_ms = self._outbox_rows.oldest_ms(transaction, state)
            lanes[key] = LaneFigures(
                waiting=state.count,
                waiting_bytes=state.size_bytes,
                oldest_s=None if oldest_ms is None else max(0.0, (now_ms - oldest_ms) / 1000),
                last_seq=state.last_seq,
                acknowledged=state.mark,
                fate=state.fate,
            )
        for stream in self._ledger.streams.values():
            figures = lanes.setdefault((stream.site, stream.lane), LaneFigures())
            figures.to_play += stream.count
            figures.to_play_bytes += stream.size_bytes
            figures.played += stream.played
            figures.dead += stream.dead
        for total in self._losses.totals.values():
            figures = lanes.setdefault((total.site, total.lane), LaneFigures())
            (figures.lost if total.side == "out" else figures.missed)[total.why] = total.count
        pages = transaction.execute("PRAGMA page_count").fetchone()[0]
        letters = transaction.execute("SELECT count(*) FROM dead").fetchone()[0]
        return Figures(lanes, letters, self._disk.written_today_bytes(now_ms), pages * 1024)
