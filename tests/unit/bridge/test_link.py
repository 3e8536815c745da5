"""The link to a broker: made, made again after ever longer pauses, and never given up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Self

import pytest

from bridge.mqtt import link as link_module
from bridge.mqtt.client import Broker, Will
from bridge.mqtt.failures import LinkError
from bridge.mqtt.link import Link, Manners
from tests.unit.bridge.wire import until


class Brokers:
    """What a broker does with each attempt, in order; then it lets in."""

    def __init__(self) -> None:
        self.refusals: list[LinkError] = []
        self.attempts: list[bool] = []
        self.pauses: list[float] = []
        self.open: list[FakeConnection] = []
        self.told: list[str] = []
        self.wills = 0
        self.subscribed: list[Any] = []

    def will(self) -> Will:
        self.wills += 1
        return Will(topic="st", payload=b"%d" % self.wills)


class FakeConnection:
    """A connection to it."""

    def __init__(self, brokers: Brokers, will: Will, is_v5: bool) -> None:
        self.brokers = brokers
        self.will = will
        self.is_v5 = is_v5
        self.said: list[tuple[str, bytes, bool]] = []
        self.end: asyncio.Future[LinkError] = asyncio.get_running_loop().create_future()

    async def __aenter__(self) -> Self:
        self.brokers.attempts.append(self.is_v5)
        if self.brokers.refusals:
            raise self.brokers.refusals.pop(0)
        self.brokers.open.append(self)
        return self

    async def __aexit__(self, *_: object) -> None:
        self.brokers.told.append("closed")

    async def subscribe(self, filters: Any) -> None:
        self.brokers.subscribed.append(filters)

    async def ended(self) -> LinkError:
        return await asyncio.shield(self.end)

    def publish(self, topic: str, payload: bytes, *, retain: bool = False, expires_in_s: float | None = None) -> None:
        self.said.append((topic, payload, retain))

    async def deliver(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        self.publish(topic, payload, retain=retain)


@asynccontextmanager
async def running(monkeypatch: pytest.MonkeyPatch, *refusals: LinkError) -> AsyncIterator[tuple[Link, Brokers]]:
    brokers = Brokers()
    brokers.refusals = list(refusals)

    def connect(broker: Broker, on_message: Callable[..., None], will: Will, *, is_v5: bool) -> FakeConnection:
        return FakeConnection(brokers, will, is_v5)

    monkeypatch.setattr(link_module, "Connection", connect)
    monkeypatch.setattr(link_module.random, "uniform", lambda low, high: high)

    async def pause(self: Link, seconds: float, *, looks: bool) -> None:
        brokers.pauses.append(seconds)
        await asyncio.sleep(0)

    monkeypatch.setattr(Link, "_pause", pause)
    manners = Manners(
        filters=["a/#"],
        will=brokers.will,
        on_message=lambda incoming: None,
        on_up=lambda connection: brokers.told.append("up"),
        on_down=lambda: brokers.told.append("down"),
        last_words=lambda: ("st", b"bye"),
    )
    link = Link("home", Broker(host="broker.example", port=8883, user="home"), manners)
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(link.run())
        yield link, brokers
        task.cancel()


def almost(pauses: list[float]) -> Any:
    """Less what the attempts took."""
    return pytest.approx(pauses, abs=0.3)


class Time:
    """Stands for the clock."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now_s = 0.0
        monkeypatch.setattr(link_module, "time", self)

    def monotonic(self) -> float:
        return self.now_s

    def time(self) -> float:
        return self.now_s


async def test_it_is_made_again_with_another_will_whenever_it_breaks(monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(monkeypatch) as (link, brokers):
        for number in range(1, 4):
            await until(lambda count=number: len(brokers.open) == count and link.is_up)
            assert brokers.open[-1].will.payload == b"%d" % number
            assert link.figures.connections == number
            brokers.open[-1].end.set_result(LinkError("the connection ended"))
        await until(lambda: len(brokers.open) == 4)
        assert brokers.told[:6] == ["up", "down", "closed"] * 2
        assert brokers.subscribed == [["a/#"]] * 4


async def test_pauses_grow_to_a_minute_and_to_five_where_only_a_hand_helps(monkeypatch: pytest.MonkeyPatch) -> None:
    away = [LinkError("nobody answers") for _ in range(9)]
    async with running(monkeypatch, *away) as (link, brokers):
        await until(lambda: link.is_up)
        assert brokers.pauses == almost([1, 2, 4, 8, 16, 32, 60, 60, 60])
    refused = [LinkError("wrong password", needs_hand=True) for _ in range(11)]
    async with running(monkeypatch, *refused) as (link, brokers):
        await until(lambda: link.is_up)
        assert brokers.pauses == almost([1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300])
    mended = [LinkError("wrong password", needs_hand=True) for _ in range(10)] + [LinkError("nobody answers")] * 2
    async with running(monkeypatch, *mended) as (link, brokers):
        await until(lambda: link.is_up)
        assert brokers.pauses[9:] == almost([300, 60, 60])


async def test_a_connection_that_held_makes_the_next_pause_a_short_one(monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(monkeypatch, *(LinkError("nobody answers") for _ in range(3))) as (link, brokers):
        await until(lambda: link.is_up)
        monkeypatch.setattr(link_module, "_PROVEN_S", -1.0)
        brokers.open[0].end.set_result(LinkError("the connection ended"))
        await until(lambda: len(brokers.open) == 2)
        assert brokers.pauses == almost([1, 2, 4, 1])


async def test_two_with_one_name_do_not_throw_each_other_out_without_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(monkeypatch) as (link, brokers):
        for number in range(1, 4):
            await until(lambda count=number: len(brokers.open) == count and link.is_up)
            brokers.open[-1].end.set_result(LinkError("somebody else connected as home", is_taken_over=True))
            await until(lambda count=number: len(brokers.pauses) == count)
        assert min(brokers.pauses) >= 10.0


async def test_two_whom_the_broker_tells_nothing_keep_apart_as_well_until_one_is_alone(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Mosquitto 2.0 hangs up without a word; each is thrown out when the other's pause is over."""
    clock = Time(monkeypatch)
    async with running(monkeypatch) as (link, brokers):
        for number, held_s in enumerate([0.5, 1, 2, 4, 8, 16, 32, 60, 60, 60, 60, 2000, 60], 1):
            await until(lambda count=number: len(brokers.open) == count and link.is_up)
            assert ("use the name home" in link.doubt) == (3 < number <= 12)
            clock.now_s += held_s
            assert number != 12 or not link.doubt
            brokers.open[-1].end.set_result(LinkError("the connection ended without a word", is_silent=True))
            await until(lambda count=number: len(brokers.pauses) == count)
        assert brokers.pauses == [1, 2, 4, 8, 16, 32, 60, 60, 60, 60, 60, 1, 1]
        assert caplog.text.count("does another bridge use the name home?") == 1


async def test_an_attempt_that_takes_long_to_fail_is_a_part_of_the_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """A network that swallows everything: it is tried again within the cap all the same."""
    clock = Time(monkeypatch)

    async def slow(self: Link) -> LinkError:
        clock.now_s += 15
        return LinkError("does not answer")

    monkeypatch.setattr(Link, "_try", slow)
    async with running(monkeypatch) as (_, brokers):
        await until(lambda: len(brokers.pauses) > 8)
        assert brokers.pauses[:9] == [0.5, 0.5, 0.5, 0.5, 1, 17, 45, 45, 45]


async def test_a_broker_of_the_older_version_is_spoken_to_in_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(monkeypatch, LinkError("not this version", is_version=True)) as (link, brokers):
        await until(lambda: link.is_up)
        assert (brokers.attempts, brokers.pauses, link.is_v5) == ([True, False], [], False)


async def test_a_broker_that_speaks_no_version_is_asked_like_one_that_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(monkeypatch, *(LinkError("no", is_version=True) for _ in range(6))) as (link, brokers):
        await until(lambda: link.is_up)
        assert brokers.attempts == [True, False] * 3 + [True]
        assert len(brokers.pauses) == 3


async def test_what_is_sent_without_a_connection_says_why_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(monkeypatch) as (link, brokers):
        with pytest.raises(LinkError, match="not tried yet"):
            link.send("a", b"x")
        await until(lambda: link.is_up)
        link.send("a", b"x")
        assert brokers.open[0].said == [("a", b"x", False)]
        brokers.refusals = [LinkError("wrong password", needs_hand=True) for _ in range(10_000)]
        brokers.open[0].end.set_result(LinkError("the connection ended"))
        await until(lambda: "wrong password" in link.figures.problem)
        with pytest.raises(LinkError, match="wrong password"):
            await link.deliver("a", b"x")
        assert link.figures.away_since is not None
        assert link.figures.connected_since is None


async def test_a_problem_is_said_once_not_at_each_attempt(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    refusals = [LinkError("nobody answers") for _ in range(20)] + [LinkError("wrong password") for _ in range(20)]
    async with running(monkeypatch, *refusals) as (link, _):
        await until(lambda: link.is_up)
        assert caplog.text.count("nobody answers") == 1
        assert caplog.text.count("wrong password") == 1


async def test_an_orderly_end_is_said_before_it_hangs_up(monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(monkeypatch) as (link, brokers):
        await until(lambda: link.is_up)
    assert brokers.open[0].said == [("st", b"bye", True)]
    assert brokers.told == ["up", "down", "closed"]


async def test_another_password_ends_the_long_pause_of_one_that_was_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link_module, "_LOOK_S", 0.01)
    looks = 0

    def again() -> Broker:
        nonlocal looks
        looks += 1
        return Broker(
            host="broker.example", port=8883, user="home", password="old" if looks < 4 else "new", again=again
        )

    manners = Manners(
        filters=[],
        will=lambda: Will("will", b""),
        on_message=lambda incoming: None,
        on_up=lambda connection: None,
        on_down=lambda: None,
        last_words=lambda: None,
    )
    link = Link("home", again(), manners)
    await asyncio.wait_for(link._pause(3600, looks=True), 20)
    assert looks == 4
