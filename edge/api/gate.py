"""Who is calling this platform, and from where (contract, section 7 and Decision 18)."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from urllib.parse import urlsplit

from edge.errors import NotAllowed, NotLoggedIn
from edge.http.caller import Caller, Role
from edge.http.request import Request
from edge.http.routes import Route

_MANAGING = frozenset(("containers", "connections", "users"))


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

    def check(self, request: Request) -> None:
        """Refuse a managing call from a foreign page.

        Raises:
            NotAllowed: the origin or the host is foreign.
        """
        if request.method == "GET" or request.raw_path.split("/", 2)[1] not in _MANAGING:
            return
        origin = request.headers.get("Origin")
        if origin is not None and not self._is_own_origin(origin.lower()):
            raise NotAllowed(f"Forbidden: pages of {origin[:200]} may not manage this (setting ALLOWED_ORIGINS)")
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


class OpenGate:
    """The gate of a platform without authentication: everybody acts as its administrator.

    A token that is presented is checked all the same (contract, section 7.1); without a secret none is valid.
    """

    def __init__(self, admin_name: str, guard: OriginGuard) -> None:
        self._anybody = Caller(name=admin_name, role=Role.ADMIN)
        self._guard = guard

    def admit(self, request: Request, route: Route | None) -> Caller:
        """Return the administrator.

        Raises:
            NotLoggedIn: a token was presented.
            NotAllowed: a foreign page asks to manage the platform.
        """
        if "Authorization" in request.headers:
            raise NotLoggedIn("This token is not valid here.")
        if request.method != "GET":
            self._guard.check(request)
        return self._anybody


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
