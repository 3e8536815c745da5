"""What people look at with a browser, without the internet; and the documents behind it (contract, section 10)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote, urljoin, urlsplit

import pytest
import yaml

from tests.contract.running import Process, platform_process
from tests.contract.wire import Response

CONTAINERS = {"contract": "tests.contract.container:container", "lab": "tests.integration.laboratory:container"}

BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    """A platform with two containers."""
    with platform_process(tmp_path_factory.mktemp("pages"), CONTAINERS) as process:
        yield process


def page(process: Process, path: str) -> Response:
    answer = process.ask("GET", path, headers=BROWSER)
    assert answer.status == 200, path
    return answer


def sources(html: str) -> list[str]:
    return re.findall(r"""(?:src|href)=["']([^"'#]+)""", html)


@pytest.mark.parametrize("path", ["/", "/swagger-ui/index.html"])
def test_a_page_needs_nothing_from_elsewhere(process: Process, path: str) -> None:
    html = page(process, path).text
    assert html.lower().startswith("<!doctype html>")
    assert sources(html)
    for source in sources(html):
        assert not urlsplit(source).netloc, f"{source} is elsewhere"
        answer = process.ask("GET", urljoin(path, source))
        assert answer.status == 200, source
        assert answer.body, source


@pytest.mark.parametrize("path", ["/", "/swagger-ui/index.html"])
def test_a_page_may_load_nothing_from_elsewhere(process: Process, path: str) -> None:
    policy = page(process, path).header("Content-Security-Policy") or ""
    assert "default-src 'none'" in policy
    assert "http" not in policy


@pytest.mark.parametrize("path", ["/v3/api-docs/actions", "/users/%3Cscript%3E", "/token"])
def test_no_text_of_others_can_run_as_a_page(process: Process, path: str) -> None:
    """Neither what agents say of themselves, nor what a link from elsewhere says."""
    answer = process.ask("GET", path, headers=BROWSER)
    assert answer.header("Content-Type") == "text/html;charset=UTF-8"
    assert answer.header("Content-Security-Policy") == "default-src 'none'; sandbox"
    assert process.ask("GET", path).header("Content-Security-Policy") is None


def test_the_landing_page_leads_to_the_documentation(process: Process) -> None:
    assert "swagger-ui/index.html" in sources(page(process, "/").text)


def test_the_old_address_leads_to_the_new_one(process: Process) -> None:
    answer = process.ask("GET", "/swagger-ui.html")
    assert answer.status == 302
    assert urljoin("/swagger-ui.html", answer.header("Location") or "") == "/swagger-ui/index.html"


@pytest.mark.parametrize(
    "path",
    [
        "/swagger-ui/none.js",
        "/swagger-ui/swagger-ui-bundle.js.map",
        "/swagger-ui/__init__.py",
        "/swagger-ui/static",
        "/none.css",
        "/swagger-ui/",
        "/swagger-ui/start.js/x",
    ],
)
def test_other_files_are_not_served(process: Process, path: str) -> None:
    assert process.ask("GET", path).status == 404


@pytest.mark.parametrize("path", ["/swagger-ui/../routes.py", "/swagger-ui/..%2froutes.py", "/swagger-ui/%2e%2e/x"])
def test_no_path_leads_out(process: Process, path: str) -> None:
    assert process.ask("GET", path).status == 400


def test_a_file_is_found_however_its_name_is_written(process: Process) -> None:
    assert process.ask("GET", "/%6Cogin.js").text == process.ask("GET", "/login.js").text


def test_the_route_document_is_the_same_in_every_form(process: Process) -> None:
    document = process.ask("GET", "/v3/api-docs").json()
    assert document["openapi"].startswith("3.1.")
    assert process.ask("GET", "/v3/api-docs/All").json() == document
    assert yaml.safe_load(process.ask("GET", "/v3/api-docs.yaml").body) == document


def test_the_route_document_holds_every_route(process: Process) -> None:
    paths = process.ask("GET", "/v3/api-docs").json()["paths"]
    documented = {(method.upper(), path) for path, methods in paths.items() for method in methods}
    for method, path in [
        ("GET", "/info"), ("GET", "/config"), ("GET", "/history"), ("GET", "/agents"), ("GET", "/agents/{agentId}"),
        ("POST", "/send/{agentId}"), ("POST", "/broadcast/{channel}"), ("POST", "/invoke/{action}"),
        ("POST", "/invoke/{action}/{agentId}"), ("GET", "/stream/{stream}"), ("GET", "/stream/{stream}/{agentId}"),
        ("POST", "/stream/{stream}"), ("POST", "/stream/{stream}/{agentId}"), ("GET", "/containers"),
        ("GET", "/containers/{id}"), ("POST", "/containers"), ("PUT", "/containers"), ("DELETE", "/containers/{id}"),
        ("POST", "/containers/notify"), ("GET", "/v3/api-docs/actions"),
    ]:  # fmt: skip
        assert (method, path) in documented


def dangling(document: Any) -> list[str]:
    """Return the local references that lead nowhere."""

    def found(node: Any) -> Iterator[str]:
        if isinstance(node, dict):
            if isinstance(node.get("$ref"), str):
                yield node["$ref"]
            for value in node.values():
                yield from found(value)
        elif isinstance(node, list):
            for value in node:
                yield from found(value)

    def is_there(reference: str) -> bool:
        node = document
        for key in reference.removeprefix("#/").split("/"):
            key = key.replace("~1", "/").replace("~0", "~")
            if not isinstance(node, dict) or key not in node:
                return False
            node = node[key]
        return True

    return [reference for reference in found(document) if reference.startswith("#") and not is_there(reference)]


@pytest.mark.parametrize("path", ["/v3/api-docs", "/v3/api-docs/actions"])
def test_references_lead_somewhere_and_descriptions_say_something(process: Process, path: str) -> None:
    """A client of the reference breaks on either."""
    document = process.ask("GET", path).json()
    assert dangling(document) == []
    assert '"description": null' not in json.dumps(document)


def test_the_action_document_is_the_same_in_every_form(process: Process) -> None:
    text = process.ask("GET", "/v3/api-docs/actions?format=YAML").body
    assert yaml.safe_load(text) == process.ask("GET", "/v3/api-docs/actions").json()


def test_the_action_document_holds_every_action(process: Process) -> None:
    document = process.ask("GET", "/v3/api-docs/actions").json()
    expected = {
        (
            f"/invoke/{action['name']}/{agent['agentId']}",
            f"{container['containerId']};{agent['agentId']};{action['name']}",
        )
        for container in process.ask("GET", "/containers").json()
        for agent in container["agents"]
        for action in agent["actions"]
    }
    found = {(unquote(path), entry["post"]["operationId"]) for path, entry in document["paths"].items()}
    assert found == expected


def test_an_action_is_described_as_the_contract_shows(process: Process) -> None:
    document = process.ask("GET", "/v3/api-docs/actions").json()
    assert (document["openapi"], document["info"]["version"]) == ("3.0.1", "0.2")
    assert not {"security", "servers"} & set(document)
    assert "securitySchemes" not in document["components"]
    container_id = process.ask("GET", "/containers").json()[0]["containerId"]
    scale = document["paths"]["/invoke/Scale/tester"]["post"]
    scale.pop("description", None)
    assert scale == {
        "tags": ["tester"],
        "operationId": f"{container_id};tester;Scale",
        "parameters": [
            {"$ref": "#/components/parameters/timeoutParam"},
            {"$ref": "#/components/parameters/containerIdParam"},
            {"$ref": "#/components/parameters/forwardParam"},
        ],
        "requestBody": {
            "content": {
                "application/json": {
                    "schema": {
                        "required": ["value"],
                        "type": "object",
                        "properties": {
                            "value": {"type": "number"},
                            "factor": {"type": "number", "default": 2.0},
                        },
                    }
                }
            },
            "required": True,
        },
        "responses": {
            "200": {"description": "OK", "content": {"*/*": {"schema": {"type": "number"}}}},
            "default": {
                "description": "Unexpected error",
                "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
            },
        },
    }


@pytest.mark.parametrize(
    ("action", "expected"),
    [
        ("Add", {"required": ["x", "y"], "type": "object", "properties": {"x": "integer", "y": "integer"}}),
        ("Nothing", {"type": "object"}),
    ],
)
def test_arguments_are_described_by_their_types(process: Process, action: str, expected: dict[str, Any]) -> None:
    post = process.ask("GET", "/v3/api-docs/actions").json()["paths"][f"/invoke/{action}/tester"]["post"]
    schema = post["requestBody"]["content"]["application/json"]["schema"]
    for name, kind in expected.get("properties", {}).items():
        expected["properties"][name] = {"type": kind, "format": "int32"}
    assert schema == expected


def test_defined_types_and_lists_are_described(process: Process) -> None:
    document = process.ask("GET", "/v3/api-docs/actions").json()

    def argument(action: str, name: str) -> Any:
        post = document["paths"][f"/invoke/{action}/tester"]["post"]
        return post["requestBody"]["content"]["application/json"]["schema"]["properties"][name]

    assert argument("Area", "box") == {"$ref": "#/components/schemas/Box"}
    assert argument("Boxes", "boxes") == {"type": "array", "items": {"$ref": "#/components/schemas/Box"}}
    rows = {"type": "array", "items": {"type": "array", "items": {"type": "integer", "format": "int32"}}}
    assert argument("Sum", "rows") == rows
    assert document["components"]["schemas"]["Box"]["type"] == "object"


def test_an_empty_platform_has_an_empty_action_document(tmp_path_factory: pytest.TempPathFactory) -> None:
    with platform_process(tmp_path_factory.mktemp("empty")) as process:
        document = process.ask("GET", "/v3/api-docs/actions").json()
    assert document["paths"] == {}
    assert "parameters" not in document["components"]
    assert "Error" not in document["components"].get("schemas", {})
