"""Who is calling this platform, and from where (contract, section 7 and Decision 18)."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from urllib.parse import urlsplit

from edge.errors import NotAllowed, NotLoggedIn
from edge.http.caller import Caller, Role
from edge.http.request import NOBODY, Request
from edge.http.routes import Route
from edge.runtime.tokens import Tokens
from edge.runtime.users import Users, caller_of

_MANAGING = frozenset(("containers", "connections", "users"))
# Not OPACA's: what an operator sees, such as what containers write, is nobody's business who has a page open.
_OPERATORS = "edge"


class OriginGuard:
    """Keeps web pages that the owner happens to visit from managing the platform.

    A browser sends such calls on behalf of any page: it names the page in `Origin`, and where a page had its own host
    name point here, that name is in `Host`. Who presents a valid token is trusted: pages cannot make one up.
    """

    def __init__(
        self, base_url: str, host_names: Iterable[str], allowed_origins: Iterable[str], allowed_hosts: Iterable[str]
    ) -> None:
        """Args:
        base_url: Own base URL.
        host_names: Names of this machine, without domain.
        allowed_origins: The setting ALLOWED_ORIGINS.
        allowed_hosts: The setting ALLOWED_HOSTS.
        """
        own = urlsplit(base_url)
        self._origins = {f"{own.scheme}://{own.netloc}".lower(), *(origin.lower() for origin in allowed_origins)}
        self._hosts = {"localhost", (own.hostname or "").lower(), *(host.lower() for host in allowed_hosts)}
        for name in host_names:
            self._hosts |= {name.lower(), f"{name.lower()}.local"}

    def is_foreign(self, request: Request) -> bool:
        """Tell whether a foreign page asks."""
        try:
            self.demand_own(request)
        except NotAllowed:
            return True
        return False

    def demand_own(self, request: Request) -> None:
        """Refuse whatever a foreign page asks.

        Raises:
            NotAllowed: the origin or the host is foreign.
        """
        origin = request.headers.get("Origin")
        if origin is not None and not self._is_own_origin(origin.lower()):
            raise NotAllowed(f"Forbidden: pages of {origin[:200]} may not do this (setting ALLOWED_ORIGINS)")
        host = request.headers.get("Host", "")
        if not self._is_own_host(_host_name(f"//{host}")):
            raise NotAllowed(f"Forbidden: {host[:200]} is no name of this platform (setting ALLOWED_HOSTS)")

    def _is_own_origin(self, origin: str) -> bool:
        if origin in self._origins:
            return True
        host = _host_name(origin)
        return host == "localhost" or (_is_address(host) and ipaddress.ip_address(host).is_loopback)

    def _is_own_host(self, host: str) -> bool:
        return not host or host in self._hosts or _is_address(host)


class PlatformGate:
    """Decides who is calling and whether they may (contract, sections 7.1 to 7.4).

    Without authentication everybody may do everything, and whoever shows no token acts as the administrator. A token
    that is presented is checked all the same.
    """

    def __init__(
        self, users: Users, tokens: Tokens, administrator: str, guard: OriginGuard, requires_auth: bool
    ) -> None:
        self._users = users
        self._tokens = tokens
        self._guard = guard
        self._requires_auth = requires_auth
        self._anybody = Caller(name=administrator, role=Role.ADMIN)
        self._foreigner = Caller(name=administrator, role=Role.ADMIN, is_foreign=True)

    def admit(self, request: Request, route: Route | None) -> Caller:
        """Return the acting user.

        Raises:
            NotLoggedIn: no token where one is needed, or one that is not valid.
            NotAllowed: the role is too low, or a foreign page asks to manage the platform.
        """
        authorization = _authorization(request)
        if not self._requires_auth:
            return self._admit_anybody(request, authorization, route)
        if authorization is None:
            caller = self._admit_anonymous(request, route)
        else:
            caller = self._presented(authorization) or NOBODY
        needed = role_without_route(request.method, request.raw_path) if route is None else route.role
        if caller.role < needed and not _has_privilege(caller, route):
            request.caller = caller  # who it was that may not
            raise NotAllowed("")
        return caller

    def may_still(self, request: Request, route: Route) -> bool:
        """Tell whether somebody who was let in would be now, for all that has become of its user.

        That a token has ended meanwhile is no reason: who follows events for weeks need not begin anew for each.
        """
        if not request.caller.is_authenticated:
            return True
        user = self._users.get(request.caller.name)
        if user is None or (user.is_board and _authorization(request) != f"Bearer {user.token}"):
            return False
        now = caller_of(user)
        return not self._requires_auth or now.role >= route.role or _has_privilege(now, route)

    def _admit_anybody(self, request: Request, authorization: str | None, route: Route | None) -> Caller:
        if authorization is not None:
            presented = self._presented(authorization)
            if presented is not None:
                return Caller(
                    name=presented.name, role=Role.ADMIN, privileges=presented.privileges, is_authenticated=True
                )
        # The route's own path: as it came, `/%63ontainers` would look like something else.
        path = request.raw_path if route is None else route.path
        first = path.split("/", 2)[1]
        if first == _OPERATORS or (request.method != "GET" and first in _MANAGING):
            self._guard.demand_own(request)
        if path in _ISSUES_TOKENS and self._guard.is_foreign(request):
            return self._foreigner
        return self._anybody

    def _admit_anonymous(self, request: Request, route: Route | None) -> Caller:
        is_open = route is not None and route.role is Role.OPEN
        if not is_open and not _passes_without_token(request.raw_path):
            raise NotLoggedIn("Missing token.")
        return Caller(name="", role=Role.OPEN, is_foreign=self._guard.is_foreign(request))

    def _presented(self, authorization: str) -> Caller | None:
        """Return who a token names; None if it is valid and names nobody."""
        scheme, _, token = authorization.partition(" ")
        if scheme != "Bearer":
            raise NotLoggedIn("Expected a bearer token.")
        # Containers and boards read their token once, and may have no clock: theirs has no end (contract, Decision 10).
        user = self._users.with_token(token) if token else None
        if user is None:
            subject = self._tokens.subject(token)
            if subject is None:
                return None
            user = self._users.get(subject)
            if user is None:
                raise NotLoggedIn("The user of this token does not exist.")
            if user.is_board:
                raise NotLoggedIn("A board shows the token that it logged in for last.")
        return caller_of(user)


def _authorization(request: Request) -> str | None:
    """Return what a request shows of its caller.

    Browsers can set no header on a WebSocket: there the token may be one of the subprotocols that they offer.
    """
    shown = request.headers.get("Authorization")
    if shown is None and request.raw_path == _SUBSCRIBE:
        for offered in request.headers.get("Sec-WebSocket-Protocol", "").split(","):
            scheme, _, token = offered.strip().partition(".")
            if scheme == "bearer":
                return f"Bearer {token}"
    return shown


def _has_privilege(caller: Caller, route: Route | None) -> bool:
    # A role among the privileges raises nobody (contract, Q32): they only open what names them.
    return route is not None and route.privilege in caller.privileges and caller.role >= Role.USER


def role_without_route(method: str, raw_path: str) -> Role:
    """Return what a request needs that no route answers, so that 401 and 403 come before 404 and 405."""
    if _is_open(raw_path):
        return Role.OPEN
    first = raw_path.split("/", 2)[1]
    if first == "users":
        return Role.GUEST if method == "GET" and raw_path != "/users" else Role.ADMIN
    if first == "connections":
        return Role.USER if method == "GET" and raw_path == "/connections" else Role.ADMIN
    if (
        first == "containers"
        and raw_path.startswith(("/containers/login/", "/containers/logout/"))
        and method == "POST"
    ):
        return Role.USER
    return _WITHOUT_ROUTE.get((method, first), Role.ANY)


# Where GUEST is enough, so is any user.
_WITHOUT_ROUTE = {
    ("GET", "stream"): Role.USER,
    **{("POST", first): Role.USER for first in ("send", "invoke", "broadcast", "stream")},
    **{(method, "containers"): Role.CONTRIBUTOR for method in ("POST", "DELETE")},
}
_SUBSCRIBE = "/subscribe"
_ISSUES_TOKENS = ("/login", "/token")
_OPEN = ("/v3/api-docs", "/swagger-resources", "/swagger-ui.html", "/login", "/error",
         "/configuration/ui", "/configuration/security")  # fmt: skip
_OPEN_BELOW = ("/v3/api-docs/", "/swagger-resources/", "/swagger-ui/", "/webjars/")
_OPEN_PREFIXES = ("/login", "/error", "/v3/api-docs", "/swagger-ui/", "/swagger-ui.html", "/swagger-resources",
                  "/webjars/", "/configuration/ui", "/configuration/security")  # fmt: skip
_ACTIONS = "/v3/api-docs/actions"


def _is_open(raw_path: str) -> bool:
    return raw_path != _ACTIONS and (raw_path in _OPEN or raw_path.startswith(_OPEN_BELOW))


def _passes_without_token(raw_path: str) -> bool:
    """Whether a missing token is no reason for 401; the route may still refuse nobody in particular with 403."""
    return raw_path.startswith(_OPEN_PREFIXES) and not raw_path.startswith(_ACTIONS)


def _host_name(url: str) -> str:
    try:
        return (urlsplit(url).hostname or "").lower()
    except ValueError:
        return url  # no name that anybody has


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
