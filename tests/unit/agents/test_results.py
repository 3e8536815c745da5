"""What agents return becomes JSON; what is no JSON is named."""

from __future__ import annotations

import datetime
import math
from collections import OrderedDict, defaultdict, deque
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import msgspec
import pytest

from edge.agents.results import DEEPEST_NESTING, NotJson, to_json


class Colour(Enum):
    RED = "red"


class Name(str):
    """A text of a class of its own."""


@dataclass
class Box:
    width: float = 1.0
    colour: Colour = Colour.RED
    notes: list[str] = field(default_factory=list)


class Holder(msgspec.Struct, rename="camel"):
    the_box: Box
    maybe: int | msgspec.UnsetType = msgspec.UNSET


class Point(NamedTuple):
    x: int
    y: int


class Model:
    def model_dump(self, mode: str) -> dict[str, Any]:
        return {"mode": mode}


class Samples:
    def tolist(self) -> list[float]:
        return [1.0, 2.0]


BOX = {"width": 1.0, "colour": "red", "notes": []}


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        (None, None),
        (True, True),
        (2**70, 2**70),
        (1.5, 1.5),
        ("grün", "grün"),
        (b"hi", "aGk="),
        ([1, 2.0, "a", None], [1, 2.0, "a", None]),
        ((1, (2,)), [1, [2]]),
        ({3}, [3]),
        ({"a": {"b": [1]}}, {"a": {"b": [1]}}),
        (Colour.RED, "red"),
        (Box(), BOX),
        (Holder(Box()), {"theBox": BOX}),
        ([Box(), [Box()]], [BOX, [BOX]]),
        (Point(1, 2), [1, 2]),
        (datetime.datetime(2026, 4, 21, tzinfo=datetime.UTC), "2026-04-21T00:00:00Z"),
        (Path("/tmp/x"), "/tmp/x"),
        (Name("a"), "a"),
        ({Name("a"): 1}, {"a": 1}),
        (OrderedDict(a=1), {"a": 1}),
        (defaultdict(list, {"a": [1]}), {"a": [1]}),
        (Model(), {"mode": "json"}),
        (Samples(), [1.0, 2.0]),
        ({"deep": {"in": Samples()}}, {"deep": {"in": [1.0, 2.0]}}),
    ],
)
def test_values_become_json(value: Any, wanted: Any) -> None:
    assert to_json(value) == wanted
    assert msgspec.json.decode(msgspec.json.encode(to_json(value))) == wanted


def test_a_dataclass_that_msgspec_built_keeps_its_defaults() -> None:
    assert to_json(msgspec.convert({}, Box)) == BOX
    assert to_json(Holder(msgspec.convert({}, Box))) == {"theBox": BOX}


def nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth - 1):
        value = [value]
    return value


def circle() -> list[Any]:
    value: list[Any] = []
    value.append(value)
    return value


@pytest.mark.parametrize(
    ("value", "complaint"),
    [
        (math.nan, "nan is no JSON number"),
        ([1.0, math.inf], r"inf is no JSON number at \[1\]"),
        ({"rooms": [{"level": math.nan}]}, r"nan is no JSON number at rooms\[0\].level"),
        ("\ud800", "lone surrogate"),
        ({"a\ud800": 1}, "lone surrogate"),
        ([["ok", "\udfff"]], r"lone surrogate at \[0\]\[1\]"),
        ({1: 2}, "key 1 is no text"),
        ({"a": {(1, 2): 3}}, "no text at a"),
        (object(), "object has no JSON form"),
        ([Box, 1], r"type has no JSON form.* at \[0\]"),
        (deque([object()]), "deque has no JSON form"),
        (MappingProxyType({}), "mappingproxy has no JSON form"),
        (Box(width=math.nan), "nan is no JSON number at width"),
        (lambda: None, "function has no JSON form"),
        (nested(DEEPEST_NESTING + 1), "nesting deeper than 100"),
        (nested(100_000), "nesting deeper than 100"),
        (circle(), "nesting deeper than 100"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_no_json_is_named_with_its_place(value: Any, complaint: str) -> None:
    with pytest.raises(NotJson, match=complaint) as caught:
        to_json(value)
    # Its own text is JSON, whatever was in the value.
    assert str(caught.value).isprintable()


def test_the_deepest_nesting_is_still_json() -> None:
    assert to_json(nested(DEEPEST_NESTING)) == nested(DEEPEST_NESTING)


@pytest.mark.parametrize("value", [[1, 2], [1.0], ["a"], [[1]], {"a": 1}, {"a": [1]}])
def test_the_copy_shares_nothing_with_the_original(value: Any) -> None:
    copy = to_json(value)
    assert copy == value
    assert copy is not value
    for mine, theirs in zip(copy, value, strict=True):
        assert not isinstance(mine, list) or mine is not theirs
