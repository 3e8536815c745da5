"""The run with random kills, through our bridge, and through the one that Mosquitto has.

Mosquitto's is set as its careful users set it: both brokers write to the disk every second and bound no queue, the
connection between them keeps its session, and everything is sent with QoS 1. Its sender is never killed, and its
receiver acknowledges what it has written down.
"""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.servers import ROOT
from bench.table import Row
from tests.system.brokers import Mosquitto
from tests.system.couriers import Seen, Sent
from tests.system.town import running_town

_SEED = 20260421
_QUIET_S = 8.0
_CAREFUL = (
    "allow_anonymous true\npersistence true\npersistence_location {folder}/\nautosave_interval 1\n"
    "max_queued_messages 0\n"
)
_CONNECTION = (
    "connection cloud\naddress 127.0.0.1:{port}\ntopic # out 1\ncleansession false\nremote_clientid home\n"
    "restart_timeout 1\nnotifications false\n"
)


@dataclass(frozen=True)
class _Account:
    """What came of a run, by the ledgers of those who sent and received."""

    kills: int
    accepted: int
    lost: int
    reported: int
    repeated: int


def mosquitto_bridge(full: bool) -> Iterator[Row]:
    """Count what is lost and what comes twice."""
    seconds, longest_s = (600.0, 6.0) if full else (12.0, 1.5)
    ours, theirs = asyncio.run(_ours(seconds, longest_s)), _theirs(seconds, longest_s)
    rows = (
        (f"random kill -9 for {seconds:.0f} s, 500 messages/s (bare: Mosquitto's bridge): kills", "kills", ""),
        ("   accepted", "accepted", ""),
        ("   accepted, lost and not reported", "lost", "0"),
        ("   dropped by the lane that may, and reported", "reported", ""),
        ("   seen again by an agent", "repeated", ""),
    )
    for what, name, budget in rows:
        mine, other = getattr(ours, name), getattr(theirs, name)
        yield Row(what=what, ours=mine, bare=other, unit="", budget=budget, holds=mine == 0 if budget else None)


async def _ours(seconds: float, longest_s: float) -> _Account:
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        async with running_town(folder) as town:
            kills = await town.killed_for(seconds, longest_s, random.Random(_SEED))
            _, cloud = await town.settled()
        sent = Sent(folder / "home")
        seen = Seen(folder / "cloud", sent)
    reported = sum(sum(lane["missed"].values()) for lane in cloud.values())
    lost = len(sent.accepted - seen.times.keys())
    return _Account(kills.total(), len(sent.accepted), max(0, lost - reported), reported, seen.repeated)


def _theirs(seconds: float, longest_s: float) -> _Account:
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        cloud = _careful(folder / "cloud")
        cloud.start()
        home = _careful(folder / "home", _CONNECTION.format(port=cloud.port))
        home.start()
        receiver, sender = _client("receive", cloud, folder), _client("send", home, folder)
        try:
            time.sleep(1.0)
            kills: Counter[str] = Counter()
            chance, end_s = random.Random(_SEED), time.monotonic() + seconds
            while time.monotonic() < end_s:
                time.sleep(chance.uniform(0.1, longest_s))
                victim = chance.choice(("home", "cloud", "receiver"))
                kills[victim] += 1
                down_s = chance.choice((0.0, chance.uniform(0.0, longest_s / 3)))
                if victim == "receiver":
                    receiver.kill()
                    receiver.wait()
                    time.sleep(down_s)
                    receiver = _client("receive", cloud, folder)
                    continue
                broker = home if victim == "home" else cloud
                broker.kill()
                time.sleep(down_s)
                broker.start()
            (folder / "rest").touch()
            sender.wait(60)
            _wait_until_quiet(folder / "seen-news")
        finally:
            for process in (receiver, sender):
                process.kill()
                process.wait()
            home.kill()
            cloud.kill()
        sent = Sent(folder)
        seen = Seen(folder, sent)
    return _Account(kills.total(), len(sent.accepted), len(sent.accepted - seen.times.keys()), 0, seen.repeated)


def _careful(folder: Path, more: str = "") -> Mosquitto:
    folder.mkdir()
    return Mosquitto(folder, _CAREFUL.format(folder=folder) + more)


def _client(kind: str, broker: Mosquitto, folder: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "bench.mosquitto_clients", kind, str(broker.port), str(folder)]
    return subprocess.Popen(command, cwd=ROOT)


def _wait_until_quiet(ledger: Path) -> None:
    size_bytes, since_s = -1, time.monotonic()
    while time.monotonic() - since_s < _QUIET_S:
        now_bytes = ledger.stat().st_size
        if now_bytes != size_bytes:
            size_bytes, since_s = now_bytes, time.monotonic()
        time.sleep(0.1)


ALL = {"mosquitto_bridge": mosquitto_bridge}
