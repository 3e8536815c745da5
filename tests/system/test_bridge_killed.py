"""Everything between two agents is killed at any moment, again and again; both of them keep the ledger."""

from __future__ import annotations

import random
import re
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.system.couriers import Seen, Sent
from tests.system.town import PER_SECOND, running_town

# A platform that is killed forgets what it has seen: what the player had under way then, and, if the bridge beside it
# was killed as well, what that had not deleted yet.
_IN_FLIGHT = 20 + 32


@pytest.mark.timeout(1500)
async def test_what_was_accepted_arrives_once_or_is_reported_lost_whoever_is_killed(
    tmp_path: Path, seed: int, at_size: Callable[[int, int], int]
) -> None:
    chance = random.Random(seed)
    lasts_s, longest_s = at_size(7, 600), at_size(15, 60) / 10
    async with running_town(tmp_path) as town:
        kills = await town.killed_for(lasts_s, longest_s, chance)
        began_s = time.monotonic()
        home, cloud = await town.settled()
        took_s = time.monotonic() - began_s
    sent = Sent(tmp_path / "home")
    seen = Seen(tmp_path / "cloud", sent)
    _print(kills, took_s, sent, seen, cloud)
    for lane in ("alarm", "message"):
        arrived = seen.of(lane, sent)
        assert sent.of(lane) - arrived == set(), f"{lane}: accepted and lost"
        assert arrived - sent.of(lane) <= sent.doubtful(lane), f"{lane}: refused, and came all the same"
        assert home[lane]["lost"] == cloud[lane]["missed"] == {}
        assert cloud[lane]["played"] == len(arrived), f"{lane}: not stored once each"
    arrived = seen.of("telemetry", sent)
    missed = sum(cloud["telemetry"]["missed"].values())
    assert len(sent.of("telemetry") - arrived) <= missed, "lost and not reported"
    assert missed <= len((sent.of("telemetry") | sent.doubtful("telemetry")) - arrived), "reported lost, but arrived"
    assert arrived - sent.of("telemetry") <= sent.doubtful("telemetry")
    assert all(numbers == sorted(numbers) for numbers in seen.order.values()), "out of order"
    assert seen.repeated <= _IN_FLIGHT * kills["cloud"]
    assert len(sent.accepted) > lasts_s * PER_SECOND / 50, "hardly anything was sent"


def _print(kills: Counter[str], took_s: float, sent: Sent, seen: Seen, cloud: dict[str, Any]) -> None:
    print(f"\nkills: {dict(kills)}; {len(sent.wished)} wished, settled after {took_s:.1f} s")
    print(f"seen again by an agent: {seen.repeated}")
    for lane, figures in cloud.items():
        arrived = seen.of(lane, sent)
        wished = sum(of == lane for of, _ in sent.wished.values())
        print(
            f"{lane}: {wished} wished, {len(sent.of(lane))} accepted, {len(sent.doubtful(lane))} cut off,"
            f" {len(arrived)} arrived, missed {figures['missed']}, accepted and not arrived"
            f" {len(sent.of(lane) - arrived)}, came though cut off {len(arrived - sent.of(lane))}"
        )
    reasons = Counter(re.sub(r"[\d.]+|http\S+", "#", why)[:110] for why in sent.refused.values())
    for why, count in reasons.most_common(12):
        print(f"   refused {count}: {why}")
