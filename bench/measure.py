"""The measurements; each gives rows.

Where two servers are compared, short runs of both alternate, so that whatever else the machine does meets both, and the
median of the ratios counts.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from statistics import median

from bench import servers
from bench.servers import ROOT, Server
from bench.table import Row

ECHO = "/invoke/Echo/echo-0"
_STARTS = 9

Result = dict[str, float]


def memory(full: bool) -> Iterator[Row]:
    """Memory at rest: with the `system` agent, and what 100 more agents in the process add."""
    found = [_memory_once(5 if full else 1) for _ in range(5 if full else 3)]
    bare_rss, bare_pss, rss, pss, more = (median(each[column] for each in found) / 1024 for column in range(5))
    ratio = rss / bare_rss
    yield Row(
        what="memory at rest, RSS",
        ours=rss,
        bare=bare_rss,
        unit="MiB",
        ratio=ratio,
        budget="<= 1.2 x",
        holds=ratio <= 1.2,
    )
    yield Row(what="memory at rest, PSS", ours=pss, bare=bare_pss, unit="MiB", ratio=pss / bare_pss)
    yield Row(what="100 more agents, RSS", ours=more, unit="MiB", budget="<= 2 MiB", holds=more <= 2)


def _memory_once(settle_s: float) -> tuple[int, ...]:
    with (
        servers.bare() as bare,
        servers.platform(0, with_system=True) as alone,
        servers.platform(1, 100, with_system=True) as hundred,
    ):
        time.sleep(settle_s)  # what starts in the background has settled then
        return *bare.memory_kib(), *alone.memory_kib(), hundred.memory_kib()[0] - alone.memory_kib()[0]


def start(full: bool) -> Iterator[Row]:
    """From the start of the process to the first answer to GET /info."""
    ours_s, bare_s, ours_cpu_s, bare_cpu_s = [], [], [], []
    for _ in range(_STARTS):
        with servers.bare() as bare_server:
            bare_s.append(bare_server.start_s)
            bare_cpu_s.append(bare_server.cpu_s())
        with servers.platform(0, with_system=True) as platform:
            ours_s.append(platform.start_s)
            ours_cpu_s.append(platform.cpu_s())
    ours, bare = median(ours_s), median(bare_s)
    yield Row(
        what=f"start to first /info, median of {_STARTS}",
        ours=ours,
        bare=bare,
        unit="s",
        ratio=ours / bare,
        budget="<= 0.6 s, <= 2 x",
        holds=ours <= 0.6 and ours <= 2 * bare,
    )
    ours, bare = median(ours_cpu_s), median(bare_cpu_s)
    yield Row(what="   processor time", ours=ours, bare=bare, unit="s", ratio=ours / bare)


def invoke(full: bool) -> Iterator[Row]:
    """Invoke over REST against an echo of the same body."""
    with servers.bare() as bare, servers.platform() as ours:
        for connections in (1, 16, 64):
            pairs = alternate((bare, ECHO), (ours, ECHO), connections, full)
            ratio = ratio_of(pairs, "per_second")
            is_held = connections == 16
            yield Row(
                what=f"invoke, {connections} connection{'s' if connections > 1 else ''}",
                ours=median_of(pairs, 1, "per_second"),
                bare=median_of(pairs, 0, "per_second"),
                unit="/s",
                ratio=ratio,
                budget=">= 0.8 x" if is_held else "",
                holds=ratio >= 0.8 if is_held else None,
            )
            for what, key in (("p50", "p50_ms"), ("p99", "p99_ms"), ("processor time for a call", "cpu_us")):
                yield Row(
                    what=f"   {what}",
                    ours=median_of(pairs, 1, key),
                    bare=median_of(pairs, 0, key),
                    unit=key[-2:],
                    ratio=ratio_of(pairs, key),
                )
            busiest = max(each["generator_busy"] for pair in pairs for each in pair)
            yield Row(what="   load generator busy, at most", ours=100 * busiest, unit="%")


def many_agents(full: bool) -> Iterator[Row]:
    """Invoke with 2,000 agents in 200 containers, of the last one, against the only one of a platform."""
    with servers.platform() as one, servers.platform(200, 10) as many:
        pairs = alternate((one, ECHO), (many, "/invoke/Echo/echo-1999"), 16, full)
        rss = many.memory_kib()[0]
    ratio = 1 / ratio_of(pairs, "per_second")
    yield Row(
        what="invoke, 1 of 2,000 agents (bare: the only one)",
        ours=1e6 / median_of(pairs, 1, "per_second"),
        bare=1e6 / median_of(pairs, 0, "per_second"),
        unit="us",
        ratio=ratio,
        budget="<= 1.1 x",
        holds=ratio <= 1.1,
    )
    yield Row(what="2,000 agents in 200 containers, RSS", ours=rss / 1024, unit="MiB")


def growth(full: bool) -> Iterator[Row]:
    """What a platform keeps of calls and of connections that are over."""
    calls, reconnects = (1_000_000, 10_000) if full else (20_000, 500)
    with servers.platform() as ours:
        _use(ours, calls // 10, reconnects // 10)  # pools, history and caches are full then
        rss, descriptors = ours.memory_kib()[0], ours.descriptors()
        _use(ours, calls, reconnects)
        grown, more_descriptors = ours.memory_kib()[0] - rss, ours.descriptors() - descriptors
    what = f"growth, {calls:,} invokes, {reconnects:,} connections"
    yield Row(what=what, ours=grown / 1024, unit="MiB", budget="<= 1 MiB", holds=grown <= 1024)
    yield Row(what="   descriptors", ours=more_descriptors, unit="more", budget="0", holds=more_descriptors == 0)


def _use(server: Server, calls: int, reconnects: int) -> None:
    load(server, ECHO, 16, f"{calls}x")
    for _ in range(max(reconnects // 50, 1)):
        load(server, ECHO, 50, "50x")
    time.sleep(1)


def load(server: Server, path: str, connections: int, amount: str) -> Result:
    """Run the load generator in a process of its own; `amount` is seconds, or a number of requests with an x behind."""
    command = [sys.executable, "-m", "bench.load", str(server.tcp_port), path, str(connections), amount]
    busy_s = server.cpu_s()
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True)
    result: Result = json.loads(done.stdout)
    return result | {"cpu_us": 1e6 * (server.cpu_s() - busy_s) / result["calls"]}


def alternate(
    bare: tuple[Server, str], ours: tuple[Server, str], connections: int, full: bool
) -> list[tuple[Result, Result]]:
    rounds, seconds = (15, "2") if full else (5, "1")
    return [(load(*bare, connections, seconds), load(*ours, connections, seconds)) for _ in range(rounds)]


def median_of(pairs: list[tuple[Result, Result]], side: int, key: str) -> float:
    return median(pair[side][key] for pair in pairs)


def ratio_of(pairs: list[tuple[Result, Result]], key: str) -> float:
    return median(ours[key] / bare[key] for bare, ours in pairs)


ALL = {each.__name__: each for each in (memory, start, invoke, many_agents, growth)}
