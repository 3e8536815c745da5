"""Batches and marks of the durable lanes, from the store to the wire and back; what comes is checked here."""

from __future__ import annotations

import msgspec

from bridge import envelope
from bridge.clock import tick_ms
from bridge.envelope import LONGEST_ROUTE, Unreadable
from bridge.store import LAST_SEQ, Batch, Event, Fate, Lane, Loss, Numbered, Taken
from bridge.store.losses import OTHER, REASONS

# Bounds of what a stranger says, far above what is real: sums of such numbers still fit into 64 bits.
_MOST_MS = 1 << 53
_MOST_BYTES = 1 << 40
_LONGEST_S = 10 * 365 * 86_400.0
_LONGEST_STORE_ID = 64


def can_be_sent(event: Event) -> bool:
    """Return whether an event fits between others: a body whose bits flipped would make the whole batch unreadable."""
    if event.body is None:
        return True
    try:
        msgspec.json.decode(event.body, type=msgspec.Raw)
    except (msgspec.DecodeError, RecursionError):
        return False
    return True


def on_the_wire(batch: Batch, store_id: str) -> envelope.Batch:
    """Return a batch as it travels."""
    return envelope.Batch(
        st=store_id,
        p=batch.previous_seq,
        z=batch.last_seq,
        ev=[_event(numbered) for numbered in batch.events],
        lost=[
            envelope.Lost(
                why=loss.why,
                a=loss.first_seq,
                z=loss.last_seq,
                bytes=loss.size_bytes,
                since=loss.since_ms,
                until=loss.until_ms,
            )
            for loss in batch.losses
        ],
        a=batch.acknowledged_seq,
        t=batch.sent_ms,
        u=tick_ms(),
        k=batch.tag,
    )


def from_the_wire(message: envelope.Batch, lane: Lane) -> Batch:
    """Return a batch as it is kept.

    Raises:
        Unreadable: its numbers make no sense.
    """
    numbers = [each.n for each in message.ev]
    if message.p < 0 or not message.p <= message.z <= LAST_SEQ or numbers != sorted(set(numbers)):
        raise Unreadable("a batch whose numbers do not fit")
    if numbers and not message.p < numbers[0] <= numbers[-1] <= message.z:
        raise Unreadable("a batch whose numbers do not fit")
    if not 0 < len(message.st) <= _LONGEST_STORE_ID or not max(abs(message.t), abs(message.u)) <= _MOST_MS:
        raise Unreadable("a batch of no store, or of no time")
    if not 0 <= message.a <= LAST_SEQ:
        raise Unreadable("a batch that knows of more than there can be")
    return Batch(
        message.p,
        message.z,
        [_numbered(each) for each in message.ev],
        [
            Loss(lane, each.why if each.why in REASONS else OTHER, each.a, each.z, min(max(each.bytes, 0), _MOST_BYTES))
            for each in message.lost
            if 0 < each.a <= each.z <= LAST_SEQ
        ],
        message.a,
        message.t,
        _tag(message.k),
    )


def mark_of(store_id: str, taken: Taken) -> envelope.Mark:
    """Return what is said of what was taken."""
    fate = taken.fate
    outcome = [fate.played, fate.dead, fate.expired, fate.skipped]
    return envelope.Mark(st=store_id, n=taken.mark, g=int(taken.is_gap), f=outcome, k=taken.tag)


def said_by(mark: envelope.Mark) -> tuple[Fate | None, int]:
    """Return what a mark says became of the lane, as far as that makes sense, and its tag."""
    makes_sense = len(mark.f) == 4 and all(0 <= each <= LAST_SEQ for each in mark.f)
    return (Fate(mark.n, *mark.f) if makes_sense else None), _tag(mark.k)


def _event(numbered: Numbered) -> envelope.Event:
    seq, event, seconds_left = numbered
    travelling = envelope.Event(n=seq, route=event.route, q=dict(event.query), h=dict(event.headers), x=seconds_left)
    if event.body is not None:
        travelling.b = msgspec.Raw(event.body)
    return travelling


def _numbered(event: envelope.Event) -> Numbered:
    seconds_left = event.x
    if seconds_left is not None and not 0 <= seconds_left <= _LONGEST_S:
        seconds_left = 0.0 if seconds_left < 0 else _LONGEST_S
    # Each target is kept in memory. What is cut is no message any more, and ends as a dead letter.
    route = event.route if len(event.route) <= LONGEST_ROUTE else event.route[:LONGEST_ROUTE] + "…"
    return Numbered(event.n, Event(route, bytes(event.b) or None, event.q, event.h), seconds_left)


def _tag(number: int) -> int:
    return number if 0 <= number < 1 << 32 else 0
