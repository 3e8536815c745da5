"""Defined types: what JSON Schemas refuse, and what broken, slow or hostile ones must not do."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from edge.model.definitions import DefinedValue, Definitions, NoDefinitions
from edge.model.descriptions import AgentContainerImage
from edge.model.json_value import JsonValue
from edge.runtime.definitions import SchemaDefinitions, Schemas

DRAFT_2020 = "https://json-schema.org/draft/2020-12/schema"
DRAFT_4 = "http://json-schema.org/draft-04/schema#"


@pytest.fixture
async def schemas() -> AsyncIterator[Schemas]:
    async with Schemas(check_limit_s=0.15) as opened:
        yield opened


def define(schemas: Schemas, definitions: dict[str, JsonValue]) -> Definitions:
    return schemas.of("boxes", AgentContainerImage(image_name="i", definitions=definitions))


async def mismatch(definitions: Definitions, name: str, value: JsonValue) -> str | None:
    """Ask as the runtime does: only for types that the definitions claim to know."""
    return await definitions.mismatch([DefinedValue(name, value, "p")]) if name in definitions else None


async def refused(schemas: Schemas, schema: JsonValue, value: JsonValue) -> bool:
    return await mismatch(define(schemas, {"T": schema}), "T", value) is not None


def test_image_without_definitions_costs_nothing() -> None:
    image = AgentContainerImage(image_name="i")
    assert isinstance(Schemas().of("c", image), NoDefinitions)


async def test_mismatch_names_the_place_inside_the_value(schemas: Schemas) -> None:
    box = {"type": "object", "properties": {"sizes": {"items": {"type": "integer"}}}}
    definitions = define(schemas, {"Box": box})
    values = [DefinedValue("Box", {"sizes": [1]}, "boxes[0]"), DefinedValue("Box", {"sizes": [1, "x"]}, "boxes[1]")]
    assert await definitions.mismatch(values) == 'parameter boxes[1].sizes[1]: expected integer, got "x" (type Box)'
    assert await definitions.mismatch(values[:1]) is None


@pytest.mark.parametrize(
    ("schema", "good", "bad"),
    [
        ({"type": "integer"}, [1, 1.0, 2**70], [1.5, "1", True, None]),
        ({"type": ["integer", "null"]}, [1, None], ["x", True]),
        ({"type": "number"}, [1, 1.5], [True, "1"]),
        ({"type": "boolean"}, [True], [1, 0]),
        ({"type": "gadget"}, [], [1, "gadget", None, {}]),
        ({"properties": {"a": {"type": "string"}}}, [{"a": "x", "b": 1}, 5], [{"a": 1}]),
        ({"properties": {"a": {}}, "additionalProperties": False}, [{"a": 1}], [{"b": 1}]),
        (
            {"patternProperties": {"^x": {"type": "integer"}}, "additionalProperties": False},
            [{"x1": 1}],
            [{"x": ""}, {"y": 1}],
        ),
        ({"additionalProperties": {"type": "integer"}}, [{"a": 1}], [{"a": "x"}]),
        (
            {"uniqueItems": True},
            [[1, "1", True, [1], {"a": 1}], "aa"],
            [[1, 1.0], [{"a": 1, "b": 2}, {"b": 2, "a": 1}]],
        ),
        ({"anyOf": [{"type": "integer"}, {"required": ["a"]}]}, [1, {"a": 1}], [{}]),
        ({"oneOf": [{"minimum": 1}, {"maximum": 3}]}, [0, 4], [2]),
        ({"oneOf": [{"type": "integer"}, {"type": "null"}]}, [0, None], ["x"]),
        ({"not": {"type": "string"}}, [1], ["x"]),
        ({"if": {"type": "integer"}, "then": {"minimum": 5}, "else": {"type": "string"}}, [5, "x"], [4, None]),
        ({"enum": [1, "a", [True]]}, [1, "a", [True]], [True, "b", [1]]),
        ({"const": {"a": 1}}, [{"a": 1.0}], [{"a": True}]),
        ({"pattern": r"^\d{2}$"}, ["12", 5], ["123"]),
        ({"pattern": r"\p{Lu}"}, ["Äh"], ["äh"]),
        ({"minItems": 1, "contains": {"type": "integer"}}, [["a", 1]], [[], ["a"]]),
        ({"propertyNames": {"maxLength": 2}}, [{"ab": 1}], [{"abc": 1}]),
        ({"format": "date-time"}, ["2026-04-21T13:13:39Z", 5], ["yesterday"]),
        ({"format": "uuid"}, ["3b0e6c1c-9d4f-4b3c-8a53-5d0a3c1e9b11"], ["3b0e"]),
        ({"format": "colour", "x-unknown": 5}, ["anything"], []),
        ({"$schema": DRAFT_2020, "format": "date-time"}, ["yesterday"], []),
        ({"$schema": DRAFT_2020, "prefixItems": [{"type": "integer"}], "items": False}, [[1], []], [["a"], [1, 2]]),
        ({"$schema": DRAFT_4, "minimum": 3, "exclusiveMinimum": True, "type": "integer"}, [4, 4.0], [3, 4.5]),
        (
            {"$schema": "https://json-schema.org/draft/2019-09/schema", "dependentRequired": {"a": ["b"]}},
            [{"b": 1}],
            [{"a": 1}],
        ),
        ({"$schema": "https://json-schema.org/draft-07/schema#", "const": 1}, [1], [2]),
        ({"items": {"$ref": "#/$defs/Inner"}, "$defs": {"Inner": {"type": "integer"}}}, [[1]], [["a"]]),
        ({"$id": "http://x/y", "items": {"$ref": "#/definitions/I"}, "definitions": {"I": {"const": 1}}}, [[1]], [[2]]),
        (
            {"properties": {"next": {"$ref": "#"}, "v": {"type": "integer"}}},
            [{"next": {"v": 1}}],
            [{"next": {"next": {"v": ""}}}],
        ),
        (
            {"properties": {"enum": {"type": "string"}, "$ref": {"type": "string"}}},
            [{"enum": "a"}],
            [{"enum": 1}, {"$ref": 1}],
        ),
        ({"$ref": "http://json-schema.org/draft-07/schema#"}, [{"type": "string"}, True], [{"minLength": -1}, 5]),
        (True, [1, None], []),
        (False, [], [1, None]),
        ({}, [1, None], []),
    ],
)
async def test_schema_accepts_and_refuses(
    schemas: Schemas, schema: JsonValue, good: list[JsonValue], bad: list[JsonValue], caplog: pytest.LogCaptureFixture
) -> None:
    definitions = define(schemas, {"T": schema})
    assert [value for value in good if await mismatch(definitions, "T", value) is not None] == []
    assert [value for value in bad if await mismatch(definitions, "T", value) is None] == []
    assert caplog.records == []


async def test_definitions_reach_each_other(schemas: Schemas) -> None:
    definitions = define(
        schemas,
        {
            "Box": {
                "properties": {"lid": {"$ref": "#/definitions/Lid"}, "own": {"$ref": "#/definitions/Own"}},
                "definitions": {"Own": {"const": 1}},
            },
            "Lid": {
                "properties": {"screw": {"$ref": "#/$defs/S"}, "box": {"$ref": "#/definitions/Box"}},
                "$defs": {"S": {"type": "integer"}},
            },
            "Own": {"const": 2},
            "a b/c": {"type": "integer"},
            "Part": {
                "properties": {"n": {"$ref": "#/definitions/a%20b~1c"}, "s": {"$ref": "#/definitions/Lid/$defs/S"}}
            },
        },
    )
    assert await mismatch(definitions, "Box", {"lid": {"screw": 1, "box": {"own": 1}}}) is None
    assert await mismatch(definitions, "Box", {"lid": {"screw": "x"}})
    assert await mismatch(definitions, "Box", {"lid": {"box": {"own": 2}}})
    assert await mismatch(definitions, "Part", {"n": "x"})
    assert await mismatch(definitions, "Part", {"s": "x"})
    assert await mismatch(definitions, "Part", {"n": 1, "s": 1}) is None


@pytest.mark.parametrize(
    "broken",
    [
        5,
        "text",
        None,
        ["a"],
        {"required": "a"},
        {"minLength": "x"},
        {"properties": 5},
        {"pattern": "["},
        {"patternProperties": {"[": {}}},
        {"$schema": "http://example.org/mine"},
        {"$schema": "not a uri"},
        {"$schema": 5},
        {"$ref": "http://example.org/elsewhere.json"},
        {"$ref": "#/definitions/nowhere"},
        {"$ref": "file:///etc/passwd"},
        {"$ref": "#"},
        {"allOf": [{"$ref": "#"}]},
        {"multipleOf": 0},
        {"properties": {f"p{i}": {"type": "string"} for i in range(60_000)}},
    ],
    ids=lambda schema: str(schema)[:40],
)
async def test_broken_definition_accepts_anything_and_is_named_once(
    schemas: Schemas, broken: JsonValue, caplog: pytest.LogCaptureFixture
) -> None:
    definitions = define(schemas, {"Broken": broken, "Good": {"type": "integer"}})
    for value in (1, "a", {"a": 1}, [1]):
        assert await mismatch(definitions, "Broken", value) is None
    assert await mismatch(definitions, "Good", "x") is not None
    assert ["Broken" in record.getMessage() for record in caplog.records] == [True]


async def test_reference_to_a_broken_definition_accepts_anything(schemas: Schemas) -> None:
    definitions = define(
        schemas, {"A": {"properties": {"b": {"$ref": "#/definitions/B"}, "n": {"type": "integer"}}}, "B": 5}
    )
    assert await mismatch(definitions, "A", {"b": 1, "n": 1}) is None
    assert await mismatch(definitions, "A", {"n": "x"})


def exponential(levels: int, keyword: str) -> dict[str, Any]:
    definitions: dict[str, Any] = {"d0": {"properties": {"x": {"type": "integer"}}}}
    for level in range(levels):
        definitions[f"d{level + 1}"] = {keyword: [{"$ref": f"#/definitions/d{level}"}] * 2}
    return {"$ref": f"#/definitions/d{levels}", "definitions": definitions}


SLOW: dict[str, tuple[JsonValue, JsonValue]] = {
    "pattern": ({"pattern": r"^(a|aa)+$"}, "a" * 60 + "!"),
    "pattern properties": ({"patternProperties": {r"^(a|aa)+$": {}}}, {"a" * 60 + "!": 1}),
    "additional properties": (
        {"patternProperties": {r"^(a|aa)+$": {}}, "additionalProperties": False},
        {"a" * 60 + "!": 1},
    ),
    "allOf": (exponential(30, "allOf"), {"x": 1}),
    "anyOf": (exponential(30, "anyOf"), {"x": "wrong"}),
    "oneOf": (exponential(30, "oneOf"), {"x": "wrong"}),
    "unevaluated": (
        {"$schema": DRAFT_2020, "patternProperties": {r"^(a|aa)+$": {}}, "unevaluatedProperties": False},
        {"a" * 60 + "!": 1},
    ),
    "propertyNames": ({"propertyNames": {"pattern": r"^(a|aa)+$"}}, {"a" * 60 + "!": 1}),
}


@pytest.mark.parametrize("case", SLOW)
async def test_slow_schema_ends_in_time_while_the_loop_goes_on(schemas: Schemas, case: str) -> None:
    schema, value = SLOW[case]
    definitions = define(schemas, {"Slow": schema})
    await mismatch(definitions, "Slow", 5)  # loads jsonschema
    async with longest_stall() as stall_s:
        started = time.monotonic()
        assert await mismatch(definitions, "Slow", value) is None
        took_s = time.monotonic() - started
    assert took_s < 10.0
    assert stall_s() < 0.25 + took_s / 2


@asynccontextmanager
async def longest_stall() -> AsyncIterator[Callable[[], float]]:
    """Measure, in seconds, for how long at most the loop was not asked for anything."""
    longest = 0.0

    async def tick() -> None:
        nonlocal longest
        while True:
            before = time.monotonic()
            await asyncio.sleep(0.001)
            longest = max(longest, time.monotonic() - before)

    async with asyncio.TaskGroup() as tasks:
        ticking = tasks.create_task(tick())
        await asyncio.sleep(0.01)
        yield lambda: longest
        ticking.cancel()


async def test_schema_that_is_always_too_slow_is_given_up(schemas: Schemas, caplog: pytest.LogCaptureFixture) -> None:
    schema, value = SLOW["pattern"]
    definitions = define(schemas, {"Slow": schema})
    for _ in range(3):
        assert "Slow" in definitions
        assert await mismatch(definitions, "Slow", value) is None
    assert "Slow" not in definitions
    assert len(caplog.records) == 1


async def test_slow_values_do_not_take_a_good_type_out_of_use(schemas: Schemas) -> None:
    definitions = define(schemas, {"T": {"items": {"anyOf": [{"pattern": "b"}, {"type": "integer"}]}}})
    for _ in range(4):
        assert await mismatch(definitions, "T", ["b"] * 200_000) is None
    assert await mismatch(definitions, "T", ["a"]) is not None


async def test_large_values_neither_stop_the_loop_nor_fill_the_memory(schemas: Schemas) -> None:
    schema = {"anyOf": [{"items": {"type": "string"}}, {"type": "null"}], "uniqueItems": True, "maxItems": 5}
    definitions = define(schemas, {"T": schema})
    values: list[JsonValue] = [
        list(range(200_000)),
        [[] for _ in range(200_000)],
        list(range(2_000_000)),
        "a" * 5_000_000,
    ]
    await mismatch(definitions, "T", 5)
    began_s = time.monotonic()
    async with longest_stall() as stall_s:
        reasons = [await mismatch(definitions, "T", value) for value in values]
    took_s = time.monotonic() - began_s
    assert all(len(reason or "") < 400 for reason in reasons)
    # A machine that is busy stretches both alike.
    assert stall_s() < max(0.3, took_s / 2)


async def test_one_container_holds_no_more_than_one_thread(schemas: Schemas) -> None:
    schema, value = SLOW["pattern"]
    slow = define(schemas, {"Slow": schema})
    quick = define(schemas, {"T": {"type": "integer"}})
    async with asyncio.TaskGroup() as tasks:
        waiting = [tasks.create_task(mismatch(slow, "Slow", value)) for _ in range(4)]
        await asyncio.sleep(0)
        assert await mismatch(quick, "T", "x") is not None
        assert not all(task.done() for task in waiting), "it waited for all of them"


async def test_caller_that_leaves_makes_no_room_for_another_slow_check(schemas: Schemas) -> None:
    schema, value = SLOW["pattern"]
    definitions = define(schemas, {"Slow": schema})
    assert isinstance(definitions, SchemaDefinitions)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await mismatch(definitions, "Slow", value)
    assert definitions._turn.locked()
    assert await mismatch(definitions, "Slow", 5) is None


async def test_flood_of_checks_is_let_through_and_counted(schemas: Schemas, caplog: pytest.LogCaptureFixture) -> None:
    definitions = define(schemas, {"T": {"type": "integer"}})
    assert isinstance(definitions, SchemaDefinitions)
    reasons = await asyncio.gather(*(mismatch(definitions, "T", "x") for _ in range(400)))
    assert definitions.unchecked == reasons.count(None) > 0
    assert len(caplog.records) == 1
