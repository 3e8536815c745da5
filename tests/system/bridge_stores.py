"""Two stores of a bridge joined without a broker: a program that says what happened, and what must be true after it.

python -m tests.system.bridge_stores FOLDER SEED MOST

It accepts, moves, plays until MOST messages were accepted. Each line it prints is a fact: `p LANE SEQ` a message was
answered; `m LANE SEQ` a mark was given; `t LANE SEQ ROUTE` a target is about to see a message;
`a LANE SEQ` it refuses it for now.
"""

from __future__ import annotations

import asyncio
import logging
import random
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path

from bridge.store import Event, Lane, LanePolicy, Store, WhenFull
from bridge.store.inbox_rows import InboxBounds

POLICIES = {
    Lane.ALARM: LanePolicy(),
    Lane.MESSAGE: LanePolicy(),
    Lane.TELEMETRY: LanePolicy(max_count=30, when_full=WhenFull.DROP_OLDEST),
}
_ROUTES = ("POST /send/lamp", "POST /send/pump", "POST /broadcast/temperature")
_PLAYERS = 3
# What is played again after a kill: what was in flight, and what had not been deleted yet.
MOST_REPEATED = _PLAYERS + 32


def opened(folder: Path, name: str, inbox_count: int = 1_000_000) -> Store:
    """One of the two."""
    bounds = InboxBounds(max_count=inbox_count)
    return Store(
        folder / name / "bridge.db", lambda site, lane: POLICIES[lane], inbox_bounds=bounds, floor_bytes=1 << 20
    )


class Actors:
    """Use both stores as a busy bridge would, with a link that loses things."""

    def __init__(self, source: Store, target: Store, chance: random.Random, most: int) -> None:
        self._source, self._target, self._chance = source, target, chance
        self._left = most

    async def run(self) -> None:
        """Run until enough was accepted."""
        async with asyncio.TaskGroup() as tasks:
            producers = [tasks.create_task(self._produce()) for _ in range(4)]
            others = [tasks.create_task(self._move(lane)) for lane in Lane]
            others += [tasks.create_task(self._play()) for _ in range(_PLAYERS)]
            await asyncio.wait(producers)
            for task in others:
                task.cancel()

    async def _produce(self) -> None:
        while self._left > 0:
            self._left -= 1
            lane = self._chance.choice(list(Lane))
            event = Event(self._chance.choice(_ROUTES), b"x" * self._chance.choice((20, 200, 3000)))
            may_go = lane is Lane.TELEMETRY
            expires_in_s = 0.01 if may_go and self._chance.random() < 0.2 else None
            is_buffered = may_go and self._chance.random() < 0.2
            seq = await self._source.outbox.put("there", lane, event, expires_in_s, buffered=is_buffered)
            if seq:
                print("p", lane, seq, flush=True)
            if self._chance.random() < 0.1:
                await asyncio.sleep(0.003)

    async def _move(self, lane: Lane) -> None:
        outbox, after = self._source.outbox, 0
        while True:
            batch = await outbox.batch("there", lane, after, max_events=self._chance.choice((1, 5, 50)))
            if batch.is_empty:
                after = outbox.mark("there", lane)
                await asyncio.sleep(0.002)
                continue
            after = batch.last_seq
            if self._chance.random() < 0.1:
                continue
            try:
                taken = await self._target.inbox.take("here", self._source.store_id, lane, batch)
            except Exception:
                after = outbox.mark("there", lane)
                await asyncio.sleep(0.002)
                continue
            print("m", lane, taken.mark, flush=True)
            if taken.is_gap:
                after = taken.mark
            if self._chance.random() < 0.8:
                assert await outbox.acknowledge("there", lane, taken.mark, taken.fate, taken.tag)

    async def _play(self) -> None:
        inbox = self._target.inbox
        while True:
            await inbox.ready()
            for entry in await inbox.claim(1):
                print("t", entry.lane, entry.seq, entry.event.route, flush=True)
                end = self._chance.random()
                if end < 0.1:
                    print("a", entry.lane, entry.seq, flush=True)
                    await inbox.again(entry, 0.001)
                elif end < 0.2:
                    await inbox.dead(entry, 400, "no")
                else:
                    await inbox.done(entry)


class Facts:
    """What a program printed."""

    def __init__(self, lines: Iterable[str]) -> None:
        self.accepted: dict[Lane, set[int]] = defaultdict(set)
        self.marks: Counter[Lane] = Counter()
        self.seen: dict[Lane, Counter[int]] = defaultdict(Counter)
        self.order: dict[tuple[Lane, str], list[int]] = defaultdict(list)
        self.tried_again = 0
        for line in lines:
            self.take(line)

    def take(self, line: str) -> None:
        """Read a line."""
        kind, lane, seq, *route = line.split(" ", 3)
        self.add(kind, Lane(int(lane)), int(seq), *route)

    def add(self, kind: str, lane: Lane, seq: int, route: str = "") -> None:
        """Take one fact."""
        if kind == "p":
            self.accepted[lane].add(seq)
        elif kind == "m":
            self.marks[lane] = max(self.marks[lane], seq)
        elif kind == "a":
            self.tried_again += 1
        else:
            self.seen[lane][seq] += 1
            self.order[lane, route].append(seq)


async def settle(folder: Path, facts: Facts) -> None:
    """Fail unless everything that was accepted is seen by a target or reported lost, in order, when all is played."""
    async with opened(folder, "out") as source, opened(folder, "in") as target:
        for lane in Lane:
            fate = target.inbox.fate("here", source.store_id, lane)
            assert fate.seq >= facts.marks[lane], f"{lane.word}: a mark went back"
            assert source.outbox.last_seq("there", lane) >= max(facts.accepted[lane], default=0), f"{lane.word}: lost"
            assert source.outbox.mark("there", lane) <= fate.seq
        is_moving = True
        while is_moving:
            is_moving = False
            for lane in Lane:
                batch = await source.outbox.batch("there", lane, source.outbox.mark("there", lane))
                if not batch.is_empty:
                    taken = await target.inbox.take("here", source.store_id, lane, batch)
                    assert await source.outbox.acknowledge("there", lane, taken.mark, taken.fate, taken.tag)
                    is_moving = True
            while entries := await target.inbox.claim(50):
                for entry in entries:
                    facts.add("t", entry.lane, entry.seq, entry.event.route)
                    await target.inbox.done(entry)
    async with opened(folder, "out") as source, opened(folder, "in") as target:
        for lane in Lane:
            last = source.outbox.last_seq("there", lane)
            fate = target.inbox.fate("here", source.store_id, lane)
            assert set(facts.seen[lane]) <= set(range(1, last + 1))
            unseen = last - len(facts.seen[lane])
            assert fate.seq == last
            assert last == fate.played + fate.dead + fate.skipped + fate.expired, f"{lane.word}: {last}, {fate}"
            # What a target refused for now, or what it saw just before a kill, may expire after all.
            assert unseen <= fate.skipped + fate.expired, f"{lane.word}: {unseen} not seen, {fate}"
            if lane is not Lane.TELEMETRY:
                assert unseen == 0, f"{lane.word}: {unseen} lost"
            assert source.outbox.waiting("there")[lane] == target.inbox.waiting("here")[lane] == 0
    for seqs in facts.order.values():
        firsts = list(dict.fromkeys(seqs))
        assert firsts == sorted(firsts), "a target saw messages out of order"


async def main(folder: Path, seed: int, most: int) -> None:
    """Open both stores and use them."""
    async with opened(folder, "out") as source, opened(folder, "in", inbox_count=60) as target:
        await Actors(source, target, random.Random(seed), most).run()


if __name__ == "__main__":
    logging.basicConfig(level=logging.ERROR)
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])))
