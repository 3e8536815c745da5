"""The document of the platform's own routes: OpenAPI 3.1.0, made from the route table (contract, section 10.4)."""

from __future__ import annotations

import re
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from edge.api.openapi.models import PREFIX, reachable, schemas
from edge.api.openapi.operations import OPERATIONS, PATH, QUERY, TEXT, Operation
from edge.http.caller import Role
from edge.http.replies import Kind
from edge.http.routes import Route, RouteTable

Schema = dict[str, Any]

_PARAMETER = re.compile(r"\{([^}]+)\}")
_DESCRIPTION = """\
The OPACA API of this runtime platform: its containers, their agents, and what these offer.

Bodies are JSON, except where said otherwise. In a path, names must not contain `/`, `\\`, `;` or `%`. A token that is
given is always checked, even where none is needed.
"""
_TAGS = {
    "agents": "What agents offer: messages, actions, streams",
    "containers": "What runs here",
    "operation": "How containers are doing; routes of this platform that OPACA does not know",
    "connections": "Other platforms",
    "platform": "What this platform says of itself",
    "users": "Tokens and users",
    "documents": "Descriptions for programs and people",
}

_ER, _GE = "ErrorResponse", "GenericError"
# The words and the forms of the body of each error status; no form, no body.
_ERRORS: dict[int, tuple[str, tuple[str, ...]]] = {
    400: ("The request does not fit: path, query, body or arguments", (_ER, _GE)),
    401: ("No valid token, as plain text without a content type", ()),
    403: ("Role, owner or origin forbid it", (_GE,)),
    404: ("Nothing of this name", (_ER,)),
    406: ("The Accept header excludes what the route produces", ()),
    408: ("The body did not come in time", (_GE,)),
    409: ("The name is taken", (_ER,)),
    413: ("The body is too large", (_ER,)),
    415: ("The body's content type is not JSON", (_GE,)),
    422: ("The body cannot be decoded, or the agent's answer could not be", (_ER,)),
    501: ("This platform does not offer it", (_ER,)),
    502: ("The container or platform that was asked answered with an error, or not at all", (_ER,)),
    503: ("A limit of this platform is reached", (_ER,)),
    507: ("What promises to keep messages has no room for this one", (_ER,)),
}
_WITH_JSON_BODY = (400, 408, 413, 415, 422, 503)
_WITH_RAW_BODY = (400, 408, 413, 503)


def platform_document(table: RouteTable, base_url: str, requires_auth: bool) -> dict[str, Any]:
    """Describe the routes of a table; those that only serve files to pages are left out."""
    paths: dict[str, Any] = {}
    tags: set[str] = set()
    for route in table.routes:
        operation = OPERATIONS.get((route.method, route.path)) or _unnamed(route)
        if operation is not None:
            tags.add(operation.tag)
            paths.setdefault(route.path, {})[route.method.lower()] = _described(route, operation, requires_auth)
    return {
        "openapi": "3.1.0",
        "info": {"title": "OPACA Edge", "description": _DESCRIPTION, "version": _version()},
        # First of all the address under which the document itself was reached: browsers then stay with one origin.
        "servers": [{"url": "/"}, {"url": base_url}],
        # Without authentication a token may be given all the same.
        "security": [{"bearerAuth": []}] if requires_auth else [{}, {"bearerAuth": []}],
        "tags": [{"name": name, "description": words} for name, words in _TAGS.items() if name in tags],
        "paths": paths,
        "components": {
            "schemas": reachable(paths, schemas()),
            "securitySchemes": {"bearerAuth": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
        },
    }


def _version() -> str:
    try:
        return version("opaca-edge")
    except PackageNotFoundError:  # run from a folder that was never installed
        return "unknown"


def _unnamed(route: Route) -> Operation | None:
    """Describe a route that has no row by what the table knows; files have no description."""
    if route.produces is Kind.DOCUMENT:
        return None
    name = re.sub(r"[^a-zA-Z0-9]+", "_", f"{route.method.lower()}{route.path}").strip("_")
    media = "text/plain" if route.produces is Kind.TEXT else "application/json"
    result = None if route.produces is Kind.NOTHING else TEXT if route.produces is Kind.TEXT else {}
    return Operation(id=name, tag="platform", summary=f"{route.method} {route.path}", result=result, media=(media,))


def _described(route: Route, operation: Operation, requires_auth: bool) -> dict[str, Any]:
    parameters = [
        {"name": name, "in": "path", "required": True, "description": PATH.get(name, name), "schema": _path_schema()}
        for name in _PARAMETER.findall(route.path)
    ] + [{"name": name, "in": "query", "allowEmptyValue": True, **QUERY[name]} for name in operation.query]
    described: dict[str, Any] = {"tags": [operation.tag], "summary": operation.summary}
    words = " ".join(part for part in (operation.description, _role(route.role)) if part)
    if words:
        described["description"] = words
    described["operationId"] = operation.id
    if parameters:
        described["parameters"] = parameters
    body = _request_body(operation)
    if body is not None:
        described["requestBody"] = body
    described["responses"] = _responses(route, operation)
    if requires_auth and route.role is Role.OPEN:
        described["security"] = []
    return described


def _path_schema() -> Schema:
    return {"type": "string", "minLength": 1, "pattern": r"^[^/\\;%\x00\n\r]+$", "not": {"pattern": r"^\.$|\.\."}}


def _role(role: Role) -> str:
    if role in (Role.OPEN, Role.ANY):
        return ""
    return f"With authentication on, the caller needs the role {role.name} or a higher one."


def _request_body(operation: Operation) -> dict[str, Any] | None:
    if operation.body is not None:
        return {"required": True, "content": {"application/json": {"schema": operation.body}}}
    if operation.raw_body:
        schema = TEXT if operation.raw_body.startswith("text/") else {}
        return {"required": False, "content": {operation.raw_body: {"schema": schema}}}
    return None


def _responses(route: Route, operation: Operation) -> dict[str, Any]:
    success: dict[str, Any] = {"description": "Success"}
    if operation.result is not None:
        success["content"] = {media: {"schema": operation.result} for media in operation.media}
    statuses = {401, *operation.errors, *operation.plain_errors}
    if "{" in route.path or operation.query:
        statuses.add(400)
    if operation.body is not None:
        statuses.update(_WITH_JSON_BODY)
    elif operation.raw_body:
        statuses.update(_WITH_RAW_BODY)
    if route.role > Role.ANY:
        statuses.add(403)
    if route.produces is Kind.JSON:
        statuses.add(406)
    errors = {str(status): _error(status, status in operation.plain_errors) for status in sorted(statuses)}
    return {str(operation.status): success, **errors}


def _error(status: int, is_plain: bool) -> dict[str, Any]:
    words, forms = _ERRORS[status]
    described: dict[str, Any] = {"description": words}
    if is_plain:
        described["content"] = {"text/plain": {"schema": TEXT}}
        if status == 400:
            described["content"]["application/json"] = {"schema": {"$ref": PREFIX + _GE}}
    elif forms:
        options = [{"$ref": PREFIX + form} for form in forms]
        described["content"] = {"application/json": {"schema": options[0] if len(options) == 1 else {"anyOf": options}}}
    return described
