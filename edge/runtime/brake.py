"""Slows down who guesses passwords (contract, section 7.8: the platform's own, as OPACA says nothing of it).

Nobody is ever locked out. Failures make their address wait, up to 4 s; those for one name from anywhere make that name
wait up to 1 s, but not at an address where it has logged in before. The attempts of one address take turns, so that
guessing from many connections is no faster than from one and never keeps others from the password thread.
"""

from __future__ import annotations

import asyncio
import ipaddress
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from edge.errors import Overloaded

_FREE_FAILURES = 3
_FIRST_DELAY_S = 0.25
_LONGEST_FOR_ADDRESS_S = 4.0
_LONGEST_FOR_NAME_S = 1.0
# A failure is forgiven after this long without a new one.
_FORGIVEN_AFTER_S = 60.0
_MOST_REMEMBERED = 1024
_MOST_WAITING_AT_ADDRESS = 8
_LONGEST_NAME = 256
_MOST_KNOWN_NAMES = 8


@dataclass(slots=True)
class _Failures:
    count: int = 0
    last_s: float = 0.0

    def delay_s(self, now_s: float, longest_s: float) -> float:
        left = self.count - int((now_s - self.last_s) / _FORGIVEN_AFTER_S)
        if left < _FREE_FAILURES:
            return 0.0
        return min(_FIRST_DELAY_S * 2.0 ** min(left - _FREE_FAILURES, 16), longest_s)

    def add(self, now_s: float) -> None:
        self.count = max(self.count - int((now_s - self.last_s) / _FORGIVEN_AFTER_S), 0) + 1
        self.last_s = now_s


@dataclass(slots=True)
class _Address:
    failures: _Failures = field(default_factory=_Failures)
    known_names: OrderedDict[str, None] = field(default_factory=OrderedDict)
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    waiting: int = 0


class Attempt:
    """One attempt; it counts as failed unless whoever makes it says otherwise."""

    def __init__(self) -> None:
        self.has_succeeded = False


class LoginBrake:
    """Remembers failed logins, of the latest addresses and names only."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._addresses: OrderedDict[str, _Address] = OrderedDict()
        self._names: OrderedDict[str, _Failures] = OrderedDict()

    @asynccontextmanager
    async def attempt(self, address: str, name: str) -> AsyncIterator[Attempt]:
        """Wait as long as this address and name must, then have the turn of the address.

        Raises:
            Overloaded: too many attempts of this address wait already.
        """
        name = name[:_LONGEST_NAME]
        place = self._place(network_of(address))
        if place.waiting >= _MOST_WAITING_AT_ADDRESS:
            raise Overloaded(f"{place.waiting} logins from {address} are waiting; try again in a moment")
        place.waiting += 1
        try:
            async with place.turn:
                delay_s = self.delay_s(address, name)
                if delay_s > 0:
                    await asyncio.sleep(delay_s)
                failures = self._count(place, name)
                attempt = Attempt()
                yield attempt
                if attempt.has_succeeded:
                    for each in failures:
                        each.count -= 1
                    self._know(place, name)
        finally:
            place.waiting -= 1

    def delay_s(self, address: str, name: str) -> float:
        """Return how long an attempt must wait now, in seconds."""
        now_s = self._clock()
        place = self._place(network_of(address))
        delay_s = place.failures.delay_s(now_s, _LONGEST_FOR_ADDRESS_S)
        failures = self._names.get(name)
        if failures is None or name in place.known_names:
            return delay_s
        return max(delay_s, failures.delay_s(now_s, _LONGEST_FOR_NAME_S))

    def _place(self, network: str) -> _Address:
        place = self._addresses.get(network)
        if place is None:
            place = self._addresses[network] = _Address()
            if len(self._addresses) > _MOST_REMEMBERED:
                idle = next((key for key, other in self._addresses.items() if other.waiting == 0), None)
                if idle is not None:
                    del self._addresses[idle]
        self._addresses.move_to_end(network)
        return place

    def _count(self, place: _Address, name: str) -> tuple[_Failures, _Failures]:
        """Count a failure beforehand: who leaves before the answer has guessed too."""
        now_s = self._clock()
        of_name = self._names.setdefault(name, _Failures())
        self._names.move_to_end(name)
        if len(self._names) > _MOST_REMEMBERED:
            self._names.popitem(last=False)
        for each in (place.failures, of_name):
            each.add(now_s)
        return place.failures, of_name

    def _know(self, place: _Address, name: str) -> None:
        place.known_names[name] = None
        if len(place.known_names) > _MOST_KNOWN_NAMES:
            place.known_names.popitem(last=False)


def network_of(address: str) -> str:
    """Return what counts as one address: of IPv6 the /64 that every household has."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    mapped = parsed.ipv4_mapped
    return str(mapped) if mapped is not None else str(ipaddress.IPv6Network((parsed, 64), strict=False))
