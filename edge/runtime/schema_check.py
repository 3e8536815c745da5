"""One JSON Schema of a container, made safe to use: strangers wrote it, and strangers send the values.

Only run in the threads of `edge.runtime.definitions`, inside a `time_limit`; importing this loads jsonschema.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, unquote

from jsonschema_specifications import REGISTRY
from referencing import Registry
from referencing.jsonschema import specification_with

from edge.model.json_value import JsonValue
from edge.runtime.schema_keywords import DEFAULT_DIALECT, DIALECTS, path_text, remaining_s, watched

_LARGEST_SCHEMA_NODES = 50_000
_LARGEST_VALUE_NODES = 250_000
_DEEPEST = 110
_LONGEST_MESSAGE = 300

# Values under these keys are data, whatever they look like.
_DATA_KEYWORDS = frozenset({"enum", "const", "default", "example", "examples"})
_SIBLING_PREFIXES = ("#/definitions/", "#/$defs/")


class BrokenSchema(Exception):
    """The definition is no usable JSON Schema; the text says why."""


class TooLargeToCheck(Exception):
    """The value has more parts than a check in the given time could look at."""


class SchemaCheck:
    """Checks values of one defined type; made by `compile_schema`."""

    def __init__(self, validator: Any) -> None:
        self._validator = validator

    def mismatch(self, value: JsonValue) -> str | None:
        """Return what is wrong with a value, with the place inside it first; None if it fits.

        Raises:
            TookTooLong: the time limit is over.
            TooLargeToCheck: the value has more than 250,000 parts.
            Exception: anything else: the schema is broken in a place that only this value reached.
        """
        error = next(self._validator.iter_errors(_named(value)), None)
        if error is None:
            return None
        text = f"{path_text(error)}: {error.message}"
        return text if len(text) <= _LONGEST_MESSAGE else text[: _LONGEST_MESSAGE - 3] + "..."


def compile_schema(name: str, definitions: Mapping[str, JsonValue], by_url: Mapping[str, JsonValue]) -> SchemaCheck:
    """Make the check for one type.

    Args:
        name: The type: a key of `definitions`, or a URL in `by_url`.
        definitions: All definitions of the container's image; `#/definitions/<other>` reaches them where the schema
            itself has nothing of that name.
        by_url: Schemas that were loaded, by their URL; an absolute `$ref` reaches them. Nothing else is ever loaded.

    Raises:
        BrokenSchema: it is no JSON Schema, too large, or of an unknown draft.
        TookTooLong: the time limit is over.
    """
    schema = definitions[name] if name in definitions else by_url[name]
    dialect = _dialect(schema)
    registry, wanted, known = _metaschemas(dialect), {_address(name, definitions)}, set[str]()
    root: JsonValue = None
    addresses = {_urn(other): content for other, content in definitions.items()} | dict(by_url)
    while missing := wanted & addresses.keys() - known:
        for address in missing:
            known.add(address)
            is_root = address == _address(name, definitions)
            try:
                prepared = _prepared(addresses[address], definitions.keys(), wanted)
                _require_schema(prepared, _dialect(addresses[address]))
            except BrokenSchema:
                if is_root:
                    raise
                prepared = True
            if is_root:
                root = prepared
            resource = specification_with(_dialect(addresses[address], DEFAULT_DIALECT)).create_resource(prepared)
            registry = registry.with_resource(address, resource)
    return SchemaCheck(watched(dialect)(root, registry=registry))


def nodes_in(value: JsonValue, limit: int) -> int:
    """Count the parts of a JSON value, stopping above `limit`."""
    count, rest = 0, [value]
    while rest and count <= limit:
        part = rest.pop()
        count += 1
        if isinstance(part, dict | list | tuple):
            if len(part) > limit:
                return count + len(part)
            rest.extend(part.values() if isinstance(part, dict) else part)
    return count


def _urn(name: str) -> str:
    return f"urn:opaca-definition:{quote(name, safe='')}"


def _address(name: str, definitions: Mapping[str, JsonValue]) -> str:
    return _urn(name) if name in definitions else name


def _dialect(schema: JsonValue, otherwise: str | None = None) -> str:
    """Return the draft that a schema names, as a key of `DIALECTS`."""
    named = schema.get("$schema", DEFAULT_DIALECT) if isinstance(schema, dict) else DEFAULT_DIALECT
    dialect = named.removesuffix("#") if isinstance(named, str) else ""
    if dialect not in DIALECTS:
        dialect = (
            dialect.replace("http:", "https:", 1) if "draft/20" in dialect else dialect.replace("https:", "http:", 1)
        )
    if dialect in DIALECTS:
        return dialect
    if otherwise is None:
        raise BrokenSchema(f"$schema {str(named)[:100]!r} is none of the known drafts")
    return otherwise


def _require_schema(schema: JsonValue, dialect: str) -> None:
    """Hold a schema against its draft's own schema.

    Raises:
        BrokenSchema: it does not fit; only unknown names of types do (they fit nothing, contract, section 6).
    """
    if not isinstance(schema, dict | bool):
        raise BrokenSchema("a schema is an object or a boolean")
    if nodes_in(schema, _LARGEST_SCHEMA_NODES) > _LARGEST_SCHEMA_NODES:
        raise BrokenSchema(f"it has more than {_LARGEST_SCHEMA_NODES} parts")
    own_class = watched(dialect, checks_schemas=True)
    metaschema = _without_dialect(DIALECTS[dialect].META_SCHEMA)
    for error in own_class(metaschema, registry=_metaschemas(dialect)).iter_errors(schema):
        is_unknown_type = error.path and error.path[-1] == "type" and isinstance(error.instance, str | list)
        if not is_unknown_type:
            raise BrokenSchema(f"{path_text(error)}: {error.message}"[:_LONGEST_MESSAGE])


def _metaschemas(dialect: str) -> Registry[JsonValue]:
    """Return the drafts' own schemas, prepared like any other, so that no `$ref` leads out of the time limit."""
    draft = dialect.removesuffix("/schema")
    resources = [
        (uri, specification_with(dialect).create_resource(_without_dialect(REGISTRY.contents(uri))))
        for uri in REGISTRY
        if uri.startswith(draft)
    ]
    return Registry().with_resources(resources)


def _without_dialect(schema: JsonValue) -> JsonValue:
    return _prepared(schema, (), set())


def _prepared(schema: JsonValue, siblings: Any, reached: set[str]) -> JsonValue:
    """Copy a schema without any `$schema`, because that would make jsonschema change to its own, unwatched class.

    References to another definition of the image become absolute; every absolute address met is added to `reached`.
    """
    return _Preparation(siblings, reached).copy(schema, schema, 0)


class _Preparation:
    def __init__(self, siblings: Any, reached: set[str]) -> None:
        self._siblings = siblings
        self._reached = reached

    def copy(self, part: JsonValue, root: JsonValue, depth: int) -> JsonValue:
        if depth > _DEEPEST:
            raise BrokenSchema(f"it is nested deeper than {_DEEPEST}")
        if isinstance(part, list):
            return [self.copy(element, root, depth + 1) for element in part]
        if not isinstance(part, dict):
            return part
        remaining_s()
        if isinstance(part.get("$id"), str):
            root = part
        copied = {}
        for key, value in part.items():
            if key == "$schema" and isinstance(value, str):
                continue
            if key == "$ref" and isinstance(value, str):
                copied[key] = self._reference(value, root)
            elif key in _DATA_KEYWORDS and not isinstance(value, dict):
                copied[key] = value
            else:
                copied[key] = self.copy(value, root, depth + 1)
        return copied

    def _reference(self, reference: str, root: JsonValue) -> str:
        for prefix in _SIBLING_PREFIXES:
            if reference.startswith(prefix):
                name, slash, rest = reference[len(prefix) :].partition("/")
                name = unquote(name).replace("~1", "/").replace("~0", "~")
                own = root.get(prefix[2:-1]) if isinstance(root, dict) else None
                if name in self._siblings and not (isinstance(own, dict) and name in own):
                    reference = f"{_urn(name)}#{slash}{rest}" if slash else _urn(name)
        self._reached.add(reference.partition("#")[0])
        return reference


class _List(list[JsonValue]):
    """An array that names itself briefly: jsonschema writes values into messages, however large they are."""

    def __repr__(self) -> str:
        return f"an array of {len(self)}"


class _Object(dict[str, JsonValue]):
    """An object that names itself briefly."""

    def __repr__(self) -> str:
        return f"an object of {len(self)}"


def _named(value: JsonValue) -> JsonValue:
    """Copy a value so that it names itself briefly.

    Raises:
        TooLargeToCheck: it has too many parts.
    """
    if not isinstance(value, list | tuple | dict):
        return value
    if nodes_in(value, _LARGEST_VALUE_NODES) > _LARGEST_VALUE_NODES:
        raise TooLargeToCheck
    return _copy_named(value)


def _copy_named(value: JsonValue) -> JsonValue:
    if isinstance(value, dict):
        return _Object((key, _copy_named(element)) for key, element in value.items())
    if isinstance(value, list | tuple):
        return _List(_copy_named(element) for element in value)
    return value
