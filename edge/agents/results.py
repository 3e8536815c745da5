"""What an agent hands out becomes plain JSON values: checked, copied, and named where it is not JSON."""

from __future__ import annotations

import dataclasses
import os
from math import isfinite
from typing import Any

import msgspec
from msgspec import UNSET

from edge.model.json_value import JsonValue

# As deep as the platform accepts in requests (contract, Decision 17).
DEEPEST_NESTING = 100

_PLAIN = frozenset((int, bool, type(None)))
_COLLECTIONS = (list, tuple, set, frozenset)
_BASES: tuple[type[Any], ...] = (str, int, float, dict, list, tuple)


class NotJson(ValueError):
    """A value that has no JSON form.

    Attributes:
        reason: What is wrong with it.
        path: Where it sits, like `.rooms[3].level`; empty for the value itself.
    """

    def __init__(self, reason: str, path: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.path = path

    def __str__(self) -> str:
        return f"{self.reason} at {self.path.lstrip('.')}" if self.path else self.reason


def to_json(value: object) -> JsonValue:
    """Return a value as plain JSON values that share no list or object with it.

    Dataclasses, msgspec Structs, enums, sets, dates, UUIDs, bytes (base64), paths, and what has `model_dump` (pydantic)
    or `tolist` (numpy) are converted.

    Raises:
        NotJson: NaN, infinity, lone surrogates, keys that are no text, nesting above `DEEPEST_NESTING`, other objects.
    """
    kind = type(value)
    if kind in _PLAIN or (kind is str and value.isascii()):  # type: ignore[attr-defined]
        return value
    return _plain(value, DEEPEST_NESTING)


def _plain(value: Any, depth: int) -> JsonValue:
    kind = type(value)
    if kind in _PLAIN:
        return value
    if kind is str:
        return _text(value)
    if kind is float:
        return _number(value)
    if depth == 0:
        raise NotJson(f"nesting deeper than {DEEPEST_NESTING}")
    if kind is dict:
        return _object(value, depth)
    if kind in _COLLECTIONS:
        return _array(value, depth)
    fields = _fields(value)
    return _plain(_builtins(value), depth - 1) if fields is None else _object(fields, depth)


def _text(value: str) -> str:
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise NotJson("text with a lone surrogate") from None
    return value


def _number(value: float) -> float:
    if not isfinite(value):
        raise NotJson(f"{value} is no JSON number")
    return value


def _object(value: dict[Any, Any], depth: int) -> dict[str, JsonValue]:
    copy = {}
    for key, item in value.items():
        if not isinstance(key, str):
            raise NotJson(f"key {key!r:.60} is no text")
        if type(key) is not str or not key.isascii():
            key = _text(str(key))
        kind = type(item)
        try:
            copy[key] = item if kind in _PLAIN or (kind is str and item.isascii()) else _plain(item, depth - 1)
        except NotJson as error:
            raise NotJson(error.reason, f".{key}{error.path}") from None
    return copy


def _array(value: Any, depth: int) -> list[JsonValue]:
    # Long arrays of one kind (samples, readings) are checked without a Python call for each element.
    kinds = set(map(type, value))
    if kinds <= _PLAIN or (kinds == {float} and all(map(isfinite, value))):
        return list(value)
    copy = []
    for index, item in enumerate(value):
        try:
            copy.append(_plain(item, depth - 1))
        except NotJson as error:
            raise NotJson(error.reason, f"[{index}]{error.path}") from None
    return copy


def _fields(value: Any) -> dict[str, Any] | None:
    """Return the fields of a dataclass or plain Struct, None for other values.

    msgspec writes only what stands in a dataclass's `__dict__`, where its own `convert` (0.22) puts no defaults.
    """
    cls = type(value)
    if dataclasses.is_dataclass(cls):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(cls)}
    if isinstance(value, msgspec.Struct):
        config = cls.__struct_config__
        if config.tag is None and not config.array_like and not config.omit_defaults:
            pairs = zip(cls.__struct_encode_fields__, cls.__struct_fields__, strict=True)
            return {written: item for written, name in pairs if (item := getattr(value, name)) is not UNSET}
    return None


def _builtins(value: object) -> object:
    try:
        return msgspec.to_builtins(value, enc_hook=encode_custom)
    except NotJson:
        raise
    except RecursionError:
        raise NotJson(f"nesting deeper than {DEEPEST_NESTING}") from None
    except UnicodeEncodeError:
        raise NotJson("text with a lone surrogate") from None
    except (TypeError, ValueError, OverflowError) as error:
        raise NotJson(f"{type(value).__name__} has no JSON form ({error})") from None


def encode_custom(value: Any) -> object:
    """Convert what msgspec does not know: paths, pydantic models, numpy values, subclasses of the built-in types."""
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    for base in _BASES:
        if isinstance(value, base):
            return base(value)
    if callable(dump := getattr(value, "model_dump", None)):
        return dump(mode="json")
    if callable(listed := getattr(value, "tolist", None)):
        return listed()
    raise NotJson(f"{type(value).__name__} has no JSON form; return texts, numbers, lists, dicts or a dataclass")
