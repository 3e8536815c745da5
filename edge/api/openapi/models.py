"""Schemas of the OPACA models, made from their Structs: as they are written, and as they may be sent."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Struct, UnsetType

from edge.launcher.base import ContainerStatus, Limit, OfferedImage, OfferedParameter
from edge.model import descriptions, requests
from edge.runtime.peer_status import ConnectionStatus

Schema = dict[str, Any]

PREFIX = "#/components/schemas/"

_WRITTEN: Sequence[type[Struct]] = (descriptions.RuntimePlatform, descriptions.AgentDescription, requests.Event)
_SENT: Sequence[type[Struct]] = (
    requests.PostAgentContainer,
    requests.Message,
    requests.Login,
    requests.ConnectionRequest,
)
# Of the routes under /edge/: every field is always there.
_OF_OPERATION: Sequence[type] = (ContainerStatus, Limit, OfferedImage, OfferedParameter, ConnectionStatus)
# Structs of which only the fields with a value are written.
_WITHOUT_NULLS = frozenset({requests.Event})

_ERRORS: dict[str, Schema] = {
    "ErrorResponse": {
        "description": "What went wrong. `cause` is what the container or platform behind this one answered.",
        "type": "object",
        "properties": {
            "statusCode": {"type": ["integer", "null"]},
            "message": {"type": ["string", "null"]},
            "cause": {"$ref": f"{PREFIX}ErrorResponse"},
        },
        "required": ["statusCode", "message"],
        "additionalProperties": False,
    },
    "GenericError": {
        "description": "An error that was found before the route's own code ran.",
        "type": "object",
        "properties": {
            "timestamp": {"type": "integer", "description": "Milliseconds since the epoch."},
            "status": {"type": "integer"},
            "error": {"type": "string"},
            "path": {"type": "string"},
        },
        "required": ["timestamp", "status", "error", "path"],
        "additionalProperties": False,
    },
}
_CLIENT_CONFIG: Schema = {
    "description": "How the container is run.",
    "type": "object",
    "properties": {"type": {"enum": ["NATIVE", "ATTACHED"]}},
    "required": ["type"],
    "oneOf": [
        {
            "description": "As a process of this platform; the smaller limits of image and request hold.",
            "properties": {
                "type": {"const": "NATIVE"},
                "memoryMb": {"type": ["integer", "null"], "minimum": 1},
                "cpuPercent": {"type": ["integer", "null"], "minimum": 1},
                "restart": {"enum": ["always", "on-failure", "never", None]},
            },
        },
        {
            "description": "It runs already and is only made known; `key` is what a board is recognised by.",
            "properties": {
                "type": {"const": "ATTACHED"},
                "url": {"type": "string"},
                "token": {"type": ["string", "null"]},
                "key": {"type": ["string", "null"]},
                "push": {"type": ["boolean", "null"]},
            },
            "required": ["url"],
        },
    ],
}
_USERS: dict[str, Schema] = {
    "Role": {"enum": ["ADMIN", "CONTRIBUTOR", "USER", "GUEST"]},
    "User": {
        "description": "A user as shown; `containerLoginTokens` only to the user itself.",
        "type": "object",
        "properties": {
            "username": {"type": "string"},
            "role": {"$ref": f"{PREFIX}Role"},
            "privileges": {"type": "array", "items": {"type": "string"}},
            "containerLoginTokens": {"type": "object", "additionalProperties": {"type": "string"}},
        },
        "required": ["username", "role", "privileges"],
        "additionalProperties": False,
    },
    "UserInput": {
        "description": "A user to make or change; what is null is kept as it is.",
        "type": "object",
        "properties": {
            "username": {"type": ["string", "null"]},
            "password": {"type": ["string", "null"]},
            "role": {"anyOf": [{"$ref": f"{PREFIX}Role"}, {"type": "null"}]},
            "privileges": {"anyOf": [{"type": "array", "items": {"type": "string"}}, {"type": "null"}]},
            "containerLoginTokens": {"description": "Accepted and ignored."},
        },
        "additionalProperties": False,
    },
}


def schemas() -> dict[str, Schema]:
    """Return every component schema that an operation may refer to, by name."""
    written = _components(_WRITTEN)
    sent = _components(_SENT)
    for components, models in ((written, _WRITTEN), (sent, _SENT)):
        for model in _structs_in(models):
            _say_which_keys(components[model.__name__], model)
    for model in _structs_in(_WRITTEN):
        _as_written(written[model.__name__], model)
    # What is shown and may be sent has two forms: all fields are written, few must be given.
    twice = {name: f"{name}Input" for name in sent.keys() & written.keys()}
    renamed = {twice.get(name, name): _with_names(schema, twice) for name, schema in sent.items()}
    for schema in renamed.values():
        schema.pop("title", None)
    wish = renamed["PostAgentContainer"]
    wish["description"] = "The wish to start a container."
    wish["properties"]["clientConfig"] = {"anyOf": [{"$ref": f"{PREFIX}ClientConfig"}, {"type": "null"}]}
    written["Event"]["description"] = "One entry of the history; what has no value is left out."
    return written | renamed | _of_operation() | _ERRORS | _USERS | {"ClientConfig": _CLIENT_CONFIG}


def reachable(wanted: Any, known: dict[str, Schema]) -> dict[str, Schema]:
    """Return those of the schemas that something refers to, directly or through others, by name."""
    found: dict[str, Schema] = {}
    rest = [wanted]
    while rest:
        part = rest.pop()
        if isinstance(part, dict):
            target = part.get("$ref", "")
            name = target.removeprefix(PREFIX) if isinstance(target, str) else ""
            if name in known and name not in found:
                found[name] = known[name]
                rest.append(known[name])
            rest.extend(part.values())
        elif isinstance(part, list):
            rest.extend(part)
    return dict(sorted(found.items()))


def _of_operation() -> dict[str, Schema]:
    components = _components(_OF_OPERATION)
    for model in _OF_OPERATION:
        schema = components[model.__name__]
        schema["required"] = [field.name for field in dataclasses.fields(model)]
        for described in schema["properties"].values():
            described.pop("default", None)
        # The rest is for whoever reads the code.
        schema["description"] = (model.__doc__ or "").partition("\n")[0]
    return components


def _components(models: Sequence[type]) -> dict[str, Schema]:
    return msgspec.json.schema_components(models, ref_template=PREFIX + "{name}")[1]


def _structs_in(models: Sequence[type[Struct]]) -> list[type[Struct]]:
    """Return the models and those that their fields are made of, each once."""
    found: list[type[Struct]] = []
    rest: list[Any] = list(models)
    while rest:
        part = rest.pop()
        rest.extend(typing.get_args(part))
        is_model = isinstance(part, type) and not isinstance(part, types.GenericAlias) and issubclass(part, Struct)
        if is_model and part not in found:
            found.append(part)
            rest.extend(field.type for field in msgspec.structs.fields(part))
    return found


def _as_written(schema: Schema, model: type[Struct]) -> None:
    """Say that every field is always there, as null if it has no value, unless it is one that is left out then."""
    schema.pop("title", None)
    required = []
    for field in msgspec.structs.fields(model):
        described = schema["properties"][field.encode_name]
        described.pop("default", None)
        may_be_absent = UnsetType in typing.get_args(field.type) or (model in _WITHOUT_NULLS and not field.required)
        if may_be_absent:
            _drop_null(described)
        else:
            required.append(field.encode_name)
    schema["required"] = required


def _say_which_keys(schema: Schema, model: type[Struct]) -> None:
    """Write the keys of `dict[int, ...]`, which msgspec's description leaves open."""
    for field in msgspec.structs.fields(model):
        if typing.get_origin(field.type) is dict and typing.get_args(field.type)[0] is int:
            schema["properties"][field.encode_name]["propertyNames"] = {"pattern": "^[0-9]+$"}


def _drop_null(described: Schema) -> None:
    branches = [branch for branch in described.get("anyOf", ()) if branch != {"type": "null"}]
    if len(branches) == 1:
        del described["anyOf"]
        described.update(branches[0])


def _with_names(part: Any, names: dict[str, str]) -> Any:
    if isinstance(part, dict):
        changed = {key: _with_names(value, names) for key, value in part.items()}
        name = str(part.get("$ref", "")).removeprefix(PREFIX)
        return {**changed, "$ref": PREFIX + names[name]} if name in names else changed
    return [_with_names(element, names) for element in part] if isinstance(part, list) else part
