"""Messages that come again under the same key."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from edge.errors import ParameterMismatch, Unreachable
from edge.runtime.errands import Errands
from edge.runtime.repeats import Repeats

ROUTE = "POST /send/lamp"


@pytest.fixture
async def repeats() -> AsyncIterator[Repeats]:
    async with Errands() as errands:
        yield Repeats(errands)


class Lamp:
    """Counts what it gets."""

    def __init__(self, failures: int = 0) -> None:
        self.count = 0
        self.failures = failures
        self.may_end = asyncio.Event()
        self.may_end.set()

    async def deliver(self) -> None:
        self.count += 1
        await self.may_end.wait()
        if self.count <= self.failures:
            raise Unreachable("the lamp is away")


async def test_a_repeat_is_dropped(repeats: Repeats) -> None:
    lamp = Lamp()
    for _ in range(3):
        await repeats.once("site-a", "a/1", ROUTE, lamp.deliver)
    assert lamp.count == 1


async def test_another_key_user_or_route_is_another_message(repeats: Repeats) -> None:
    lamp = Lamp()
    for user, key, route in [("a", "1", ROUTE), ("b", "1", ROUTE), ("a", "2", ROUTE), ("a", "1", "POST /send/x")]:
        await repeats.once(user, key, route, lamp.deliver)
    assert lamp.count == 4


async def test_without_a_key_everything_is_delivered(repeats: Repeats) -> None:
    lamp = Lamp()
    await repeats.once("a", None, ROUTE, lamp.deliver)
    await repeats.once("a", None, ROUTE, lamp.deliver)
    assert lamp.count == 2


async def test_what_failed_is_delivered_when_it_comes_again(repeats: Repeats) -> None:
    lamp = Lamp(failures=1)
    with pytest.raises(Unreachable):
        await repeats.once("a", "1", ROUTE, lamp.deliver)
    await repeats.once("a", "1", ROUTE, lamp.deliver)
    await repeats.once("a", "1", ROUTE, lamp.deliver)
    assert lamp.count == 2


async def test_a_repeat_waits_for_the_first_whose_caller_has_gone(repeats: Repeats) -> None:
    lamp = Lamp()
    lamp.may_end.clear()
    async with asyncio.TaskGroup() as tasks:
        first = tasks.create_task(repeats.once("a", "1", ROUTE, lamp.deliver))
        await asyncio.sleep(0.01)
        first.cancel()
        second = tasks.create_task(repeats.once("a", "1", ROUTE, lamp.deliver))
        await asyncio.sleep(0.01)
        assert not second.done()
        lamp.may_end.set()
    assert lamp.count == 1


async def test_the_last_1024_are_remembered(repeats: Repeats) -> None:
    lamp = Lamp()
    for number in range(1025):
        await repeats.once("a", str(number), ROUTE, lamp.deliver)
    await repeats.once("a", "1024", ROUTE, lamp.deliver)
    await repeats.once("a", "1", ROUTE, lamp.deliver)
    assert lamp.count == 1025
    await repeats.once("a", "0", ROUTE, lamp.deliver)
    assert lamp.count == 1026


async def test_a_key_without_bound_is_refused(repeats: Repeats) -> None:
    with pytest.raises(ParameterMismatch, match="at most 200"):
        await repeats.once("a", "x" * 201, ROUTE, Lamp().deliver)
