"""The reference's leniency towards JSON of the wrong kind, driven by the type that is expected (contract, table 1.2).

Only ever run on input that strict decoding refused; whatever is not in the table is left as it is, for the strict
conversion to refuse.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

import msgspec.inspect as inspect

from edge.model.descriptions import Parameter, read_timestamp
from edge.model.json_value import JsonValue

_NUMBER = re.compile(r"[+-]?\d+", re.ASCII)


@lru_cache(maxsize=64)
def _type_info(model: Any) -> inspect.Type:
    return inspect.type_info(model)


def fit(value: JsonValue, model: Any, ignored: set[str] | None) -> JsonValue:
    """Return `value` with the contract's coercions applied for `model`.

    Args:
        ignored: Where given, unknown properties are dropped and their names added here.
    Raises:
        ValueError: a date in a form that is not accepted.
    """
    return _fit(value, _type_info(model), ignored)


def _fit(value: JsonValue, expected: inspect.Type, ignored: set[str] | None) -> JsonValue:
    match expected:
        case inspect.StructType():
            return _fit_struct(value, expected, ignored)
        case inspect.ListType() if isinstance(value, list):
            return [_fit(item, expected.item_type, ignored) for item in value]
        case inspect.DictType() if isinstance(value, dict):
            return {key: _fit(item, expected.value_type, ignored) for key, item in value.items()}
        case inspect.Metadata():
            return _fit(value, expected.type, ignored)
        case inspect.UnionType():
            return _fit_union(value, expected, ignored)
        case inspect.EnumType() if isinstance(value, int) and not isinstance(value, bool):
            members = list(expected.cls)
            return members[value].value if 0 <= value < len(members) else value
        case inspect.StrType() if expected.pattern is not None and isinstance(value, (str, int)):
            return value if isinstance(value, bool) else read_timestamp(value)
        case _:
            return _fit_scalar(value, expected)


def _fit_scalar(value: JsonValue, expected: inspect.Type) -> JsonValue:
    match expected, value:
        case inspect.StrType(), bool():
            return "true" if value else "false"
        case inspect.StrType(), int() | float():
            return repr(value)
        case inspect.IntType(), None:
            return 0
        case inspect.IntType(), str() if _NUMBER.fullmatch(value.strip()) and len(value) < 4300:
            return int(value)
        case inspect.BoolType(), None:
            return False
        case inspect.BoolType(), "true" | "false":
            return value == "true"
    return value


def _fit_struct(value: JsonValue, expected: inspect.StructType, ignored: set[str] | None) -> JsonValue:
    if isinstance(value, str) and expected.cls is Parameter:
        return {"type": value, "required": True}  # the contract's shorthand (section 4.1)
    if not isinstance(value, dict):
        return value
    fields = {item.encode_name: item.type for item in expected.fields}
    fitted = {}
    for key, item in value.items():
        if key in fields:
            fitted[key] = _fit(item, fields[key], ignored)
        elif ignored is None:
            fitted[key] = item
        else:
            ignored.add(key)
    return fitted


def _fit_union(value: JsonValue, expected: inspect.UnionType, ignored: set[str] | None) -> JsonValue:
    others = [member for member in expected.types if not isinstance(member, inspect.NoneType)]
    if value is None and len(others) < len(expected.types):
        return None
    return _fit(value, others[0], ignored) if len(others) == 1 else value
