"""What a class offers: names, parameters, defaults, results, definitions; and what cannot be offered."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, Literal

import msgspec
import pytest

from edge.agents import Agent, Container, Parameter, StreamMode, action, stream
from edge.agents.offers import class_offers
from edge.errors import ParameterMismatch

if TYPE_CHECKING:
    pass


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


@dataclass
class Box:
    """A box."""

    width: float
    label: str = ""


class Lamp(Agent):
    """A lamp
    on the wall."""

    @action
    async def set_level(
        self,
        level: int,
        fade_s: float = 0.5,
        colour: Colour = Colour.RED,
        box: Box | None = None,
        note: str | None = None,
    ) -> bool:
        """Set the level. [unit=%]"""
        return True

    @action(name="Blink", description="Blinks.")
    def some_long_name2(self, times: int = 1) -> None:
        """Not shown."""

    @action
    async def boxes(self, boxes: list[list[Box]], mode: Literal["on", "off"]) -> list[Box]:
        return []

    @action
    async def anything(  # type: ignore[no-untyped-def]
        self,
        value: Any,
        options: dict[str, int] = {},  # noqa: B006
        count: int = None,  # type: ignore[assignment] # noqa: RUF013
    ):
        pass

    @action
    @staticmethod
    def double(x: int) -> int:
        return 2 * x

    @action
    @classmethod
    def kind(cls, suffix: str) -> str:
        return cls.__name__ + suffix

    @stream(mode="GET")
    async def ticks(self) -> AsyncIterator[bytes]:
        """One a second."""
        yield b""

    @stream(mode=StreamMode.POST, name="Taken", description="Takes.")
    async def take(self, pieces: AsyncIterator[bytes]) -> None:
        """Not shown."""

    async def not_offered(self, x: int) -> int:
        return x


def described(agent: Agent | None = None) -> dict[str, Any]:
    description: dict[str, Any] = msgspec.to_builtins((agent or Lamp()).describe())
    return description


def action_called(name: str) -> dict[str, Any]:
    return next(action for action in described()["actions"] if action["name"] == name)


def test_an_agent_is_called_and_described_by_its_class() -> None:
    description = described()
    assert description["agentId"] == "lamp"
    assert description["agentType"] == "Lamp"
    assert description["description"] == "A lamp\non the wall."


def test_an_agent_can_be_called_and_described_otherwise() -> None:
    description = described(Lamp("l-1", agent_type="Light", description="Mine."))
    assert (description["agentId"], description["agentType"], description["description"]) == ("l-1", "Light", "Mine.")


def test_a_class_without_docstring_has_no_description() -> None:
    class Plain(Agent):
        pass

    assert described(Plain())["description"] is None


def test_actions_stand_in_the_order_of_the_source_under_their_names() -> None:
    names = [action["name"] for action in described()["actions"]]
    assert names == ["SetLevel", "Blink", "Boxes", "Anything", "Double", "Kind"]


def test_parameters_carry_type_whether_required_and_default() -> None:
    assert action_called("SetLevel")["parameters"] == {
        "level": {"type": "integer", "required": True},
        "fade_s": {"type": "number", "required": False, "defaultValue": 0.5},
        "colour": {"type": "Colour", "required": False, "defaultValue": "red"},
        "box": {"type": "Box", "required": False},
        "note": {"type": "string", "required": False},
    }


def test_docstrings_are_descriptions_unless_one_is_given() -> None:
    assert action_called("SetLevel")["description"] == "Set the level. [unit=%]"
    assert action_called("Blink")["description"] == "Blinks."
    assert action_called("Boxes")["description"] is None


def test_results_carry_type_and_whether_they_are_always_there() -> None:
    assert action_called("SetLevel")["result"] == {"type": "boolean", "required": True}
    assert action_called("Blink")["result"] == {"type": "null", "required": True}
    assert action_called("Boxes")["result"] == {"type": "array", "required": True, "items": {"type": "Box"}}
    assert action_called("Anything")["result"] is None


def test_nested_lists_and_literals_are_told() -> None:
    parameters = action_called("Boxes")["parameters"]
    assert parameters["boxes"]["items"] == {"type": "array", "items": {"type": "Box"}}
    assert parameters["mode"] == {"type": "Boxes.mode", "required": True}


def test_static_and_class_methods_can_be_offered() -> None:
    assert list(action_called("Double")["parameters"]) == ["x"]
    assert list(action_called("Kind")["parameters"]) == ["suffix"]


def test_streams_carry_name_mode_and_description() -> None:
    assert described()["streams"] == [
        {"name": "Ticks", "mode": "GET", "description": "One a second."},
        {"name": "Taken", "mode": "POST", "description": "Takes."},
    ]


def test_definitions_of_all_types_stand_in_the_image() -> None:
    container = Container("home", [Lamp()])
    assert set(container.image.definitions) == {"Box", "Boxes.mode", "Colour"}
    assert container.image.definitions["Boxes.mode"] == {"enum": ["off", "on"]}


def test_what_is_known_of_a_class_is_shared_by_its_agents() -> None:
    one, two = Lamp("a"), Lamp("b")
    assert one.offers is two.offers is class_offers(Lamp)
    assert one.describe().actions is two.describe().actions


def test_a_subclass_offers_what_its_base_does_and_more() -> None:
    class Better(Lamp):
        @action
        async def dim(self) -> None: ...

        async def boxes(self, boxes: Any, mode: Any) -> Any:  # no decorator: offered no longer
            ...

    assert [a["name"] for a in described(Better())["actions"]] == [
        "SetLevel",
        "Blink",
        "Anything",
        "Double",
        "Kind",
        "Dim",
    ]
    assert "Dim" not in class_offers(Lamp).actions


def read(name: str, **arguments: Any) -> dict[str, Any]:
    return class_offers(Lamp).actions[name].read(arguments)


def test_arguments_become_python_values() -> None:
    assert read("SetLevel", level=3, colour="blue", box={"width": 1}) == {
        "level": 3,
        "colour": Colour.BLUE,
        "box": Box(1.0),
    }


def test_what_is_left_out_gets_its_default_or_none() -> None:
    class Modest(Agent):
        @action
        async def do(self, a: int | None, b: Box | None = None, c: int = 3) -> None: ...

    # Defaults are the method's own business.
    assert class_offers(Modest).actions["Do"].read({}) == {"a": None}


def test_null_means_left_out_where_the_hint_does_not_allow_none() -> None:
    assert "fade_s" not in read("SetLevel", level=3, fade_s=None)
    assert "count" not in read("Anything", value=1, count=None)


def test_null_is_a_value_where_the_hint_allows_it() -> None:
    assert read("SetLevel", level=3, note=None)["note"] is None
    assert read("Anything", value=None) == {"value": None}


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ({}, "SetLevel needs 'level'"),
        ({"level": None}, "level: expected int, got null"),
        ({"level": 1.0}, "level: expected int, got float"),
        ({"level": "1"}, "level: expected int, got str"),
        ({"level": True}, "level: expected int, got bool"),
        ({"level": 1, "colour": "green"}, "colour: invalid enum value 'green'"),
        ({"level": 1, "box": {"width": "w"}}, "box.width: expected float, got str"),
        ({"level": 1, "box": {"label": ""}}, "box: object missing required field width"),
        ({"level": 1, "speed": 1}, "no parameter 'speed'; it takes level, fade_s, colour, box, note"),
    ],
)
def test_arguments_that_do_not_fit_are_named(arguments: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ParameterMismatch) as caught:
        read("SetLevel", **arguments)
    assert complaint in caught.value.message


@dataclass
class Careful:
    x: int

    def __post_init__(self) -> None:
        if self.x < 0:
            raise LookupError("below zero")


def test_an_error_of_the_authors_own_class_is_a_mismatch() -> None:
    class Precise(Agent):
        @action
        async def do(self, what: Careful) -> None: ...

    with pytest.raises(ParameterMismatch, match="what: LookupError: below zero"):
        class_offers(Precise).actions["Do"].read({"what": {"x": -1}})


def test_an_action_can_be_declared_without_hints() -> None:
    agent = Lamp()
    agent.add_action(
        lambda **given: given,
        name="Free",
        parameters={"a": Parameter(type="integer"), "b": Parameter(type="string", required=False, default_value="x")},
        result=Parameter(type="object"),
    )
    spec = agent.offers.actions["Free"]
    assert msgspec.to_builtins(spec.description)["parameters"]["b"] == {
        "type": "string",
        "required": False,
        "defaultValue": "x",
    }
    assert spec.read({"a": 1}) == {"a": 1, "b": "x"}
