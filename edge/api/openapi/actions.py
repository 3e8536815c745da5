"""The document of all actions of the local containers: OpenAPI 3.0.1, as tools for language models read it (10.3)."""

from __future__ import annotations

from collections.abc import Iterable
from math import isfinite
from typing import Any
from urllib.parse import quote

from msgspec import UNSET

from edge.api.openapi.components import ImageSchemas, SchemaComponents
from edge.api.openapi.keywords import Schema
from edge.model.descriptions import Action, AgentContainer, ArrayItems, Parameter
from edge.model.json_value import JsonValue

_NO_TYPE: Schema = {"type": "object", "nullable": True}
_PLAIN: dict[str, Schema] = {
    "string": {"type": "string"},
    "integer": {"type": "integer", "format": "int32"},
    "number": {"type": "number"},
    "boolean": {"type": "boolean"},
    "object": {"type": "object"},
}
_INT32 = range(-(2**31), 2**31)
_PATH_CHARACTERS = "-._~!$&'()*+,=:@"
_QUERY_PARAMETERS: dict[str, tuple[str, Schema]] = {
    "timeout": ("Seconds that the action may take; -1 leaves it to the agent.", _PLAIN["integer"]),
    "containerId": ("Only this container is asked.", _PLAIN["string"]),
    "forward": ("Whether connected platforms may be asked as well.", _PLAIN["boolean"]),
}
_ERROR: Schema = {
    "type": "object",
    "properties": {"code": {"type": "integer", "format": "int32"}, "message": {"type": "string"}},
}
_BEARER: Schema = {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}


def actions_document(containers: Iterable[AgentContainer], require_auth: bool) -> dict[str, Any]:
    """Describe every action of the containers; of two with one action name and agent ID the later container's stays."""
    collected = SchemaComponents(reserved=["Error"])
    paths: dict[str, Any] = {}
    for container in containers:
        schemas = collected.of(container.image)
        for agent in container.agents:
            for action in agent.actions:
                path = f"/invoke/{_escaped(action.name)}/{_escaped(agent.agent_id)}"
                paths[path] = {"post": _operation(container.container_id, agent.agent_id, action, schemas)}
    components: dict[str, Any] = {}
    defined = collected.without_dead_ends()
    if paths:
        defined = {**defined, "Error": _ERROR}
    if defined:
        components["schemas"] = defined
    if paths:
        components["parameters"] = {f"{name}Param": _query_parameter(name) for name in _QUERY_PARAMETERS}
    if require_auth:
        components["securitySchemes"] = {"bearerAuth": _BEARER}
    return {
        "openapi": "3.0.1",
        "info": {"title": "Actions of the agents on this OPACA platform", "version": "0.2"},
        **({"security": [{"bearerAuth": []}]} if require_auth else {}),
        "paths": paths,
        "components": components,
    }


def _escaped(name: str) -> str:
    # Braces would make a path parameter of it.
    return quote(name, safe=_PATH_CHARACTERS)


def _query_parameter(name: str) -> dict[str, Any]:
    description, schema = _QUERY_PARAMETERS[name]
    return {
        "name": name,
        "in": "query",
        "description": description,
        "required": False,
        "allowEmptyValue": True,
        "schema": schema,
    }


def _operation(container_id: str, agent_id: str, action: Action, schemas: ImageSchemas) -> dict[str, Any]:
    return {
        "tags": [agent_id],
        **({"description": action.description} if action.description is not None else {}),
        "operationId": f"{container_id};{agent_id};{action.name}",
        "parameters": [{"$ref": f"#/components/parameters/{name}Param"} for name in _QUERY_PARAMETERS],
        "requestBody": {
            "content": {"application/json": {"schema": _body(action.parameters, schemas)}},
            "required": True,
        },
        "responses": {
            "200": {"description": "OK", "content": {"*/*": {"schema": _type(action.result, schemas)}}},
            "default": {
                "description": "Unexpected error",
                "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
            },
        },
    }


def _body(parameters: dict[str, Parameter], schemas: ImageSchemas) -> Schema:
    required = sorted(name for name, parameter in parameters.items() if parameter.required)
    properties = {name: _with_default(_type(parameter, schemas), parameter) for name, parameter in parameters.items()}
    return {
        **({"required": required} if required else {}),
        "type": "object",
        **({"properties": properties} if properties else {}),
    }


def _type(declared: Parameter | ArrayItems | None, schemas: ImageSchemas) -> Schema:
    if declared is None or declared.type == "null":
        return _NO_TYPE
    if declared.type in _PLAIN and not (declared.type == "object" and schemas.defines("object")):
        return _PLAIN[declared.type]
    if declared.type == "array":
        return {"type": "array", "items": _type(declared.items, schemas)} if declared.items else _NO_TYPE
    return {"$ref": f"#/components/schemas/{schemas.component(declared.type)}"}


def _with_default(schema: Schema, parameter: Parameter) -> Schema:
    if parameter.default_value is UNSET or schema.get("type") != parameter.type:
        return schema
    default = _converted(parameter.default_value, parameter.type)
    return schema if default is None else {**schema, "default": default}


def _converted(value: JsonValue, type_name: str) -> JsonValue:
    """Return a default as a value of its parameter's type, None if it cannot be one."""
    if type_name == "string" and isinstance(value, str | int | float):
        return str(value).lower() if isinstance(value, bool) else str(value)
    if type_name == "boolean":
        return {"true": True, "false": False}.get(str(value).lower()) if isinstance(value, bool | str) else None
    if type_name not in ("integer", "number") or isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    try:
        number = float(value)
        if not isfinite(number):
            return None
        if type_name == "number":
            return value if isinstance(value, int | float) else number
        whole = int(value) if not isinstance(value, float) else int(number) if number.is_integer() else None
    except (ValueError, OverflowError):
        return None
    # Beyond the declared format a default would contradict itself.
    return whole if whole is not None and whole in _INT32 else None
