"""Comparing JSON with what a fixture expects; the grammar stands in README.md."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any
from uuid import UUID


def _is_uuid(value: Any) -> bool:
    try:
        return isinstance(value, str) and str(UUID(value)) == value.lower()
    except ValueError:
        return False


def _is_integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


# From 2001 to 2286: a clock that counts seconds or microseconds is found out.
_MILLISECONDS = range(1_000_000_000_000, 10_000_000_000_000)

KINDS: dict[str, Callable[[Any], bool]] = {
    "anything": lambda value: True,
    "string": lambda value: isinstance(value, str),
    "text": lambda value: isinstance(value, str) and value != "",
    "int": _is_integer,
    "number": lambda value: _is_integer(value) or isinstance(value, float),
    "boolean": lambda value: isinstance(value, bool),
    "object": lambda value: isinstance(value, dict),
    "list": lambda value: isinstance(value, list),
    "uuid": _is_uuid,
    "timestamp-ms": lambda value: _is_integer(value) and value in _MILLISECONDS,
    "date": lambda value: (
        isinstance(value, str) and re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", value, re.ASCII) is not None
    ),
    "url": lambda value: (
        isinstance(value, str) and re.fullmatch(r"https?://[^/\s]+(:\d+)?(/.*[^/])?", value) is not None
    ),
}


class BadPattern(Exception):
    """A fixture uses a placeholder that does not exist."""


def mismatch(pattern: Any, value: Any, where: str = "body") -> str | None:
    """Say why a JSON value does not fit a pattern, None if it does.

    Raises:
        BadPattern: the pattern itself is wrong.
    """
    if isinstance(pattern, dict):
        marker = next(iter(pattern), "")
        if marker.startswith("$"):
            if len(pattern) != 1:
                raise BadPattern(f"{pattern}: a placeholder stands alone")
            return _marked(marker, pattern[marker], value, where)
        return _object(pattern, value, where)
    if isinstance(pattern, list):
        return _list(pattern, value, where)
    # 1, 1.0 and true are three different things on the wire.
    if type(pattern) is not type(value) or pattern != value:
        return f"{where}: expected {_short(pattern)}, got {_short(value)}"
    return None


def _object(pattern: dict[str, Any], value: Any, where: str, *, exact: bool = True) -> str | None:
    if not isinstance(value, dict):
        return f"{where}: expected an object, got {_short(value)}"
    if missing := [key for key in pattern if key not in value]:
        return f"{where}: {missing} missing in {_short(value)}"
    if exact and (unknown := [key for key in value if key not in pattern]):
        return f"{where}: {unknown} not expected in {_short(value)}"
    return next((found for key in pattern if (found := mismatch(pattern[key], value[key], f"{where}.{key}"))), None)


def _list(pattern: list[Any], value: Any, where: str) -> str | None:
    if not isinstance(value, list):
        return f"{where}: expected a list, got {_short(value)}"
    if len(pattern) != len(value):
        return f"{where}: expected {len(pattern)} elements, got {_short(value)}"
    found = (mismatch(pattern[index], value[index], f"{where}[{index}]") for index in range(len(pattern)))
    return next((text for text in found if text), None)


def _marked(marker: str, argument: Any, value: Any, where: str) -> str | None:
    match marker:
        case "$any":
            if argument not in KINDS:
                raise BadPattern(f"$any {argument!r}: expected one of {sorted(KINDS)}")
            return None if KINDS[argument](value) else f"{where}: expected any {argument}, got {_short(value)}"
        case "$contains":
            fits = isinstance(value, str) and argument in value
            return None if fits else f"{where}: expected a text with {argument!r}, got {_short(value)}"
        case "$like":
            return _object(argument, value, where, exact=False)
        case "$has":
            if not isinstance(value, list):
                return f"{where}: expected a list, got {_short(value)}"
            lacking = [one for one in argument if all(mismatch(one, element, where) for element in value)]
            return f"{where}: nothing like {_short(lacking[0])} in {_short(value)}" if lacking else None
        case "$each":
            if not isinstance(value, list):
                return f"{where}: expected a list, got {_short(value)}"
            found = (mismatch(argument, element, f"{where}[{index}]") for index, element in enumerate(value))
            return next((text for text in found if text), None)
        case "$in":
            if not any(mismatch(one, value, where) is None for one in argument):
                return f"{where}: expected one of {_short(argument)}, got {_short(value)}"
            return None
    raise BadPattern(f"unknown placeholder {marker!r}")


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 300 else text[:300] + "…"
