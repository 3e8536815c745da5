"""What a platform answered with success, and what it was asked for and did not answer before it was killed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Generic, TypeVar

from aiohttp import ClientError

from tests.system.joined import Answer

T = TypeVar("T")

# Something that only the answer would have told.
ANYTHING: Any = type("Anything", (), {"__repr__": lambda self: "anything"})()


class Ledger(Generic[T]):
    """What is known of some things: name -> what it is; None stands for one that is not there.

    Attributes:
        known: What was answered.
        open: What was asked for and has no answer: it may have come about, wholly, or not at all.
        answered: How many changes were answered.
        cut: How many were not.
    """

    def __init__(self) -> None:
        self.known: dict[str, T | None] = {}
        self.open: dict[str, T | None] = {}
        self.answered = self.cut = 0

    async def change(
        self, name: str, wanted: T | None, asking: Awaitable[Answer], found: Callable[[Answer], T] | None = None
    ) -> T | None:
        """Ask for a change.

        Args:
            name: What is changed.
            wanted: What it is to be.
            found: Reads from the answer what it has become; without this, it is what was wanted.
        Raises:
            ClientError: there was no answer.
        """
        self.open[name] = wanted
        try:
            answer = await asking
        except (ClientError, TimeoutError, OSError):
            self.cut += 1
            raise
        assert answer.status in (200, 201), f"{name} was to be {wanted}: {answer.status} {answer.body!r}"
        self.known[name] = wanted if found is None else found(answer)
        del self.open[name]
        self.answered += 1
        return self.known[name]

    def settle(self, name: str, now: T | None) -> None:
        """Fail unless a thing is what it may be after a kill; from now on it is known again."""
        asked = self.open.pop(name, self.known.get(name))
        is_right = now in (self.known.get(name), asked) or (asked is ANYTHING and now is not None)
        assert is_right, f"{name} is {now}; it was {self.known.get(name)}, and asked for was {asked}"
        self.known[name] = now
