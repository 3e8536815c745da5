"""One after the other: what two requests must not do at the same time, because they are about the same thing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Hashable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

from edge.errors import Overloaded

_MOST_WAITING = 8


@dataclass(slots=True)
class _Turn:
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    holders: int = 0  # the one whose turn it is, and those who wait


class Turns:
    """Lets one through by each name, in the order in which they came; only few may wait."""

    def __init__(self) -> None:
        self._turns: dict[Hashable, _Turn] = {}

    @asynccontextmanager
    async def taken(self, *names: Hashable) -> AsyncIterator[None]:
        """Wait until it is one's turn by all names, which everybody must give in the same order, and keep it.

        Raises:
            Overloaded: too many wait already.
        """
        async with AsyncExitStack() as taken:
            for name in names:
                await taken.enter_async_context(self._by_name(name))
            yield

    @asynccontextmanager
    async def _by_name(self, name: Hashable) -> AsyncIterator[None]:
        turn = self._turns.setdefault(name, _Turn())
        if turn.holders > _MOST_WAITING:
            raise Overloaded(f"{_MOST_WAITING} requests about the same wait already; try again later")
        turn.holders += 1
        try:
            async with turn.lock:
                yield
        finally:
            turn.holders -= 1
            if not turn.holders:
                del self._turns[name]
