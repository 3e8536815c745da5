"""Logging in, tokens, and the users that people make and change (contract, sections 7.2 and 7.8)."""

from __future__ import annotations

import logging
import re

from msgspec.structs import replace

from edge.errors import Conflict, NotAllowed, NotFound, ParameterMismatch
from edge.http.caller import Caller
from edge.model.users import UserView, UserWish
from edge.runtime.brake import LoginBrake
from edge.runtime.logins import Logins
from edge.runtime.passwords import Passwords
from edge.runtime.tokens import LOGIN_S, RENEWED_S, Tokens
from edge.runtime.users import User, Users

log = logging.getLogger(__name__)

_LONGEST_NAME = 256
# The reference's hashes know no more.
_LONGEST_PASSWORD_BYTES = 72
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


class Accounts:
    """The verbs of `/login`, `/token` and `/users`."""

    def __init__(self, users: Users, passwords: Passwords, tokens: Tokens, logins: Logins, brake: LoginBrake) -> None:
        self.users = users
        self.tokens = tokens
        self._passwords = passwords
        self._logins = logins
        self._brake = brake

    async def login(self, name: str, password: str | None, address: str) -> str:
        """Return a new token for a user; a board's is the one that it shows from now on.

        Raises:
            NotAllowed: no such user, or another password; both take the same time.
            ParameterMismatch: no password is given for a user who exists.
            Overloaded: too many attempts wait. NotStored: a board's token cannot be kept.
        """
        async with self._brake.attempt(address, name) as attempt:
            user = self.users.get(name)
            if password is None and user is not None:
                raise ParameterMismatch("the password is null")
            if not await self._passwords.fits(password or "", None if user is None else user.password):
                raise NotAllowed("")
            attempt.has_succeeded = True
        user = self.users.get(name)
        if user is None:  # it was removed meanwhile
            raise NotAllowed("")
        # A board's takes the place of the last one, which must not be the same.
        token = self.tokens.issue(name, LOGIN_S, is_unique=user.is_board)
        if user.is_board:
            await self.users.change(name, replace(user, token=token))
        return token

    def renewed(self, caller: Caller) -> str:
        """Return a longer-lived token for the calling user; a board has one already, which has no end."""
        user = self.users.get(caller.name)
        if user is not None and user.is_board and user.token:
            return user.token
        return self.tokens.issue(caller.name, RENEWED_S)

    async def create(self, wish: UserWish, caller: Caller) -> User:
        """Make a user.

        Raises:
            Conflict: the name is taken. ParameterMismatch: something is missing or cannot be used.
        """
        if wish.username is not None and self.users.get(wish.username) is not None:
            raise _taken(wish.username)
        if wish.username is None or wish.password is None or wish.role is None:
            raise ParameterMismatch("username, password and role are mandatory")
        user = User(
            name=_checked_name(wish.username),
            password=await self._passwords.hash(_checked_password(wish.password)),
            role=wish.role,
            privileges=tuple(wish.privileges or ()),
            made_by=caller.name,
        )
        try:
            await self.users.add(user)
        except Conflict:
            raise _taken(user.name) from None
        self._logins.user_gone(user.name)  # those of one that could not be read
        return user

    async def change(self, name: str, wish: UserWish) -> User:
        """Change what is not null of a user; `privileges` are replaced as a whole.

        A board that gets a new password or other rights shows its token in vain from then on.

        Raises:
            NotFound: there is no such user; the message is exactly the name.
            Conflict: the new name is taken. ParameterMismatch: something cannot be used.
        """
        user = self.users.get(name)
        if user is None:
            raise NotFound(name)
        if wish.username is not None and wish.username != name:
            if self.users.get(wish.username) is not None:
                raise _taken(wish.username)
            if user.kind != "person":
                raise ParameterMismatch(f"{name} stands for a {user.kind} and keeps its name")
            _checked_name(wish.username)
        digest = None if wish.password is None else await self._passwords.hash(_checked_password(wish.password))
        user = self.users.get(name)
        if user is None:  # it was removed meanwhile
            raise NotFound(name)
        changed = replace(
            user,
            name=name if wish.username is None else wish.username,
            password=user.password if digest is None else digest,
            role=user.role if wish.role is None else wish.role,
            privileges=user.privileges if wish.privileges is None else tuple(wish.privileges),
        )
        if user.token and user.kind == "person" and (digest is not None or not changed.is_board):
            changed = replace(changed, token="")
        if changed != user:
            try:
                await self.users.change(name, changed)
            except Conflict:
                raise _taken(changed.name) from None
            if changed.name != name:
                self._logins.user_renamed(name, changed.name)
        return changed

    async def remove(self, name: str) -> bool:
        """Remove a user, whose tokens are not valid from then on; False if there is none of that name."""
        was_there = await self.users.remove(name)
        if was_there:
            self._logins.user_gone(name)
        return was_there

    def public_view(self, user: User) -> UserView:
        """Return what a list of users shows."""
        return UserView(username=user.name, role=user.role, privileges=list(user.privileges))

    def full_view(self, user: User, caller: Caller) -> UserView:
        """Return what is shown of one user: its container logins to itself only, if it has shown who it is."""
        view = self.public_view(user)
        if caller.is_authenticated and caller.name == user.name:
            view.container_login_tokens = self._logins.of_user(user.name)
        return view


def _taken(name: str) -> Conflict:
    return Conflict(f"there is a user {name} already")


def _checked_name(name: str) -> str:
    if not 0 < len(name) <= _LONGEST_NAME or _UNPRINTABLE.search(name):
        raise ParameterMismatch(f"username: expected 1 to {_LONGEST_NAME} printable characters")
    return name


def _checked_password(password: str) -> str:
    if len(password.encode("utf-8", "surrogatepass")) > _LONGEST_PASSWORD_BYTES:
        raise ParameterMismatch(f"password: expected at most {_LONGEST_PASSWORD_BYTES} bytes")
    return password
