"""Type hints become OPACA's types, and arguments become what the hints say."""

from __future__ import annotations

import collections.abc as abc
import datetime
import decimal
import json
import os
import pathlib
import re
import typing
import uuid
from dataclasses import dataclass, field
from enum import Enum, IntEnum
from typing import Any, Literal, NamedTuple, NewType, Optional, TypedDict, Union

import jsonschema
import msgspec
import pytest

from edge.agents.hints import Shape, json_schema, shape_of


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Level(IntEnum):
    LOW = 1
    HIGH = 2


@dataclass
class Side:
    length: int


@dataclass
class Box:
    """A box."""

    width: float
    sides: list[Side] = field(default_factory=list)
    colour: Colour = Colour.RED


@dataclass
class Tree:
    value: int
    children: list[Tree] = field(default_factory=list)


class Point(NamedTuple):
    x: int
    y: int = 0


class Options(TypedDict, total=False):
    depth: int


class Lamp(msgspec.Struct, rename="camel"):
    is_on: bool
    max_level: int = 100


Metres = NewType("Metres", float)
Positive = typing.Annotated[int, msgspec.Meta(gt=0)]


def shape(hint: Any) -> Shape:
    return shape_of(hint, "Do.what", lambda hint, name: name)


def items_of(found: Shape) -> Any:
    return msgspec.to_builtins(found.items)


@pytest.mark.parametrize(
    ("hint", "type_name"),
    [
        (str, "string"),
        (int, "integer"),
        (float, "number"),
        (bool, "boolean"),
        (None, "null"),
        (type(None), "null"),
        (dict, "object"),
        (dict[str, int], "object"),
        (abc.Mapping[str, float], "object"),
        (Any, "object"),
        (object, "object"),
        (Optional[int], "integer"),  # noqa: UP045 - the old spelling is a type of its own
        (int | None, "integer"),
        (list[int] | None, "array"),
        (Box | None, "Box"),
        (Union[int, float], "number"),  # noqa: UP007
        (int | float | None, "number"),
        (int | str, "object"),
        (Box | Side, "object"),
        (bytes, "string"),
        (datetime.datetime, "string"),
        (datetime.date, "string"),
        (datetime.time, "string"),
        (datetime.timedelta, "string"),
        (uuid.UUID, "string"),
        (decimal.Decimal, "string"),
        (pathlib.Path, "string"),
        (os.PathLike, "string"),
        (Metres, "number"),
        (Positive, "integer"),
        (Colour, "Colour"),
        (Level, "Level"),
        (Box, "Box"),
        (Lamp, "Lamp"),
        (Point, "Point"),
        (Options, "Options"),
        (Literal["on", "off"], "Do.what"),
        (Literal[1, 2] | None, "Do.what"),
    ],
)
def test_a_hint_has_a_type_name(hint: Any, type_name: str) -> None:
    assert shape(hint).type_name == type_name


@pytest.mark.parametrize(
    ("hint", "items"),
    [
        (list[int], {"type": "integer"}),
        (list[list[float]], {"type": "array", "items": {"type": "number"}}),
        (list[list[list[str]]], {"type": "array", "items": {"type": "array", "items": {"type": "string"}}}),
        (list[Box], {"type": "Box"}),
        (list, {"type": "object"}),
        (list[Any], {"type": "object"}),
        (list[int | None], {"type": "object"}),
        (set[str], {"type": "string"}),
        (frozenset[int], {"type": "integer"}),
        (tuple[int, ...], {"type": "integer"}),
        (tuple[int, int], {"type": "integer"}),
        (tuple[int, str], {"type": "object"}),
        (abc.Sequence[int], {"type": "integer"}),
        (abc.Iterable[int], {"type": "integer"}),
        (list[dict[str, int]], {"type": "object"}),
        (list[Colour], {"type": "Colour"}),
    ],
)
def test_arrays_say_what_is_in_them(hint: Any, items: Any) -> None:
    found = shape(hint)
    assert found.type_name == "array"
    assert items_of(found) == items


@pytest.mark.parametrize("hint", [int | None, Optional[Box], Union[int, str, None], list[int] | None])  # noqa: UP007, UP045
def test_none_among_the_types_makes_it_nullable(hint: Any) -> None:
    assert shape(hint).nullable


@pytest.mark.parametrize("hint", [int, Any, list[int | None], Box])
def test_others_are_not_nullable(hint: Any) -> None:
    assert not shape(hint).nullable


@pytest.mark.parametrize(
    ("hint", "given", "wanted"),
    [
        (int, 2**70, 2**70),
        (float, 1, 1.0),
        (int | float, 1, 1),
        (int | str, "a", "a"),
        (bytes, "aGk=", b"hi"),
        (datetime.datetime, "2026-04-21T13:13:39Z", datetime.datetime(2026, 4, 21, 13, 13, 39, tzinfo=datetime.UTC)),
        (datetime.date, "2026-04-21", datetime.date(2026, 4, 21)),
        (decimal.Decimal, "1.10", decimal.Decimal("1.10")),
        (uuid.UUID, "12345678123456781234567812345678", uuid.UUID("12345678123456781234567812345678")),
        (pathlib.Path, "/tmp/x", pathlib.Path("/tmp/x")),
        (list[pathlib.Path], ["a"], [pathlib.Path("a")]),
        (set[int], [1, 1, 2], {1, 2}),
        (tuple[int, str], [1, "a"], (1, "a")),
        (abc.Sequence[int], [1], [1]),
        (abc.Iterable[int], [1], [1]),
        (Colour, "blue", Colour.BLUE),
        (Level, 2, Level.HIGH),
        (Literal["on", "off"], "on", "on"),
        (Box, {"width": 1, "sides": [{"length": 2}]}, Box(1.0, [Side(2)])),
        (list[list[Side]], [[{"length": 1}]], [[Side(1)]]),
        (Lamp, {"isOn": True}, Lamp(True)),
        (Point, [1], Point(1)),
        (Options, {"depth": 1}, {"depth": 1}),
        (Tree, {"value": 1, "children": [{"value": 2}]}, Tree(1, [Tree(2)])),
        (Box | Side, {"length": 3}, Side(3)),
        (dict[str, Side], {"a": {"length": 1}}, {"a": Side(1)}),
        (dict[int, str], {"1": "a"}, {1: "a"}),
        (Metres, 2, 2.0),
    ],
)
def test_a_value_becomes_what_the_hint_says(hint: Any, given: Any, wanted: Any) -> None:
    read = shape(hint).read
    assert read is not None
    assert read(given) == wanted
    assert type(read(given)) is type(wanted)


@pytest.mark.parametrize(
    ("hint", "given"),
    [
        (int, 1.0),
        (int, "1"),
        (int, True),
        (float, True),
        (float, "1"),
        (float, 10**400),
        (str, 1),
        (bool, 1),
        (dict, []),
        (list, {}),
        (list[int], [1, "2"]),
        (list[int], [1, None]),
        (bytes, "not base64!"),
        (datetime.datetime, "yesterday"),
        (pathlib.Path, 5),
        (Colour, "green"),
        (Literal["on", "off"], "maybe"),
        (Box, {}),
        (Box, {"width": "1"}),
        (Box, {"width": 1, "sides": [{"length": 1.5}]}),
        (Box | Side, {}),
        (Positive, 0),
        (tuple[int, str], [1]),
        (None, 0),
    ],
)
def test_a_value_that_does_not_fit_is_refused(hint: Any, given: Any) -> None:
    read = shape(hint).read
    assert read is not None
    with pytest.raises(msgspec.ValidationError):
        read(given)


@pytest.mark.parametrize("hint", [Any, object])
def test_any_takes_everything_as_it_is(hint: Any) -> None:
    assert shape(hint).read is None


class Machine:
    """No JSON form."""


@pytest.mark.parametrize(
    "hint", [Machine, list[Machine], dict[str, Machine], complex, abc.Callable[[], int], type, abc.AsyncIterator[bytes]]
)
def test_what_has_no_json_form_is_refused_with_what_to_write(hint: Any) -> None:
    with pytest.raises(TypeError, match="write str, int, float"):
        shape(hint)


@pytest.mark.parametrize("hint", [Box, Tree, Colour, Lamp, Point, Options, Side, Literal["on", "off"]])
def test_a_schema_stands_alone(hint: Any) -> None:
    schema = json_schema(hint)
    text = json.dumps(schema)
    for name in re.findall(r'"\$ref": "#/\$defs/([^"]+)"', text):
        assert name in schema["$defs"]
    assert set(re.findall(r'"\$ref": "([^"#]*)', text)) <= {""}


@pytest.mark.parametrize(
    ("hint", "good", "bad"),
    [
        (Box, {"width": 1, "sides": [{"length": 2}], "colour": "red"}, {"width": 1, "sides": [{"length": "2"}]}),
        (Tree, {"value": 1, "children": [{"value": 2, "children": []}]}, {"value": 1, "children": [{}]}),
        (Point, [1, 2], [1, 2, 3]),
        (Colour, "red", "green"),
        (Lamp, {"isOn": True}, {"is_on": True}),
        (Literal["on", "off"], "on", "maybe"),
    ],
)
def test_a_foreign_validator_judges_by_the_schema_as_we_do(hint: Any, good: Any, bad: Any) -> None:
    schema = json_schema(hint)
    # The contract's default is draft-07.
    validator = jsonschema.validators.validator_for(schema, default=jsonschema.Draft7Validator)(schema)
    read = shape(hint).read
    assert read is not None
    assert validator.is_valid(good)
    read(good)
    assert not validator.is_valid(bad)
    with pytest.raises(msgspec.ValidationError):
        read(bad)


def test_a_schema_carries_the_docstring() -> None:
    assert json_schema(Box)["description"] == "A box."


def test_a_type_called_like_one_of_opacas_gets_another_name() -> None:
    cls = type("integer", (msgspec.Struct,), {"__module__": "greenhouse", "__annotations__": {"x": int}})
    definition = shape_of(cls, "", lambda hint, name: next(iter_names(name, hint))).definitions[0]
    assert definition.name == "greenhouse.integer"


def iter_names(name: str, hint: Any) -> Any:
    from edge.agents.hints import names_like

    return names_like(name, hint)


class Model:
    """Looks like pydantic's."""

    def __init__(self, x: int) -> None:
        self.x = x

    @classmethod
    def model_json_schema(cls) -> dict[str, Any]:
        return {"type": "object", "properties": {"x": {"type": "integer"}}, "required": ["x"]}

    @classmethod
    def model_validate(cls, value: Any) -> Model:
        if not isinstance(value, dict) or not isinstance(value.get("x"), int):
            raise ValueError("x: expected an integer")
        return cls(value["x"])


def test_pydantic_models_are_definitions_too() -> None:
    found = shape(Model)
    assert found.type_name == "Model"
    assert json_schema(Model)["required"] == ["x"]
    assert found.read is not None
    assert found.read({"x": 3}).x == 3
    with pytest.raises(ValueError, match="expected an integer"):
        found.read({"x": "3"})
    many = shape(list[Model])
    assert items_of(many) == {"type": "Model"}
    assert many.read is not None
    assert [model.x for model in many.read([{"x": 1}, {"x": 2}])] == [1, 2]
