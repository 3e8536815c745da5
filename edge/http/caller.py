"""Who is calling, and what a route demands of them (contract, section 7.4)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from edge.http.request import Request
    from edge.http.routes import Route


class Role(IntEnum):
    """The lowest role that a route asks for; each includes those below it."""

    OPEN = 0
    ANY = 1
    GUEST = 2
    USER = 3
    CONTRIBUTOR = 4
    ADMIN = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """The acting user of a request.

    Attributes:
        name: The user's name; empty if nobody in particular.
        role: What the user may do.
        privileges: What the user may do besides; a route may name one.
        is_authenticated: A valid token named this user; False for the stand-in of a platform without authentication.
        is_foreign: A page of another origin asks on behalf of whoever sits before the browser. Looked at only where
            somebody without token may get one.
    """

    name: str
    role: Role
    privileges: frozenset[str] = frozenset()
    is_authenticated: bool = False
    is_foreign: bool = False


class Gate(Protocol):
    """Decides who is calling, and whether they may."""

    def admit(self, request: Request, route: Route | None) -> Caller:
        """Return the acting user; `route` is None where path or method is unknown.

        Raises:
            NotLoggedIn: no token where one is needed, or one that is not valid.
            NotAllowed: role or origin forbid the route.
        """
