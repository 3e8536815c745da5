"""Who may use the base URLs that the bridge serves: whoever shows the token that the local platform was given."""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Sequence

from edge.errors import NotLoggedIn
from edge.http.caller import Caller, Role
from edge.http.request import Request
from edge.http.routes import Route

_PLATFORM = Caller(name="platform", role=Role.ADMIN, is_authenticated=True)
_READER = Caller(name="", role=Role.GUEST)


class TokenGate:
    """Admits the platform. Reading `/info` and following `/subscribe` are free for some networks besides: the
    reference refreshes what it knows of a peer without a token.
    """

    def __init__(self, token: str, free_from: Sequence[str]) -> None:
        self._expected = f"Bearer {token}".encode()
        self._free = [ipaddress.ip_network(network) for network in free_from]

    def admit(self, request: Request, route: Route | None) -> Caller:
        """Return who is calling; `NotLoggedIn` for everybody else."""
        given = request.headers.get("Authorization", "").encode("utf-8", "surrogateescape")
        if hmac.compare_digest(given, self._expected):
            return _PLATFORM
        if not given and route is not None and route.role is Role.OPEN and self._is_free(request.http.remote):
            return _READER
        raise NotLoggedIn("the token of the connection is missing or wrong")

    def _is_free(self, address: str | None) -> bool:
        try:
            caller = ipaddress.ip_address(address or "")
        except ValueError:
            return False
        return any(caller in network for network in self._free)
