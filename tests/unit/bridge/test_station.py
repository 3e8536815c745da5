"""Who is there, what it is, and whom it listens to: presence and descriptions of the parties on a broker."""

from __future__ import annotations

import asyncio
import random
import zlib
from dataclasses import replace
from pathlib import Path

import pytest

from bridge import station
from bridge.answers import PING
from bridge.carrier import Carrier
from bridge.envelope import Answer, Presence, Request, read, write
from bridge.mqtt.topics import Address
from bridge.parties import Parties
from bridge.remote import MAX_INFO_BYTES, Remote, deflated
from bridge.tasks import Tasks
from edge.errors import Unreachable
from tests.unit.bridge.wire import INFO, Air, end, joined, settle, until

ST = "opaca/v1/greenhouse/st"
UP_INFO = "opaca/v1/greenhouse/up/info"
GATEWAY_INFO = "opaca/v1/_gw/cloud/info"


class Notes(Carrier):
    """Keeps what a carrier is told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def came(self, remote: Remote) -> None:
        self.told.append(f"{remote.name} came")

    def went(self, remote: Remote) -> None:
        self.told.append(f"{remote.name} went")


async def test_a_site_and_its_gateway_see_each_other() -> None:
    async with joined() as (air, cloud, home):
        assert list(cloud.station.remotes) == ["greenhouse"]
        assert list(home.station.remotes) == ["cloud"]
        assert cloud.other.agent_ids() == {"pump"}
        said = read(air.retained[ST], Presence)
        assert (said.on, said.ep, said.kind, said.gw) == (1, home.station._epoch, "platform", "cloud")
        assert said.h != ""


async def test_who_comes_after_the_other_sees_it_as_well() -> None:
    air = Air()
    async with Tasks() as tasks:
        home, cloud = end(air, tasks, is_gateway=False), end(air, tasks, is_gateway=True)
        home.station.describe(INFO)
        home.link.up()
        await settle()
        cloud.link.up()
        await until(lambda: cloud.station.remotes and home.station.remotes)
        assert (await cloud.other.call(PING, limit_s=1)).s == 204
        assert (await home.other.call(PING, limit_s=1)).s == 204


async def test_the_late_will_of_an_earlier_connection_is_ignored() -> None:
    """A broker publishes it when it notices, which may be long after the site has connected anew."""
    async with joined() as (air, cloud, home):
        notes = Notes()
        cloud.station.carriers.append(notes)
        changes: list[None] = []
        cloud.other.on_change.append(lambda: changes.append(None))
        home.play = lambda request: asyncio.sleep(0.02, Answer(id=request.id, b="done"))
        async with asyncio.TaskGroup() as tasks:
            call = tasks.create_task(cloud.other.call("POST /invoke/Water", limit_s=5))
            await until(lambda: home.played)
            air.publish(ST, write(Presence(on=0, ep=home.station._epoch ^ 1)))
            await settle()
            assert cloud.other.is_there
            assert cloud.other.away_since_s is None
        assert call.result().b == "done"
        assert (notes.told, changes) == ([], [])


async def test_its_own_will_is_believed_and_said_with_the_time() -> None:
    async with joined() as (air, cloud, home):
        notes = Notes()
        cloud.station.carriers.append(notes)
        air.publish(ST, write(Presence(on=0, ep=home.station._epoch)))
        await until(lambda: not cloud.other.is_there)
        assert notes.told == ["greenhouse went"]
        assert cloud.other.info is not None  # what is known of it stays
        with pytest.raises(Unreachable, match="is away since"):
            cloud.other.check_there()
        since_s = cloud.other.away_since_s
        air.publish(ST, write(Presence(on=0, ep=home.station._epoch)))
        await settle()
        assert cloud.other.away_since_s == since_s


async def test_who_connects_anew_without_having_gone_begins_anew() -> None:
    async with joined() as (air, cloud, home):
        notes = Notes()
        cloud.station.carriers.append(notes)
        air.publish(ST, write(Presence(on=1, ep=home.station._epoch ^ 1)))
        await settle()
        assert notes.told == ["greenhouse went", "greenhouse came"]
        # It is not the one that it was: what knows the old epoch is refused.
        answer = await cloud.other.call("POST /invoke/Water", limit_s=1)
        assert (answer.u, home.played) == (1, [])


async def test_a_changed_description_is_followed() -> None:
    async with joined() as (air, cloud, home):
        changes: list[None] = []
        cloud.other.on_change.append(lambda: changes.append(None))
        before = air.retained[ST]
        home.station.describe(INFO.replace(b"pump", b"fan"))
        await until(lambda: cloud.other.agent_ids() == {"fan"})
        assert len(changes) == 1
        assert read(air.retained[ST], Presence).h != read(before, Presence).h
        count = len(air.said)
        home.station.describe(INFO.replace(b"pump", b"fan"))
        await settle()
        assert len(air.said) == count
        cloud.station.describe(INFO.replace(b"pump", b"collector"))
        await until(lambda: home.other.agent_ids() == {"collector"})


async def test_a_description_that_changes_repeats_no_call_and_moves_no_queue() -> None:
    async with joined() as (air, cloud, home):
        notes = Notes()
        for each in (cloud, home):
            each.station.carriers.append(notes)
        home.station.describe(INFO.replace(b"pump", b"fan"))
        await until(lambda: cloud.other.agent_ids() == {"fan"})
        assert notes.told == []
        assert not air.of("rq")


async def test_a_large_description_is_deflated_and_understood() -> None:
    async with joined() as (air, cloud, home):
        large = INFO.replace(b'"agentType":"t"', b'"agentType":"' + b"t" * 50_000 + b'"')
        home.station.describe(large)
        await until(lambda: cloud.other.description and len(cloud.other.info or b"") > 50_000)
        assert len(air.retained[UP_INFO]) < 1000
        assert zlib.decompress(air.retained[UP_INFO]) == large


async def test_a_description_too_large_for_a_broker_hides_only_itself(caplog: pytest.LogCaptureFixture) -> None:
    air = Air()
    async with Tasks() as tasks:
        home, cloud = end(air, tasks, is_gateway=False), end(air, tasks, is_gateway=True)
        home.station.describe(random.Random(1).randbytes(300_000))
        cloud.link.up()
        home.link.up()
        await until(lambda: cloud.station.remotes and home.station.remotes)
        assert (await home.other.call(PING, limit_s=1)).s == 204
        assert (await cloud.other.call(PING, limit_s=1)).s == 204
        assert "could not describe itself: the description takes" in caplog.text


@pytest.mark.parametrize(
    "payload",
    [
        b"no JSON", b"{}", b"[1]", b"\xff\xfe", b"{" * 5000, zlib.compress(b"no JSON"), zlib.compress(INFO)[:-9],
        zlib.compress(b"{" + b" " * (MAX_INFO_BYTES + 1)), INFO.replace(b'"containers":[', b'"containers":{'),
    ],
    ids=range(9),
)  # fmt: skip
async def test_a_description_that_is_none_changes_nothing(payload: bytes, caplog: pytest.LogCaptureFixture) -> None:
    async with joined() as (air, cloud, home):
        air.publish(UP_INFO, payload, retain=True)
        await until(lambda: UP_INFO in caplog.text)
        assert cloud.other.agent_ids() == {"pump"}
        assert (await cloud.other.call(PING, limit_s=1)).s == 204
        air.publish(UP_INFO, payload)
        await settle()
        assert caplog.text.count(UP_INFO) == 1  # said once: nobody may fill the log
        home.station.describe(INFO.replace(b"pump", b"fan"))
        await until(lambda: cloud.other.agent_ids() == {"fan"})


async def test_what_only_a_later_version_knows_is_passed_over() -> None:
    """A platform that decodes strictly must not meet it."""
    async with joined() as (air, cloud, _):
        air.publish(UP_INFO, INFO.replace(b'"provides":[]', b'"provides":[],"colour":"blue"'))
        air.publish(UP_INFO, INFO.replace(b'"agentId":"pump"', b'"agentId":"fan","weight":3'))
        await until(lambda: cloud.other.agent_ids() == {"fan"})
        assert b"weight" not in (cloud.other.info or b"")
        air.publish(ST, b'{"on":1,"ep":%d,"kind":"platform","v":2,"mood":"fine"}' % cloud.other.presence.ep)  # type: ignore[union-attr]
        await settle()
        assert cloud.other.is_there


async def test_a_site_that_was_removed_is_forgotten_and_may_come_again() -> None:
    async with joined() as (air, cloud, home):
        notes, gone = Notes(), list[str]()
        cloud.station.carriers.append(notes)
        cloud.station.on_gone.append(lambda remote: gone.append(remote.name))
        air.publish(ST, b"", retain=True)
        await until(lambda: not cloud.station.remotes)
        assert (gone, notes.told) == (["greenhouse"], ["greenhouse went"])
        home.link.down()
        home.link.up()
        await until(lambda: cloud.station.remotes and cloud.other.is_there)
        assert (await cloud.other.call(PING, limit_s=1)).s == 204


async def test_sites_of_another_gateway_are_passed_over() -> None:
    async with joined() as (air, cloud, _):
        air.publish("opaca/v1/shed/st", write(Presence(on=1, ep=5, gw="other")))
        air.publish("opaca/v1/barn/st", write(Presence(on=1, ep=5, gw="cloud")))
        air.publish("opaca/v1/board/st", write(Presence(on=1, ep=5, kind="container")))
        await settle()
        assert sorted(cloud.station.remotes) == ["barn", "board", "greenhouse"]


async def test_a_site_called_like_our_own_gateway_does_not_take_its_place(caplog: pytest.LogCaptureFixture) -> None:
    """One bridge in both roles knows both by their names: what is for the one must not go to the other."""
    async with joined() as (air, cloud, _):
        cloud.station.identity = replace(cloud.station.identity, shuns="hq")
        air.publish("opaca/v1/hq/st", write(Presence(on=1, ep=5)))
        cloud.station.restore("hq", INFO)
        await settle()
        assert list(cloud.station.remotes) == ["greenhouse"]
        assert caplog.text.count("that is our own gateway's name") == 1


async def test_what_is_known_of_the_parties_of_each_role_is_kept_apart(tmp_path: Path) -> None:
    air = Air()
    async with Tasks() as tasks:
        ends = [end(air, tasks, is_gateway=is_gateway, site="pi") for is_gateway in (False, True)]
        for one, other in zip(ends, ("cloud", "shed"), strict=True):
            one.station.identity = replace(one.station.identity, name="pi")
            keeping = Parties(tmp_path, one.station)
            await keeping.restore()
            tasks.start(keeping.run(), "parties")
            one.station.restore(other, INFO)
        await until(lambda: len(list(tmp_path.rglob("*.json"))) == 2)
        for one, other in zip(ends, ("cloud", "shed"), strict=True):
            again = end(air, tasks, is_gateway=one.station.identity.is_gateway, site="pi").station
            again.identity = replace(again.identity, name="pi")
            await Parties(tmp_path, again).restore()
            assert list(again.remotes) == [other]


async def test_more_sites_than_there_is_room_for_are_named_and_passed_over(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(station, "MAX_REMOTES", 3)
    async with joined() as (air, cloud, _):
        for number in range(6):
            air.publish(f"opaca/v1/site-{number}/st", write(Presence(on=1, ep=5)))
        await settle()
        assert len(cloud.station.remotes) == 3
        assert caplog.text.count("3 sites are served already; site-2 is passed over") == 1


async def test_who_never_said_who_it_is_is_not_listened_to() -> None:
    async with joined() as (air, cloud, _):
        request = write(Request(id="1", ep=cloud.station._epoch, route="POST /invoke/Water"))
        air.publish("opaca/v1/stranger/up/rq", request)
        await settle()
        assert (cloud.played, list(cloud.station.remotes)) == ([], ["greenhouse"])


@pytest.mark.parametrize(
    "topic",
    ["opaca/v1/greenhouse/dn/rq/other", "opaca/v1/shed/dn/rq/cloud", "opaca/v1/greenhouse/up/rq", "opaca/v1/_gw/x/st"],
)
async def test_a_site_hears_only_what_its_gateway_says_to_it(topic: str) -> None:
    async with joined() as (_, _cloud, home):
        home.link.manners.filters.append("#")  # type: ignore[attr-defined] - a broker that delivers too much
        home.link.air.publish(topic, write(Request(id="1", ep=home.station._epoch, route="POST /invoke/Water")))
        await settle()
        assert (home.played, list(home.station.remotes)) == ([], ["cloud"])


@pytest.mark.parametrize(
    ("others", "said"),
    [
        (("two", "store"), "two machines (one, two) use the name greenhouse with a copy of one card"),
        (("two", "other"), "two machines (one, two) use the name greenhouse: give"),
        (("one", "other"), "two bridges of one machine (one) use the name greenhouse"),
    ],
)
async def test_two_that_take_turns_with_one_name_are_told_apart_and_named(
    caplog: pytest.LogCaptureFixture, others: tuple[str, str], said: str
) -> None:
    async with joined() as (air, cloud, home):
        epoch = home.station._epoch
        for number, (machine, store) in enumerate([("one", "store"), others, ("one", "store")]):
            assert not cloud.station.problem_with(cloud.other)
            # The broker says that the one is gone before it says that the other is there.
            air.publish(ST, write(Presence(on=0, ep=epoch + number)))
            air.publish(ST, write(Presence(on=1, ep=epoch + number + 1, st=store, m=machine)))
            await settle()
        assert said in caplog.text
        assert said in cloud.station.problem_with(cloud.other)


async def test_a_card_that_moved_to_another_machine_is_nobodys_copy() -> None:
    async with joined() as (air, cloud, home):
        for machine in ("one", "two"):
            air.publish(ST, write(Presence(on=1, ep=home.station._epoch, st="store", m=machine)))
        await settle()
        assert not cloud.station.problem_with(cloud.other)


async def test_an_orderly_end_is_said() -> None:
    async with joined() as (_, cloud, _home):
        words = cloud.link.manners.last_words()
        assert words is not None
        topic, payload = words
        assert topic == "opaca/v1/_gw/cloud/st"
        said = read(payload, Presence)
        assert (said.on, said.ep, said.kind) == (0, cloud.station._epoch, "gateway")


async def test_a_carrier_takes_what_is_its_own() -> None:
    class Taking(Notes):
        def received(self, remote: Remote, address: Address, incoming: object) -> bool:
            self.told.append(f"{address.kind} {address.name}")
            return True

    async with joined() as (air, cloud, _):
        taking = Taking()
        cloud.station.carriers.insert(0, taking)
        air.publish("opaca/v1/greenhouse/up/ev/alarm", b"{}")
        air.publish("opaca/v1/greenhouse/up/sm/S1", b"00000")
        await settle()
        assert taking.told == ["ev alarm", "sm S1"]


def test_what_is_small_is_not_deflated() -> None:
    assert deflated(INFO) == INFO
