"""A real Mosquitto that refuses: each reason is said in words that tell what to do, and nobody storms it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from bridge import station as station_module
from bridge.config import BrokerSettings
from bridge.mqtt import driver
from bridge.mqtt.client import Broker
from bridge.mqtt.failures import LinkError
from bridge.station import Station
from tests.contract.ports import free_port
from tests.system.brokers import Mosquitto, broker
from tests.system.fault_proxy import FaultProxy
from tests.system.linked import GATEWAY, SITE, guarded, linked, soon, station, user, write
from tests.system.old_brokers import old_broker
from tests.unit.bridge.wire import INFO

pytestmark = pytest.mark.timeout(240)


@pytest.fixture
def mosquitto(tmp_path: Path) -> Iterator[Mosquitto]:
    """One with our users and our access list."""
    with broker(tmp_path / "broker", guarded(tmp_path / "files")) as running:
        yield running


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not heard is noticed soon."""
    monkeypatch.setattr(station_module, "_HEARD_S", 0.3)
    monkeypatch.setattr(station_module, "_FIRST_PAUSE_S", 0.2)


def problem(one: Station) -> str:
    """What is wrong with the only party."""
    return "".join(one.problem_with(each) for each in one.remotes.values())


async def test_a_wrong_password_is_said_and_the_right_one_used_when_it_is_there(
    tmp_path: Path, mosquitto: Mosquitto
) -> None:
    file = tmp_path / "password"
    file.touch(mode=0o600)
    file.write_text("wrong")
    made = BrokerSettings(host="127.0.0.1", port=mosquitto.port, user=SITE, password_file=file, longest_pause_s=0.2)
    async with linked(await asyncio.to_thread(made.open)) as one:
        await one.says("refuses user 'home'", "opaca-edge broker add")
        file.write_text("right\n")
        await one.is_up()


@pytest.mark.parametrize("is_v5", [True, False], ids=["5", "3.1.1"])
async def test_whoever_is_not_known_is_told_so_in_either_version(mosquitto: Mosquitto, is_v5: bool) -> None:
    with pytest.raises(LinkError, match=r"refuses user 'nobody'.*broker add") as raised:
        async with driver.Connection(user(mosquitto, "nobody"), lambda _: None, None, is_v5=is_v5):
            pass
    assert raised.value.needs_hand


async def test_nobody_storms_a_broker_that_refuses_or_is_away_or_hangs_up(
    mosquitto: Mosquitto, at_size: Callable[[int, int], int]
) -> None:
    seconds = at_size(4, 60)
    nothing = Mosquitto(Path("/nowhere"))
    async with (
        FaultProxy.before(mosquitto.url) as refusing,
        FaultProxy.before(f"mqtt://127.0.0.1:{nothing.port}") as hanging_up,
    ):
        ports = [int(each.url.rpartition(":")[2]) for each in (refusing, hanging_up)]
        wrong = Broker(host="127.0.0.1", port=ports[0], user=SITE, password="wrong")
        async with linked(wrong) as one, linked(replace(wrong, port=ports[1])) as other:
            began_s = time.monotonic()
            await asyncio.sleep(seconds)
            await soon(lambda: "refuses user" in one.link.figures.problem, "the refusal is said")
            await soon(lambda: "hung up at once" in other.link.figures.problem, "the end is said")
            await soon(lambda: min(refusing.attempts, hanging_up.attempts) >= 2, "both are asked again")
            attempts, passed_s = (refusing.attempts, hanging_up.attempts), time.monotonic() - began_s
            # Pauses of at least half of 1, 2, 4, 8 ... s, and twice each time where it may be about the version.
            most = 1 + len([1 for number in range(20) if (2**number - 1) / 2 <= passed_s])
            assert attempts[0] <= most
            assert attempts[1] <= 2 * most


async def test_two_with_one_name_do_not_storm_and_are_told(
    mosquitto: Mosquitto, at_size: Callable[[int, int], int]
) -> None:
    both = user(mosquitto, SITE, longest_pause_s=60.0)
    async with linked(both) as one, linked(both) as other:
        figures = [one.link.figures, other.link.figures]
        # Mosquitto 2.0 says nothing to whom it throws out; pauses of 1, 2, 4, 8 ... s keep them apart.
        await soon(lambda: any("another bridge use the name home" in each.doubt for each in figures), "it is said", 20)
        await asyncio.sleep(at_size(0, 120))
        assert sum(each.connections for each in figures) <= at_size(10, 60)


@pytest.mark.usefixtures("hasty")
async def test_an_access_list_that_refuses_the_own_name_is_named_and_asked_again(
    tmp_path: Path, mosquitto: Mosquitto
) -> None:
    write(tmp_path / "files", lambda text: text.replace("pattern write opaca/v1/%u/st\n", ""))
    mosquitto.reload()
    async with station(user(mosquitto, GATEWAY)) as cloud, station(user(mosquitto, SITE)) as home:
        await soon(lambda: "publishing to opaca/v1/home/st" in home.problem, "it says what it may not write")
        assert "access list" in home.problem
        assert not cloud.remotes
        assert home.link.figures.connections == 1
        write(tmp_path / "files")
        mosquitto.reload()
        await soon(lambda: cloud.remotes and not home.problem, "it is known, on the same connection")
        assert home.link.figures.connections == 1


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize(
    ("line", "deaf", "topic"),
    [
        ("pattern read opaca/v1/%u/dn/#", SITE, "opaca/v1/home/dn/rs"),
        ("pattern write opaca/v1/%u/up/#", GATEWAY, "opaca/v1/home/up/rs/cloud"),
    ],
    ids=["reading", "writing"],
)
@pytest.mark.parametrize("is_v5", [True, False], ids=["5", "3.1.1"])
async def test_what_an_access_list_swallows_without_a_word_is_found_out(
    tmp_path: Path, line: str, deaf: str, topic: str, is_v5: bool
) -> None:
    lines = guarded(tmp_path / "files", lambda text: text.replace(line + "\n", ""))
    with broker(tmp_path / "broker", lines) as mosquitto:
        async with old_broker(mosquitto.port, b"\x20\x03\x00\x84\x00") as old:
            port = mosquitto.port if is_v5 else old.port
            async with station(user(mosquitto, GATEWAY)) as cloud, station(user(mosquitto, SITE, port=port)) as home:
                one = home if deaf == SITE else cloud
                await soon(lambda: topic in problem(one), "it says what is not heard")
                assert "nothing of it is heard" in problem(one)
                assert home.link.is_v5 == is_v5
                write(tmp_path / "files")
                mosquitto.reload()
                await soon(lambda: not problem(one), "it is heard")


@pytest.mark.parametrize("answer", [b"\x20\x03\x00\x84\x00", b"\x20\x02\x00\x01", b""], ids=["5", "3.1.1", "no word"])
async def test_a_broker_that_speaks_only_the_older_version_is_spoken_to_in_it(
    mosquitto: Mosquitto, answer: bytes
) -> None:
    async with AsyncExitStack() as stack:
        old = await stack.enter_async_context(old_broker(mosquitto.port, answer))
        one = await stack.enter_async_context(linked(user(mosquitto, SITE, port=old.port, longest_pause_s=0.2)))
        await one.is_up()
        assert old.versions == [5, 4]
        assert not one.link.is_v5
        await asyncio.to_thread(mosquitto.kill)
        await soon(lambda: not one.link.is_up, "it is noticed")
        await asyncio.to_thread(mosquitto.start)
        await one.is_up()


async def test_a_broker_that_was_restarting_is_spoken_to_in_the_newer_version_again(mosquitto: Mosquitto) -> None:
    async with AsyncExitStack() as stack:
        old = await stack.enter_async_context(old_broker(mosquitto.port, b""))
        one = await stack.enter_async_context(linked(user(mosquitto, SITE, port=old.port, longest_pause_s=0.2)))
        await one.is_up()
        assert not one.link.is_v5
        old.answer = None
        one.link._connection._end(LinkError("the test"))  # type: ignore[union-attr]
        await soon(lambda: old.versions[2:3] == [5], "it is tried with MQTT 5")


async def test_a_broker_that_is_full_is_said_to_be_and_tried_again(tmp_path: Path) -> None:
    with broker(tmp_path / "broker", "allow_anonymous true\nmax_connections 2") as mosquitto:
        others = [await asyncio.open_connection("127.0.0.1", mosquitto.port) for _ in range(8)]
        async with linked(user(mosquitto, SITE, longest_pause_s=0.2)) as one:
            await one.says("max_connections")
            for _, writer in others:
                writer.close()
            await one.is_up()


async def test_a_broker_that_takes_little_at_once_gets_small_pieces(tmp_path: Path) -> None:
    lines = "allow_anonymous true\nmax_packet_size 4000"
    with broker(tmp_path / "broker", lines) as mosquitto:
        async with station(user(mosquitto, GATEWAY), info=INFO) as cloud, station(user(mosquitto, SITE)) as home:
            await soon(lambda: cloud.remotes and home.remotes and home.remotes[GATEWAY].info, "they have met")
            large = "ä" * 50_000
            answer = await cloud.remotes[SITE].call("POST /invoke/Echo", body=large, limit_s=10)
            assert answer.b == large
            assert (cloud.link.figures.connections, home.link.figures.connections) == (1, 1)


async def test_a_description_that_a_broker_does_not_take_is_named(tmp_path: Path) -> None:
    for limit, said in (("max_packet_size 700", "takes 188 at once"), ("message_size_limit 200", "message_size_limit")):
        with broker(tmp_path / limit.replace(" ", "-"), f"allow_anonymous true\n{limit}") as mosquitto:
            async with station(user(mosquitto, SITE), info=INFO) as home:
                await soon(lambda one=home: "could not describe itself" in one.problem, limit)  # type: ignore[misc]
                assert said in home.problem
                assert home.link.figures.connections == 1


async def test_messages_too_large_for_this_side_are_passed_over_and_hold_up_none(mosquitto: Mosquitto) -> None:
    async with old_broker(mosquitto.port, b"\x20\x03\x00\x84\x00") as old:
        for port in (mosquitto.port, old.port):
            async with (
                driver.Connection(user(mosquitto, GATEWAY), lambda _: None, None) as sender,
                linked(user(mosquitto, SITE, port=port), ["opaca/v1/home/dn/#"]) as one,
            ):
                await one.is_up()
                for number in range(70):  # more than may be under way unconfirmed
                    await sender.deliver("opaca/v1/home/dn/ev/message", bytes(300_000 if number < 69 else 5))
                await soon(lambda it=one: [each for each in it.heard if len(each.payload) == 5], "the small one came")  # type: ignore[misc]
                assert len(one.heard) == 1
                assert one.link.figures.connections == 1


async def test_a_broker_without_memory_is_said_to_have_a_reason_of_its_own(tmp_path: Path) -> None:
    with broker(tmp_path / "broker", "allow_anonymous true\nmemory_limit 1000000") as mosquitto:
        async with linked(user(mosquitto, SITE, longest_pause_s=0.2)) as one:
            await one.is_up()
            for number in range(30):
                try:
                    await one.link.deliver(f"a/{number}", bytes(100_000), retain=True)
                except LinkError as error:
                    assert "its log says which (memory?)" in str(error)
                    return
            pytest.fail("Mosquitto took it all")


async def test_a_name_that_nobody_knows_and_a_port_that_nobody_has_are_said() -> None:
    nowhere = Broker(host="127.0.0.1", port=free_port(), user=SITE)
    async with linked(nowhere) as one, linked(replace(nowhere, host="nobody.invalid")) as other:
        await one.says("is the broker running there?")
        await other.says("nobody.invalid", "cannot be resolved")
