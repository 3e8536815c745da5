"""The measurements. Each gives rows; where two servers are compared, their runs alternate and the medians count."""

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


def memory(full: bool) -> Iterator[Row]:
    """Memory at rest: with the `system` agent, and what 100 more agents in the process add."""
    with (
        servers.bare() as bare,
        servers.platform(0, with_system=True) as alone,
        servers.platform(1, 100, with_system=True) as hundred,
    ):
        time.sleep(5 if full else 2)  # what starts in the background has settled then
        (bare_rss, bare_pss), (rss, pss) = bare.memory_kib(), alone.memory_kib()
        more = hundred.memory_kib()[0] - rss
    yield Row(
        what="memory at rest, RSS",
        ours=rss / 1024,
        bare=bare_rss / 1024,
        unit="MiB",
        budget="<= 1.2 x",
        holds=rss <= 1.2 * bare_rss,
    )
    yield Row(what="memory at rest, PSS", ours=pss / 1024, bare=bare_pss / 1024, unit="MiB")
    yield Row(what="100 more agents, RSS", ours=more / 1024, unit="MiB", budget="<= 2 MiB", holds=more <= 2048)


def start(full: bool) -> Iterator[Row]:
    """From the start of the process to the first answer to GET /info."""
    ours_s, bare_s = [], []
    for _ in range(9):
        with servers.bare() as bare_server:
            bare_s.append(bare_server.start_s)
        with servers.platform(0, with_system=True) as platform:
            ours_s.append(platform.start_s)
    ours, bare = median(ours_s), median(bare_s)
    yield Row(
        what="start to first /info, median of 9",
        ours=ours,
        bare=bare,
        unit="s",
        budget="<= 0.6 s, <= 2 x",
        holds=ours <= 0.6 and ours <= 2 * bare,
    )


def invoke(full: bool) -> Iterator[Row]:
    """Invoke over REST against an echo of the same body."""
    with servers.bare() as bare, servers.platform() as ours:
        for connections in (1, 16, 64):
            yield from _compare(
                f"invoke, {connections} connection{'s' if connections > 1 else ''}", ours, bare, connections, full
            )


def _compare(what: str, ours: Server, bare: Server, connections: int, full: bool) -> Iterator[Row]:
    rounds, seconds = (5, "5") if full else (3, "2")
    results = [(load(bare, ECHO, connections, seconds), load(ours, ECHO, connections, seconds)) for _ in range(rounds)]
    of_bare = {key: median(each[0][key] for each in results) for key in results[0][0]}
    of_ours = {key: median(each[1][key] for each in results) for key in results[0][1]}
    is_the_one = connections == 16
    yield Row(
        what=what,
        ours=of_ours["per_second"],
        bare=of_bare["per_second"],
        unit="/s",
        budget=">= 0.8 x" if is_the_one else "",
        holds=of_ours["per_second"] >= 0.8 * of_bare["per_second"] if is_the_one else None,
    )
    yield Row(what="   p50", ours=of_ours["p50_ms"], bare=of_bare["p50_ms"], unit="ms")
    yield Row(what="   p99", ours=of_ours["p99_ms"], bare=of_bare["p99_ms"], unit="ms")
    busiest = max(each["generator_busy"] for pair in results for each in pair)
    yield Row(what="   load generator busy", ours=100 * busiest, unit="%")


def many_agents(full: bool) -> Iterator[Row]:
    """Invoke with 2,000 agents in 200 containers, of the last one, against the only one of a platform."""
    rounds, seconds = (5, "5") if full else (3, "2")
    with servers.platform() as one, servers.platform(200, 10) as many:
        pairs = [
            (load(one, ECHO, 16, seconds), load(many, "/invoke/Echo/echo-1999", 16, seconds)) for _ in range(rounds)
        ]
        rss = many.memory_kib()[0]
    alone, among = (1e6 / median(pair[side]["per_second"] for pair in pairs) for side in (0, 1))
    yield Row(
        what="invoke, 1 of 2,000 agents (bare: the only one)",
        ours=among,
        bare=alone,
        unit="us",
        budget="<= 1.1 x",
        holds=among <= 1.1 * alone,
    )
    yield Row(what="2,000 agents in 200 containers, RSS", ours=rss / 1024, unit="MiB")


def growth(full: bool) -> Iterator[Row]:
    """What a platform keeps of calls and of connections that are over."""
    calls, reconnects = (1_000_000, 10_000) if full else (20_000, 500)
    with servers.platform() as ours:
        load(ours, ECHO, 16, f"{calls // 10}x")  # pools, history and caches are full then
        rss, descriptors = ours.memory_kib()[0], ours.descriptors()
        load(ours, ECHO, 16, f"{calls}x")
        for _ in range(reconnects // 50):
            load(ours, ECHO, 50, "50x")
        time.sleep(1)
        grown, more_descriptors = ours.memory_kib()[0] - rss, ours.descriptors() - descriptors
    what = f"after {calls:,} invokes and {reconnects:,} connections"
    yield Row(what=f"growth {what}", ours=grown / 1024, unit="MiB", budget="<= 1 MiB", holds=grown <= 1024)
    yield Row(what="   descriptors", ours=more_descriptors, unit="more", budget="0", holds=more_descriptors == 0)


def load(server: Server, path: str, connections: int, amount: str) -> dict[str, float]:
    """Run the load generator in a process of its own; `amount` is seconds, or a number of requests with an x behind."""
    command = [sys.executable, "-m", "bench.load", str(server.tcp_port), path, str(connections), amount]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True)
    result: dict[str, float] = json.loads(done.stdout)
    return result


ALL = {each.__name__: each for each in (memory, start, invoke, many_agents, growth)}
