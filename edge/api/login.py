"""Tokens: given for name and password, and renewed (contract, sections 7.1 and 7.8)."""

from __future__ import annotations

from edge.errors import NotAllowed
from edge.http.caller import Caller, Role
from edge.http.replies import Reply, text_reply
from edge.http.request import NOBODY, Request
from edge.model.requests import Login
from edge.runtime.platform import Platform


class LoginHandlers:
    """Handlers of `/login` and `/token`.

    Where nobody needs to log in, a page that the owner happens to visit could have a token for the asking, and then
    manage the platform with it (contract, Decision 18); so a foreign page needs a token, or a password that is one.
    """

    def __init__(self, platform: Platform) -> None:
        self._accounts = platform.accounts

    async def login(self, request: Request) -> Reply:
        """`POST /login`."""
        login = await request.json(Login)
        name, password = login.username or "", login.password
        caller = request.caller
        # For the audit line: words that are no user's name may be a password in the wrong field.
        known = self._accounts.users.get(name) is not None
        request.caller = Caller(name=name, role=Role.OPEN) if known else NOBODY
        if caller.is_foreign and password == "":
            raise _foreign()
        peer = request.http.remote or ""
        return text_reply(await self._accounts.login(name, password, peer), request.accept)

    async def renew(self, request: Request) -> Reply:
        """`GET /token`: a longer-lived one for the same user."""
        if request.caller.is_foreign:
            raise _foreign()
        return text_reply(self._accounts.renewed(request.caller), request.accept)


def _foreign() -> NotAllowed:
    return NotAllowed(
        "Forbidden: pages from elsewhere get no token without a password (settings ALLOWED_ORIGINS, ALLOWED_HOSTS)"
    )
