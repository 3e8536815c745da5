"""What a remote party may do here: its role, and the routes that it may call."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from urllib.parse import unquote

from bridge.envelope import LONGEST_PATH

# What the bridge plays at all, whoever asks: the calls of OPACA's common API. Managing is none of them.
_PLAYED = frozenset(
    {
        ("POST", "send"),
        ("POST", "broadcast"),
        ("POST", "invoke"),
        ("GET", "stream"),
        ("POST", "stream"),
        ("POST", "login"),
        ("POST", "logout"),
        ("GET", "info"),
        ("GET", "agents"),
    }
)
_MESSAGES = ("POST /send/", "POST /broadcast/")


@dataclass(frozen=True, slots=True)
class Access:
    """What one party may do.

    Attributes:
        role: Role of its user at the local platform; None if it may do nothing but be seen.
        allow: Patterns of routes: `invoke/Water` (whichever agent), `broadcast/temp`, `stream/*`, `*`.
    """

    role: str | None = None
    allow: Sequence[str] = ()

    def refuses(self, route: str) -> str | None:
        """Return why a route is not played, None if it is.

        >>> access = Access("USER", ["invoke/Get*", "send/*"])
        >>> access.refuses("POST /invoke/GetLevel/tank")
        >>> access.refuses("POST /invoke/Water/tank")
        'is not among what this platform allows: invoke/Get*, send/*'
        >>> access.refuses("DELETE /containers/x")
        'is nothing that a bridge plays'
        >>> Access().refuses("POST /send/x")
        'is refused: this platform allows it nothing yet ([bridge.gateway.sites.<name>] role, allow)'
        """
        method, _, path = route.partition(" ")
        name = path.strip("/")
        if (method, name.partition("/")[0]) not in _PLAYED or not is_plain(path):
            return "is nothing that a bridge plays"
        if self.role is None:
            return "is refused: this platform allows it nothing yet ([bridge.gateway.sites.<name>] role, allow)"
        plain = unquote(name)
        if any(fnmatchcase(plain, pattern) or fnmatchcase(plain, f"{pattern}/*") for pattern in self.allow):
            return None
        return f"is not among what this platform allows: {', '.join(self.allow) or 'nothing'}"


def is_message(route: str) -> bool:
    """Tell whether a route is one that the durable lanes carry.

    A call would be executed late and more than once there, a stream would hold up others for an hour.

    >>> is_message("POST /send/lamp"), is_message("POST /invoke/Water/lamp"), is_message("POST /broadcast/a%2Fb")
    (True, False, False)
    """
    _, _, path = route.partition(" ")
    return route.startswith(_MESSAGES) and is_plain(path)


def is_plain(path: str) -> bool:
    """Tell whether a path can only mean what it says: no dots alone, no empty segments, no query, no fragment."""
    if len(path) > LONGEST_PATH or not path.startswith("/") or not path.isascii() or not path.isprintable():
        return False
    if any(mark in path for mark in "?#\\; "):
        return False
    return all(
        unquote(segment) not in ("", ".", "..") and "/" not in unquote(segment) for segment in path[1:].split("/")
    )
