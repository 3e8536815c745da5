"""Definitions in the actions document: reduced to OpenAPI 3.0, each under a name of its own, none a dead end."""

from __future__ import annotations

from typing import Any

import pytest

from edge.model.json_value import JsonValue
from tests.unit.actions_documents import act, container, document, refs, schemas_of


def test_models_of_the_python_sdk_keep_their_inner_models() -> None:
    """Written as pydantic 2 writes a model with a nested one, an optional field, an enum and a discriminated union."""
    box = {
        "$defs": {
            "Cat": {"properties": {"kind": {"const": "cat", "title": "Kind", "type": "string"}}, "type": "object"},
            "Dog": {"properties": {"kind": {"const": "dog", "title": "Kind", "type": "string"}}, "type": "object"},
            "Inner": {
                "properties": {"next": {"anyOf": [{"$ref": "#/$defs/Inner"}, {"type": "null"}]}},
                "type": "object",
            },
            "Colour": {"enum": ["red", "blue"], "title": "Colour", "type": "string"},
        },
        "properties": {
            "inner": {"$ref": "#/$defs/Inner"},
            "size": {"anyOf": [{"type": "integer"}, {"type": "null"}], "default": None, "title": "Size"},
            "colour": {"$ref": "#/$defs/Colour", "description": "Of the lid."},
            "pet": {
                "discriminator": {"mapping": {"cat": "#/$defs/Cat", "dog": "#/$defs/Dog"}, "propertyName": "kind"},
                "oneOf": [{"$ref": "#/$defs/Cat"}, {"$ref": "#/$defs/Dog"}],
            },
            "pair": {"maxItems": 2, "minItems": 2, "prefixItems": [{"type": "integer"}], "type": "array"},
            "open": {"exclusiveMinimum": 0, "type": "number", "examples": [1]},
        },
        "required": ["inner"],
        "title": "Box",
        "type": "object",
    }
    schemas = schemas_of({"Box": box})
    assert set(schemas) == {"Box", "Cat", "Dog", "Inner", "Colour", "Error"}
    properties = schemas["Box"]["properties"]
    assert properties["inner"] == {"$ref": "#/components/schemas/Inner"}
    assert properties["size"] == {"title": "Size", "default": None, "nullable": True, "type": "integer"}
    assert properties["colour"]["allOf"] == [{"$ref": "#/components/schemas/Colour"}]
    assert properties["colour"]["description"] == "Of the lid."
    assert properties["pet"]["discriminator"]["mapping"]["cat"] == "#/components/schemas/Cat"
    assert properties["pair"] == {"type": "array", "items": {}, "maxItems": 2, "minItems": 2}
    assert properties["open"] == {"type": "number", "minimum": 0, "exclusiveMinimum": True}
    inner = {"nullable": True, "allOf": [{"$ref": "#/components/schemas/Inner"}]}
    assert schemas["Inner"]["properties"]["next"] == inner
    assert schemas["Cat"]["properties"]["kind"]["enum"] == ["cat"]


@pytest.mark.parametrize(
    ("schema", "written"),
    [
        (True, {}),
        (False, {"not": {}}),
        (5, {}),
        ({"type": ["string", "null"]}, {"type": "string", "nullable": True}),
        ({"type": ["string", "integer"]}, {"anyOf": [{"type": "string"}, {"type": "integer"}]}),
        ({"type": "null"}, {"type": "object", "nullable": True}),
        ({"type": "gadget"}, {}),
        ({"type": "array"}, {"type": "array", "items": {}}),
        ({"type": "array", "items": [{"type": "string"}]}, {"type": "array", "items": {}}),
        ({"items": True}, {"items": {}}),
        ({"const": 3, "$id": "x", "$comment": "y", "examples": [1]}, {"enum": [3]}),
        ({"enum": ["a"], "type": ["string", "null"]}, {"type": "string", "nullable": True, "enum": ["a", None]}),
        ({"required": []}, {}),
        ({"required": True, "description": None, "title": 5, "minLength": "x", "multipleOf": 0}, {}),
        (
            {"properties": {"a": True, "b": {"$ref": "#"}}},
            {"properties": {"a": {}, "b": {"$ref": "#/components/schemas/T"}}},
        ),
        ({"patternProperties": {"^a": {}}, "additionalProperties": False}, {}),
        ({"additionalProperties": {"type": "string"}}, {"additionalProperties": {"type": "string"}}),
        ({"minimum": 5, "exclusiveMinimum": 3}, {"minimum": 5}),
        ({"minimum": 5, "exclusiveMinimum": True}, {"minimum": 5, "exclusiveMinimum": True}),
        ({"maximum": 5, "exclusiveMaximum": 3}, {"maximum": 3, "exclusiveMaximum": True}),
        ({"if": {}, "then": {}, "dependencies": {}, "x-mine": 1}, {}),
        ({"anyOf": [{"type": "null"}]}, {"nullable": True, "type": "object"}),
        ({"oneOf": [], "allOf": "x", "not": {"type": "string"}}, {"not": {"type": "string"}}),
        ({"$ref": "#/nowhere"}, {}),
        ({"$ref": "#/$defs/Nowhere"}, {}),
        ({"$ref": "#anchor"}, {}),
        ({"$ref": "other.json"}, {}),
        ({"$ref": "#"}, {}),
        ({"properties": {"default": {"type": "string"}}}, {"properties": {"default": {"type": "string"}}}),
    ],
    ids=str,
)
def test_definitions_are_reduced_to_what_openapi_knows(schema: JsonValue, written: dict[str, Any]) -> None:
    assert schemas_of({"T": schema})["T"] == written


def test_definitions_of_one_image_reach_each_other() -> None:
    schemas = schemas_of(
        {"A": {"items": {"$ref": "#/definitions/B"}}, "B": {"properties": {"a": {"$ref": "#/definitions/A"}}}}
    )
    assert schemas["A"]["items"] == {"$ref": "#/components/schemas/B"}
    assert schemas["B"]["properties"]["a"] == {"$ref": "#/components/schemas/A"}


def test_definitions_that_only_lead_to_each_other_accept_anything() -> None:
    schemas = schemas_of({"A": {"$ref": "#/definitions/B"}, "B": {"$ref": "#/definitions/A"}})
    assert {} in (schemas["A"], schemas["B"])


def test_containers_with_different_definitions_of_one_name_do_not_meet() -> None:
    first = container([act("One", p="Lamp")], {"Lamp": {"type": "string"}}, agent_id="a")
    second = container([act("Two", p="Lamp")], {"Lamp": {"type": "integer"}}, agent_id="b")
    third = container([act("Three", p="Lamp")], {"Lamp": {"type": "string"}}, agent_id="c")
    undefined = container([act("Four", p="Lamp")], agent_id="d")
    made = document(first, second, third, undefined)
    used = {path: refs(item["post"]["requestBody"])[0].rpartition("/")[2] for path, item in made["paths"].items()}
    assert list(used.values()) == ["Lamp", "Lamp_2", "Lamp", "Lamp_3"]
    assert made["components"]["schemas"]["Lamp_2"] == {"type": "integer"}


def test_equal_texts_that_speak_of_different_neighbours_are_two_schemas() -> None:
    lamp = {"items": {"$ref": "#/definitions/Bulb"}}
    first = container([act(p="Lamp")], {"Lamp": lamp, "Bulb": {"type": "string"}}, agent_id="a")
    second = container([act(p="Lamp")], {"Lamp": lamp, "Bulb": {"type": "integer"}}, agent_id="b")
    schemas = document(first, second)["components"]["schemas"]
    assert schemas["Lamp"]["items"] == {"$ref": "#/components/schemas/Bulb"}
    assert schemas["Lamp_2"]["items"] == {"$ref": "#/components/schemas/Bulb_2"}
