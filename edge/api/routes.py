"""The platform's route table: method, path, handler, lowest role, kind of result, whether it makes events."""

from __future__ import annotations

from edge.api.agents import AgentHandlers
from edge.api.connections import ConnectionHandlers
from edge.api.containers import ContainerHandlers
from edge.api.documents import DocumentHandlers
from edge.api.info import InfoHandlers
from edge.api.login import LoginHandlers
from edge.api.operation import OperationHandlers
from edge.api.subscribe import SubscribeHandler
from edge.api.users import UserHandlers
from edge.http.caller import Role
from edge.http.replies import Kind
from edge.http.routes import Handler, Route, RouteTable
from edge.runtime.platform import Platform
from edge.runtime.users import ATTACH

ADMIN, CONTRIBUTOR, USER, GUEST = Role.ADMIN, Role.CONTRIBUTOR, Role.USER, Role.GUEST
ANY, OPEN = Role.ANY, Role.OPEN


def route_table(platform: Platform) -> RouteTable:
    """Return the routes of a platform (contract, section 2.1)."""
    info, agents = InfoHandlers(platform), AgentHandlers(platform)
    containers, documents = ContainerHandlers(platform), DocumentHandlers(platform)
    connections, operation = ConnectionHandlers(platform), OperationHandlers(platform)
    login, users = LoginHandlers(platform), UserHandlers(platform)
    table = RouteTable(
        (
            _post("/login", login.login, OPEN, Kind.TEXT, is_audited=True),
            _get("/token", login.renew, ANY, Kind.TEXT, makes_events=True),
            _get("/info", info.info, GUEST),
            _get("/config", info.config, ANY),
            _get("/history", info.history, USER),
            _get("/agents", agents.list_agents, GUEST),
            _get("/agents/{agentId}", agents.get_agent, GUEST),
            _post("/send/{agentId}", agents.send, USER, Kind.NOTHING),
            _post("/broadcast/{channel}", agents.broadcast, USER, Kind.NOTHING),
            _post("/invoke/{action}", agents.invoke, USER, Kind.JSON),
            _post("/invoke/{action}/{agentId}", agents.invoke, USER, Kind.JSON),
            _get("/stream/{stream}", agents.get_stream, USER, Kind.OCTETS, makes_events=True),
            _get("/stream/{stream}/{agentId}", agents.get_stream, USER, Kind.OCTETS, makes_events=True),
            _post("/stream/{stream}", agents.post_stream, USER, Kind.NOTHING),
            _post("/stream/{stream}/{agentId}", agents.post_stream, USER, Kind.NOTHING),
            _get("/containers", containers.list_containers, GUEST),
            _get("/containers/{id}", containers.get_container, GUEST),
            _managing("POST", "/containers", containers.add, CONTRIBUTOR, Kind.TEXT, ATTACH),
            _managing("PUT", "/containers", containers.update, CONTRIBUTOR, Kind.TEXT),
            _managing("DELETE", "/containers/{id}", containers.remove, CONTRIBUTOR, Kind.JSON, ATTACH),
            _managing("POST", "/containers/notify", containers.notify, CONTRIBUTOR, Kind.JSON, ATTACH),
            _managing("POST", "/containers/login/{id}", containers.login, USER, Kind.TEXT),
            _managing("POST", "/containers/logout/{id}", containers.logout, USER, Kind.JSON),
            _get("/users", users.list_users, ADMIN),
            _get("/users/{name}", users.get_user, GUEST),
            _managing("POST", "/users", users.add_user, ADMIN, Kind.JSON),
            _managing("PUT", "/users/{name}", users.update_user, ADMIN, Kind.JSON),
            _managing("DELETE", "/users/{name}", users.remove_user, ADMIN, Kind.JSON),
            _get("/connections", connections.list_connections, USER),
            _managing("POST", "/connections", connections.connect, ADMIN, Kind.JSON),
            _managing("DELETE", "/connections", connections.disconnect, ADMIN, Kind.JSON),
            _managing("POST", "/connections/notify", connections.notify, ADMIN, Kind.JSON),
            # Outside OPACA: for the command and for operators.
            _own("/edge/containers", operation.containers, USER, Kind.JSON),
            _own("/edge/containers/{id}/log", operation.log, USER, Kind.OCTETS),
            _own("/edge/connections", connections.statuses, USER, Kind.JSON),
            _own("/edge/bridge", operation.bridge, USER, Kind.JSON),
            _own("/edge/images", operation.images, USER, Kind.JSON),
            *_pages(documents),
            Route(
                method="GET",
                path="/subscribe",
                handler=SubscribeHandler(platform).subscribe,
                role=ANY,
                produces=Kind.DOCUMENT,
                has_cors=False,
            ),
        )
    )
    documents.describe(table)
    return table


def _pages(documents: DocumentHandlers) -> tuple[Route, ...]:
    """Return what describes the platform, to programs and to people."""
    return (
        _get("/v3/api-docs/actions", documents.actions, GUEST, Kind.TEXT),
        _get("/v3/api-docs", documents.api_json, OPEN, Kind.DOCUMENT),
        _get("/v3/api-docs.yaml", documents.api_yaml, ANY, Kind.DOCUMENT),
        _get("/v3/api-docs/All", documents.api_json, OPEN, Kind.DOCUMENT),
        _get("/swagger-ui.html", documents.swagger_redirect, OPEN, Kind.DOCUMENT),
        _get("/swagger-ui/{file}", documents.swagger_file, OPEN, Kind.DOCUMENT),
        Route(
            method="GET",
            path="/",
            handler=documents.landing_page,
            role=ANY,
            produces=Kind.DOCUMENT,
            is_login_page=True,
        ),
        # What the page is made of holds no data, and browsers ask for it without a token.
        *(_get(f"/{name}", documents.static_file, OPEN, Kind.DOCUMENT) for name in documents.static_files()),
    )


def _get(path: str, handler: Handler, role: Role, produces: Kind = Kind.JSON, makes_events: bool = False) -> Route:
    return Route(method="GET", path=path, handler=handler, role=role, produces=produces, makes_events=makes_events)


def _post(path: str, handler: Handler, role: Role, produces: Kind, is_audited: bool = False) -> Route:
    return Route(
        method="POST",
        path=path,
        handler=handler,
        role=role,
        produces=produces,
        is_audited=is_audited,
        makes_events=True,
    )


def _managing(
    method: str, path: str, handler: Handler, role: Role, produces: Kind, privilege: str | None = None
) -> Route:
    return Route(
        method=method,
        path=path,
        handler=handler,
        role=role,
        produces=produces,
        privilege=privilege,
        is_audited=True,
        makes_events=True,
    )


def _own(path: str, handler: Handler, role: Role, produces: Kind) -> Route:
    """Return a route outside OPACA, closed to pages of other origins: logs of containers are nobody else's business."""
    return Route(method="GET", path=path, handler=handler, role=role, produces=produces, has_cors=False)
