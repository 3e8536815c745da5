"""What a Python type hint is in OPACA's words: a type name, its items, a definition, and how arguments are read."""

from __future__ import annotations

import collections.abc as abc
import datetime
import decimal
import enum
import os
import re
import types
import typing
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, is_dataclass, replace
from pathlib import Path
from typing import Any

import msgspec

from edge.model.descriptions import ArrayItems
from edge.model.json_value import JsonValue

# OPACA's own type names; a class of such a name is defined under another.
OPACA_TYPES = frozenset(("string", "integer", "number", "boolean", "null", "array", "object"))

# How a value is read from JSON; raises msgspec.ValidationError if it does not fit.
Reader = Callable[[JsonValue], Any]

_SCALARS: dict[Any, str] = {str: "string", int: "integer", float: "number", bool: "boolean"}
_TEXTS = (
    bytes,
    bytearray,
    datetime.datetime,
    datetime.date,
    datetime.time,
    datetime.timedelta,
    uuid.UUID,
    decimal.Decimal,
)
_ARRAYS: dict[Any, Any] = {
    list: list,
    set: set,
    frozenset: frozenset,
    tuple: tuple,
    abc.Sequence: list,
    abc.MutableSequence: list,
    abc.Collection: list,
    abc.Iterable: list,
    abc.Set: set,
    abc.MutableSet: set,
}
_OBJECTS = (dict, abc.Mapping, abc.MutableMapping)
_TUPLE_SCHEMA = "https://json-schema.org/draft/2020-12/schema"


@dataclass(frozen=True, slots=True)
class Definition:
    """A type of the author's own: callers see its JSON Schema under its name.

    Attributes:
        name: As it stands in the image's `definitions`.
        hint: The Python type; two definitions are one if name and hint are the same.
    """

    name: str
    hint: Any


@dataclass(frozen=True, slots=True)
class Shape:
    """What a hint means.

    Attributes:
        type_name: OPACA's, or a definition's.
        items: Of an array.
        nullable: Whether the hint says `| None`; `read` is never given None then.
        exact: The Python type whose values are taken as they are; None if `read` must look.
        read: Makes the Python value of a JSON value; None if anything is taken as it is.
        definitions: The author's own types that `type_name` and `items` name.
    """

    type_name: str
    items: ArrayItems | None = None
    nullable: bool = False
    exact: type[Any] | None = None
    read: Reader | None = None
    definitions: tuple[Definition, ...] = field(default=())


# Gives a type of the author's own its name, given the one it would have.
Naming = Callable[[Any, str], str]


def names_like(name: str, hint: Any) -> Iterator[str]:
    """Yield names for a definition, the plainest first: `Box`, `my_module.Box`, `my_module.Box-2`, ..."""
    if name not in OPACA_TYPES:
        yield name
    module = getattr(hint, "__module__", None) or "type"
    longer = re.sub(r"[^A-Za-z0-9._-]+", "_", f"{module}.{name}") if not name.startswith(f"{module}.") else name
    yield longer
    number = 2
    while True:
        yield f"{longer}-{number}"
        number += 1


def shape_of(hint: Any, fallback_name: str, naming: Naming) -> Shape:
    """Return what a resolved hint means.

    Args:
        hint: As `typing.get_type_hints(..., include_extras=True)` gives it.
        fallback_name: Names a type that has no name of its own (`Literal`).
        naming: Chooses the names of definitions.
    Raises:
        TypeError: the hint has no JSON form; the text says what can be written instead.
    """
    bare = _bare(hint)
    if bare is None or bare is types.NoneType:
        return Shape("null", read=reader(None))
    if bare in (Any, object):
        return Shape("object")
    if typing.get_origin(bare) in (typing.Union, types.UnionType):
        return _union(hint, bare, fallback_name, naming)
    if name := _SCALARS.get(bare):
        return Shape(name, exact=bare if hint is bare else None, read=reader(hint))
    origin = typing.get_origin(bare) or bare
    if origin in _ARRAYS:
        return _array(hint, bare, fallback_name, naming)
    if origin in _OBJECTS:
        json_schema(hint)
        read = reader(dict if bare in (abc.Mapping, abc.MutableMapping) else hint)
        return Shape("object", exact=dict if bare is dict and hint is bare else None, read=read)
    if bare in _TEXTS or bare is os.PathLike or (isinstance(bare, type) and issubclass(bare, os.PathLike)):
        return Shape("string", read=reader(Path if bare is os.PathLike else hint))
    return _defined(hint, bare, fallback_name, naming)


def _bare(hint: Any) -> Any:
    """Return what stands under aliases, NewTypes and annotations."""
    while True:
        if typing.get_origin(hint) is typing.Annotated:
            hint = typing.get_args(hint)[0]
        elif isinstance(hint, typing.NewType):
            hint = hint.__supertype__
        elif type(hint).__name__ == "TypeAliasType":
            hint = hint.__value__
        else:
            return hint


def _union(hint: Any, bare: Any, fallback_name: str, naming: Naming) -> Shape:
    members = [member for member in typing.get_args(bare) if member is not types.NoneType]
    nullable = len(members) < len(typing.get_args(bare))
    if len(members) == 1:
        return replace(shape_of(members[0], fallback_name, naming), nullable=True)
    if {_bare(member) for member in members} == {int, float}:
        return Shape("number", nullable=nullable, read=reader(hint))
    try:
        json_schema(hint)
    except TypeError:
        # msgspec cannot tell two classes apart that both are written as objects; the first that fits is taken.
        readers = [shape_of(member, fallback_name, naming).read for member in members]
        return Shape("object", nullable=nullable, read=_first_of(readers))
    return Shape("object", nullable=nullable, read=reader(hint))


def _array(hint: Any, bare: Any, fallback_name: str, naming: Naming) -> Shape:
    origin = typing.get_origin(bare) or bare
    args = typing.get_args(bare)
    members = {arg for arg in args if arg is not ...}
    element = shape_of(next(iter(members)), fallback_name, naming) if len(members) == 1 else None
    if element is None or element.nullable:
        # A bare `list` and a tuple of several types have no one element type; elements are never optional on the wire
        # (contract, section 6). Callers are told that anything goes, and the reader looks at each element.
        element = Shape("object")
    if origin is not _ARRAYS[origin]:
        hint = _ARRAYS[origin][args] if args else _ARRAYS[origin]
    json_schema(hint)
    items = ArrayItems(type=element.type_name, items=element.items or msgspec.UNSET)
    exact = list if hint is list else None
    return Shape("array", items=items, exact=exact, read=reader(hint), definitions=element.definitions)


def _defined(hint: Any, bare: Any, fallback_name: str, naming: Naming) -> Shape:
    if not _has_fields_or_values(bare):
        raise TypeError(f"{hint!r} has no JSON form; {WRITE_INSTEAD}")
    json_schema(bare)
    own_name = fallback_name if typing.get_origin(bare) is typing.Literal else _class_name(bare)
    definition = Definition(naming(bare, own_name), bare)
    return Shape(definition.name, read=reader(hint), definitions=(definition,))


WRITE_INSTEAD = (
    "write str, int, float, bool, list[...], dict, X | None, an Enum, Literal[...], a dataclass or a msgspec.Struct"
)


def _has_fields_or_values(bare: Any) -> bool:
    if typing.get_origin(bare) is typing.Literal:
        return True
    cls = typing.get_origin(bare) or bare
    return isinstance(cls, type) and (
        is_dataclass(cls)
        or issubclass(cls, msgspec.Struct | enum.Enum)
        or typing.is_typeddict(cls)
        or hasattr(cls, "_fields")
        or hasattr(cls, "__attrs_attrs__")
        or hasattr(cls, "model_json_schema")
    )


def _class_name(bare: Any) -> str:
    text = bare.__name__ if isinstance(bare, type) else str(bare).rpartition(".")[2]
    return re.sub(r"[^A-Za-z0-9._-]+", "_", text).strip("_") or "Type"


def json_schema(hint: Any) -> dict[str, JsonValue]:
    """Return the JSON Schema of a hint; it stands alone: nested types are in its own `$defs`.

    Raises:
        TypeError: something in it has no JSON form.
    """
    if hasattr(hint, "model_json_schema"):
        own: dict[str, JsonValue] = hint.model_json_schema()
        return own
    try:
        schema = msgspec.json.schema(hint, schema_hook=_custom_schema)
    except (TypeError, ValueError) as error:
        reason = str(error).strip().splitlines()[-1]
        raise TypeError(f"{reason}; {WRITE_INSTEAD}") from None
    definitions = schema.pop("$defs", {})
    top = schema.get("$ref", "").removeprefix("#/$defs/")
    if top and not _mentions(definitions, top):
        schema = definitions.pop(top)
    if definitions:
        schema["$defs"] = definitions
    if _has_prefix_items(schema):
        # The contract's default is draft-07, which knows tuples by another keyword.
        schema = {"$schema": _TUPLE_SCHEMA, **schema}
    return schema


def _mentions(node: Any, name: str) -> bool:
    if isinstance(node, dict):
        return node.get("$ref") == f"#/$defs/{name}" or any(_mentions(part, name) for part in node.values())
    return isinstance(node, list) and any(_mentions(part, name) for part in node)


def _has_prefix_items(node: Any) -> bool:
    if isinstance(node, dict):
        return "prefixItems" in node or any(map(_has_prefix_items, node.values()))
    return isinstance(node, list) and any(map(_has_prefix_items, node))


def _custom_schema(cls: type) -> dict[str, JsonValue]:
    if issubclass(cls, os.PathLike):
        return {"type": "string"}
    if hasattr(cls, "model_json_schema"):
        # Nested in a class of another kind: its own `$defs` would dangle there, so only the kind is told.
        return {"type": "object"}
    raise NotImplementedError


def reader(hint: Any) -> Reader:
    """Return what makes a hint's value of a JSON value."""

    def read(value: JsonValue) -> Any:
        return msgspec.convert(value, hint, dec_hook=_read_custom, str_keys=True)

    return read


def _read_custom(cls: type, value: Any) -> Any:
    if issubclass(cls, os.PathLike) and isinstance(value, str):
        return cls(value)  # type: ignore[call-arg]
    if validate := getattr(cls, "model_validate", None):
        return validate(value)
    raise ValueError(f"expected {cls.__name__}")


def _first_of(readers: list[Reader | None]) -> Reader:
    def read(value: JsonValue) -> Any:
        reason = "it fits none of the types"
        for reader in readers:
            if reader is None:
                return value
            try:
                return reader(value)
            except msgspec.ValidationError as error:
                reason = str(error)
        raise msgspec.ValidationError(reason)

    return read
