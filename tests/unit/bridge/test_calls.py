"""Live calls between a gateway and a site: each is executed once at most, and its caller is told the truth."""

from __future__ import annotations

import asyncio

import pytest
from msgspec import UNSET

from bridge import answers, calls, clock
from bridge.answers import PING, Answers, Crowd
from bridge.calls import Calls
from bridge.envelope import Answer, Presence, Request, Unreadable, read, write
from bridge.mqtt.failures import LinkError
from bridge.replies import reply_of
from bridge.tasks import Tasks
from edge.errors import Cause, OpacaError, OutcomeUnknown, Overloaded, RemoteError, TooLarge, Unreachable
from edge.http.errors import error_body
from edge.model.codec import MAX_DEPTH
from edge.model.json_value import JsonValue
from edge.runtime.forwarding import _may_have_run
from tests.unit.bridge.wire import Air, End, joined, settle, until

WATER = "POST /invoke/Water/pump"


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests are sent again after 10 ms."""
    monkeypatch.setattr(calls, "_FIRST_RETRY_S", 0.01)
    monkeypatch.setattr(calls, "_LONGEST_RETRY_S", 0.02)


def losing(air: Air, kind: str, count: int) -> None:
    """Lose the next messages of a kind."""
    left = [count]

    def changes(topic: str, payload: bytes) -> list[bytes] | None:
        if f"/{kind}" not in topic or not left[0] or read(payload, Answer).id == "":
            return None
        left[0] -= 1
        return []

    air.changes = changes


@pytest.mark.parametrize("is_upwards", [False, True], ids=["gateway to site", "site to gateway"])
async def test_a_call_is_answered(is_upwards: bool) -> None:
    async with joined() as (_, cloud, home):
        asking, asked = (home, cloud) if is_upwards else (cloud, home)
        answer = await asking.other.call(WATER, {"timeout": "3"}, {"ContainerLoginToken": "t"}, {"s": 3}, limit_s=1)
        (request,) = asked.played
        assert (answer.s, answer.b) == (200, "played 1")
        assert (request.route, request.q, request.h, request.b) == (
            WATER, {"timeout": "3"}, {"ContainerLoginToken": "t"}, {"s": 3},
        )  # fmt: skip
        assert asking.other.calls.count == 0


async def test_what_is_nested_as_deeply_as_may_be_passes_both_ways_inside_the_envelope() -> None:
    deep: JsonValue = {}
    for _ in range(MAX_DEPTH - 1):
        deep = {"in": deep}
    async with joined() as (_, cloud, home):

        async def echo(request: Request) -> Answer:
            return Answer(id=request.id, b=None if request.b is UNSET else request.b)

        home.play = echo
        answer = await cloud.other.call(WATER, body=deep, limit_s=20)
        assert answer.b == deep
        assert [home.station.passed_over, cloud.station.passed_over] == [0, 0]
        with pytest.raises(Unreadable, match="deeper than"):
            read(write(Request(id="x", ep=1, route=WATER, b=[deep])), Request)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("lost", ["rq", "rs"])
async def test_what_the_link_lost_is_asked_again_and_executed_once(lost: str) -> None:
    async with joined() as (air, cloud, home):
        losing(air, lost, 2)
        assert (await cloud.other.call(WATER, limit_s=5)).b == "played 1"
        assert len(home.played) == 1
        assert len(air.of("dn/rq")) == 3


@pytest.mark.usefixtures("impatient")
async def test_a_doubled_request_is_executed_once() -> None:
    async with joined() as (air, cloud, home):
        air.changes = lambda topic, payload: [payload] * 3 if "/rq" in topic else None
        assert (await cloud.other.call(WATER, limit_s=1)).b == "played 1"
        await settle()
        assert len(home.played) == 1


@pytest.mark.usefixtures("impatient")
async def test_a_call_that_takes_long_is_waited_for_and_not_begun_again() -> None:
    async with joined() as (air, cloud, home):
        released = asyncio.Event()

        async def slow(request: Request) -> Answer:
            await released.wait()
            return Answer(id=request.id, b="done")

        home.play = slow
        async with asyncio.TaskGroup() as tasks:
            call = tasks.create_task(cloud.other.call(WATER, limit_s=5))
            await until(lambda: len(air.of("dn/rq")) > 3)
            released.set()
        assert call.result().b == "done"
        assert len(home.played) == 1


@pytest.mark.usefixtures("impatient")
async def test_a_call_that_timed_out_is_not_executed_twice() -> None:
    """Whoever asks again with the same ID gets the answer that was made meanwhile."""
    async with joined() as (air, cloud, home):
        released = asyncio.Event()

        async def slow(request: Request) -> Answer:
            await released.wait()
            return Answer(id=request.id, b="late")

        home.play = slow
        with pytest.raises(
            OutcomeUnknown, match=r"did not answer POST /invoke/Water/pump in .* may have had its effect"
        ):
            await cloud.other.call(WATER, limit_s=0.05)
        released.set()
        await until(lambda: b"late" in air.said[-1][1])
        assert cloud.other.calls.count == 0  # its answer came after the caller had left, and went nowhere
        (request,) = home.played
        assert (await cloud.other.calls.call(request, 1.0)).b == "late"
        assert len(home.played) == 1


async def test_the_platform_in_front_asks_nobody_else_after_a_call_that_may_have_run() -> None:
    async with joined() as (_, cloud, home):
        home.play = lambda request: asyncio.sleep(60, Answer(id=request.id))
        with pytest.raises(OutcomeUnknown) as unknown:
            await cloud.other.call(WATER, limit_s=0.02)
        refused = Answer(id="1", s=502, b=answers.error_body(502, "came late"), u=1)
        with pytest.raises(OutcomeUnknown) as stale:
            reply_of(refused)
        for error in (unknown.value, stale.value):
            body = error_body(502, error.message, error.cause)
            cause = Cause(502, error.message, Cause(body["cause"]["statusCode"], body["cause"]["message"]))
            assert _may_have_run(RemoteError("the bridge answered 502", cause, 502))
        assert not _may_have_run(RemoteError("the bridge answered 502", Cause(502, "it is away"), 502))


async def test_a_call_meant_for_an_earlier_connection_is_not_executed() -> None:
    async with joined() as (_, cloud, home):
        stale = Request(id="r", ep=home.station._epoch, route=WATER)
        home.link.down()
        await until(lambda: not cloud.other.is_there)
        home.link.up()
        await until(lambda: cloud.other.is_there)
        answer = await cloud.other.calls.call(stale, 1.0)
        assert (answer.s, answer.u, home.played) == (502, 1, [])
        assert "earlier connection" in str(answer.b)
        assert "the outcome is unknown" in str(answer.b)
        assert (await cloud.other.call(WATER, limit_s=1)).s == 200


@pytest.mark.usefixtures("impatient")
async def test_a_call_that_comes_after_its_time_is_not_executed(monkeypatch: pytest.MonkeyPatch) -> None:
    async with joined() as (air, cloud, home):
        held: list[tuple[str, bytes]] = []

        def hold(topic: str, payload: bytes) -> list[bytes] | None:
            if "/rq" not in topic:
                return None
            held.append((topic, payload))
            return []

        air.changes = hold
        async with asyncio.TaskGroup() as tasks:
            call = tasks.create_task(cloud.other.call(WATER, limit_s=5, begin_within_s=2.0))
            await until(lambda: held)
            # The network keeps it for 3 s.
            ahead_ms = clock.tick_ms() + 3_000
            monkeypatch.setattr(clock, "tick_ms", lambda: ahead_ms)
            air.changes = lambda topic, payload: None
            home.link.hear(*held[0])
        answer = call.result()
        assert (answer.s, answer.u, home.played) == (502, 1, [])
        assert "s late and is not executed" in str(answer.b)
        with pytest.raises(OutcomeUnknown, match="late"):
            reply_of(answer)


@pytest.mark.usefixtures("impatient")
async def test_a_call_that_waited_out_a_broken_link_is_too_old_when_it_is_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first thing that a new connection carries tells the time: else what waited would pass for new."""
    async with joined() as (air, cloud, home):
        losing(air, "rq", 1000)
        async with asyncio.TaskGroup() as tasks:
            call = tasks.create_task(cloud.other.call(WATER, limit_s=5, begin_within_s=2.0))
            await until(lambda: air.of("dn/rq"))
            cloud.link.down()
            await until(lambda: not home.other.is_there)
            ahead_ms = clock.tick_ms() + 3_000
            for module in (clock, calls, answers):
                monkeypatch.setattr(module, "tick_ms", lambda: ahead_ms)
            monkeypatch.setattr("bridge.station.tick_ms", lambda: ahead_ms)
            air.changes = lambda topic, payload: None
            cloud.link.up()
        answer = call.result()
        assert (answer.u, home.played) == (1, [])
        assert "3.0 s late and is not executed" in str(answer.b)


@pytest.mark.parametrize("how", ["went away", "has connected anew", "was removed"])
async def test_a_call_whose_party_goes_is_told_at_once_that_the_outcome_is_unknown(how: str) -> None:
    async with joined() as (air, cloud, home):
        home.play = lambda request: asyncio.sleep(60, Answer(id=request.id))
        async with asyncio.TaskGroup() as tasks:
            call = tasks.create_task(_failure(cloud, 30))
            await until(lambda: home.played)
            topic = "opaca/v1/greenhouse/st"
            said = {"went away": Presence(on=0, ep=home.station._epoch), "has connected anew": Presence(on=1, ep=1)}
            air.publish(topic, write(said[how]) if how in said else b"")
        error = call.result()
        assert isinstance(error, OutcomeUnknown)
        assert f"greenhouse {how} during {WATER}, which may have had its effect" in error.message


async def test_an_absent_party_is_named_at_once_with_the_time_since_when() -> None:
    async with joined() as (air, cloud, home):
        home.link.down()
        await until(lambda: not cloud.other.is_there)
        with pytest.raises(Unreachable, match=r"^greenhouse is away since 20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$"):
            await cloud.other.call(WATER, limit_s=30)
        cloud.link.down("the broker is not available now")
        with pytest.raises(Unreachable, match="the bridge has no broker: the broker is not available now"):
            await cloud.other.call(WATER, limit_s=30)
        assert air.of("dn/rq") == []


async def test_a_party_that_says_nothing_at_all_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "_FIRST_RETRY_S", 0.01)
    monkeypatch.setattr(calls, "_LONGEST_RETRY_S", 0.01)
    monkeypatch.setattr(calls, "_SILENCE_S", 0.05)
    async with joined() as (air, cloud, _):
        losing(air, "rq", 1000)
        with pytest.raises(OutcomeUnknown, match="greenhouse says nothing to"):
            await cloud.other.call(WATER, limit_s=30)


async def test_a_caller_that_leaves_leaves_nothing() -> None:
    async with joined() as (_, cloud, home):
        home.play = lambda request: asyncio.sleep(0.01, Answer(id=request.id))
        async with asyncio.TaskGroup() as tasks:
            call = tasks.create_task(cloud.other.call(WATER, limit_s=5))
            await until(lambda: home.played)
            call.cancel()
        await until(lambda: not home.other.answers._running)
        assert cloud.other.calls.count == 0


async def test_no_more_calls_wait_than_there_is_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "_MAX_WAITING", 2)
    async with joined() as (_, cloud, home):
        home.play = lambda request: asyncio.sleep(60, Answer(id=request.id))
        async with asyncio.TaskGroup() as tasks:
            waiting = [tasks.create_task(cloud.other.call(WATER, limit_s=30)) for _ in range(2)]
            await until(lambda: len(home.played) == 2)
            with pytest.raises(Overloaded, match="2 calls to greenhouse wait"):
                await cloud.other.call(WATER, limit_s=30)
            for call in waiting:
                call.cancel()


async def test_no_more_calls_run_than_there_is_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "_MAX_RUNNING", 1)
    async with joined() as (_, cloud, home):
        home.play = lambda request: asyncio.sleep(60, Answer(id=request.id))
        async with asyncio.TaskGroup() as tasks:
            first = tasks.create_task(cloud.other.call(WATER, limit_s=30))
            await until(lambda: home.played)
            assert (await cloud.other.call(WATER, limit_s=30)).s == 503
            first.cancel()
        assert len(home.played) == 1


async def test_a_ping_asks_nothing_of_the_platform() -> None:
    async with joined() as (_, cloud, home):
        assert (await cloud.other.call(PING, limit_s=1)).s == 204
        assert home.played == []


class Answering:
    """The answering half alone: what it plays and replies."""

    def __init__(self, tasks: Tasks) -> None:
        self.played: list[str] = []
        self.replies: list[Answer] = []
        self.body: object = "x"
        self.half = Answers("caller", self._play, self._reply, tasks, Crowd())
        self.half.new_epoch(7)

    async def ask(self, number: int, sent_ms: int = 0) -> Answer:
        count = len(self.replies)
        self.half.asked(Request(id=str(number), ep=7, route=WATER, t=sent_ms))
        await until(lambda: len(self.replies) > count)
        return self.replies[-1]

    async def _play(self, request: Request) -> Answer:
        self.played.append(request.id)
        return Answer(id=request.id, b=self.body)  # type: ignore[arg-type]

    def _reply(self, answer: Answer) -> None:
        if len(write(answer)) > 4000:
            raise TooLarge("more than 4000 bytes")
        self.replies.append(answer)


async def test_answers_are_kept_in_bounded_space_and_nothing_is_executed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "_KNOWN_IDS", 100)
    monkeypatch.setattr(answers, "_KEPT_BYTES", 10_000)
    async with Tasks() as tasks:
        end = Answering(tasks)
        for number in range(150):
            assert (await end.ask(number, 1_000 + number)).s == 200
        assert len(end.half._done) == 64
        assert (await end.ask(149, 1_149)).b == "x"
        # Its answer is not kept, but that it was executed is; then what is older than anything known.
        for forgotten in (60, 0):
            answer = await end.ask(forgotten, 1_000 + forgotten)
            assert (answer.s, answer.u) == (502, 1)
            assert "its answer is not kept any more" in str(answer.b)
        assert (await end.ask(150, 1_150)).s == 200
        assert end.played == [str(number) for number in range(151)]
        end.body = "y" * 3000
        for number in range(151, 160):
            await end.ask(number, 1_000 + number)
        assert 3_000 < end.half.kept_bytes <= 10_000
        assert (await end.ask(159, 1_159)).b == end.body


async def test_an_answer_too_large_to_carry_is_said_so_and_the_call_not_repeated() -> None:
    async with Tasks() as tasks:
        end = Answering(tasks)
        end.body = "y" * 5000
        for _ in range(2):
            answer = await end.ask(1)
            assert (answer.s, "more than 4000 bytes" in str(answer.b)) == (413, True)
        assert end.played == ["1"]


async def test_a_call_that_cannot_be_sent_is_not_waited_for() -> None:
    def send(request: Request) -> None:
        raise LinkError("the broker takes too little")

    with pytest.raises(Unreachable, match="greenhouse cannot be reached: the broker takes too little"):
        await Calls("greenhouse", send).call(Request(id="1", ep=1, route=WATER), 30)


async def _failure(end: End, limit_s: float) -> OpacaError:
    with pytest.raises(OpacaError) as caught:
        await end.other.call(WATER, limit_s=limit_s)
    return caught.value
