"""A restore that has begun is finished, often by root: its plan lies in the state directory and leads nowhere else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from edge.state.swap import NotFinished, finish_restore

PLAN = {"stamp": "20260101-000000", "old": ["old"], "fresh": "restoring-20260101-000000/state", "new": ["new"]}


def planned(folder: Path, **changes: Any) -> Path:
    """A state directory with a plan, and beside it what is nobody else's business."""
    state = folder / "state"
    fresh = state / str(PLAN["fresh"])
    fresh.mkdir(parents=True)
    (fresh / "new").write_text("restored")
    (state / "old").write_text("before")
    (state / "restoring.json").write_text(json.dumps(PLAN | changes))
    (folder / "precious").mkdir()
    (folder / "precious" / "new").write_text("not to be moved")
    return state


def test_a_plan_is_carried_out(tmp_path: Path) -> None:
    state = planned(tmp_path)
    finish_restore(state)
    assert (state / "new").read_text() == "restored"
    assert (state / "before-20260101-000000" / "old").read_text() == "before"


@pytest.mark.parametrize(
    "changes",
    [
        {"new": ["../../../precious/new"]},
        {"new": [".."]},
        {"old": ["../precious"]},
        {"old": ["/etc/hostname"]},
        {"fresh": "../precious"},
        {"fresh": "/etc"},
        {"stamp": "/../../precious"},
        {"carried": "../precious"},
        {"new": [7]},
    ],
    ids=str,
)
def test_a_plan_that_leads_out_is_not(tmp_path: Path, changes: dict[str, Any]) -> None:
    state = planned(tmp_path, **changes)
    with pytest.raises(NotFinished):
        finish_restore(state)
    assert (state / "old").read_text() == "before"
    assert (tmp_path / "precious" / "new").exists()


@pytest.mark.parametrize("link", ["before-20260101-000000", "restoring-20260102-000000"])
def test_a_plan_that_leads_out_by_a_link_is_not(tmp_path: Path, link: str) -> None:
    state = planned(tmp_path, fresh=link if link.startswith("restoring") else PLAN["fresh"])
    (state / link).symlink_to(tmp_path / "precious")
    with pytest.raises(NotFinished):
        finish_restore(state)
    assert [each.name for each in (tmp_path / "precious").iterdir()] == ["new"]
