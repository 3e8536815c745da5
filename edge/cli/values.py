"""Arguments written as key=value, typed by the parameters of the action that they are for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from edge.errors import Undecodable
from edge.model.codec import decode_value
from edge.model.descriptions import Action, ArrayItems, Parameter
from edge.model.json_value import JsonValue
from edge.settings import nearest

_TRUE = ("true", "yes", "on")
_FALSE = ("false", "no", "off")
_MISMATCH = object()


@dataclass(frozen=True, slots=True)
class Assignment:
    """One `key=value`, or `key:=value` whose value is JSON whatever the parameter's type is."""

    key: str
    text: str
    is_json: bool = False


@dataclass(slots=True)
class Typed:
    """What became of assignments.

    Attributes:
        arguments: What to call the action with.
        problems: What does not fit, one sentence each; empty if all is well.
    """

    arguments: dict[str, JsonValue] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


def parse_assignment(word: str) -> Assignment:
    """Split a word of the command line.

    Raises:
        ValueError: there is no `=` in it, or nothing before it.
    """
    key, equals, text = word.partition("=")
    is_json = key.endswith(":")
    key = key.removesuffix(":")
    if not equals or not key:
        raise ValueError(f"{word!r}: expected key=value (or key:=JSON)")
    return Assignment(key, text, is_json)


def typed(action: Action, assignments: Iterable[Assignment]) -> Typed:
    """Give each value the type that the action's description asks for."""
    outcome = Typed()
    for assignment in assignments:
        key = assignment.key
        parameter = action.parameters.get(key)
        if parameter is None:
            hint = nearest(key, action.parameters)
            outcome.problems.append(f"{key}: {action.name} has no such parameter{hint}")
        elif key in outcome.arguments:
            outcome.problems.append(f"{key}: given twice")
        else:
            value = _json_of(assignment.text) if assignment.is_json else _value(assignment.text, parameter)
            if value is _MISMATCH:
                expected = "JSON" if assignment.is_json else _expected(parameter)
                outcome.problems.append(f"{key}={assignment.text}: expected {expected}")
            else:
                outcome.arguments[key] = value
    given = {assignment.key for assignment in assignments}
    outcome.problems.extend(
        f"{name}: missing, a value of type {type_text(parameter)} is required"
        for name, parameter in action.parameters.items()
        if parameter.required and name not in given
    )
    return outcome


def best_fit(actions: Sequence[Action], assignments: Sequence[Assignment]) -> tuple[Action, Typed]:
    """Return the first of several actions of one name that the values fit, else the one that they fit best."""
    outcomes = [(action, typed(action, assignments)) for action in actions]
    return min(outcomes, key=lambda outcome: len(outcome[1].problems))


def signature(action: Action) -> str:
    """Return an action as a line: `SetLevel(room: string, level: integer = 3) -> boolean`."""
    parameters = ", ".join(_declared(name, parameter) for name, parameter in action.parameters.items())
    result = action.result
    arrow = f" -> {type_text(result)}" if result is not None and result.type != "null" else ""
    return f"{action.name}({parameters}){arrow}"


def type_text(parameter: Parameter | ArrayItems) -> str:
    """Return a type as text; arrays with what is in them: `array of string`."""
    if parameter.type == "array" and isinstance(parameter.items, ArrayItems):
        return f"array of {type_text(parameter.items)}"
    return parameter.type


def _declared(name: str, parameter: Parameter) -> str:
    text = f"{name}: {type_text(parameter)}"
    if parameter.required:
        return text
    from edge.cli.output import json_text

    default = _default(parameter)
    return f"{text} = {json_text(default, is_one_line=True)}" if default is not None else f"[{text}]"


def _default(parameter: Parameter) -> JsonValue:
    import msgspec

    return None if parameter.default_value is msgspec.UNSET else parameter.default_value


def _value(text: str, parameter: Parameter) -> JsonValue:
    """Return the value that a text stands for, `_MISMATCH` if it stands for none of the type."""
    kind = parameter.type
    if kind == "string":
        return text
    if not parameter.required and text == "null":
        return None
    if kind == "boolean":
        word = text.lower()
        return word in _TRUE if word in _TRUE + _FALSE else _MISMATCH
    value = _json_of(text)
    if kind not in ("integer", "number", "null", "array"):
        # `object` and names of defined types: the Python SDK says `object` for an optional string, too.
        return text if value is _MISMATCH else value
    return value if _is_a(value, parameter) else _MISMATCH


def _json_of(text: str) -> JsonValue:
    try:
        return decode_value(text.encode())
    except (Undecodable, UnicodeEncodeError):
        return _MISMATCH


def _is_a(value: JsonValue, declared: Parameter | ArrayItems) -> bool:
    """Tell whether a JSON value is of a type; of defined types the platform knows more."""
    if value is _MISMATCH:
        return False
    kind = declared.type
    if kind == "array":
        items = declared.items
        is_list = isinstance(value, list)
        return is_list and (not isinstance(items, ArrayItems) or all(_is_a(each, items) for each in value))
    kinds: Mapping[str, tuple[type, ...]] = {
        "string": (str,),
        "integer": (int,),
        "number": (int, float),
        "boolean": (bool,),
        "null": (type(None),),
    }
    if kind not in kinds:
        return True
    return isinstance(value, kinds[kind]) and (kind == "boolean" or not isinstance(value, bool))


def _expected(parameter: Parameter) -> str:
    kind = parameter.type
    if kind == "integer":
        return "a whole number"
    if kind == "number":
        return "a number"
    if kind == "boolean":
        return "true or false"
    if kind == "null":
        return "null"
    items = parameter.items if isinstance(parameter.items, ArrayItems) else None
    samples = {"integer": "[1, 2]", "number": "[1.5, 2]", "boolean": "[true, false]", "array": "[[1], [2]]"}
    sample = samples.get(items.type if items else "", '["a", "b"]')
    return f"a JSON {type_text(parameter)}, such as '{sample}'"
