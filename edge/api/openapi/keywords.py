"""JSON Schemas reduced to what OpenAPI 3.0 knows (contract, section 10.3 and Q28). Nothing here ever fails."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from edge.model.json_value import JsonValue

Schema: TypeAlias = dict[str, Any]
"""A schema object of OpenAPI 3.0; `{}` accepts anything."""

# Given a `$ref`, returns what stands in its place, None if it leads nowhere.
Resolve: TypeAlias = Callable[[str], str | None]

TYPES = ("string", "integer", "number", "boolean", "array", "object")


def _is_number(value: JsonValue) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_count(value: JsonValue) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_text(value: JsonValue) -> bool:
    return isinstance(value, str)


def _is_flag(value: JsonValue) -> bool:
    return isinstance(value, bool)


def _is_names(value: JsonValue) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(name, str) for name in value)


# Keywords that are copied where their value is of the right form; the order is that of the document.
_COPIED: dict[str, Callable[[JsonValue], bool]] = {
    "title": _is_text,
    "description": _is_text,
    "format": _is_text,
    "multipleOf": lambda value: _is_number(value) and value > 0,
    "maximum": _is_number,
    "exclusiveMaximum": _is_flag,
    "minimum": _is_number,
    "exclusiveMinimum": _is_flag,
    "maxLength": _is_count,
    "minLength": _is_count,
    "pattern": _is_text,
    "maxItems": _is_count,
    "minItems": _is_count,
    "uniqueItems": _is_flag,
    "maxProperties": _is_count,
    "minProperties": _is_count,
    "enum": lambda value: isinstance(value, list) and bool(value),
    "default": lambda value: True,
    "nullable": _is_flag,
    "readOnly": _is_flag,
    "writeOnly": _is_flag,
    "deprecated": _is_flag,
}


def reduced(schema: JsonValue, resolve: Resolve) -> Schema:
    """Return the OpenAPI 3.0 form of a JSON Schema; what it cannot say is left out, so that it accepts more, not less.

    Args:
        schema: Of any draft, or anything else, which accepts everything.
        resolve: What to write for a `$ref`.
    """
    if schema is False:
        return {"not": {}}
    if not isinstance(schema, dict):
        return {}
    if isinstance(schema.get("$ref"), str):
        return _reference(schema, resolve)
    result: Schema = {}
    _put_type(result, schema)
    for keyword, is_usable in _COPIED.items():
        if keyword in schema and is_usable(schema[keyword]):
            result[keyword] = schema[keyword]
    if "const" in schema and "enum" not in result:
        result["enum"] = [schema["const"]]
    _put_exclusive_bounds(result, schema)
    _put_array_keywords(result, schema, resolve)
    _put_object_keywords(result, schema, resolve)
    _put_combinations(result, schema, resolve)
    if result.get("nullable") and None not in result.get("enum", [None]):
        result["enum"] = [*result["enum"], None]
    return result


def _reference(schema: Schema, resolve: Resolve) -> Schema:
    target = resolve(schema["$ref"])
    if target is None:
        return {}
    beside: Schema = {
        key: schema[key] for key in ("title", "description", "default") if key in schema and _COPIED[key](schema[key])
    }
    # OpenAPI 3.0 ignores whatever stands beside a $ref.
    return {**beside, "allOf": [{"$ref": target}]} if beside else {"$ref": target}


def _put_type(result: Schema, schema: Schema) -> None:
    named = schema.get("type")
    names = [named] if isinstance(named, str) else named if isinstance(named, list) else []
    known = [name for name in TYPES if name in names]
    if "null" in names:
        result["nullable"] = True
    if len(known) == 1:
        result["type"] = known[0]
        if known[0] == "array":
            result["items"] = {}
    elif known:
        result["anyOf"] = [{"type": name, **({"items": {}} if name == "array" else {})} for name in known]
    elif "null" in names:
        # There is no type null; this is how the contract writes it.
        result["type"] = "object"


def _put_exclusive_bounds(result: Schema, schema: Schema) -> None:
    """Write the numeric bounds of draft-06 and later as the flags that OpenAPI 3.0 has."""
    for keyword, bound, sign in (("exclusiveMinimum", "minimum", 1), ("exclusiveMaximum", "maximum", -1)):
        limit: Any = schema.get(keyword)
        if _is_number(limit) and not (bound in result and result[bound] * sign > limit * sign):
            result[bound] = limit
            result[keyword] = True


def _put_array_keywords(result: Schema, schema: Schema, resolve: Resolve) -> None:
    items = schema.get("items")
    # Tuples are more than OpenAPI 3.0 can say: their elements are anything.
    if isinstance(items, dict | bool) and "prefixItems" not in schema:
        result["items"] = reduced(items, resolve)


def _put_object_keywords(result: Schema, schema: Schema, resolve: Resolve) -> None:
    if _is_names(schema.get("required")):
        result["required"] = list(dict.fromkeys(schema["required"]))
    properties = schema.get("properties")
    if isinstance(properties, dict):
        result["properties"] = {name: reduced(value, resolve) for name, value in properties.items()}
    further = schema.get("additionalProperties")
    if isinstance(further, dict):
        result["additionalProperties"] = reduced(further, resolve)
    # Names that only `patternProperties` allows must not become forbidden with it gone.
    elif isinstance(further, bool) and "patternProperties" not in schema:
        result["additionalProperties"] = further


def _put_combinations(result: Schema, schema: Schema, resolve: Resolve) -> None:
    for keyword in ("allOf", "anyOf", "oneOf"):
        branches = schema.get(keyword)
        if not isinstance(branches, list) or not branches:
            continue
        kept = [branch for branch in branches if not (keyword != "allOf" and _is_null(branch))]
        if len(kept) < len(branches):
            result["nullable"] = True
        written = [reduced(branch, resolve) for branch in kept]
        if keyword == "anyOf" and "anyOf" in result:
            result["allOf"] = [{"anyOf": result.pop("anyOf")}, {"anyOf": written}]
        elif len(written) == 1 and keyword != "allOf" and "$ref" not in written[0]:
            result.update({key: value for key, value in written[0].items() if key not in result})
        elif written:
            joined = "allOf" if len(written) == 1 else keyword
            result[joined] = result.get(joined, []) + written
        elif kept != branches:
            result.setdefault("type", "object")
    if isinstance(schema.get("not"), dict | bool):
        result["not"] = reduced(schema["not"], resolve)
    discriminator = schema.get("discriminator")
    if isinstance(discriminator, dict) and isinstance(discriminator.get("propertyName"), str):
        result["discriminator"] = _discriminator(discriminator, resolve)


def _is_null(schema: JsonValue) -> bool:
    return isinstance(schema, dict) and schema.get("type") == "null"


def _discriminator(discriminator: Schema, resolve: Resolve) -> Schema:
    mapping = discriminator.get("mapping")
    result: Schema = {"propertyName": discriminator["propertyName"]}
    if isinstance(mapping, dict):
        targets = {name: resolve(target) for name, target in mapping.items() if isinstance(target, str)}
        result["mapping"] = {name: target for name, target in targets.items() if target is not None}
    return result
