"""Argument validation: the table of contract section 6, as Decisions 4 and 5 change it."""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum, StrEnum

import pytest

from edge.model.definitions import DefinedValue, NoDefinitions
from edge.model.descriptions import Action, ArrayItems, Parameter
from edge.model.json_value import JsonValue
from edge.runtime.parameters import Fit, check_arguments, shown


class Defines:
    """Definitions of which only the names matter."""

    def __init__(self, *names: str) -> None:
        self.names = names

    def __contains__(self, type_name: object) -> bool:
        return type_name in self.names

    async def mismatch(self, values: Sequence[DefinedValue]) -> str | None:
        raise AssertionError("checking arguments must not wait")


def fit(parameters: dict[str, Parameter], arguments: dict[str, JsonValue], *defined: str) -> Fit:
    action = Action(name="Act", parameters=parameters)
    return check_arguments(action, arguments, Defines(*defined) if defined else NoDefinitions())


def fits(declared: Parameter, value: JsonValue) -> bool:
    return fit({"p": declared}, {"p": value}).mismatch is None


def array(of: str, depth: int = 1) -> Parameter:
    items = ArrayItems(type=of)
    for _ in range(depth - 1):
        items = ArrayItems(type="array", items=items)
    return Parameter(type="array", items=items)


VALUES: dict[str, JsonValue] = {
    "text": "a", "digits": "1", "whole": 1, "negative": -1, "beyond 32 bit": 2**40, "beyond 64 bit": 10**30,
    "fraction": 1.5, "whole as decimal": 1.0, "true": True, "false": False, "null": None, "list": [], "object": {},
}  # fmt: skip


@pytest.mark.parametrize(
    ("type_name", "valid"),
    [
        ("string", {"text", "digits"}),
        ("integer", {"whole", "negative", "beyond 32 bit", "beyond 64 bit"}),
        ("number", {"whole", "negative", "beyond 32 bit", "beyond 64 bit", "fraction", "whole as decimal"}),
        ("boolean", {"true", "false"}),
        ("null", {"null"}),
        ("array", {"list"}),
        ("object", set(VALUES)),
        ("Any", set(VALUES)),
        ("String", set(VALUES)),
        ("", set(VALUES)),
    ],
)
def test_each_type_accepts_exactly_its_json_values(type_name: str, valid: set[str]) -> None:
    assert {name for name, value in VALUES.items() if fits(Parameter(type=type_name), value)} == valid


def test_null_stands_for_a_parameter_that_is_not_required() -> None:
    for type_name in ("string", "integer", "array", "Box"):
        optional = Parameter(type=type_name, required=False)
        assert fit({"p": optional}, {"p": None}, "Box") == Fit(None, ())


def test_required_parameter_must_be_given_even_with_a_default() -> None:
    declared = {"level": Parameter(type="integer", default_value=3)}
    assert fit(declared, {}).mismatch == "action Act: the required parameter level (integer) is missing"


def test_parameter_that_is_not_required_may_be_left_out() -> None:
    assert fit({"level": Parameter(type="integer", required=False)}, {}).mismatch is None


def test_unknown_argument_is_a_mismatch_that_names_the_known_ones() -> None:
    declared = {"x": Parameter(type="integer"), "y": Parameter(type="integer", required=False)}
    mismatch = fit(declared, {"x": 1, "z": 1}).mismatch
    assert mismatch == 'action Act: there is no parameter "z"; it has x, y'
    assert fit({}, {"z": 1}).mismatch == 'action Act: there is no parameter "z"; it has none'


def test_mismatch_names_action_parameter_expectation_and_value() -> None:
    mismatch = fit({"times": Parameter(type="integer")}, {"times": "many"}).mismatch
    assert mismatch == 'action Act: parameter times: expected integer, got "many"'


def test_elements_of_arrays_are_checked_at_every_depth() -> None:
    assert fits(array("number", 2), [[1, 2.5], []])
    mismatch = fit({"grid": array("integer", 2)}, {"grid": [[1], [2, "x"]]}).mismatch
    assert mismatch == 'action Act: parameter grid[1][1]: expected integer, got "x"'
    assert "grid[0]: expected array, got 7" in (fit({"grid": array("integer", 2)}, {"grid": [7]}).mismatch or "")


@pytest.mark.parametrize("element", [None, True, 1.0, "1"])
def test_elements_are_neither_optional_nor_converted(element: JsonValue) -> None:
    assert not fits(array("integer"), [1, element])


def test_array_of_free_values_accepts_every_element() -> None:
    assert fits(array("object"), [None, 1, "a", {}])


def test_array_of_arrays_without_items_accepts_any_arrays() -> None:
    assert fits(array("array"), [[1], ["a"], []])
    assert not fits(array("array"), ["a"])


def test_values_of_defined_types_stay_pending() -> None:
    declared = {"one": Parameter(type="Box"), "many": array("Box", 2), "free": Parameter(type="Other")}
    result = fit(declared, {"one": {"a": 1}, "many": [[1], [], [2, 3]], "free": 5}, "Box")
    assert result.mismatch is None
    assert list(result.pending) == [
        DefinedValue("Box", {"a": 1}, "one"),
        DefinedValue("Box", 1, "many[0][0]"),
        DefinedValue("Box", 2, "many[2][0]"),
        DefinedValue("Box", 3, "many[2][1]"),
    ]
    assert len(result.pending) == 4
    assert result.pending[-1].where == "many[2][1]"


def test_nothing_is_pending_where_the_arrays_are_empty() -> None:
    assert not fit({"many": array("Box", 2)}, {"many": [[], []]}, "Box").pending


def test_built_in_names_win_over_definitions() -> None:
    result = fit(
        {"p": Parameter(type="string"), "q": array("integer")}, {"p": "a", "q": [1]}, "string", "integer", "array"
    )
    assert result == Fit(None, ())
    assert not fit({"p": Parameter(type="array")}, {"p": []}, "array").pending


def test_object_is_not_built_in_so_its_definition_is_used() -> None:
    assert list(fit({"p": Parameter(type="object")}, {"p": 1}, "object").pending) == [DefinedValue("object", 1, "p")]


def test_mismatch_of_a_later_argument_drops_what_was_pending() -> None:
    result = fit({"p": Parameter(type="Box"), "q": Parameter(type="integer")}, {"p": {}, "q": "x"}, "Box")
    assert result.mismatch is not None
    assert result.pending == ()


def test_members_of_enums_from_inside_the_process_count_as_their_value() -> None:
    level = IntEnum("level", {"HIGH": 2}).HIGH
    colour = StrEnum("colour", {"RED": "red"}).RED
    assert fits(Parameter(type="integer"), level)
    assert fits(Parameter(type="string"), colour)
    assert fits(array("string"), [colour, "blue"])
    assert not fits(Parameter(type="boolean"), level)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("a" * 1000, '"' + "a" * 59 + '..."'),
        ('"\n' * 100, None),
        ([0] * 5000, "an array of 5000"),
        ({}, "an empty object"),
        ({"a": 1, "b": 2, "c": 3, "d": 4}, 'an object with "a", "b", "c", ...'),
        pytest.param(10**6000, "an integer of 19932 bits", id="6000 digits"),
        (None, "null"),
        (True, "true"),
        (2.5, "2.5"),
    ],
)
def test_values_are_shown_shortened(value: JsonValue, text: str | None) -> None:
    assert len(shown(value)) <= 80
    if text is not None:
        assert shown(value) == text
