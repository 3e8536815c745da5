"""Keeps what is logged of others within bounds: nobody may fill the log, or keep what others do out of it."""

from __future__ import annotations

# As many as a gateway serves, and nobody in particular.
_MOST_PARTIES = 1001
_LONGEST = 200


class Once:
    """Tells what is new of each party.

    >>> once = Once(2)
    >>> [once.is_new("home", what) for what in ("this", "this", "that", "more")]
    [True, False, True, False]
    >>> once.is_new("shed", "more")
    True
    """

    def __init__(self, most: int) -> None:
        """Take how much is said of one party."""
        self._most = most
        self._said: dict[str, set[str]] = {}

    def is_new(self, party: str, what: str) -> bool:
        """Return whether something is to be said now; it counts as said then."""
        said = self._said.get(party)
        if said is None:
            if len(self._said) >= _MOST_PARTIES:
                return False
            said = self._said[party] = set()
        what = what[:_LONGEST]
        if what in said or len(said) >= self._most:
            return False
        said.add(what)
        return True
