"""The bridge's stores, killed at any moment, again and again: accepted = seen by a target + reported lost."""

from __future__ import annotations

import asyncio
import random
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from bridge.store import Lane
from tests.contract.running import REPOSITORY
from tests.system.bridge_stores import MOST_REPEATED, Facts, settle


@pytest.mark.timeout(1800)
async def test_whatever_was_accepted_is_played_or_reported_lost_over_many_kills(
    tmp_path: Path, seed: int, at_size: Callable[[int, int], int]
) -> None:
    chance, kills = random.Random(seed), at_size(30, 1000)
    facts = Facts([])
    for _ in range(kills):
        for line in await _lines_until_killed(tmp_path, chance):
            facts.take(line)
    assert all(len(facts.accepted[lane]) > kills for lane in Lane)
    await settle(tmp_path, facts)
    repeated = sum(seen.total() - len(seen) for seen in facts.seen.values()) - facts.tried_again
    assert repeated <= kills * MOST_REPEATED


async def _lines_until_killed(folder: Path, chance: random.Random) -> list[str]:
    program = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.system.bridge_stores", str(folder), str(chance.randrange(2**32)), "1000000",
        cwd=REPOSITORY, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert program.stdout is not None
    lines = [await program.stdout.readline() for _ in range(chance.randrange(1, 400))]
    program.send_signal(signal.SIGKILL)
    lines += (await program.stdout.read()).splitlines(keepends=True)
    await program.wait()
    return [line.decode().strip() for line in lines if line.endswith(b"\n")]
