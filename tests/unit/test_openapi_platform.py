"""The document of the platform's own routes: valid, complete, and true to what the models write and accept."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate

from edge.api.openapi.models import PREFIX, schemas
from edge.api.openapi.operations import OPERATIONS
from edge.api.openapi.platform import platform_document
from edge.api.openapi.rendering import as_json, as_yaml
from edge.errors import Cause, OpacaError
from edge.http.caller import Role
from edge.http.errors import STATUS_BY_ERROR, error_body, generic_reply
from edge.http.replies import NOTHING, Kind, Reply
from edge.http.request import Request
from edge.http.routes import Route, RouteTable
from edge.model.codec import encode
from edge.model.descriptions import (
    Action,
    AgentContainer,
    AgentContainerImage,
    AgentDescription,
    ArrayItems,
    Connectivity,
    Parameter,
    PortDescription,
    RuntimePlatform,
    Stream,
    StreamMode,
)
from edge.model.requests import Event, EventType


async def answer(request: Request) -> Reply:
    return NOTHING


def route(method: str, path: str, role: Role = Role.USER, produces: Kind = Kind.JSON) -> Route:
    return Route(method=method, path=path, handler=answer, role=role, produces=produces)


ALL = RouteTable(route(method, path) for method, path in OPERATIONS)


def document(table: RouteTable = ALL, requires_auth: bool = False) -> dict[str, Any]:
    made = platform_document(table, "http://127.0.0.1:8000", requires_auth)
    validate(made)
    assert json.loads(as_json(made)) == made
    return made


def fits(name: str, value: Any) -> bool:
    """Hold a value against a component schema, with all its references inside one document."""
    root = {"$ref": f"#/components/schemas/{name}", "components": {"schemas": schemas()}}
    return bool(Draft202012Validator(root).is_valid(json.loads(encode(value))))


def test_document_is_valid_openapi_with_every_route() -> None:
    made = document()
    assert made["openapi"] == "3.1.0"
    assert made["servers"] == [{"url": "/"}, {"url": "http://127.0.0.1:8000"}]
    described = {(method.upper(), path) for path, item in made["paths"].items() for method in item}
    assert described == set(OPERATIONS)


def test_the_platforms_own_table_is_described_without_guessing() -> None:
    """Every route of the platform has a row, but for the files that pages load."""
    from unittest.mock import MagicMock

    from edge.api.routes import route_table

    table = route_table(MagicMock())
    missing = {(route.method, route.path) for route in table.routes} - OPERATIONS.keys()
    assert all(method == "GET" and ("swagger-ui" in path or "." in path) for method, path in missing), missing
    assert len(document(table)["paths"]) > 15


def test_operation_ids_are_unique() -> None:
    ids = [operation.id for operation in OPERATIONS.values()]
    assert len(ids) == len(set(ids))


def test_every_reference_leads_somewhere_and_nothing_is_left_over() -> None:
    made = document()
    text = as_json(made)
    used = {part.split('"')[0] for part in text.split(PREFIX)[1:]}
    assert used == made["components"]["schemas"].keys()


def test_every_path_parameter_is_declared() -> None:
    for path, item in document()["paths"].items():
        for operation in item.values():
            declared = {p["name"] for p in operation.get("parameters", ()) if p["in"] == "path"}
            assert declared == {part[1:-1] for part in path.split("/") if part.startswith("{")}, path


def test_every_response_has_a_body_of_the_contracts_form() -> None:
    for path, item in document()["paths"].items():
        for operation in item.values():
            for status, response in operation["responses"].items():
                assert response["description"]
                for schema in response.get("content", {}).get("application/json", {}).values():
                    if status.startswith(("4", "5")):
                        assert "Error" in json.dumps(schema), (path, status)


def test_token_is_needed_where_authentication_is_on() -> None:
    table = RouteTable([route("GET", "/info", Role.GUEST), route("POST", "/login", Role.OPEN, Kind.TEXT)])
    made = document(table, requires_auth=True)
    assert made["security"] == [{"bearerAuth": []}]
    assert made["paths"]["/login"]["post"]["security"] == []
    assert "security" not in made["paths"]["/info"]["get"]
    assert document(table)["security"] == [{}, {"bearerAuth": []}]


def test_route_without_a_row_is_described_by_what_the_table_knows() -> None:
    table = RouteTable(
        [route("POST", "/new/{thing}", produces=Kind.NOTHING), route("GET", "/x.css", produces=Kind.DOCUMENT)]
    )
    made = document(table)
    assert list(made["paths"]) == ["/new/{thing}"]
    assert set(made["paths"]["/new/{thing}"]["post"]["responses"]) == {"200", "400", "401", "403"}


PARAMETER = Parameter(type="array", items=ArrayItems(type="array", items=ArrayItems(type="Box")), default_value=[1])
CONTAINER = AgentContainer(
    container_id="c",
    image=AgentContainerImage(
        image_name="i", extra_ports={8090: PortDescription(protocol="TCP")}, definitions={"Box": True}
    ),
    agents=[
        AgentDescription(
            agent_id="a",
            actions=[Action(name="Act", parameters={"p": PARAMETER}, result=Parameter(type="null"))],
            streams=[Stream(name="s", mode=StreamMode.GET)],
        )
    ],
    running_since="2026-04-21T13:13:39.120Z",
    connectivity=Connectivity(public_url="http://h", extra_port_mappings={8091: PortDescription()}),
)
PLATFORM = RuntimePlatform(
    platform_id="p", base_url="http://h:8000", containers=[CONTAINER], running_since="2026-04-21T13:13:39.120Z"
)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("RuntimePlatform", PLATFORM),
        ("AgentContainer", CONTAINER),
        ("AgentDescription", AgentDescription(agent_id="a")),
        ("Event", Event(id="e", timestamp=1, event_type=EventType.FORWARD, receiver="http://h", related_id="c")),
        ("ErrorResponse", error_body(502, "no", Cause(None, None, Cause(500, "x")))),
    ],
)
def test_schema_is_what_is_written(name: str, value: Any) -> None:
    assert fits(name, value)
    written = msgspec.to_builtins(value, str_keys=True)
    for key in schemas()[name]["required"]:
        assert not fits(name, {k: v for k, v in written.items() if k != key}), key
    assert not fits(name, {**written, "further": 1})


def test_schema_of_generic_errors_is_what_is_written() -> None:
    assert fits("GenericError", json.loads(bytes(generic_reply(404, "/x").body)))
    assert not fits("ErrorResponse", {"statusCode": 404, "message": "x", "cause": None})


@pytest.mark.parametrize(
    ("name", "value", "is_fitting"),
    [
        ("PostAgentContainer", {"image": {"imageName": "i"}}, True),
        ("PostAgentContainer", {"image": {"imageName": "i", "name": None}, "pull": None, "clientConfig": None}, True),
        ("PostAgentContainer", {"image": {"imageName": "i"}, "clientConfig": {"type": "NATIVE", "memoryMb": 64}}, True),
        (
            "PostAgentContainer",
            {"image": {"imageName": "i"}, "clientConfig": {"type": "ATTACHED", "url": "http://b"}},
            True,
        ),
        ("PostAgentContainer", {"image": {"imageName": "i"}, "clientConfig": {"type": "ATTACHED"}}, False),
        ("PostAgentContainer", {"image": {"imageName": "i"}, "clientConfig": {}}, False),
        ("PostAgentContainer", {"image": {"imageName": "i", "extraPorts": {"x": {}}}}, False),
        ("PostAgentContainer", {"image": {}}, False),
        ("PostAgentContainer", {}, False),
        ("Message", {}, True),
        ("Message", {"payload": [1], "replyTo": None}, True),
        ("Message", {"text": 1}, False),
        ("Login", {"username": "a", "password": None}, True),
        ("ConnectionRequest", {"url": "http://h", "connectBack": False, "token": None}, True),
        ("UserInput", {"username": "eve", "password": "pw", "role": "USER"}, True),
        ("UserInput", {"username": "eve", "role": "user"}, False),
    ],
)
def test_schema_is_what_may_be_sent(name: str, value: Any, is_fitting: bool) -> None:
    assert fits(name, value) is is_fitting


def test_every_status_of_an_error_has_words() -> None:
    """A status that some error may get must be one that the document can name, or an action's own failure."""
    from edge.api.openapi.platform import _ERRORS

    assert {status for status in STATUS_BY_ERROR.values() if status != 500} <= _ERRORS.keys()
    assert issubclass(next(iter(STATUS_BY_ERROR)), OpacaError)


def test_yaml_is_the_same_document() -> None:
    import yaml

    made = document()
    assert yaml.safe_load(as_yaml(made)) == made
