"""Finds out that two bridges use one name on a broker: each throws the other out, and takes its place."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from bridge.envelope import Presence

# Who was seen before and comes back within this took turns with somebody.
_REMEMBERED_S = 3600.0
# They fight at longer and longer distances, up to five minutes: after this they have stopped.
_OVER_S = 900.0


@dataclass(slots=True)
class _Seen:
    """Who was seen under a name: the last one, the one before, and when they took turns last."""

    last: tuple[str, str]
    before: tuple[str, str] = ("", "")
    changed_s: float = 0.0
    turn_s: float = float("-inf")
    problem: str = ""


class Twins:
    """Notes who is seen under which name.

    >>> twins, one, other = Twins(lambda: 0.0), Presence(on=1, ep=1, m="a", st="x"), Presence(on=1, ep=2, m="b", st="x")
    >>> [twins.saw("home", each) for each in (one, other)]
    ['', '']
    >>> twins.saw("home", one)
    'two machines (a, b) use the name home with a copy of one card: give one of them a name and an empty state'
    """

    def __init__(self, monotonic_s: Callable[[], float] = time.monotonic) -> None:
        self._monotonic_s = monotonic_s
        self._seen: dict[str, _Seen] = {}

    def saw(self, name: str, presence: Presence) -> str:
        """Take note of a presence; returns what is wrong if two begin to take turns, else nothing."""
        who, now_s = (presence.m, presence.st), self._monotonic_s()
        if not presence.on or who == ("", ""):
            return ""
        seen = self._seen.get(name)
        if seen is None:
            self._seen[name] = _Seen(who)
            return ""
        if who == seen.last:
            return ""
        is_turn = who == seen.before and now_s - seen.changed_s < _REMEMBERED_S
        seen.before, seen.last, seen.changed_s = seen.last, who, now_s
        if not is_turn:
            return ""
        is_known = self.problem(name) != ""
        seen.turn_s, seen.problem = now_s, _complaint(name, seen.last, seen.before)
        return "" if is_known else seen.problem

    def problem(self, name: str) -> str:
        """Return what is wrong with a name, if it still is."""
        seen = self._seen.get(name)
        return "" if seen is None or self._monotonic_s() - seen.turn_s > _OVER_S else seen.problem

    def forget(self, name: str) -> None:
        """A party was removed."""
        self._seen.pop(name, None)


def _complaint(name: str, one: tuple[str, str], other: tuple[str, str]) -> str:
    if one[0] == other[0]:
        return f"two bridges of one machine ({one[0]}) use the name {name}: stop one, or give it a name of its own"
    machines = f"two machines ({one[0]}, {other[0]}) use the name {name}"
    if one[1] == other[1]:
        return f"{machines} with a copy of one card: give one of them a name and an empty state"
    return f"{machines}: give one of them a name of its own"
