"""Who is calling this platform (contract, section 7)."""

from __future__ import annotations

from edge.errors import NotLoggedIn
from edge.http.caller import Caller, Role
from edge.http.request import Request
from edge.http.routes import Route


class OpenGate:
    """The gate of a platform without authentication: everybody acts as its administrator.

    A token that is presented is checked all the same (contract, section 7.1); without a secret none is valid.
    """

    def __init__(self, admin_name: str) -> None:
        self._anybody = Caller(name=admin_name, role=Role.ADMIN)

    def admit(self, request: Request, route: Route | None) -> Caller:
        """Return the administrator.

        Raises:
            NotLoggedIn: a token was presented.
        """
        if "Authorization" in request.headers:
            raise NotLoggedIn("This token is not valid here.")
        return self._anybody
