"""One transaction of the writer's thread: what it does to the database and to the counters in memory, or undoes."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from copy import copy
from typing import Any, Protocol


class State(Protocol):
    """Counters in memory that belong to a row: changed by the writer's thread only."""

    __slots__: Sequence[str]

    def write(self, connection: sqlite3.Connection) -> None:
        """Store what of it cannot be found out from other tables."""


class Transaction:
    """What jobs of one commit share."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection
        self.execute = connection.execute
        self._before: dict[int, tuple[State, State]] = {}
        self._to_write: dict[int, State] = {}
        self._undo: list[Callable[[], object]] = []

    def touch(self, state: State, *, is_written: bool = False) -> None:
        """Say that counters are about to change.

        Args:
            state: Theirs.
            is_written: Whether their row is written at the end, once.
        """
        if id(state) not in self._before:
            self._before[id(state)] = (state, copy(state))
        if is_written:
            self._to_write[id(state)] = state

    def on_rollback(self, undo: Callable[[], object]) -> None:
        """Say what undoes a change of memory that is no counter."""
        self._undo.append(undo)

    def finish(self) -> list[Any]:
        """Write rows, commit; return copies of the counters that changed, for whoever reads them elsewhere."""
        for state in self._to_write.values():
            state.write(self.connection)
        self.execute("COMMIT")
        return [copy(state) for state, _ in self._before.values()]

    def undo(self) -> None:
        """Roll back, in the database and in memory."""
        if self.connection.in_transaction:
            self.execute("ROLLBACK")
        for state, before in self._before.values():
            for name in state.__slots__:
                setattr(state, name, getattr(before, name))
        for undo in reversed(self._undo):
            undo()
