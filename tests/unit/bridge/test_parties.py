"""What is kept of the parties over a restart, and how often it is written."""

from __future__ import annotations

from pathlib import Path

import pytest

from bridge import parties
from bridge.parties import Parties
from bridge.tasks import Tasks
from tests.unit.bridge.wire import INFO, Air, end, until

KEPT = "bridge-parties/_gw/cloud/shed.json"


def changed(number: int) -> bytes:
    """A description that is another one each time."""
    return INFO.replace(b'"platformId":"p"', b'"platformId":"p%d"' % number)


async def test_a_party_that_changes_all_the_time_wears_out_no_card_and_its_last_state_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parties, "_GATHERED_S", 0.005)
    written: list[bytes] = []
    real = Parties._write
    monkeypatch.setattr(Parties, "_write", lambda self, name, info: (written.append(info), real(self, name, info)))
    async with Tasks() as tasks:
        station = end(Air(), tasks, is_gateway=True).station
        keeping = Parties(tmp_path / "bridge-parties", station)
        tasks.start(keeping.run(), "parties")
        station.restore("shed", INFO)
        path = tmp_path / KEPT
        await until(path.exists)
        monkeypatch.setattr(parties, "_NOT_BEFORE_S", 0.5)
        began_s = keeping._written_s["shed"]
        for number in range(100):
            station.restore("shed", changed(number))
            await until(lambda: not keeping._changed.is_set())
        await until(lambda: b'"p99"' in path.read_bytes())
        took_s = keeping._written_s["shed"] - began_s
        assert len(written) <= 2 + took_s / 0.5
        del station.remotes["shed"]
        for forget in station.on_gone:
            forget(None)  # type: ignore[arg-type]
        await until(lambda: not path.exists())
