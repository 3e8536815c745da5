"""The bridge between two platforms: calls through it, durable messages, a backlog, and what it costs in memory."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from statistics import median

from bench.bridge_agents import TARGETS
from bench.bridge_sites import Site, joined, two_sites, wait_until
from bench.measure import ECHO, load
from bench.servers import Server, free_port
from bench.table import Row
from bridge.store import DOWN, Batch, Event, Lane, Numbered, Store

_BODY = b'{"payload":{"n":1,"x":"' + b"x" * 180 + b'"},"replyTo":null}'
_PARALLEL = 32
_SETTLE_S = 3.0


def bridge(full: bool) -> Iterator[Row]:
    """Calls and messages through a running bridge."""
    with joined() as (home, cloud, home_server, cloud_server):
        for connections in (1, 16):
            result = load(cloud_server, ECHO, connections, "10" if full else "2")
            p50, p99 = result["p50_ms"], result["p99_ms"]
            kept = (p50 <= 10, p99 <= 50) if connections == 1 else (None, None)
            aims = ("<= 10 ms", "<= 50 ms") if connections == 1 else ("", "")
            plural = "s" if connections > 1 else ""
            yield Row(
                what=f"invoke cloud, broker, home, {connections} connection{plural}",
                ours=result["per_second"],
                unit="/s",
            )
            yield Row(what="   p50", ours=p50, unit="ms", budget=aims[0], holds=kept[0])
            yield Row(what="   p99", ours=p99, unit="ms", budget=aims[1], holds=kept[1])
        yield from _messages(home, cloud, home_server, cloud_server, full)


def _messages(home: Site, cloud: Site, home_server: Server, cloud_server: Server, full: bool) -> Iterator[Row]:
    count = 20_000 if full else 2_000
    _send(home, cloud, count // 4)  # pages, pools and caches are warm then
    servers = (home_server, cloud_server)
    warm = [server.memory_kib()[0] for server in servers]
    before = [site.bridge_status()["written_today_bytes"] for site in (home, cloud)]
    accepted_s, arrived_s = _send(home, cloud, count)
    written = [
        site.bridge_status()["written_today_bytes"] - start for site, start in zip((home, cloud), before, strict=True)
    ]
    yield Row(what=f"messages of 200 bytes at home, {_PARALLEL} at once, accepted", ours=count / accepted_s, unit="/s")
    yield Row(what="   received by their agents in the cloud", ours=count / arrived_s, unit="/s")
    yield Row(what="   written for each at home", ours=written[0] / count, unit="B")
    yield Row(what="   written for each in the cloud", ours=written[1] / count, unit="B")
    more = 100_000 if full else 4_000
    _send(home, cloud, more)
    for server, start in zip(servers, warm, strict=True):
        grown = (server.memory_kib()[0] - start) / 1024
        yield Row(what=f"   after {count + more:,} messages, more RSS: {server.name}", ours=grown, unit="MiB")


def _send(home: Site, cloud: Site, count: int) -> tuple[float, float]:
    """Send messages; return the seconds until all were accepted, and until all had arrived."""
    had = cloud.ask("Counted")["count"]
    times = home.ask("SendMany", count=count, parallel=_PARALLEL)
    wait_until(lambda: cloud.ask("Counted")["count"] >= had + count, 120)
    return times["accepted_s"] - times["began_s"], cloud.ask("Counted")["last_s"] - times["began_s"]


def bridge_backlog(full: bool) -> Iterator[Row]:
    """A gateway that was away finds a full inbox, and an alarm is accepted at home while it plays it."""
    count = 100_000 if full else 5_000
    with two_sites() as (home, cloud), home.running():
        with cloud.running():
            wait_until(lambda: "clerk" in home.agents(), 30)
        asyncio.run(_fill(cloud, count))
        with cloud.running() as server:
            wait_until(lambda: cloud.ask("Counted")["count"] > count // 10, 60)
            began, busy_s, rss = cloud.ask("Counted")["count"], server.cpu_s(), server.memory_kib()[0]
            alarms: list[float] = []
            while not alarms or (cloud.ask("Counted")["count"] < count * 0.8 and len(alarms) < 10):
                accepted_s = home.ask("RaiseAlarm")
                wait_until(lambda accepted_s=accepted_s: cloud.ask("Counted")["alarm_s"] > accepted_s - 0.1, 60)
                alarms.append(cloud.ask("Counted")["alarm_s"] - accepted_s)
                time.sleep(0.2)
            wait_until(lambda: cloud.ask("Counted")["count"] >= count, 600)
            found = cloud.ask("Counted")
            grown = (server.memory_kib()[0] - rss) / 1024
            cpu_us = 1e6 * (server.cpu_s() - busy_s) / (count - began)
    took_s, allowed_s = found["last_s"] - found["first_s"], 40 * count / 100_000
    yield Row(
        what=f"{count:,} messages in the gateway's inbox, played",
        ours=took_s, unit="s", budget=f"<= {allowed_s:g} s", holds=took_s <= allowed_s,
    )  # fmt: skip
    slowest_s = max(alarms)
    yield Row(
        what=f"   the slowest of {len(alarms)} alarms accepted at home meanwhile",
        ours=slowest_s * 1000, unit="ms", budget="<= 1 s", holds=slowest_s <= 1,
    )  # fmt: skip
    yield Row(what="   processor time for each, bridge, platform and agent together", ours=cpu_us, unit="us")
    yield Row(what="   more RSS than when the first tenth was played", ours=grown, unit="MiB")


async def _fill(cloud: Site, count: int) -> None:
    async with Store(cloud.state / "bridge.db", lambda site, lane: DOWN[lane]) as store:
        for first in range(0, count, 50):
            numbered = [
                Numbered(seq, Event(f"POST /send/tally-{seq % TARGETS}", _BODY)) for seq in range(first + 1, first + 51)
            ]
            await store.inbox.take("greenhouse", "0123456789abcdef", Lane.MESSAGE, Batch(first, first + 50, numbered))


def bridge_memory(full: bool) -> Iterator[Row]:
    """The same platform at rest, with and without `[bridge]`."""
    found = [_memory_once() for _ in range(5 if full else 1)]
    with_it, without = (median(column) / 1024 for column in zip(*found, strict=True))
    more = with_it - without
    yield Row(what="platform at rest with a bridge (bare: without)", ours=with_it, bare=without, unit="MiB")
    yield Row(what="   the bridge adds, RSS", ours=more, unit="MiB", budget="<= 8 MiB", holds=more <= 8)


def _memory_once() -> tuple[int, int]:
    with two_sites() as (home, cloud), ExitStack() as stack:
        alone = replace(home, folder=home.folder.with_name("alone"), tcp_port=free_port(), bridge="")
        stack.enter_context(cloud.running())
        servers = stack.enter_context(home.running()), stack.enter_context(alone.running())
        wait_until(lambda: "clerk" in home.agents(), 30)
        time.sleep(_SETTLE_S)
        return servers[0].memory_kib()[0], servers[1].memory_kib()[0]


ALL = {each.__name__: each for each in (bridge, bridge_backlog, bridge_memory)}
