"""What the store tells of itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from bridge.store.event import Fate
from bridge.store.lanes import Lane


@dataclass(kw_only=True, slots=True)
class LaneFigures:
    """One lane of one site.

    Attributes:
        waiting: Messages that wait to be sent.
        waiting_bytes: How much that is.
        oldest_s: How long the oldest of them has waited, by the time of day; None if none waits.
        last_seq: How many were ever accepted.
        acknowledged: Up to which number the site has them.
        fate: What became of them there.
        lost: How many were dropped here, by reason; some of these may have arrived before that.
        refused: How many were refused since the start.
        buffered: How many were answered before they were written, since the start.
        to_play: Entries from the site that wait to be played here.
        to_play_bytes: How much that is.
        played: Entries that were taken by their targets.
        dead: Entries that were refused by them.
        missed: Entries that were not played or never came, by reason.
    """

    waiting: int = 0
    waiting_bytes: int = 0
    oldest_s: float | None = None
    last_seq: int = 0
    acknowledged: int = 0
    fate: Fate = field(default_factory=Fate)
    lost: dict[str, int] = field(default_factory=dict)
    refused: int = 0
    buffered: int = 0
    to_play: int = 0
    to_play_bytes: int = 0
    played: int = 0
    dead: int = 0
    missed: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Figures:
    """The whole store.

    Attributes:
        lanes: By site and lane.
        dead_letters: How many are kept.
        written_today_bytes: What was written to the disk since midnight (UTC), or since the start if that was later;
            None where the kernel does not tell.
        file_bytes: How large the database is.
    """

    lanes: Mapping[tuple[str, Lane], LaneFigures]
    dead_letters: int
    written_today_bytes: int | None
    file_bytes: int
