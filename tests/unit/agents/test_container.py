"""A container's agents: added, found, described, changed; messages and channels."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any, Literal

import msgspec
import pytest

from edge.agents import Agent, Container, ImageParameter, Message, PortDescription, action, stream
from edge.agents.identity import Identity
from edge.errors import ActionFailed, NotFound, ParameterMismatch
from edge.model.definitions import DefinedValue
from edge.model.descriptions import AgentContainer
from tests.unit.agents.running import alive, running, until


@dataclass
class Box:
    width: int


OurBox = Box


def another_box() -> type:
    @dataclass
    class Box:
        height: str

    Box.__module__ = "other"
    return Box


TheirBox = another_box()


class Lamp(Agent):
    """A lamp."""

    @action
    async def put(self, box: OurBox) -> int:
        return box.width


class Shelf(Agent):
    @action
    async def stack(self, boxes: list[TheirBox], box: TheirBox) -> str:  # type: ignore[valid-type]
        return "".join(each.height for each in boxes)  # type: ignore[attr-defined]


class Listener(Agent):
    """Remembers its messages."""

    def __init__(self, agent_id: str, *channels: str) -> None:
        super().__init__(agent_id)
        self.heard: list[Any] = []
        for channel in channels:
            self.subscribe_channel(channel)

    async def receive_message(self, message: Message) -> None:
        self.heard.append((message.payload, message.reply_to))


class SyncListener(Listener):
    def receive_message(self, message: Message) -> None:  # type: ignore[override]
        self.heard.append(message.payload)


class Deaf(Agent):
    """Takes no messages."""


class Failing(Listener):
    async def receive_message(self, message: Message) -> None:
        raise ValueError("full")


def test_agents_without_an_id_are_called_by_their_class_and_numbered() -> None:
    container = Container("home", [Lamp(), Lamp(), Lamp("mine"), Lamp()])
    assert [agent.agent_id for agent in container.agents] == ["lamp", "lamp-2", "mine", "lamp-3"]


def test_two_agents_of_one_chosen_id_are_refused() -> None:
    with pytest.raises(ValueError, match="already an agent 'a'"):
        Container("home", [Lamp("a"), Lamp("a")])


def test_an_agent_belongs_to_one_container() -> None:
    lamp = Lamp()
    Container("home", [lamp])
    with pytest.raises(ValueError, match="belongs to container 'home'"):
        Container("other", [lamp])


def test_what_is_no_agent_is_refused() -> None:
    with pytest.raises(TypeError, match=r"no edge\.agents\.Agent"):
        Container("home", [Lamp])  # type: ignore[list-item]


def test_an_agent_whose_class_forgets_to_call_super_works_all_the_same() -> None:
    class Forgetful(Agent):
        def __init__(self) -> None:
            self.x = 1

        @action
        async def get(self) -> int:
            return self.x

    assert Container("home", [Forgetful()]).describe().agents[0].actions[0].name == "Get"


def test_the_image_says_what_the_author_said() -> None:
    container = Container(
        "home",
        version="1.2",
        description="All",
        provider="me",
        url="http://x",
        requires=["a"],
        provides=["b"],
        parameters=[ImageParameter(name="ROOM", default_value="kitchen")],
        extra_ports={9000: PortDescription(protocol="TCP")},
    )
    image = container.image
    assert (image.image_name, image.name, image.version, image.description) == ("home", "home", "1.2", "All")
    assert (image.provider, image.url, image.requires, image.provides) == ("me", "http://x", ["a"], ["b"])
    assert image.extra_ports[9000].protocol == "TCP"


async def test_a_running_container_describes_itself() -> None:
    async with running(Lamp()) as home:
        description = home.describe()
        assert (description.container_id, description.owner) == ("c-77", "olga")
        assert description.connectivity is None
        # A strict reader takes it back.
        assert msgspec.json.decode(msgspec.json.encode(description), type=AgentContainer) == description
        assert home.describe() is description


async def test_the_token_is_never_shown() -> None:
    async with running(Lamp()) as home:
        assert b"secret" not in msgspec.json.encode(home.describe())
    assert "secret" not in repr(Identity(container_id="c", token="secret", arguments={"PASSWORD": "secret"}))


async def test_parameters_get_their_arguments_or_defaults_and_confidential_ones_are_not_shown() -> None:
    container = Container(
        "home",
        parameters=[
            ImageParameter(name="ROOM", default_value="kitchen"),
            ImageParameter(name="FLOOR"),
            ImageParameter(name="KEY", required=True, confidential=True),
        ],
    )
    with pytest.raises(ParameterMismatch, match="'KEY'"):
        async with container.running(Identity(container_id="c")):
            pytest.fail("ran")
    async with container.running(Identity(container_id="c", arguments={"KEY": "k", "LD_PRELOAD": "x"})):
        assert container.arguments == {"ROOM": "kitchen", "KEY": "k"}
        assert container.describe().arguments == {"ROOM": "kitchen"}
    assert container.arguments == {}


async def test_a_container_runs_once_at_a_time_but_may_run_again() -> None:
    container = Container("home", [Lamp()])
    for _ in range(2):
        async with alive(container):
            assert await container.invoke("Put", {"box": {"width": 3}}, None) == 3
            with pytest.raises(RuntimeError, match="runs already"):
                async with alive(container):
                    pytest.fail("ran twice")
            assert await container.invoke("Put", {"box": {"width": 4}}, None) == 4


# --- definitions


async def test_two_types_of_one_name_get_different_names_in_one_container() -> None:
    async with running(Lamp(), Shelf()) as home:
        definitions = home.image.definitions
        assert set(definitions) == {"Box", "other.Box"}
        assert "width" in definitions["Box"]["properties"]
        assert "height" in definitions["other.Box"]["properties"]
        stack = home.describe().agents[1].actions[0]
        assert stack.parameters["box"].type == "other.Box"
        assert msgspec.to_builtins(stack.parameters["boxes"].items) == {"type": "other.Box"}
        assert await home.invoke("Stack", {"boxes": [{"height": "h"}], "box": {"height": "h"}}, None) == "h"


def test_alone_each_type_keeps_its_plain_name() -> None:
    assert set(Container("a", [Lamp()]).image.definitions) == {"Box"}
    assert set(Container("b", [Shelf()]).image.definitions) == {"Box"}


def test_a_literal_in_two_agents_is_one_definition_if_it_is_the_same() -> None:
    class One(Agent):
        @action
        async def turn(self, mode: Literal["on", "off"]) -> None: ...

    class Same(Agent):
        @action
        async def turn(self, mode: Literal["on", "off"]) -> None: ...

    class Other(Agent):
        @action
        async def turn(self, mode: Literal["low", "high"]) -> None: ...

    assert len(Container("home", [One(), Same()]).image.definitions) == 1
    assert len(Container("home", [One(), Other()]).image.definitions) == 2


async def test_definitions_judge_values_and_name_the_place() -> None:
    definitions = Container("home", [Lamp(), Shelf()]).definitions
    assert "Box" in definitions
    assert "string" not in definitions
    good = DefinedValue("Box", {"width": 1}, "box")
    assert await definitions.mismatch([good, DefinedValue("Unknown", 5, "x")]) is None
    bad = DefinedValue("other.Box", {"height": 1}, "boxes[3]")
    assert await definitions.mismatch([good, bad]) == "boxes[3].height: expected str, got int"


# --- changes while it runs


async def test_changes_are_told_while_it_runs() -> None:
    lamp = Lamp()
    told: list[list[str]] = []
    async with running(lamp) as home:
        home.on_change = lambda: told.append([a.name for agent in home.describe().agents for a in agent.actions])

        async def blink(times: int = 1) -> int:
            """Blinks."""
            return times

        lamp.add_action(blink)
        assert told == [["Put", "Blink"]]
        assert await home.invoke("Blink", {"times": 3}, None) == 3
        assert lamp.remove_action("Put")
        assert not lamp.remove_action("Put")
        assert told[1:] == [["Blink"]]
        with pytest.raises(NotFound):
            await home.invoke("Put", {"box": {"width": 1}}, None)
        home.add_agent(Lamp("second"))
        assert told[2:] == [["Blink", "Put"]]
        assert await home.invoke("Put", {"box": {"width": 1}}, None) == 1
        assert home.remove_agent("second")
        assert not home.remove_agent("second")
        assert told[3:] == [["Blink"]]
    lamp.add_action(blink, name="Later")
    assert len(told) == 4


async def test_an_added_stream_can_be_read_until_it_is_removed() -> None:
    lamp = Lamp()

    async def values() -> Any:
        yield 1

    async with running(lamp) as home:
        lamp.add_stream(values, mode="GET")
        async with home.get_stream("Values", None) as pieces:
            assert [piece async for piece in pieces] == [b"1\n"]
        assert lamp.remove_stream("Values")
        with pytest.raises(NotFound):
            home.get_stream("Values", None)


def test_what_one_agent_adds_the_others_of_its_class_do_not_have() -> None:
    one, two = Lamp("a"), Lamp("b")
    one.add_action(lambda: None, name="Extra", parameters={})
    assert "Extra" in one.offers.actions
    assert "Extra" not in two.offers.actions


async def test_an_agent_added_while_it_runs_is_started_and_a_removed_one_stopped() -> None:
    story: list[str] = []

    class Lively(Agent):
        async def on_start(self) -> None:
            story.append("start")
            self.start_task(self.work)

        async def work(self) -> None:
            try:
                await asyncio.Event().wait()
            finally:
                story.append("work ends")

        def on_stop(self) -> None:  # type: ignore[override]
            story.append("stop")

    lively = Lively()
    async with running() as home:
        home.add_agent(lively)
        await until(lambda: len(home.life.tasks) == 1 and story == ["start"])
        await asyncio.sleep(0.01)
        home.remove_agent("lively")
        await until(lambda: not lively.is_attached)
        assert story == ["start", "stop", "work ends"]
    assert len(story) == 3


# --- messages


async def test_a_message_reaches_the_agent_it_is_for() -> None:
    one, two = Listener("one"), SyncListener("two")
    async with running(one, two) as home:
        await home.send("one", Message({"a": 1}, "me"))
        await home.send("two", Message("hi"))
        assert one.heard == [({"a": 1}, "me")]
        assert two.heard == ["hi"]
        with pytest.raises(NotFound, match="no agent 'three'"):
            await home.send("three", Message(1))


async def test_a_broadcast_reaches_all_that_listen_each_with_its_own_copy() -> None:
    class Changing(Listener):
        async def receive_message(self, message: Message) -> None:
            message.payload["touched"] = True

    one, two = Listener("one", "news"), Listener("two", "news", "frost")
    payload: dict[str, Any] = {"n": [1]}
    async with running(Changing("zero", "news"), one, two, Listener("three")) as home:
        await home.broadcast("news", Message(payload))
        assert one.heard == two.heard == [({"n": [1]}, None)]
        assert one.heard[0][0] is not two.heard[0][0]
        assert payload == {"n": [1]}
        await home.broadcast("frost", Message(0))
        assert len(two.heard) == 2
        await home.broadcast("unknown", Message(1))


async def test_channels_can_be_joined_and_left_while_it_runs() -> None:
    listener = Listener("one")
    async with running(listener) as home:
        await home.broadcast("news", Message(1))
        listener.subscribe_channel("news")
        await home.broadcast("news", Message(2))
        listener.unsubscribe_channel("news")
        await home.broadcast("news", Message(3))
        assert listener.heard == [(2, None)]


async def test_an_agent_that_fails_on_a_broadcast_keeps_it_from_no_other(caplog: pytest.LogCaptureFixture) -> None:
    well = Listener("well", "news")
    async with running(Failing("bad", "news"), well, Failing("worse", "news")) as home:
        await home.broadcast("news", Message(1))
        assert well.heard == [(1, None)]
    assert "agent bad: receive_message failed: ValueError: full" in caplog.text


async def test_a_broadcast_that_all_fail_to_take_has_failed() -> None:
    async with running(Failing("bad", "news"), Failing("worse", "news")) as home:
        with pytest.raises(ActionFailed, match="full"):
            await home.broadcast("news", Message(1))


async def test_an_agent_that_hangs_on_a_message_does_not_delay_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge.agents.calls.HOOK_LIMIT_S", 0.2)

    class Hanging(Listener):
        async def receive_message(self, message: Message) -> None:
            await asyncio.Event().wait()

    well = Listener("well", "news")
    async with running(Hanging("hung", "news"), well) as home:
        call = asyncio.create_task(home.broadcast("news", Message(1)))
        await until(lambda: well.heard)
        assert not call.done()
        await call
        with pytest.raises(ActionFailed, match=r"receive_message of agent 'hung' took longer than 0\.2 s"):
            await home.send("hung", Message(1))


async def test_a_message_that_nobody_reads_is_discarded_and_said_so(caplog: pytest.LogCaptureFixture) -> None:
    async with running(Deaf()) as home:
        await home.send("deaf", Message(1))
    assert "Deaf does not define it; the message is discarded" in caplog.text


class Streamer(Agent):
    @stream(mode="GET")
    async def values(self) -> Any:
        yield 1


async def test_names_that_callers_make_up_are_not_remembered() -> None:
    async with running(Lamp(), Streamer()) as home:
        for number in range(100):
            for name, agent_id in ((f"Nope{number}", None), ("Put", f"nobody-{number}")):
                with pytest.raises(NotFound):
                    await home.invoke(name, {}, agent_id)
        await home.invoke("Put", {"box": {"width": 1}}, None)
        roster: Any = home._roster
        assert list(roster._found) == [("Put", None)]
