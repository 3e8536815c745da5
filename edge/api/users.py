"""Users, as administrators manage them (contract, section 7.8); errors are plain text here."""

from __future__ import annotations

from edge.errors import BrokenRequest, Conflict, NotAllowed, NotFound, OpacaError, ParameterMismatch, Undecodable
from edge.http.caller import Role
from edge.http.errors import status_of
from edge.http.replies import Reply, boolean_reply, json_reply, text_reply
from edge.http.request import Request
from edge.model.users import UserWish
from edge.runtime.platform import Platform


class UserHandlers:
    """Handlers of `/users`."""

    def __init__(self, platform: Platform) -> None:
        self._accounts = platform.accounts

    async def list_users(self, request: Request) -> Reply:
        """`GET /users`."""
        return json_reply([self._accounts.public_view(user) for user in self._accounts.users.all()])

    async def get_user(self, request: Request) -> Reply:
        """`GET /users/{name}`: for oneself, and for administrators."""
        name, caller = request.parameters["name"], request.caller
        if caller.role < Role.ADMIN and caller.name != name:
            raise NotAllowed("")
        user = self._accounts.users.get(name)
        if user is None:
            return _refusal(NotFound(name), request)
        return json_reply(self._accounts.full_view(user, caller))

    async def add_user(self, request: Request) -> Reply:
        """`POST /users`: 201."""
        wish = await _wish(request)
        try:
            user = await self._accounts.create(wish, request.caller)
        except (Conflict, ParameterMismatch) as error:
            return _refusal(error, request)
        return json_reply(self._accounts.full_view(user, request.caller), 201)

    async def update_user(self, request: Request) -> Reply:
        """`PUT /users/{name}`."""
        wish = await _wish(request)
        try:
            user = await self._accounts.change(request.parameters["name"], wish)
        except (NotFound, Conflict, ParameterMismatch) as error:
            return _refusal(error, request)
        return json_reply(self._accounts.full_view(user, request.caller))

    async def remove_user(self, request: Request) -> Reply:
        """`DELETE /users/{name}`."""
        return boolean_reply(await self._accounts.remove(request.parameters["name"]))


async def _wish(request: Request) -> UserWish:
    """Return the body; what cannot be decoded is 400 on these routes, in the generic form."""
    try:
        return await request.json(UserWish)
    except Undecodable as error:
        raise BrokenRequest(error.message) from error


def _refusal(error: OpacaError, request: Request) -> Reply:
    return text_reply(error.message, request.accept, status_of(error))
