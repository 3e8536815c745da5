"""key=value arguments get the types that the action's description asks for, or are explained."""

from __future__ import annotations

import pytest

from edge.cli.values import Assignment, best_fit, parse_assignment, signature, typed
from edge.model.descriptions import Action, ArrayItems, Parameter


def action(**parameters: Parameter) -> Action:
    return Action(name="Do", parameters=parameters)


def one(type_name: str, text: str, **more: object) -> object:
    """Type one value; the problem if there is one."""
    outcome = typed(action(x=Parameter(type=type_name, **more)), [Assignment("x", text)])  # type: ignore[arg-type]
    return outcome.problems[0] if outcome.problems else outcome.arguments["x"]


STRINGS = ArrayItems(type="string")


@pytest.mark.parametrize(
    ("type_name", "text", "value"),
    [
        ("string", "5", "5"),
        ("string", "", ""),
        ("string", "null", "null"),
        ("string", '"a"', '"a"'),
        ("integer", "-5", -5),
        ("integer", "123456789012345678901234567890", 123456789012345678901234567890),
        ("number", "1", 1),
        ("number", "-1.5e3", -1500.0),
        ("boolean", "true", True),
        ("boolean", "OFF", False),
        ("boolean", "yes", True),
        ("null", "null", None),
        ("array", '[1, "a"]', [1, "a"]),
        ("object", '{"a": [1]}', {"a": [1]}),
        ("object", "plain text", "plain text"),
        ("Lamp", '{"id": 3}', {"id": 3}),
        ("Colour", "red", "red"),
        ("Any", "5", 5),
    ],
)
def test_value_gets_the_type_of_its_parameter(type_name: str, text: str, value: object) -> None:
    result = one(type_name, text)
    assert result == value
    assert type(result) is type(value)


@pytest.mark.parametrize(
    ("type_name", "text", "problem"),
    [
        ("integer", "five", "x=five: expected a whole number"),
        ("integer", "1.0", "x=1.0: expected a whole number"),
        ("integer", '"1"', 'x="1": expected a whole number'),
        ("integer", "", "x=: expected a whole number"),
        ("integer", "null", "x=null: expected a whole number"),
        ("integer", "true", "x=true: expected a whole number"),
        ("number", "NaN", "x=NaN: expected a number"),
        ("number", "1,5", "x=1,5: expected a number"),
        ("number", "false", "x=false: expected a number"),
        ("boolean", "1", "x=1: expected true or false"),
        ("null", "none", "x=none: expected null"),
        ("array", "a,b", """x=a,b: expected a JSON array, such as '["a", "b"]'"""),
        ("array", '{"a": 1}', """x={"a": 1}: expected a JSON array, such as '["a", "b"]'"""),
    ],
)
def test_value_that_does_not_fit_is_explained(type_name: str, text: str, problem: str) -> None:
    assert one(type_name, text) == problem


def test_elements_of_arrays_are_checked() -> None:
    assert one("array", '["a"]', items=STRINGS) == ["a"]
    assert one("array", '[["a"], []]', items=ArrayItems(type="array", items=STRINGS)) == [["a"], []]
    assert one("array", '["a", 1]', items=STRINGS) == (
        """x=["a", 1]: expected a JSON array of string, such as '["a", "b"]'"""
    )
    assert "array of integer, such as '[1, 2]'" in str(one("array", "1", items=ArrayItems(type="integer")))
    assert one("array", "[true]", items=ArrayItems(type="boolean")) == [True]
    assert "expected" in str(one("array", "[true]", items=ArrayItems(type="integer")))


@pytest.mark.parametrize("type_name", ["integer", "number", "boolean", "array", "object"])
def test_null_stands_for_a_parameter_that_is_not_required(type_name: str) -> None:
    assert one(type_name, "null", required=False) is None


def test_json_can_be_forced() -> None:
    wanted = action(x=Parameter(type="string", required=False), y=Parameter(type="object"))
    outcome = typed(wanted, [parse_assignment("x:=null"), parse_assignment('y:="5"')])
    assert (outcome.arguments, outcome.problems) == ({"x": None, "y": "5"}, [])
    assert typed(wanted, [parse_assignment("y:=oops")]).problems == ["y=oops: expected JSON"]


def test_all_problems_are_named_with_near_names() -> None:
    wanted = action(room=Parameter(type="string"), level=Parameter(type="integer"), fade=Parameter(type="number"))
    words = ["levle=3", "level=x", "room=a", "room=b"]
    assert typed(wanted, [parse_assignment(word) for word in words]).problems == [
        "levle: Do has no such parameter (did you mean 'level'?)",
        "level=x: expected a whole number",
        "room: given twice",
        "fade: missing, a value of type number is required",
    ]


@pytest.mark.parametrize("word", ["level", "=3", ":=3", ""])
def test_word_without_a_key_is_refused(word: str) -> None:
    with pytest.raises(ValueError, match="expected key=value"):
        parse_assignment(word)


def test_only_the_first_equals_sign_counts() -> None:
    assert parse_assignment("a=b=c") == Assignment("a", "b=c")


def test_of_several_actions_with_one_name_the_fitting_one_is_taken() -> None:
    by_name = action(label=Parameter(type="string"))
    by_number = action(number=Parameter(type="integer"))
    assert best_fit([by_name, by_number], [Assignment("number", "3")])[0] is by_number
    chosen, outcome = best_fit([by_name, by_number], [Assignment("number", "x")])
    assert chosen is by_number
    assert outcome.problems == ["number=x: expected a whole number"]


def test_signature_reads_like_a_definition() -> None:
    described = Action(
        name="Set",
        parameters={
            "room": Parameter(type="string"),
            "level": Parameter(type="integer", required=False, default_value=3),
            "scenes": Parameter(type="array", required=False, items=STRINGS),
        },
        result=Parameter(type="boolean"),
    )
    assert signature(described) == "Set(room: string, level: integer = 3, [scenes: array of string]) -> boolean"
    assert signature(Action(name="Off", result=Parameter(type="null"))) == "Off()"
