"""Cross-origin rules: every OPACA route may be used by pages of any origin (contract, section 1.4)."""

from __future__ import annotations

from edge.http.errors import generic_reply
from edge.http.replies import Reply
from edge.http.request import Request
from edge.http.routes import Match

VARY = (
    ("Vary", "Origin"),
    ("Vary", "Access-Control-Request-Method"),
    ("Vary", "Access-Control-Request-Headers"),
)
ALLOW_ANY_ORIGIN = ("Access-Control-Allow-Origin", "*")
_METHODS = ("GET", "POST", "PUT", "DELETE")


def is_foreign(request: Request) -> bool:
    """Tell whether a page of another origin is asking."""
    origin = request.headers.get("Origin")
    return origin is not None and origin != f"{request.http.scheme}://{request.headers.get('Host', '')}"


def answer_options(request: Request, match: Match) -> Reply | None:
    """Answer OPTIONS; None if the path is unknown and nobody asks for a preflight."""
    wanted = request.headers.get("Access-Control-Request-Method")
    if request.headers.get("Origin") is None or wanted is None:
        if not match.allowed:
            return None
        return Reply(headers=(("Allow", ", ".join(options_of(match))),))
    if not match.has_cors or wanted not in _METHODS or wanted not in match.allowed:
        return generic_reply(403, request.raw_path)
    methods = "GET,POST,PUT,DELETE" if _is_users(request) else "GET,POST,PUT,DELETE,OPTIONS"
    headers = [ALLOW_ANY_ORIGIN, ("Access-Control-Allow-Methods", methods), ("Access-Control-Max-Age", "1800")]
    asked = request.headers.get("Access-Control-Request-Headers")
    if asked:
        headers.append(("Access-Control-Allow-Headers", asked))
    return Reply(headers=tuple(headers))


def is_preflight(request: Request) -> bool:
    """Tell a browser's question from a plain OPTIONS."""
    return "Origin" in request.headers and "Access-Control-Request-Method" in request.headers


def options_of(match: Match) -> tuple[str, ...]:
    """Return what a path answers to, HEAD and OPTIONS included."""
    head = ("HEAD",) if "GET" in match.allowed else ()
    return (*match.allowed, *head, "OPTIONS")


def _is_users(request: Request) -> bool:
    return request.raw_path == "/users" or request.raw_path.startswith("/users/")
