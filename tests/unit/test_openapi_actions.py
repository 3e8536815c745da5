"""The document of all actions: the contract's example, and that no container can spoil it."""

from __future__ import annotations

from typing import Any

import pytest

from edge.api.openapi.actions import actions_document
from edge.api.openapi.rendering import as_json, as_yaml
from edge.model.descriptions import Action, ArrayItems, Parameter
from edge.model.json_value import JsonValue
from tests.unit.actions_documents import act, container, document

SET_LEVEL = Action(
    name="SetLevel",
    description="Dims the lamp.",
    parameters={
        "room": Parameter(type="string"),
        "level": Parameter(type="integer"),
        "fade": Parameter(type="number", required=False, default_value=0.5),
        "scenes": Parameter(type="array", required=False, items=ArrayItems(type="string")),
        "lamp": Parameter(type="Lamp", required=False, default_value={"a": 1}),
    },
    result=Parameter(type="boolean"),
)


def test_document_is_the_contracts_example() -> None:
    lamp = container([SET_LEVEL], {"Lamp": {"type": "object"}}, {"Room": "https://example.org/room.json"})
    made = document(lamp, require_auth=True)
    assert list(made) == ["openapi", "info", "security", "paths", "components"]
    assert made["openapi"] == "3.0.1"
    assert made["info"]["version"] == "0.2"
    assert made["security"] == [{"bearerAuth": []}]
    assert made["paths"] == {
        "/invoke/SetLevel/lamp1": {
            "post": {
                "tags": ["lamp1"],
                "description": "Dims the lamp.",
                "operationId": "c-77;lamp1;SetLevel",
                "parameters": [
                    {"$ref": "#/components/parameters/timeoutParam"},
                    {"$ref": "#/components/parameters/containerIdParam"},
                    {"$ref": "#/components/parameters/forwardParam"},
                ],
                "requestBody": {
                    "content": {
                        "application/json": {
                            "schema": {
                                "required": ["level", "room"],
                                "type": "object",
                                "properties": {
                                    "room": {"type": "string"},
                                    "level": {"type": "integer", "format": "int32"},
                                    "fade": {"type": "number", "default": 0.5},
                                    "scenes": {"type": "array", "items": {"type": "string"}},
                                    "lamp": {"$ref": "#/components/schemas/Lamp"},
                                },
                            }
                        }
                    },
                    "required": True,
                },
                "responses": {
                    "200": {"description": "OK", "content": {"*/*": {"schema": {"type": "boolean"}}}},
                    "default": {
                        "description": "Unexpected error",
                        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
                    },
                },
            }
        }
    }
    assert made["components"]["schemas"] == {
        "Lamp": {"type": "object"},
        "Room": {"$ref": "https://example.org/room.json"},
        "Error": {
            "type": "object",
            "properties": {"code": {"type": "integer", "format": "int32"}, "message": {"type": "string"}},
        },
    }
    assert made["components"]["parameters"]["timeoutParam"]["schema"] == {"type": "integer", "format": "int32"}
    assert list(made["components"]) == ["schemas", "parameters", "securitySchemes"]
    bearer = {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
    assert made["components"]["securitySchemes"] == {"bearerAuth": bearer}


def test_without_authentication_there_is_no_word_of_security() -> None:
    text = as_json(document(container([SET_LEVEL])))
    assert "security" not in text
    assert "servers" not in text


def test_platform_without_actions_has_an_empty_document() -> None:
    made = document()
    assert made["paths"] == {}
    assert made["components"] == {}
    assert list(document(container([], {"Lamp": True}))["components"]) == ["schemas"]
    assert list(document(require_auth=True)["components"]) == ["securitySchemes"]


def test_action_without_parameters_takes_an_object() -> None:
    operation = document(container([act("Ping")]))["paths"]["/invoke/Ping/lamp1"]["post"]
    assert operation["requestBody"]["content"]["application/json"]["schema"] == {"type": "object"}
    assert operation["responses"]["200"]["content"]["*/*"]["schema"] == {"type": "object", "nullable": True}
    assert "description" not in operation


@pytest.mark.parametrize(
    ("declared", "schema"),
    [
        (Parameter(type="object"), {"type": "object"}),
        (Parameter(type="null"), {"type": "object", "nullable": True}),
        (Parameter(type="array"), {"type": "object", "nullable": True}),
        (
            Parameter(type="array", items=ArrayItems(type="array", items=ArrayItems(type="integer"))),
            {"type": "array", "items": {"type": "array", "items": {"type": "integer", "format": "int32"}}},
        ),
        (
            Parameter(type="array", items=ArrayItems(type="array")),
            {"type": "array", "items": {"type": "object", "nullable": True}},
        ),
    ],
)
def test_types_are_written_as_the_contract_says(declared: Parameter, schema: dict[str, Any]) -> None:
    made = document(container([Action(name="Act", parameters={"p": declared})]))
    body = made["paths"]["/invoke/Act/lamp1"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert body["properties"]["p"] == schema


@pytest.mark.parametrize(
    ("type_name", "given", "written"),
    [
        ("integer", 3, 3),
        ("integer", 3.0, 3),
        ("integer", "3", 3),
        ("integer", 3.5, None),
        ("integer", "x", None),
        ("integer", True, None),
        ("integer", 2**40, None),
        ("number", 3, 3),
        ("number", "0.5", 0.5),
        ("number", "nan", None),
        ("number", [], None),
        ("boolean", True, True),
        ("boolean", "False", False),
        ("boolean", 1, None),
        ("string", 5, "5"),
        ("string", True, "true"),
        ("string", {"a": 1}, None),
        ("Lamp", {"a": 1}, None),
        ("array", [1], None),
    ],
)
def test_default_is_written_where_it_is_of_the_type(type_name: str, given: JsonValue, written: JsonValue) -> None:
    declared = Parameter(type=type_name, required=False, default_value=given)
    made = document(container([Action(name="Act", parameters={"p": declared})]))
    body = made["paths"]["/invoke/Act/lamp1"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert body["properties"]["p"].get("default") == written


def test_undefined_type_accepts_anything_instead_of_leading_nowhere() -> None:
    made = document(container([act(p="Any", q="tuple[int]", r="Any")]))
    properties = made["paths"]["/invoke/Act/lamp1"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert properties["properties"]["p"] == {"$ref": "#/components/schemas/Any"}
    assert made["components"]["schemas"]["Any"] == {}
    assert properties["properties"]["q"] == {"$ref": "#/components/schemas/tuple_int_"}


def test_later_container_wins_the_path_of_the_same_action_and_agent() -> None:
    made = document(container([act()], container_id="a"), container([act()], container_id="b"))
    assert [path["post"]["operationId"] for path in made["paths"].values()] == ["b;lamp1;Act"]


def test_names_that_no_path_could_hold_are_escaped() -> None:
    made = document(container([act("Do {it}/100%")], agent_id="ä b"))
    assert list(made["paths"]) == ["/invoke/Do%20%7Bit%7D%2F100%25/%C3%A4%20b"]


def test_definition_called_error_does_not_take_the_place_of_ours() -> None:
    made = document(container([act(p="Error")], {"Error": {"type": "integer"}}))
    assert "code" in made["components"]["schemas"]["Error"]["properties"]
    assert made["components"]["schemas"]["Error_2"] == {"type": "integer"}


def test_definition_called_object_is_used_but_string_is_not() -> None:
    made = document(
        container([act(p="object", q="string")], {"object": {"minProperties": 1}, "string": {"maxLength": 1}})
    )
    body = made["paths"]["/invoke/Act/lamp1"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert body["properties"] == {"p": {"$ref": "#/components/schemas/object"}, "q": {"type": "string"}}


@pytest.mark.parametrize("url", ["", "room.json", "file:///etc/passwd", "javascript:x", "http://a b"])
def test_url_that_is_none_accepts_anything(url: str) -> None:
    assert document(container([act(p="Room")], by_url={"Room": url}))["components"]["schemas"]["Room"] == {}


def test_yaml_says_the_same_and_quotes_what_looks_like_a_number() -> None:
    import yaml

    sly = [
        "1e3",
        "0o17",
        "12:30:45",
        "1_000",
        "0x1f",
        ".5",
        "1.5",
        "12e03",
        "yes",
        "null",
        "~",
        "2026-04-21",
        "",
        "a: b",
        "#",
    ]
    actions = [Action(name=f"A{i}", description=text, parameters={}) for i, text in enumerate(sly)]
    made = document(container([*actions, SET_LEVEL], agent_id="1e3"))
    text = as_yaml(made)
    assert yaml.safe_load(text) == made
    assert "'200':" in text
    assert "- '1e3'" in text
    assert "description: '12e03'" in text
    assert "&id" not in text


def test_thousands_of_actions_are_described_quickly() -> None:
    import time

    box = {"$defs": {"Inner": {"type": "object"}}, "properties": {"inner": {"$ref": "#/$defs/Inner"}}}
    many = [
        container([act(f"A{n}", p="Box", q="integer") for n in range(10)], {"Box": box}, agent_id=f"agent{i}")
        for i in range(200)
    ]
    started = time.process_time()
    made = actions_document(many, True)
    assert time.process_time() - started < 1.0
    assert len(made["paths"]) == 2000
    assert set(made["components"]["schemas"]) == {"Box", "Inner", "Error"}
