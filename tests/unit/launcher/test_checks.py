"""A plan of checks: each when it is due, one of a name at a time, few at once, and no turning round in between."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from edge.launcher.checks import Checks
from tests.unit.launcher.stand_ins import until


class Hand:
    """A clock that only moves when a test moves it, and counts how often it is read."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.readings = 0

    def __call__(self) -> float:
        self.readings += 1
        return self.now_s


@asynccontextmanager
async def running(checks: Checks, check: Callable[[str], Awaitable[None]]) -> AsyncIterator[None]:
    run = asyncio.ensure_future(checks.run(check))
    try:
        yield
    finally:
        run.cancel()
        await asyncio.wait([run])


async def test_checks_come_in_the_order_of_their_times() -> None:
    hand, done = Hand(), []
    checks = Checks(hand, 1)

    async def check(name: str) -> None:
        done.append(name)

    for name, due in (("c", 3.0), ("a", 1.0), ("b", 2.0), ("d", 9.0)):
        checks.plan(name, due)
    async with running(checks, check):
        hand.now_s = 5.0
        checks.wake()
        await until(lambda: len(done) == 3)
    assert done == ["a", "b", "c"]


async def test_later_plan_takes_the_place_of_an_earlier_one() -> None:
    hand, done = Hand(), []
    checks = Checks(hand, 1)

    async def check(name: str) -> None:
        done.append(name)

    checks.plan("a", 1.0)
    checks.plan("a", 10.0)
    checks.plan("gone", 1.0)
    checks.drop("gone")
    checks.plan("last", 2.0)
    async with running(checks, check):
        hand.now_s = 5.0
        checks.wake()
        await until(lambda: "last" in done)
        assert done == ["last"]
        checks.hasten("a", 20.0)  # that is no haste
        checks.hasten("unknown", 1.0)
        checks.hasten("a", 5.0)
        await until(lambda: done == ["last", "a"])


async def test_name_has_one_check_at_a_time() -> None:
    hand, begun, go_on = Hand(), [], asyncio.Event()
    checks = Checks(hand, 5)

    async def check(name: str) -> None:
        begun.append(name)
        await go_on.wait()

    checks.plan("a", 0.0)
    async with running(checks, check):
        await until(lambda: begun)
        checks.plan("a", 0.0)
        checks.hasten("a", 0.0)
        checks.plan("b", 0.0)
        await until(lambda: len(begun) == 2)
        assert begun == ["a", "b"]
        go_on.set()
        await until(lambda: begun == ["a", "b", "a"])


async def test_check_that_fails_ends_the_run_and_leaves_the_plan() -> None:
    hand, done = Hand(), []
    checks = Checks(hand, 1)

    async def fail(name: str) -> None:
        raise ValueError(name)

    async def check(name: str) -> None:
        done.append(name)

    checks.plan("a", 0.0)
    checks.plan("b", 1.0)
    with pytest.raises(ExceptionGroup) as caught:
        await checks.run(fail)
    assert caught.group_contains(ValueError)
    async with running(checks, check):
        hand.now_s = 100.0
        checks.wake()
        await until(lambda: sorted(done) == ["a", "b"])


async def test_nothing_happens_while_nothing_is_due() -> None:
    hand, done = Hand(), []
    checks = Checks(hand, 1)

    async def check(name: str) -> None:
        done.append(name)

    for number in range(100):
        checks.plan(f"c-{number}", 1000.0 + number)
    async with running(checks, check):
        await asyncio.sleep(0)
        readings = hand.readings
        for _ in range(50):
            await asyncio.sleep(0.001)
        assert hand.readings <= readings + 1
    assert done == []
