"""The routes of a container that is asked directly (contract, sections 3.1 and 3.4)."""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from edge.agents.container import Container
from edge.errors import NotAllowed, NotFound, OpacaError
from edge.http.caller import Caller, Role
from edge.http.errors import error_body
from edge.http.replies import JSON, NOTHING, Kind, Reply, StreamReply, boolean_reply, json_reply, text_reply
from edge.http.request import Request
from edge.http.routes import Route, RouteTable
from edge.model.codec import encode
from edge.model.json_value import JsonValue
from edge.model.requests import Login, Message
from edge.transport.base import CallOptions
from edge.transport.in_process import container_status

_Handler: TypeAlias = Callable[[Request], Awaitable[Reply | StreamReply]]


class OpenGate:
    """Lets everybody in: a container checks its own token, and answers in its own form."""

    def admit(self, request: Request, route: Route | None) -> Caller:
        return _PLATFORM


_PLATFORM = Caller(name="platform", role=Role.ADMIN)


def container_routes(container: Container, token: str) -> RouteTable:
    """Return the routes of a container; calls must carry `token` unless it is empty."""
    return RouteTable(_Handlers(container, token).routes())


class _Handlers:
    """The handlers of a container's routes."""

    def __init__(self, container: Container, token: str) -> None:
        self._container = container
        self._expected = f"Bearer {token}".encode() if token else None

    def routes(self) -> list[Route]:
        def route(method: str, path: str, handler: _Handler, produces: Kind = Kind.JSON) -> Route:
            return Route(
                method=method,
                path=path,
                handler=self._checked(handler),
                role=Role.OPEN,
                produces=produces,
                has_cors=False,
            )

        return [
            route("GET", "/info", self._info),
            route("GET", "/agents", self._agents),
            route("GET", "/agents/{agentId}", self._agent),
            route("POST", "/send/{agentId}", self._send, Kind.NOTHING),
            route("POST", "/broadcast/{channel}", self._broadcast, Kind.NOTHING),
            route("POST", "/invoke/{action}", self._invoke),
            route("POST", "/invoke/{action}/{agentId}", self._invoke),
            route("GET", "/stream/{stream}", self._get_stream, Kind.OCTETS),
            route("GET", "/stream/{stream}/{agentId}", self._get_stream, Kind.OCTETS),
            route("POST", "/stream/{stream}", self._post_stream, Kind.NOTHING),
            route("POST", "/stream/{stream}/{agentId}", self._post_stream, Kind.NOTHING),
            route("POST", "/login", self._login, Kind.TEXT),
            route("POST", "/logout", self._logout),
        ]

    def _checked(self, handler: _Handler) -> _Handler:
        async def checked(request: Request) -> Reply | StreamReply:
            given = request.headers.get("Authorization", "").encode("utf-8", "surrogateescape")
            if self._expected is not None and not hmac.compare_digest(given, self._expected):
                return _error(
                    NotAllowed("this container is called through its platform: its token is missing or wrong")
                )
            return await handler(request)

        return checked

    async def _info(self, request: Request) -> Reply:
        return json_reply(self._container.describe())

    async def _agents(self, request: Request) -> Reply:
        return json_reply(self._container.describe().agents)

    async def _agent(self, request: Request) -> Reply:
        agent_id = request.parameters["agentId"]
        for agent in self._container.describe().agents:
            if agent.agent_id == agent_id:
                return json_reply(agent)
        return _error(NotFound(f"container {self._container.name!r} has no agent {agent_id!r}"))

    async def _send(self, request: Request) -> Reply:
        message = await request.json(Message)
        return await _nothing(self._container.send(request.parameters["agentId"], message, _options(request)))

    async def _broadcast(self, request: Request) -> Reply:
        message = await request.json(Message)
        return await _nothing(self._container.broadcast(request.parameters["channel"], message, _options(request)))

    async def _invoke(self, request: Request) -> Reply:
        options = _options(request)
        arguments = await request.json(dict[str, JsonValue])
        parameters = request.parameters
        try:
            result = await self._container.invoke(parameters["action"], arguments, parameters.get("agentId"), options)
        except OpacaError as error:
            return _error(error)
        return json_reply(result)

    async def _get_stream(self, request: Request) -> Reply | StreamReply:
        parameters = request.parameters
        agent_id = parameters.get("agentId") or request.query.text("agent_id")
        try:
            return StreamReply(self._container.get_stream(parameters["stream"], agent_id, _options(request)))
        except OpacaError as error:
            return _error(error)

    async def _post_stream(self, request: Request) -> Reply:
        parameters = request.parameters
        agent_id = parameters.get("agentId") or request.query.text("agent_id")
        options = _options(request)
        return await _nothing(self._container.post_stream(parameters["stream"], request.pieces(), agent_id, options))

    async def _login(self, request: Request) -> Reply:
        login = await request.json(Login)
        try:
            return text_reply(await self._container.login(login, _options(request)), request.accept)
        except OpacaError as error:
            return _error(error)

    async def _logout(self, request: Request) -> Reply:
        try:
            return boolean_reply(await self._container.logout(_options(request)))
        except OpacaError as error:
            return _error(error)


def _options(request: Request) -> CallOptions:
    return CallOptions(
        timeout_s=request.query.integer("timeout", -1),
        login_token=request.headers.get("ContainerLoginToken"),
        sender_id=request.sender_id,
    )


async def _nothing(call: Awaitable[None]) -> Reply:
    try:
        await call
    except OpacaError as error:
        return _error(error)
    return NOTHING


def _error(error: OpacaError) -> Reply:
    status = container_status(error)
    return Reply(encode(error_body(status, error.message, error.cause)), JSON, status)
