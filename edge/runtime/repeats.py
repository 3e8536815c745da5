"""Messages that come again: whoever delivers at least once marks them, and each is delivered once.

A bridge repeats what was under way when it, its link or its disk failed, with the same `Idempotency-Key`. What is known
here is in memory: a repeat after this platform itself was killed is delivered.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable

from edge.errors import ParameterMismatch
from edge.runtime.errands import Errands

_KEPT_PER_USER = 1024
_MAX_USERS = 256
_LONGEST_KEY = 200

_Known = OrderedDict[tuple[str, str], "asyncio.Future[None] | None"]


class Repeats:
    """Remembers the last 1,024 marked messages of each user."""

    def __init__(self, errands: Errands) -> None:
        """Args:
        errands: Goes on delivering when whoever asked has gone: it will ask again.
        """
        self._errands = errands
        self._users: OrderedDict[str, _Known] = OrderedDict()

    async def once(self, user: str, key: str | None, what: str, deliver: Callable[[], Awaitable[None]]) -> None:
        """Deliver a message, unless the same user had it delivered before under the same key.

        While the first delivery is under way, the repeat waits for its end; if that fails, the repeat is delivered.

        Args:
            user: Who calls.
            key: Value of `Idempotency-Key`; None delivers whatever was delivered before.
            what: Method and path: one key marks one message only.
            deliver: Delivers it.

        Raises:
            ParameterMismatch: a key of more than 200 characters.
        """
        if key is None:
            await deliver()
            return
        if len(key) > _LONGEST_KEY:
            raise ParameterMismatch(f"Idempotency-Key: expected at most {_LONGEST_KEY} characters, got {len(key)}")
        known = self._known(user)
        mark = (key, what)
        while mark in known:
            earlier = known[mark]
            if earlier is None:
                return
            await asyncio.wait([earlier])
        # Marked before anything is waited for, so that a repeat of the next moment finds it.
        under_way: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        known[mark] = under_way
        await self._errands.run(f"deliver {what}", lambda: self._first(known, mark, under_way, deliver))

    async def _first(
        self,
        known: _Known,
        mark: tuple[str, str],
        under_way: asyncio.Future[None],
        deliver: Callable[[], Awaitable[None]],
    ) -> None:
        try:
            await deliver()
        except BaseException:
            del known[mark]
            raise
        else:
            known[mark] = None
        finally:
            under_way.set_result(None)
        while len(known) > _KEPT_PER_USER and next(iter(known.values())) is None:
            known.popitem(last=False)

    def _known(self, user: str) -> _Known:
        known = self._users.get(user)
        if known is None:
            known = self._users[user] = OrderedDict()
            if len(self._users) > _MAX_USERS:
                self._users.popitem(last=False)
        else:
            self._users.move_to_end(user)
        return known
