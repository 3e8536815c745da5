"""What each route of the platform takes, gives and refuses, one row per method and path (contract, section 2.1).

The rows say what the route table does not: words, query parameters, forms of bodies and results, errors of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from edge.api.openapi.models import PREFIX

Schema = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One row.

    Attributes:
        id: The operationId.
        tag: Its group in Swagger UI.
        summary: One line.
        description: More, if there is more to know.
        query: Names in `QUERY`.
        body: Schema of a JSON body; None for none.
        raw_body: Content type of a body that is not JSON; empty for none.
        result: Schema of the result; None for kind N.
        media: Content types of the result.
        status: Of success.
        errors: Statuses besides those that all routes of its kind have.
        plain_errors: Those of them that are answered as text.
    """

    id: str
    tag: str
    summary: str
    description: str = ""
    query: tuple[str, ...] = ()
    body: Schema | None = None
    raw_body: str = ""
    result: Schema | None = None
    media: tuple[str, ...] = ("application/json",)
    status: int = 200
    errors: tuple[int, ...] = ()
    plain_errors: tuple[int, ...] = ()


def _model(name: str) -> Schema:
    return {"$ref": PREFIX + name}


def _list_of(schema: Schema) -> Schema:
    return {"type": "array", "items": schema}


TEXT: Schema = {"type": "string"}
BOOLEAN: Schema = {"type": "boolean"}
ANY: Schema = {}
ARGUMENTS: Schema = {
    "type": "object",
    "description": "Argument values by parameter name.",
    "additionalProperties": True,
}
BYTES: Schema = {"type": "string", "format": "binary"}
_PLAIN = ("text/plain",)
_OCTETS = ("application/octet-stream",)
_HTML = ("text/html",)

PATH: dict[str, str] = {
    "agentId": "ID of an agent.",
    "action": "Name of an action.",
    "stream": "Name of a stream.",
    "channel": "Name of a channel.",
    "id": "ID of a container.",
    "name": "Name of a user.",
    "file": "Name of a file.",
}

QUERY: dict[str, Schema] = {
    "timeout": {
        "description": "Seconds; 0 or less leaves it to the platform or the agent.",
        "schema": {"type": "integer", "format": "int32", "minimum": -(2**31), "maximum": 2**31 - 1, "default": -1},
    },
    "containerId": {"description": "Only this container is asked.", "schema": {"type": "string"}},
    "forward": {
        "description": "Whether connected platforms may be asked as well.",
        "schema": {"type": "boolean", "default": True},
    },
    "includeConnected": {
        "description": "Whether the agents of connected platforms are listed as well.",
        "schema": {"type": "boolean", "default": False},
    },
    "lines": {
        "description": "How many of the newest lines.",
        "schema": {"type": "integer", "format": "int32", "minimum": 0, "maximum": 10_000, "default": 100},
    },
    "follow": {
        "description": "Whether what is written from now on is sent as well, piece by piece, until the caller leaves.",
        "schema": {"type": "boolean", "default": False},
    },
    "format": {"description": "Form of the document.", "schema": {"enum": ["JSON", "YAML"], "default": "JSON"}},
}

_CALL = ("containerId", "forward")
_UNKNOWN_IS_EMPTY = "An unknown one is answered with status 200 and no body."
_NOT_OPACA = "A route of this platform; OPACA does not know it."
_BARE_TEXT = "The answer is bare text without quotes."


def _invoke(id_: str, summary: str) -> Operation:
    return Operation(
        id=id_,
        tag="agents",
        summary=summary,
        description="Agents that offer the action and fit the arguments are asked in turn until one succeeds.",
        query=("timeout", *_CALL),
        body=ARGUMENTS,
        result=ANY,
        errors=(404, 502),
    )


def _get_stream(id_: str, summary: str) -> Operation:
    return Operation(id=id_, tag="agents", summary=summary, query=_CALL, result=BYTES, media=_OCTETS, errors=(404, 502))


def _post_stream(id_: str, summary: str) -> Operation:
    return Operation(id=id_, tag="agents", summary=summary, query=_CALL, raw_body=_OCTETS[0], errors=(404, 413, 502))


def _start(id_: str, summary: str) -> Operation:
    return Operation(
        id=id_,
        tag="containers",
        summary=summary,
        description=f"Answers with the container's ID once it is ready. {_BARE_TEXT}",
        query=("timeout",),
        body=_model("PostAgentContainer"),
        result=TEXT,
        media=_PLAIN,
        errors=(404, 501, 502),
    )


def _document(id_: str, summary: str, *media: str) -> Operation:
    result: Schema = {"type": "object"} if media == ("application/json",) else TEXT
    return Operation(id=id_, tag="documents", summary=summary, result=result, media=media)


OPERATIONS: dict[tuple[str, str], Operation] = {
    ("GET", "/info"): Operation(
        id="getInfo", tag="platform", summary="This platform and its containers", result=_model("RuntimePlatform")
    ),
    ("GET", "/config"): Operation(
        id="getConfig", tag="platform", summary="Settings, without secrets", result={"type": "object"}
    ),
    ("GET", "/history"): Operation(
        id="getHistory", tag="platform", summary="The latest events, oldest first", result=_list_of(_model("Event"))
    ),
    ("POST", "/login"): Operation(
        id="login",
        tag="users",
        summary="Exchange name and password for a token",
        description=_BARE_TEXT,
        body=_model("Login"),
        result=TEXT,
        media=_PLAIN,
        errors=(403,),
    ),
    ("GET", "/token"): Operation(
        id="renewToken", tag="users", summary="A new token for the same user", result=TEXT, media=_PLAIN, errors=(400,)
    ),
    ("GET", "/agents"): Operation(
        id="getAgents",
        tag="agents",
        summary="All agents of the local containers",
        query=("includeConnected",),
        result=_list_of(_model("AgentDescription")),
    ),
    ("GET", "/agents/{agentId}"): Operation(
        id="getAgent",
        tag="agents",
        summary="One agent",
        description=_UNKNOWN_IS_EMPTY,
        result=_model("AgentDescription"),
    ),
    ("POST", "/send/{agentId}"): Operation(
        id="send",
        tag="agents",
        summary="Send a message to one agent",
        query=_CALL,
        body=_model("Message"),
        errors=(404, 502),
    ),
    ("POST", "/broadcast/{channel}"): Operation(
        id="broadcast",
        tag="agents",
        summary="Send a message to every agent that listens on a channel",
        query=_CALL,
        body=_model("Message"),
        errors=(502,),
    ),
    ("POST", "/invoke/{action}"): _invoke("invokeAction", "Invoke an action of whichever agent offers it"),
    ("POST", "/invoke/{action}/{agentId}"): _invoke("invokeActionOfAgent", "Invoke an action of one agent"),
    ("GET", "/stream/{stream}"): _get_stream("getStream", "Read a stream of whichever agent offers it, as it comes"),
    ("GET", "/stream/{stream}/{agentId}"): _get_stream("getStreamOfAgent", "Read a stream of one agent, as it comes"),
    ("POST", "/stream/{stream}"): _post_stream("postStream", "Send bytes to whichever agent takes the stream"),
    ("POST", "/stream/{stream}/{agentId}"): _post_stream("postStreamToAgent", "Send bytes to a stream of one agent"),
    ("GET", "/containers"): Operation(
        id="getContainers", tag="containers", summary="All local containers", result=_list_of(_model("AgentContainer"))
    ),
    ("GET", "/containers/{id}"): Operation(
        id="getContainer",
        tag="containers",
        summary="One container",
        description=_UNKNOWN_IS_EMPTY,
        result=_model("AgentContainer"),
    ),
    ("POST", "/containers"): _start("addContainer", "Start a container"),
    ("PUT", "/containers"): _start("updateContainer", "Replace the one running container of this image"),
    ("DELETE", "/containers/{id}"): Operation(
        id="removeContainer", tag="containers", summary="Stop a container; false if there is none", result=BOOLEAN
    ),
    ("POST", "/containers/notify"): Operation(
        id="notifyContainer",
        tag="containers",
        summary="Have a container's description read anew",
        description="The body is the container's ID, with or without quotes, of any content type.",
        raw_body="text/plain",
        result=BOOLEAN,
        errors=(404,),
    ),
    ("POST", "/containers/login/{id}"): Operation(
        id="loginAtContainer",
        tag="containers",
        summary="Log in at a container",
        description=_BARE_TEXT,
        body=_model("Login"),
        result=TEXT,
        media=_PLAIN,
        errors=(404, 502),
    ),
    ("POST", "/containers/logout/{id}"): Operation(
        id="logoutAtContainer", tag="containers", summary="Log out at a container", result=BOOLEAN, errors=(404, 502)
    ),
    ("GET", "/connections"): Operation(
        id="getConnections", tag="connections", summary="Base URLs of connected platforms", result=_list_of(TEXT)
    ),
    ("POST", "/connections"): Operation(
        id="connect",
        tag="connections",
        summary="Connect to a platform; false if that is so already",
        body=_model("ConnectionRequest"),
        result=BOOLEAN,
        errors=(502,),
    ),
    ("DELETE", "/connections"): Operation(
        id="disconnect",
        tag="connections",
        summary="Disconnect from a platform; false if not connected",
        body=_model("ConnectionRequest"),
        result=BOOLEAN,
        errors=(502,),
    ),
    ("POST", "/connections/notify"): Operation(
        id="notifyConnection",
        tag="connections",
        summary="Have a platform's description read anew",
        description="The body is the platform's base URL, with or without quotes, of any content type.",
        raw_body="text/plain",
        result=BOOLEAN,
        errors=(404,),
    ),
    ("GET", "/users"): Operation(id="getUsers", tag="users", summary="All users", result=_list_of(_model("User"))),
    ("GET", "/users/{name}"): Operation(
        id="getUser", tag="users", summary="One user", result=_model("User"), plain_errors=(404,)
    ),
    ("POST", "/users"): Operation(
        id="addUser",
        tag="users",
        summary="Make a user",
        body=_model("UserInput"),
        result=_model("User"),
        status=201,
        plain_errors=(400, 409),
    ),
    ("PUT", "/users/{name}"): Operation(
        id="updateUser",
        tag="users",
        summary="Change a user",
        body=_model("UserInput"),
        result=_model("User"),
        plain_errors=(400, 404, 409),
    ),
    ("DELETE", "/users/{name}"): Operation(
        id="removeUser", tag="users", summary="Remove a user; false if there is none", result=BOOLEAN
    ),
    ("GET", "/edge/containers"): Operation(
        id="getContainerStatuses",
        tag="operation",
        summary="How every container is doing, running or not",
        description=_NOT_OPACA,
        result=_list_of(_model("ContainerStatus")),
    ),
    ("GET", "/edge/containers/{id}/log"): Operation(
        id="getContainerLog",
        tag="operation",
        summary="The newest lines that a container wrote",
        description=f"{_NOT_OPACA} Output that the platform does not keep is 501.",
        query=("lines", "follow"),
        result=TEXT,
        media=_PLAIN,
        errors=(404, 501),
    ),
    ("GET", "/edge/bridge"): Operation(
        id="getBridgeStatus",
        tag="operation",
        summary="Links, sites and lanes of the bridge that runs inside this platform; null if none does",
        description=_NOT_OPACA,
        result={"type": ["object", "null"]},
    ),
    ("GET", "/edge/connections"): Operation(
        id="getConnectionStatuses",
        tag="operation",
        summary="How connected platforms are doing",
        description=_NOT_OPACA,
        result=_list_of(_model("ConnectionStatus")),
    ),
    ("GET", "/edge/images"): Operation(
        id="getImages",
        tag="operation",
        summary="The images that containers can be started from, and what is wrong with others",
        description=_NOT_OPACA,
        result=_list_of(_model("OfferedImage")),
    ),
    ("GET", "/v3/api-docs/actions"): Operation(
        id="getActionsDocument",
        tag="documents",
        summary="OpenAPI 3.0 document of all actions",
        query=("format",),
        result=TEXT,
        media=_PLAIN,
    ),
    ("GET", "/v3/api-docs"): _document("getDocument", "This document", "application/json"),
    ("GET", "/v3/api-docs.yaml"): _document("getYamlDocument", "This document as YAML", "application/vnd.oai.openapi"),
    ("GET", "/v3/api-docs/All"): _document("getWholeDocument", "This document", "application/json"),
    ("GET", "/subscribe"): Operation(
        id="subscribe",
        tag="platform",
        summary="WebSocket of events",
        description="Send a topic, such as `/containers`; every success of a route under it arrives as an Event.",
        status=101,
        errors=(400,),
    ),
    ("GET", "/"): _document("getLandingPage", "The landing page", *_HTML),
}
