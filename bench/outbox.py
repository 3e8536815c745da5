"""The bridge's durable store: messages a second, bytes written for each, a backlog and the alarm that overtakes it.

Each part runs in a process of its own, `python -m bench.outbox PART SIZE`, which prints its figures as JSON.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from statistics import quantiles
from typing import Any

from bench.servers import ROOT
from bench.table import Row
from bridge.store import Batch, Event, Lane, LanePolicy, Numbered, Store
from bridge.store.inbox_rows import InboxBounds

_PAYLOAD = b"x" * 200
_TARGETS = 20
_PLAYERS = 16
_KIB = 1024
_POLICY = LanePolicy(max_count=10_000_000, max_bytes=1 << 40)

Figures = dict[str, float]


def outbox(full: bool) -> Iterator[Row]:
    """Messages of 200 bytes into the outbox, and through it."""
    many, few = (60_000, 3_000) if full else (12_000, 1_000)
    crowd = _measured("put", many, 64)
    yield Row(
        what="durable messages of 200 bytes, 64 producers",
        ours=crowd["per_second"],
        unit="/s",
        budget=">= 3,000 /s",
        holds=crowd["per_second"] >= 3000,
    )
    yield Row(what="   written for each", ours=crowd["bytes"], unit="B")
    alone = _measured("put", few, 1)
    yield Row(
        what="   committed alone, written for each",
        ours=alone["bytes"],
        unit="B",
        budget="<= 7 KiB",
        holds=alone["bytes"] <= 7 * _KIB,
    )
    yield Row(what="   from put to the disk, p50", ours=alone["p50_ms"], unit="ms")
    yield Row(what="   p99", ours=alone["p99_ms"], unit="ms")
    group = _measured("waves", many // 4, 25)
    yield Row(
        what="   25 at once, written for each",
        ours=group["bytes"],
        unit="B",
        budget="<= 1 KiB",
        holds=group["bytes"] <= _KIB,
    )
    slow = _measured("buffered", 500 if full else 150, 50)
    yield Row(
        what="   buffered at 50/s, written for each",
        ours=slow["bytes"],
        unit="B",
        budget="<= 1 KiB",
        holds=slow["bytes"] <= _KIB,
    )
    through = _measured("through", many, 64)
    yield Row(what="stored, sent, acknowledged, deleted", ours=through["per_second"], unit="/s")
    yield Row(what="   written for each", ours=through["bytes"], unit="B")
    yield from _backlog(100_000 if full else 20_000)


def _backlog(count: int) -> Iterator[Row]:
    backlog = _measured("backlog", count, _PLAYERS)
    yield Row(what=f"inbox: {count:,} messages taken in batches of 50", ours=backlog["take_per_second"], unit="/s")
    allowed_s = 40 * count / 100_000
    yield Row(
        what="   all of them played by 16 players",
        ours=backlog["drain_s"],
        unit="s",
        budget=f"<= {allowed_s:g} s",
        holds=backlog["drain_s"] <= allowed_s,
    )
    yield Row(
        what="   an alarm that comes meanwhile, taken to claimed",
        ours=backlog["alarm_ms"],
        unit="ms",
        budget="<= 1 s",
        holds=backlog["alarm_ms"] <= 1000,
    )
    yield Row(what="   memory with all of them waiting, more than with none", ours=backlog["waiting_mib"], unit="MiB")
    yield Row(what="   memory when the next as many are played, more", ours=backlog["growth_mib"], unit="MiB")


def _measured(part: str, size: int, parallel: int) -> Figures:
    command = [sys.executable, "-m", "bench.outbox", part, str(size), str(parallel)]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    figures: Figures = json.loads(done.stdout)
    return figures


def _store(folder: Path) -> Store:
    bounds = InboxBounds(max_count=10_000_000, max_bytes=1 << 40)
    return Store(folder / "bridge.db", lambda site, lane: _POLICY, inbox_bounds=bounds)


async def _put(store: Store, count: int, producers: int) -> Figures:
    times: list[float] = []

    async def produce() -> None:
        for _ in range(count // producers):
            started = time.perf_counter()
            await store.outbox.put("there", Lane.MESSAGE, Event("POST /broadcast/temperature", _PAYLOAD))
            times.append(time.perf_counter() - started)

    await produce()
    times.clear()
    figures = await _timed(store, count, lambda: _gather(produce, producers))
    cuts = quantiles(times, n=100)
    return figures | {"p50_ms": cuts[49] * 1000, "p99_ms": cuts[98] * 1000}


async def _waves(store: Store, count: int, at_once: int) -> Figures:
    async def wave() -> None:
        await store.outbox.put("there", Lane.MESSAGE, Event("POST /broadcast/temperature", _PAYLOAD))

    async def waves() -> None:
        for _ in range(count // at_once):
            await _gather(wave, at_once)

    return await _timed(store, count, waves)


async def _buffered(store: Store, count: int, per_second: int) -> Figures:
    async def produce() -> None:
        for _ in range(count):
            event = Event("POST /broadcast/temperature", _PAYLOAD)
            await store.outbox.put("there", Lane.TELEMETRY, event, buffered=True)
            await asyncio.sleep(1 / per_second)
        while store.outbox.last_seq("there", Lane.TELEMETRY) < count:
            await asyncio.sleep(0.01)

    return await _timed(store, count, produce)


async def _through(store: Store, count: int, producers: int) -> Figures:
    async def produce() -> None:
        for _ in range(count // producers):
            await store.outbox.put("there", Lane.MESSAGE, Event("POST /broadcast/temperature", _PAYLOAD))

    async def send() -> None:
        sent = 0
        while sent < count // producers * producers:
            batch = await store.outbox.batch("there", Lane.MESSAGE, sent)
            if batch.is_empty:
                changed = store.outbox.changed("there")
                changed.clear()
                await changed.wait()
            else:
                sent = batch.last_seq
                await store.outbox.acknowledge("there", Lane.MESSAGE, sent)

    async def both() -> None:
        await asyncio.gather(send(), _gather(produce, producers))

    return await _timed(store, count, both)


async def _backlog_played(store: Store, count: int, players: int) -> Figures:
    empty_mib = await _warm(store, players)
    started = time.perf_counter()
    await _take(store, 2_000, count)
    taken_s = time.perf_counter() - started
    waiting_mib = _rss_mib() - empty_mib
    alarm_ms, drain_s = await _drain(store, players, with_alarm=True)
    full_mib = _rss_mib()
    await _take(store, 2_000 + count, count)
    await _drain(store, players)
    return {
        "take_per_second": count / taken_s,
        "drain_s": drain_s,
        "alarm_ms": alarm_ms,
        "waiting_mib": waiting_mib,
        "growth_mib": _rss_mib() - full_mib,
    }


async def _warm(store: Store, players: int) -> float:
    await _take(store, 0, 2_000)
    await _drain(store, players)
    return _rss_mib()


async def _take(store: Store, after: int, count: int) -> None:
    for first in range(after, after + count, 50):
        numbered = [
            Numbered(first + offset, Event(f"POST /send/agent{(first + offset) % _TARGETS}", _PAYLOAD))
            for offset in range(1, 51)
        ]
        await store.inbox.take("here", "store", Lane.MESSAGE, Batch(first, first + 50, numbered))


async def _drain(store: Store, players: int, with_alarm: bool = False) -> tuple[float, float]:
    inbox, started = store.inbox, time.perf_counter()
    claimed_s = sent_s = 0.0

    async def play() -> None:
        nonlocal claimed_s
        while entries := await inbox.claim(1):
            if entries[0].lane is Lane.ALARM:
                claimed_s = time.perf_counter()
            await asyncio.sleep(0)  # stands for the call of the target
            await inbox.done(entries[0])

    async def alarm() -> None:
        nonlocal sent_s
        await asyncio.sleep(0.3)
        sent_s = time.perf_counter()
        numbered = [Numbered(1, Event("POST /send/siren", b"{}"))]
        await inbox.take("here", "store", Lane.ALARM, Batch(0, 1, numbered))

    await asyncio.gather(_gather(play, players), *([alarm()] if with_alarm else []))
    return (claimed_s - sent_s) * 1000, time.perf_counter() - started


async def _gather(run: Callable[[], Awaitable[None]], times: int) -> None:
    await asyncio.gather(*(run() for _ in range(times)))


async def _timed(store: Store, count: int, run: Callable[[], Awaitable[None]]) -> Figures:
    before = (await store.figures()).written_today_bytes or 0
    started = time.perf_counter()
    await run()
    took_s = time.perf_counter() - started
    written = ((await store.figures()).written_today_bytes or 0) - before
    return {"per_second": count / took_s, "bytes": written / count}


def _rss_mib() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / (1 << 20)


async def _main(part: str, size: int, parallel: int) -> None:
    runs: dict[str, Callable[[Store, int, int], Any]] = {
        "put": _put,
        "waves": _waves,
        "buffered": _buffered,
        "through": _through,
        "backlog": _backlog_played,
    }
    with tempfile.TemporaryDirectory() as folder:
        async with _store(Path(folder)) as store:
            print(json.dumps(await runs[part](store, size, parallel)))


ALL = {"outbox": outbox}

if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
