"""Remote parties as OPACA platforms: each has a base URL of its own here, `<public URL>/<name>`."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, Protocol, TypeAlias
from urllib.parse import quote

from aiohttp.web import StreamResponse

from bridge.access import is_plain
from bridge.calls import away
from bridge.remote import Remote
from bridge.replies import reply_of
from bridge.subscribe import Subscriptions
from edge.errors import NotFound
from edge.http.caller import Role
from edge.http.replies import FALSE, JSON, NOTHING, Kind, Reply, StreamReply, json_reply, text_reply
from edge.http.request import Request
from edge.http.routes import Match, Route, RouteTable
from edge.model.json_value import JsonValue
from edge.model.requests import Login, Message
from edge.transport.http import KEEPS_MESSAGES

_Answered: TypeAlias = Reply | StreamReply | StreamResponse
_Handler: TypeAlias = Callable[[Remote, Request], Awaitable[_Answered]]

_CALL_S = 30.0
# The platform that asks gives up 5 s after the time it names, or after an hour (contract, Decision 3); we are first.
_GRACE_S = 4.0
_LONGEST_INVOKE_S = 3590.0
# An action that is not begun within this is not begun at all.
_BEGIN_S = 30.0
# Bytes of a header that are no UTF-8, which JSON cannot carry.
_SURROGATES = re.compile("[\ud800-\udfff]")
# Has a platform of this kind take a message that it could not hand over for lost.
_KEEPS = ((KEEPS_MESSAGES, "true"),)


class Events(Protocol):
    """Takes messages that are stored before they are answered."""

    async def accept(self, remote: Remote, route: str, query: Mapping[str, str], message: Message) -> None:
        """Store a message for a party; `NotStored` if that cannot be promised."""


class Streams(Protocol):
    """Carries streams."""

    def opened(self, remote: Remote, route: str, query: Mapping[str, str], headers: dict[str, str]) -> StreamReply:
        """Return the reply that passes on what a remote agent sends."""

    async def fed(
        self, remote: Remote, route: str, query: Mapping[str, str], headers: dict[str, str], request: Request
    ) -> None:
        """Pass a caller's bytes on to a remote agent."""


class PartyRoutes(RouteTable):
    """The routes of every remote party: the first segment of the path names it."""

    def __init__(self, routes: Iterable[Route], own: RouteTable) -> None:
        """Args:
        routes: Of each party, without the segment.
        own: Of the bridge itself.
        """
        super().__init__(routes)
        self._own = own

    def find(self, method: str, path: str) -> Match:
        """Return what is known of a path."""
        name, slash, rest = path[1:].partition("/")
        if name.startswith("_"):
            return self._own.find(method, path)
        match = super().find(method, "/" + rest if slash else "")
        return Match(match.route, {**match.parameters, "party": name}, match.allowed, match.has_cors)

    def makes_events(self, method: str, raw_path: str) -> bool:
        """Nothing here has a history."""
        return False


class Proxy:
    """Handlers of the parties' routes."""

    def __init__(
        self, remotes: Mapping[str, Remote], token: str, events: Events, streams: Streams, subscriptions: Subscriptions
    ) -> None:
        self._remotes = remotes
        self._token = token
        self._events = events
        self._streams = streams
        self._subscriptions = subscriptions

    def routes(self) -> list[Route]:
        """Return the routes of each party."""

        def route(
            method: str, path: str, handler: _Handler, produces: Kind = Kind.JSON, role: Role = Role.USER
        ) -> Route:
            return Route(
                method=method, path=path, handler=self._of_party(handler), role=role, produces=produces, has_cors=False
            )

        return [
            route("GET", "/info", self._info, role=Role.OPEN),
            route("GET", "/token", self._give_token, Kind.TEXT),
            route("GET", "/agents", self._agents),
            route("GET", "/agents/{agentId}", self._agent),
            route("GET", "/containers", self._containers),
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
            route("POST", "/connections", self._connect_back),
            route("DELETE", "/connections", self._connect_back),
            route("GET", "/subscribe", self._subscribe, Kind.DOCUMENT, Role.OPEN),
        ]

    def _of_party(self, handler: _Handler) -> Callable[[Request], Awaitable[_Answered]]:
        async def of_party(request: Request) -> _Answered:
            remote = self._remotes.get(request.parameters["party"])
            if remote is None:
                raise NotFound(f"this bridge knows no {request.parameters['party']!r}")
            return await handler(remote, request)

        return of_party

    async def _info(self, remote: Remote, request: Request) -> Reply:
        if remote.info is None:
            raise away(remote.name, remote.away_since_s, "it has not described itself")
        return Reply(remote.info, JSON, headers=_KEEPS)

    async def _give_token(self, remote: Remote, request: Request) -> Reply:
        # It has no end, so it is its own renewal.
        return text_reply(self._token, request.accept)

    async def _agents(self, remote: Remote, request: Request) -> Reply:
        request.query.boolean(
            "includeConnected", False
        )  # it tells of nobody else, and takes no other words than others do
        return json_reply([agent for container in _containers(remote) for agent in container.agents])

    async def _agent(self, remote: Remote, request: Request) -> Reply:
        agent_id = request.parameters["agentId"]
        for container in _containers(remote):
            for agent in container.agents:
                if agent.agent_id == agent_id:
                    return json_reply(agent)
        return NOTHING

    async def _containers(self, remote: Remote, request: Request) -> Reply:
        return json_reply(_containers(remote))

    async def _send(self, remote: Remote, request: Request) -> Reply:
        agent_id, query = request.parameters["agentId"], _query(request)
        message = await request.json(Message)
        container_id = query.get("containerId")
        if remote.info is not None and agent_id not in remote.agent_ids(container_id):
            where = "" if container_id is None else f" in container {container_id}"
            raise NotFound(f"there is no agent {agent_id}{where}")
        await self._events.accept(remote, f"POST /send/{quote(agent_id, safe='')}", query, message)
        return NOTHING

    async def _broadcast(self, remote: Remote, request: Request) -> Reply:
        channel, query = request.parameters["channel"], _query(request)
        message = await request.json(Message)
        await self._events.accept(remote, f"POST /broadcast/{quote(channel, safe='')}", query, message)
        return NOTHING

    async def _invoke(self, remote: Remote, request: Request) -> Reply:
        timeout_s = request.query.integer("timeout", -1)
        arguments = await request.json(dict[str, JsonValue])
        answer = await remote.call(
            _route(request, "action"),
            _query(request),
            _headers(request),
            arguments,
            limit_s=timeout_s + _GRACE_S if timeout_s > 0 else _LONGEST_INVOKE_S,
            begin_within_s=min(timeout_s, _BEGIN_S) if timeout_s > 0 else _BEGIN_S,
        )
        return reply_of(answer)

    async def _get_stream(self, remote: Remote, request: Request) -> StreamReply:
        return self._streams.opened(remote, _route(request, "stream"), _query(request), _headers(request))

    async def _post_stream(self, remote: Remote, request: Request) -> Reply:
        await self._streams.fed(remote, _route(request, "stream"), _query(request), _headers(request), request)
        return NOTHING

    async def _login(self, remote: Remote, request: Request) -> Reply:
        login = await request.json(Login)
        body = {"username": login.username, "password": login.password}
        answer = await remote.call("POST /login", body=body, limit_s=_CALL_S)
        if answer.s == 200 and isinstance(answer.b, str):
            return text_reply(answer.b, request.accept)
        return reply_of(answer)

    async def _logout(self, remote: Remote, request: Request) -> Reply:
        return reply_of(await remote.call("POST /logout", headers=_headers(request), limit_s=_CALL_S))

    async def _connect_back(self, remote: Remote, request: Request) -> Reply:
        # The bridge at the other end connects its platform with this one, or not; nothing changes by asking here.
        return FALSE

    async def _subscribe(self, remote: Remote, request: Request) -> StreamResponse:
        return await self._subscriptions.serve(remote, request)


def _containers(remote: Remote) -> list[Any]:
    if remote.description is None:
        raise away(remote.name, remote.away_since_s, "it has not described itself")
    return list(remote.description.containers)


def _route(request: Request, name: str) -> str:
    """Return method and path of a call, percent-encoded anew; `NotFound` if the other end would take it for hostile."""
    path = f"/{'invoke' if name == 'action' else name}/{quote(request.parameters[name], safe='')}"
    agent_id = request.parameters.get("agentId")
    if agent_id is not None:
        path += f"/{quote(agent_id, safe='')}"
    if not is_plain(path):
        at_agent = "" if agent_id is None else f" at agent {agent_id[:200]}"
        raise NotFound(f"there is no {name} {request.parameters[name][:200]}{at_agent} that a bridge could call")
    return f"{request.method} {path}"


def _query(request: Request) -> dict[str, str]:
    request.query.boolean("forward", True)  # nothing goes on from there, whatever is wished
    names = ("forward", "containerId", "timeout", "agent_id")
    found = {name: request.query.text(name) for name in names}
    return {name: value for name, value in found.items() if value}


def _headers(request: Request) -> dict[str, str]:
    token = request.headers.get("ContainerLoginToken")
    if token is None or _SURROGATES.search(token):  # nobody was given one that is no UTF-8
        return {}
    return {"ContainerLoginToken": token}
