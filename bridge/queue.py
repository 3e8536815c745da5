"""What is in the bridge's queues, message by message: what waits to be sent, is tried again, or was refused."""

from __future__ import annotations

import time
from collections.abc import Collection

from msgspec import Struct, field

from bridge.store import Lane, Store
from bridge.store.schema import seq_of

_MOST = 1000
_AT_ONCE = 20


class Waiting(Struct, kw_only=True):
    """One message that waits to be sent; `accepted_ms` is Unix time by the clock of then."""

    site: str
    lane: str
    seq: int
    accepted_ms: int
    route: str
    body: str


class Refused(Struct, kw_only=True):
    """One message that its target refused for good."""

    id: int
    site: str
    lane: str
    seq: int
    route: str
    body: str
    status: int
    why: str
    died_ms: int


class Retried(Struct, kw_only=True):
    """One message that its target did not take, and that is tried again.

    Attributes:
        tries: How often it was tried, for `trying_s` seconds so far.
        next_s: In how many seconds it is tried again; 0 while it is.
        why: What the last try came to.
        behind: How many messages for the same target wait for it.
    """

    site: str
    lane: str
    seq: int
    route: str
    tries: int
    trying_s: float
    next_s: float
    why: str
    behind: int


class Queue(Struct, kw_only=True):
    """What waits to be sent, what is tried again, and what was refused."""

    waiting: list[Waiting]
    retried: list[Retried] = field(default_factory=list)
    refused: list[Refused]


async def queue(store: Store, site: str | None, lanes: Collection[Lane]) -> Queue:
    """Return what is in the queues, at most a thousand messages of each kind.

    Args:
        site: Of one site only; None takes all.
        lanes: Of these lanes only.
    """
    waiting: list[Waiting] = []
    for name in sorted(store.outbox.sites()) if site is None else [site]:
        for each in lanes:
            await _add_waiting(waiting, store, name, each)
    now_s = time.monotonic()
    retried = [
        Retried(
            site=retry.key.site,
            lane=retry.key.lane.word,
            seq=seq_of(retry.row_id),
            route=retry.key.route,
            tries=retry.tries,
            trying_s=round(now_s - retry.since_s, 1),
            next_s=round(max(0.0, retry.due_s - now_s), 1),
            why=retry.why,
            behind=retry.of_target - 1,
        )
        for retry in store.inbox.retries()
        if site in (None, retry.key.site) and retry.key.lane in lanes
    ]
    refused = [
        Refused(
            id=letter.letter_id,
            site=letter.site,
            lane=letter.lane.word,
            seq=letter.seq,
            route=letter.event.route,
            body=_text(letter.event.body),
            status=letter.status,
            why=letter.why,
            died_ms=letter.died_ms,
        )
        for letter in await store.dead_letters.list(most=_MOST)
        if site in (None, letter.site) and letter.lane in lanes
    ]
    return Queue(waiting=waiting, retried=retried[:_MOST], refused=refused)


async def _add_waiting(waiting: list[Waiting], store: Store, site: str, lane: Lane) -> None:
    """Add what waits in a lane, a part at a time: bodies may be large, and only their beginnings are kept."""
    after_seq = 0
    while room := min(_MOST - len(waiting), _AT_ONCE):
        part = await store.outbox.list(site, lane, after_seq, room)
        waiting += [
            Waiting(site=site, lane=lane.word, seq=seq, accepted_ms=at_ms, route=event.route, body=_text(event.body))
            for seq, at_ms, event in part
        ]
        if len(part) < room:
            return
        after_seq = part[-1][0]


def _text(body: bytes | None) -> str:
    return (body or b"").decode("utf-8", "replace")[:1000]
