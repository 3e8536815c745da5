"""What was lost with a damaged file: counted as far as anybody can tell, and reported by the new one."""

from __future__ import annotations

import logging
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import msgspec

from bridge.store.lanes import Lane
from bridge.store.ledger import Ledger
from bridge.store.losses import Losses, Total
from bridge.store.schema import row_id

log = logging.getLogger(__name__)

WHY = "damaged"


def account(connection: sqlite3.Connection, ledger: Ledger, losses: Losses) -> None:
    """Begin a new file by what waited in the old one: each lane starts with that many lost numbers.

    So do losses that the other end had not been told of; why they were lost, only the totals still say. What waited to
    be sent may have arrived all the same: the last marks are lost, too.

    Args:
        connection: To the new file, empty.
        ledger: Counters of the old one.
        losses: Its totals, which go on.
    """
    totals = {total.key: total for total in losses.totals.values()}
    now_ms = time.time_ns() // 1_000_000
    connection.execute("BEGIN IMMEDIATE")
    for state in ledger.lanes.values():
        untold = state.last_seq - state.mark
        if untold <= 0:
            continue
        number = connection.execute(
            "INSERT INTO lanes (site, lane, last_seq, mark, fate) VALUES (?, ?, ?, 0, '{}')",
            (state.site, state.lane, untold),
        ).lastrowid
        assert number is not None
        connection.execute(
            "INSERT INTO losses (id, last_seq, why, size, since_ms, until_ms) VALUES (?, ?, ?, ?, 0, ?)",
            (row_id(number, 1), untold, WHY, state.size_bytes, now_ms),
        )
        if state.count:
            _add(totals, Total("out", state.site, state.lane, WHY, state.count, state.size_bytes))
    for stream in ledger.streams.values():
        if stream.count:
            _add(totals, Total("in", stream.site, stream.lane, WHY, stream.count, stream.size_bytes))
    for total in totals.values():
        total.write(connection)
    connection.execute("COMMIT")


def survey(kept: Path) -> tuple[Ledger, Losses]:
    """Count what waited in a file that was set aside; empty counters where that cannot be told."""
    ledger, losses = Ledger(), Losses()
    try:
        with closing(sqlite3.connect(kept, isolation_level=None)) as connection:
            losses.load(connection)
            ledger.load(connection)
    except (sqlite3.Error, msgspec.DecodeError, ValueError, TypeError, LookupError) as error:
        log.error("how many messages waited in %s cannot be told: %s", kept, error)
        return Ledger(), Losses()
    return ledger, losses


def name(ledger: Ledger) -> None:
    """Say in the log what was lost."""
    for state in ledger.lanes.values():
        if state.count:
            log.error("lane %s towards %s: %d messages are lost with it", state.lane.word, state.site, state.count)
    for stream in ledger.streams.values():
        if stream.count:
            log.error(
                "lane %s from %s: %d messages that were not played yet are lost with it",
                stream.lane.word, stream.site, stream.count,
            )  # fmt: skip


def _add(totals: dict[tuple[str, str, Lane, str], Total], total: Total) -> None:
    known = totals.setdefault(total.key, total)
    if known is not total:
        known.count += total.count
        known.size_bytes += total.size_bytes
