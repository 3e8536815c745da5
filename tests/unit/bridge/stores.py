"""Stores on a clock that tests turn, two of them joined by hand instead of a broker."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from bridge.store import Batch, Clock, Entry, Event, Lane, LanePolicy, Store, Taken
from bridge.store.inbox_rows import InboxBounds

HOUR_S = 3600.0
DAY_MS = 86_400_000
BODY = b'{"payload": 1}'


class ManualClock(Clock):
    """Stands still until it is turned; `reboot` is what a power cut does to a machine without a clock."""

    def __init__(self) -> None:
        super().__init__()
        self.was_set = True
        self._now_ms = 1_700_000_000_000
        self._alive_ms = 60_000
        self._boots = 1

    @property
    def boot(self) -> str:  # type: ignore[override]
        return f"boot {self._boots}"

    def now_ms(self) -> int:
        return self._now_ms

    def alive_ms(self) -> int:
        return self._alive_ms

    def is_set(self) -> bool:
        return self.was_set

    def go(self, seconds: float) -> None:
        """Let time pass."""
        self._now_ms += int(seconds * 1000)
        self._alive_ms += int(seconds * 1000)

    def reboot(self, now_ms: int) -> None:
        """Start anew, with some time of day."""
        self._boots += 1
        self._alive_ms = 1_000
        self._now_ms = now_ms


def opened(
    path: Path, clock: Clock | None = None, policy: LanePolicy | None = None, *, inbox_count: int = 100_000
) -> Store:
    """A store in a folder, the same policy for all lanes."""
    chosen = policy or LanePolicy()
    bounds = InboxBounds(max_count=inbox_count)
    return Store(path / "bridge.db", lambda site, lane: chosen, clock, inbox_bounds=bounds, floor_bytes=0)


def event(number: int = 0, route: str = "POST /broadcast/temperature", size_bytes: int = 0) -> Event:
    """An event that says its number."""
    return Event(route, b'{"payload": %d, "pad": "%s"}' % (number, b"x" * size_bytes))


async def put_many(store: Store, count: int, lane: Lane = Lane.MESSAGE, site: str = "there") -> list[int]:
    """Put events, numbered from 1 by the order in which they are put."""
    return [await store.outbox.put(site, lane, event(number)) for number in range(1, count + 1)]


async def hand_over(source: Store, target: Store, batch: Batch, lane: Lane = Lane.MESSAGE) -> Taken:
    """Give a batch to the other end, and its mark back."""
    taken = await target.inbox.take("here", source.id_for("there"), lane, batch)
    await source.outbox.acknowledge("there", lane, taken.mark, taken.fate, taken.tag)
    return taken


async def drain(source: Store, target: Store, lane: Lane = Lane.MESSAGE) -> None:
    """Give everything to the other end."""
    while not (batch := await source.outbox.batch("there", lane, source.outbox.mark("there", lane))).is_empty:
        await hand_over(source, target, batch, lane)


async def play(store: Store) -> list[Entry]:
    """Play all that is due."""
    played: list[Entry] = []
    while entries := await store.inbox.claim(100):
        for entry in entries:
            await store.inbox.done(entry)
        played += entries
    return played


def spoil(path: Path) -> None:
    """Damage the pages of the outbox, and have whoever has the file open look at it again."""
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        (root,) = other.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'outbox_message'").fetchone()
        with path.open("r+b") as file:
            file.seek((root - 1) * 1024)
            file.write(b"\xff" * 1024)
        other.execute("INSERT OR REPLACE INTO facts VALUES ('another', 'hand')")
