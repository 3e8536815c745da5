"""The route table: method, path, handler, lowest role, and whether a request makes events."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import TypeAlias

from aiohttp.web import StreamResponse
from msgspec import Struct

from edge.http.caller import Role
from edge.http.replies import Kind, Reply, StreamReply
from edge.http.request import Request

# A handler that takes over the connection itself (WebSocket) returns aiohttp's own response.
Handler: TypeAlias = Callable[[Request], Awaitable[Reply | StreamReply | StreamResponse]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One line of the table.

    Attributes:
        method: In upper case.
        path: Segments in braces are parameters: `/invoke/{action}/{agentId}`.
        handler: What answers it.
        role: The lowest role when authentication is on.
        produces: How the result is encoded.
        privilege: Opens the route to users who hold it and are below `role`; its handler says for what.
        is_audited: Each call is told in the log, with its caller.
        makes_events: The history tells of its calls (contract, section 9.4).
        has_cors: Browsers of any origin may use it; False only for `/subscribe`.
        is_login_page: The page that browsers get with the 401, to log in on it: it must hold no data.
    """

    method: str
    path: str
    handler: Handler
    role: Role
    produces: Kind
    privilege: str | None = None
    is_audited: bool = False
    makes_events: bool = False
    has_cors: bool = True
    is_login_page: bool = False


class Match(Struct, frozen=True):
    """What the table knows of a path.

    Attributes:
        route: None if there is no such path, or not with this method.
        parameters: Values of the segments in braces.
        allowed: The methods that the path has; empty if there is no such path.
        has_cors: As the path's routes have it.
    """

    route: Route | None
    parameters: dict[str, str]
    allowed: tuple[str, ...]
    has_cors: bool


_NO_MATCH = Match(None, {}, (), False)


class _Template:
    """All routes of one path."""

    __slots__ = ("names", "routes", "segments", "static_count")

    def __init__(self, path: str) -> None:
        self.segments = tuple(None if part.startswith("{") else part for part in path.split("/")[1:])
        self.names = tuple((i, part[1:-1]) for i, part in enumerate(path.split("/")[1:]) if part.startswith("{"))
        self.static_count = len(self.segments) - len(self.names)
        self.routes: dict[str, Route] = {}

    def fits(self, segments: list[str]) -> bool:
        return all(
            given == wanted if wanted is not None else given
            for given, wanted in zip(segments, self.segments, strict=True)
        )

    def parameters(self, segments: list[str]) -> dict[str, str]:
        return {name: segments[i] for i, name in self.names}


class RouteTable:
    """Finds the route of a path; a path with more fixed segments wins over one with fewer."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self.routes = tuple(routes)
        self._by_shape: dict[tuple[int, str], list[_Template]] = {}
        templates: dict[str, _Template] = {}
        for route in self.routes:
            template = templates.get(route.path)
            if template is None:
                template = templates[route.path] = _Template(route.path)
                first = template.segments[0]
                if first is None:
                    raise ValueError(f"{route.path}: the first segment must be fixed")
                same_shape = self._by_shape.setdefault((len(template.segments), first), [])
                same_shape.append(template)
                same_shape.sort(key=lambda other: -other.static_count)
            template.routes[route.method] = route
        # Raw paths that start with one of these make events, whether or not they are known (contract, section 9.4).
        self._event_prefixes = frozenset(
            (route.method, "/" + route.path.split("/")[1]) for route in self.routes if route.makes_events
        )

    def find(self, method: str, path: str) -> Match:
        """Return what is known of a percent-decoded path."""
        segments = path.split("/")[1:]
        if not segments:
            return _NO_MATCH
        templates = [t for t in self._by_shape.get((len(segments), segments[0]), ()) if t.fits(segments)]
        if not templates:
            return _NO_MATCH
        for template in templates:
            route = template.routes.get(method)
            if route is not None:
                return Match(route, template.parameters(segments), tuple(template.routes), route.has_cors)
        allowed = tuple(name for template in templates for name in template.routes)
        has_cors = all(route.has_cors for template in templates for route in template.routes.values())
        return Match(None, {}, allowed, has_cors)

    def makes_events(self, method: str, raw_path: str) -> bool:
        """Tell whether a request that no route answers makes events all the same."""
        return any(method == verb and raw_path.startswith(prefix) for verb, prefix in self._event_prefixes)
