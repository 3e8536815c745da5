"""JSON Schema keywords that end in time: what jsonschema does without bound is done anew here, the rest is watched.

Imported only when a value of a defined type must be checked, and only run in the threads of `edge.runtime.definitions`.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, partial
from typing import Any, TypeAlias

from jsonschema import validators
from jsonschema.exceptions import ValidationError

from edge.model.json_value import JsonValue
from edge.runtime.formats import FORMATS
from edge.runtime.parameters import shown
from edge.runtime.patterns import compiled

Validator: TypeAlias = Any
Errors: TypeAlias = Iterator[ValidationError]
Keyword: TypeAlias = Callable[[Validator, JsonValue, JsonValue, JsonValue], Errors | None]

DEFAULT_DIALECT = "http://json-schema.org/draft-07/schema"
DIALECTS: dict[str, Validator] = {
    "http://json-schema.org/draft-04/schema": validators.Draft4Validator,
    "http://json-schema.org/draft-06/schema": validators.Draft6Validator,
    DEFAULT_DIALECT: validators.Draft7Validator,
    "https://json-schema.org/draft/2019-09/schema": validators.Draft201909Validator,
    "https://json-schema.org/draft/2020-12/schema": validators.Draft202012Validator,
}
# Later drafts made `format` an annotation.
_ASSERT_FORMATS = frozenset(dialect for dialect in DIALECTS if "/draft-0" in dialect)

# jsonschema works these two out in quadratic time without a place to stop it; unchecked, they accept everything.
_LEFT_OUT = ("unevaluatedItems", "unevaluatedProperties")

_JSON_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "number": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
    "array": (list,),
    "object": (dict,),
}


class TookTooLong(Exception):
    """The time limit of a check is over."""


_limit = threading.local()


@contextmanager
def time_limit(limit_s: float) -> Iterator[None]:
    """Let every keyword of this thread raise `TookTooLong` once `limit_s` seconds are over."""
    _limit.ends_at_s = time.monotonic() + limit_s
    try:
        yield
    finally:
        del _limit.ends_at_s


def remaining_s() -> float:
    """Return what is left of this thread's time limit, in seconds, above 0.

    Raises:
        TookTooLong: nothing is left.
    """
    remaining: float = _limit.ends_at_s - time.monotonic()
    if remaining <= 0:
        raise TookTooLong
    return remaining


@cache
def watched(dialect: str, *, checks_schemas: bool = False) -> Validator:
    """Return the validator class of a draft with every keyword under the thread's time limit.

    Args:
        dialect: A key of `DIALECTS`.
        checks_schemas: The values are schemas themselves: of the formats only `regex` is asserted.
    """
    base = DIALECTS[dialect]
    keywords: dict[str, Keyword] = {**base.VALIDATORS, **{k: v for k, v in _OWN.items() if k in base.VALIDATORS}}
    if checks_schemas:
        keywords["format"] = partial(_format, only=frozenset({"regex"}))
    elif dialect in _ASSERT_FORMATS:
        keywords["format"] = partial(_format, only=frozenset(FORMATS))
    else:
        keywords.pop("format", None)
    for name in _LEFT_OUT:
        keywords.pop(name, None)
    return validators.extend(base, {name: partial(_watch, keyword) for name, keyword in keywords.items()})


def _watch(
    keyword: Keyword, validator: Validator, wanted: JsonValue, value: JsonValue, schema: JsonValue
) -> Errors | None:
    remaining_s()
    return keyword(validator, wanted, value, schema)


def _type(validator: Validator, wanted: JsonValue, value: JsonValue, schema: JsonValue) -> Errors:
    """An unknown type name fits nothing; 1.0 is an integer in every draft (contract, section 6)."""
    names = [wanted] if isinstance(wanted, str) else wanted
    for name in names:
        if name == "integer":
            is_fit = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
        else:
            is_fit = isinstance(value, _JSON_TYPES.get(name, ()))
        if is_fit and (name == "boolean" or not isinstance(value, bool)):
            return
    yield ValidationError(f"expected {' or '.join(map(str, names))}, got {shown(value)}")


def _format(validator: Validator, name: JsonValue, value: JsonValue, schema: JsonValue, only: frozenset[str]) -> Errors:
    if isinstance(value, str) and name in only and not FORMATS[name](value):
        yield ValidationError(f"{shown(value)} is not a valid {name}")


def _matches(pattern: str, text: str) -> bool:
    # Python's own `re` can neither be interrupted nor lets other threads run meanwhile.
    try:
        return bool(compiled(pattern).search(text, timeout=remaining_s(), concurrent=True))
    except TimeoutError as error:
        raise TookTooLong from error


def _pattern(validator: Validator, pattern: JsonValue, value: JsonValue, schema: JsonValue) -> Errors:
    if isinstance(value, str) and not _matches(pattern, value):
        yield ValidationError(f"{shown(value)} does not match {shown(pattern)}")


def _pattern_properties(validator: Validator, wanted: JsonValue, value: JsonValue, schema: JsonValue) -> Errors:
    if isinstance(value, dict):
        for pattern, subschema in wanted.items():
            for name, element in value.items():
                if _matches(pattern, name):
                    yield from validator.descend(element, subschema, path=name, schema_path=pattern)


def _additional_properties(validator: Validator, wanted: JsonValue, value: JsonValue, schema: JsonValue) -> Errors:
    if not isinstance(value, dict):
        return
    properties, patterns = schema.get("properties", {}), schema.get("patternProperties", {})
    for name, element in value.items():
        if name in properties or any(_matches(pattern, name) for pattern in patterns):
            continue
        if wanted is False:
            yield ValidationError(f"there is no property {shown(name)}")
        else:
            yield from validator.descend(element, wanted, path=name)


def _first_errors(validator: Validator, branches: JsonValue, value: JsonValue) -> Iterator[ValidationError | None]:
    """Yield for each branch the first thing wrong: whole lists of errors would fill the memory."""
    for index, branch in enumerate(branches):
        yield next(validator.descend(value, branch, schema_path=index), None)


def _any_of(validator: Validator, branches: JsonValue, value: JsonValue, schema: JsonValue) -> Errors:
    errors: list[ValidationError] = []
    for error in _first_errors(validator, branches, value):
        if error is None:
            return
        errors.append(error)
    yield _none_fits(value, errors)


def _one_of(validator: Validator, branches: JsonValue, value: JsonValue, schema: JsonValue) -> Errors:
    errors: list[ValidationError] = []
    fitting = 0
    for error in _first_errors(validator, branches, value):
        if error is not None:
            errors.append(error)
        elif (fitting := fitting + 1) == 2:
            yield ValidationError(f"{shown(value)} fits more than one of {len(branches)} alternatives")
            return
    if not fitting:
        yield _none_fits(value, errors)


def _none_fits(value: JsonValue, errors: list[ValidationError]) -> ValidationError:
    if errors and all(error.validator == "type" and not error.path for error in errors):
        expected = [name for error in errors for name in _listed(error.validator_value)]
        return ValidationError(f"expected {' or '.join(dict.fromkeys(expected))}, got {shown(value)}")
    # The branch that was followed furthest is most likely the one that was meant.
    closest = max(errors, key=lambda error: len(error.path), default=None)
    reason = f"; closest: {path_text(closest)} {closest.message}" if closest and closest.path else ""
    return ValidationError(f"{shown(value)} fits none of {len(errors)} alternatives{reason}")


def _listed(names: JsonValue) -> list[str]:
    return [str(name) for name in ([names] if isinstance(names, str) else names)]


def _unique_items(validator: Validator, wanted: JsonValue, value: JsonValue, schema: JsonValue) -> Errors:
    if not wanted or not isinstance(value, list):
        return
    seen: set[object] = set()
    for index, element in enumerate(value):
        remaining_s()
        key = _key(element)
        if key in seen:
            yield ValidationError(f"element {index} is there twice: {shown(element)}")
            return
        seen.add(key)


def _key(value: JsonValue) -> object:
    """Return something hashable that is equal for equal JSON values: 1 and 1.0 are, 1 and true are not."""
    if isinstance(value, bool):
        return (bool, value)
    if isinstance(value, list):
        return (list, tuple(_key(element) for element in value))
    if isinstance(value, dict):
        return (dict, frozenset((name, _key(element)) for name, element in value.items()))
    return value


_PLAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")


def path_text(error: ValidationError) -> str:
    """Write where inside the value an error lies: `.size[3]["a b"]`, empty for the value itself."""
    parts = []
    for step in error.path:
        if isinstance(step, int):
            parts.append(f"[{step}]")
        else:
            parts.append(f".{step}" if _PLAIN_NAME.fullmatch(step[:100]) else f"[{shown(step)}]")
    return "".join(parts)


_OWN: dict[str, Keyword] = {
    "type": _type,
    "pattern": _pattern,
    "patternProperties": _pattern_properties,
    "additionalProperties": _additional_properties,
    "anyOf": _any_of,
    "oneOf": _one_of,
    "uniqueItems": _unique_items,
}
