"""Who guesses passwords waits; who owns them does not, or not long."""

from __future__ import annotations

import asyncio

import pytest

from edge.errors import Overloaded
from edge.runtime.brake import LoginBrake, network_of

THIEF, OWNER = "192.168.1.66", "192.168.1.7"


class Clock:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def brake(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> LoginBrake:
    async def pass_by(delay_s: float) -> None:
        clock.now_s += delay_s

    monkeypatch.setattr("edge.runtime.brake.asyncio.sleep", pass_by)
    return LoginBrake(clock)


async def attempt(brake: LoginBrake, address: str, name: str, *, fails: bool) -> None:
    async with brake.attempt(address, name) as made:
        made.has_succeeded = not fails


async def test_some_slips_are_free_then_it_gets_slower_up_to_a_bound(brake: LoginBrake) -> None:
    delays = []
    for _ in range(12):
        delays.append(brake.delay_s(THIEF, "x"))
        await attempt(brake, THIEF, "x", fails=True)
    assert delays[:3] == [0.0, 0.0, 0.0]
    assert delays == sorted(delays)
    assert 0.0 < delays[4] < delays[6] <= delays[-1] == 4.0


async def test_guessing_elsewhere_slows_the_owner_by_a_second_at_most(brake: LoginBrake) -> None:
    for number in range(500):
        await attempt(brake, f"10.0.{number % 250}.1", "admin", fails=True)
    assert brake.delay_s(OWNER, "admin") == 1.0
    await attempt(brake, OWNER, "admin", fails=False)
    for _ in range(50):
        await attempt(brake, THIEF, "admin", fails=True)
    # Where the owner has logged in before, others do not matter at all.
    assert brake.delay_s(OWNER, "admin") == 0.0


async def test_an_own_login_does_not_wash_guesses_away(brake: LoginBrake) -> None:
    for _ in range(10):
        await attempt(brake, THIEF, "admin", fails=True)
        await attempt(brake, THIEF, "thief", fails=False)
    assert brake.delay_s(THIEF, "admin") == 4.0


async def test_time_forgives(brake: LoginBrake, clock: Clock) -> None:
    for _ in range(5):
        await attempt(brake, THIEF, "x", fails=True)
    assert brake.delay_s(THIEF, "x") > 0
    clock.now_s += 300
    assert brake.delay_s(THIEF, "x") == 0


async def test_who_leaves_before_the_answer_has_guessed_too(brake: LoginBrake) -> None:
    for _ in range(6):
        with pytest.raises(asyncio.CancelledError):
            async with brake.attempt(THIEF, "x"):
                raise asyncio.CancelledError
    assert brake.delay_s(THIEF, "y") > 0


async def test_an_address_has_one_attempt_at_a_time_and_few_waiting() -> None:
    brake = LoginBrake()
    gate, running, most = asyncio.Event(), 0, 0

    async def try_once(address: str) -> None:
        nonlocal running, most
        async with brake.attempt(address, "x") as made:
            made.has_succeeded = True
            running += 1
            most = max(most, running)
            await gate.wait()
            running -= 1

    async with asyncio.TaskGroup() as tasks:
        for _ in range(8):
            tasks.create_task(try_once(THIEF))
        await asyncio.sleep(0)
        with pytest.raises(Overloaded):
            await attempt(brake, THIEF, "x", fails=True)
        assert running == 1
        # Nobody else waits for them.
        await asyncio.wait_for(attempt(brake, OWNER, "x", fails=False), 1)
        gate.set()
    assert most == 1


async def test_memory_is_bounded(brake: LoginBrake) -> None:
    for number in range(3000):
        await attempt(brake, f"10.{number // 250}.{number % 250}.1", f"name {number}", fails=True)
    assert (len(brake._addresses), len(brake._names)) == (1024, 1024)


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.168.1.7", "192.168.1.7"),
        ("::ffff:192.168.1.7", "192.168.1.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::9", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
    ],
)
def test_a_household_counts_as_one(address: str, network: str) -> None:
    assert network_of(address) == network
