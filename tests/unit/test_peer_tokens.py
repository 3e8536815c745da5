"""When a token should be renewed, by what it says itself."""

from __future__ import annotations

import pytest

from edge.runtime.peer_tokens import life_of
from tests.unit.peers import token

HOUR_S = 3600.0
NOW_S = 1_800_000_000.0


@pytest.mark.parametrize(
    "text", ["", "opaque", "a.b", "a.b.c", "a.!!.c", "a.bm8.c", token(NOW_S, None), "a.W10.c", "é.é.é"]
)
def test_what_has_no_end_is_left_alone(text: str) -> None:
    assert life_of(text) is None


@pytest.mark.parametrize(("hours", "due_after_hours"), [(1, 0.5), (10, 5), (7 * 24, 7 * 18)])
def test_a_token_is_due_long_before_it_ends(hours: float, due_after_hours: float) -> None:
    life = life_of(token(NOW_S, NOW_S + hours * HOUR_S))
    assert life is not None
    due_s = due_after_hours * HOUR_S
    assert not life.is_due(NOW_S + due_s - 60, held_s=0)
    assert life.is_due(NOW_S + due_s + 60, held_s=0)


def test_a_clock_that_is_years_late_does_not_hide_the_end() -> None:
    life = life_of(token(NOW_S, NOW_S + HOUR_S))
    assert life is not None
    assert not life.is_due(0, held_s=0)
    assert life.is_due(0, held_s=0.6 * HOUR_S)


def test_a_token_that_does_not_say_when_it_was_made_lasts_an_hour() -> None:
    text = token(NOW_S + 99 * HOUR_S, NOW_S + HOUR_S)
    life = life_of(text)
    assert life is not None
    assert life.is_due(NOW_S + 0.6 * HOUR_S, held_s=0)
    assert life.until == "2027-01-15T09:00:00.000Z"
