"""What is kept, what is sent and what is played: events, batches of them, entries of the inbox."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec

from bridge.store.lanes import Lane
from bridge.store.schema import ROW_BYTES


@dataclass(frozen=True, slots=True)
class Event:
    """A `send` or `broadcast` as it will be played.

    Attributes:
        route: Method and raw path: `POST /send/lamp`. It is the target as well: one at a time, in order.
        body: JSON, verbatim; None if there is none.
        query: Query parameters, verbatim.
        headers: Headers that matter to the callee.
    """

    route: str
    body: bytes | None = None
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)

    def extra(self) -> bytes | None:
        """Return query and headers for the database; None if there are none, as mostly."""
        return msgspec.json.encode([self.query, self.headers]) if self.query or self.headers else None


def event_of(route: str, body: bytes | None, extra: bytes | None) -> Event:
    """Return what was stored."""
    if extra is None:
        return Event(route, body)
    try:
        query, headers = msgspec.json.decode(extra, type=tuple[dict[str, str], dict[str, str]])
    except (msgspec.DecodeError, UnicodeDecodeError):
        return Event(route, body)  # bits flipped on the disk: the others shall not wait for this one
    return Event(route, body, query, headers)


def size_of(route: str, body: bytes | None, extra: bytes | None) -> int:
    """Return what an event counts for in the bounds, in bytes."""
    return ROW_BYTES + len(route.encode()) + len(body or b"") + len(extra or b"")


class Numbered(NamedTuple):
    """An event of a batch.

    Attributes:
        seq: Its number in its lane.
        event: What is to be played.
        seconds_left: How long it is still worth playing, counted from when the batch was made; None: always.
    """

    seq: int
    event: Event
    seconds_left: float | None = None


@dataclass(frozen=True, slots=True)
class Loss:
    """Messages that were accepted and will not come: every number from `first_seq` to `last_seq`.

    Attributes:
        lane: Theirs.
        why: `full`, `disk`, `expired`, `dropped`, `damaged`, ...
        first_seq: The first.
        last_seq: The last.
        size_bytes: How much it was.
        since_ms: When the oldest was accepted, by the sender's clock.
        until_ms: When the youngest was.
    """

    lane: Lane
    why: str
    first_seq: int
    last_seq: int
    size_bytes: int = 0
    since_ms: int = 0
    until_ms: int = 0

    @property
    def count(self) -> int:
        """How many they are."""
        return self.last_seq - self.first_seq + 1


@dataclass(frozen=True, slots=True)
class Batch:
    """The part of a lane from `previous_seq` (without) to `last_seq` (with): what is not in `events` is lost.

    Whoever has everything up to `previous_seq` has everything up to `last_seq` once it took the events. The receiver
    counts what is missing itself; the losses only say why.

    Attributes:
        previous_seq: The last number before the batch that still exists here or was acknowledged.
        last_seq: Where the batch ends; `previous_seq` if there is nothing to send.
        events: In order, their numbers within the bounds.
        losses: Why the other numbers are missing.
        acknowledged_seq: What the receiver acknowledged, so that one who lost its own record can go on from there.
        sent_ms: When the batch was made, by the sender's clock.
        tag: Tells the last event from every other that may ever have its number; comes back with the mark, so that a
            sender whose file is an older copy finds out that the number was given twice. 1 if that event is lost.
        is_held: Whether there is nothing to send because nobody can tell if what follows has expired: the clock was not
            set since the machine was started.
    """

    previous_seq: int
    last_seq: int
    events: Sequence[Numbered] = ()
    losses: Sequence[Loss] = ()
    acknowledged_seq: int = 0
    sent_ms: int = 0
    tag: int = 0
    is_held: bool = False

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to send."""
        return self.last_seq <= self.previous_seq


@dataclass(frozen=True, slots=True)
class Fate:
    """What became of a lane's events at the receiver, counted since the store began; travels with the mark.

    accepted = `seq` + what is still waiting at the sender; `seq` = what the receiver started from (0, but after it lost
    its own file) + `skipped` + `played` + `dead` + `expired` + what waits there to be played.

    Attributes:
        seq: The mark: everything up to it is on the receiver's disk, or was lost before it came.
        played: Taken by the target.
        dead: Refused by the target, kept as dead letters (or dropped from there).
        expired: Too old before the target could take them, or dropped there by hand.
        skipped: Lost at the sender.
    """

    seq: int = 0
    played: int = 0
    dead: int = 0
    expired: int = 0
    skipped: int = 0


@dataclass(frozen=True, slots=True)
class Taken:
    """What the inbox did with a batch.

    Attributes:
        mark: Everything up to this number is on the disk: to be said to the sender.
        is_gap: Something before the batch is missing: nothing was taken, the sender has to begin at the mark again.
        fate: What became of the lane so far; carries the mark too.
        tag: Of the batch that ended at the mark; 0 if it is not known.
    """

    mark: int
    is_gap: bool
    fate: Fate
    tag: int = 0


@dataclass(frozen=True, slots=True)
class Entry:
    """An event that is due to be played; to be given back by `done`, `again`, `dead` or `expired`.

    Attributes:
        site: Who sent it.
        store_id: From which store of the sender.
        lane: Its lane.
        seq: Its number there.
        event: What to play.
        seconds_left: How long it is still worth playing, from when it was claimed; None: always.
        tries: How often it was tried since the bridge was started.
        refused_for_s: For how long its target has refused it, without another outcome between; 0 if it has not.
        replay: How often it was fetched back from the dead letters.
        row_id: Its place in the inbox.
        size_bytes: What it counts for in the bounds.
    """

    site: str
    store_id: str
    lane: Lane
    seq: int
    event: Event
    seconds_left: float | None
    tries: int
    refused_for_s: float
    replay: int
    row_id: int
    size_bytes: int

    @property
    def idempotency_key(self) -> str:
        """The same for every try of the same event, and another for each replay by hand."""
        key = f"{self.site}/{self.store_id}/{self.lane.word}/{self.seq}"
        return f"{key}/{self.replay}" if self.replay else key
