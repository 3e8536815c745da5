"""Do the given arguments fit an action's parameters (contract, section 6 with Decisions 4 and 5)?

Runs on every invoke, for every action that may be meant, so the common case is one dictionary look-up per argument.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from types import NoneType
from typing import overload

from edge.model.definitions import DefinedValue, Definitions
from edge.model.descriptions import Action, ArrayItems, Parameter
from edge.model.json_value import JsonValue

_LONGEST_TEXT = 60
_LONGEST_NAME = 80

# bool is a subclass of int: membership of the exact type keeps True from being an integer.
_TYPES_OF: dict[str, frozenset[type]] = {
    "string": frozenset({str}),
    "integer": frozenset({int}),
    "number": frozenset({int, float}),
    "boolean": frozenset({bool}),
    "null": frozenset({NoneType}),
}


@dataclass(frozen=True, slots=True)
class Fit:
    """How arguments fit the parameters of an action.

    Attributes:
        mismatch: Why they do not fit; None if they do, as far as OPACA's own types go.
        pending: Values of defined types that `Definitions.mismatch` must still look at; only filled without a mismatch.
    """

    mismatch: str | None
    pending: Sequence[DefinedValue]


_FITS = Fit(None, ())


def check_arguments(action: Action, arguments: dict[str, JsonValue], definitions: Definitions) -> Fit:
    """Compare arguments with an action's parameters; the values are neither changed nor completed."""
    parameters = action.parameters
    pending: list[_Pending] = []
    for name, value in arguments.items():
        parameter = parameters.get(name)
        if parameter is None:
            return _misfit(action, f"there is no parameter {_short(name, _LONGEST_NAME)}; {_known(parameters)}")
        types = _TYPES_OF.get(parameter.type)
        if types is not None:
            if type(value) in types or (value is None and not parameter.required) or _is_alike(value, types):
                continue
            return _misfit(action, f"parameter {name}: expected {parameter.type}, got {shown(value)}")
        if value is None and not parameter.required:
            continue
        if parameter.type == "array":
            reason = _array_mismatch(value, parameter, name)
            if reason is not None:
                return _misfit(action, f"parameter {reason}")
        leaf = _leaf_type(parameter)
        if leaf and leaf in definitions:
            pending.append(_Pending(leaf, value, name, parameter))
    for name, parameter in parameters.items():
        if parameter.required and name not in arguments:
            return _misfit(action, f"the required parameter {name} ({parameter.type}) is missing")
    return Fit(None, _PendingValues(pending)) if pending else _FITS


def shown(value: JsonValue) -> str:
    """Write a JSON value for a message, cut to about 60 characters; large values are only named, never written out."""
    if isinstance(value, str):
        return _short(value, _LONGEST_TEXT)
    if isinstance(value, list | tuple):
        return f"an array of {len(value)}" if value else "an empty array"
    if isinstance(value, dict):
        keys = ", ".join(_short(str(key), 20) for key in islice(value, 3))
        return f"an object with {keys}{', ...' if len(value) > 3 else ''}" if value else "an empty object"
    if isinstance(value, int) and value.bit_length() > 200:
        return f"an integer of {value.bit_length()} bits"
    return json.dumps(value)


def _misfit(action: Action, reason: str) -> Fit:
    return Fit(f"action {action.name}: {reason}", ())


def _short(text: str, limit: int) -> str:
    """Quote a text, cut to `limit` characters."""
    quoted = json.dumps(text[: limit + 1], ensure_ascii=False)
    return quoted if len(quoted) <= limit + 2 else quoted[:limit] + '..."'


def _known(parameters: dict[str, Parameter]) -> str:
    if not parameters:
        return "it has none"
    names = ", ".join(islice(parameters, 10))
    return f"it has {names}{', ...' if len(parameters) > 10 else ''}"


def _is_alike(value: JsonValue, types: frozenset[type]) -> bool:
    """Accept what agents inside the process pass besides plain JSON values: members of IntEnum, StrEnum."""
    return not isinstance(value, bool) and isinstance(value, tuple(types - {bool, NoneType}))


def _array_mismatch(value: JsonValue, of: Parameter | ArrayItems, where: str) -> str | None:
    """Check an array and, as far as `items` tells, its elements down to the last level."""
    if not isinstance(value, list | tuple):
        return f"{where}: expected array, got {shown(value)}"
    items = of.items
    if not items:
        return None
    if items.type == "array":
        for index, element in enumerate(value):
            reason = _array_mismatch(element, items, f"{where}[{index}]")
            if reason is not None:
                return reason
        return None
    types = _TYPES_OF.get(items.type)
    # One pass in C over a million elements; only a failure is looked at one by one.
    if types is None or types.issuperset(map(type, value)):
        return None
    for index, element in enumerate(value):
        if type(element) not in types and not _is_alike(element, types):
            return f"{where}[{index}]: expected {items.type}, got {shown(element)}"
    return None


def _leaf_type(of: Parameter | ArrayItems) -> str:
    """Name the type of the values inside all levels of arrays; a built-in name is never a defined type."""
    inner: Parameter | ArrayItems = of
    while inner.type == "array" and inner.items:
        inner = inner.items
    return "" if inner.type == "array" or inner.type in _TYPES_OF else inner.type


@dataclass(frozen=True, slots=True)
class _Pending:
    """One argument whose values, at the bottom of its arrays, are of a defined type."""

    type_name: str
    value: JsonValue
    name: str
    declared: Parameter | ArrayItems

    def values(self) -> Iterator[DefinedValue]:
        return self._inside(self.value, self.declared, self.name)

    def _inside(self, value: JsonValue, declared: Parameter | ArrayItems, where: str) -> Iterator[DefinedValue]:
        if declared.type == "array" and declared.items:
            for index, element in enumerate(value):
                yield from self._inside(element, declared.items, f"{where}[{index}]")
        else:
            yield DefinedValue(self.type_name, value, where)


class _PendingValues(Sequence[DefinedValue]):
    """Values still to be checked, made one at a time: a body of 16 MiB holds millions of them."""

    __slots__ = ("_arguments",)

    def __init__(self, arguments: list[_Pending]) -> None:
        self._arguments = arguments

    def __iter__(self) -> Iterator[DefinedValue]:
        for argument in self._arguments:
            yield from argument.values()

    def __bool__(self) -> bool:
        return next(iter(self), None) is not None

    def __len__(self) -> int:
        return sum(1 for _ in self)

    @overload
    def __getitem__(self, index: int) -> DefinedValue: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[DefinedValue]: ...
    def __getitem__(self, index: int | slice) -> DefinedValue | Sequence[DefinedValue]:
        return list(self)[index]
