"""The users of the platform; in memory, and on the disk before it is answered."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import Literal

from msgspec import Struct

from edge.errors import BadInput, Conflict, NotFound
from edge.http.caller import Caller, Role
from edge.model.codec import decode, encode
from edge.model.users import RoleName
from edge.runtime.errands import Errands
from edge.runtime.passwords import LOCKED
from edge.state.database import Database

log = logging.getLogger(__name__)

# Whose holder may attach itself, and nothing else of what needs CONTRIBUTOR (contract, Decision 21).
ATTACH = "attach"


class User(Struct, frozen=True, kw_only=True):
    """A user as it is stored.

    Attributes:
        name: Unique.
        password: Its hash.
        role: What the user may do.
        privileges: What besides; never a role.
        kind: A `person` (or a board), or what stands behind it: a `container` of this platform, a `peer`.
        made_by: Who made it; empty if the platform did.
        token: The one token that is valid as long as the user is there, whatever its `exp`; empty if there is none.
    """

    name: str
    password: str = LOCKED
    role: RoleName = RoleName.USER
    privileges: tuple[str, ...] = ()
    kind: Literal["person", "container", "peer"] = "person"
    made_by: str = ""
    token: str = ""

    @property
    def is_board(self) -> bool:
        """Whether it is a board's user, which may attach itself and shows one token for ever."""
        return self.kind == "person" and self.role is RoleName.USER and ATTACH in self.privileges

    def __repr__(self) -> str:
        return f"User({self.name!r}, {self.role.value})"  # without the secrets


def caller_of(user: User) -> Caller:
    """Return who is calling when this user is, with its own role."""
    return Caller(
        name=user.name, role=Role[user.role.value], privileges=frozenset(user.privileges), is_authenticated=True
    )


class Users:
    """All users, oldest first. A caller who leaves does not stop a change half-way.

    Attributes:
        on_loss: Called when a user has changed or is gone, who may have lost rights by that.
    """

    def __init__(self, database: Database, errands: Errands) -> None:
        self._database = database
        self._errands = errands
        self._users: dict[str, User] = {}
        self._by_token: dict[str, User] = {}
        self._position = 0
        self._writing = asyncio.Lock()
        self.on_loss: list[Callable[[], None]] = []

    async def load(self) -> None:
        """Read what is stored; rows that cannot be read are named in the log and left alone."""
        for name, position, record in await self._database.read(
            "SELECT name, position, record FROM users ORDER BY position"
        ):
            self._position = max(self._position, position)
            try:
                user = decode(record.encode(), User, ignored=set())
                if user.name != name:
                    raise BadInput(f"its name is {user.name!r}")
                self._show(user)
            except BadInput as error:
                log.error("the stored user %r cannot be read: %s", name, error)

    def all(self) -> Sequence[User]:
        """Return all users."""
        return tuple(self._users.values())

    def get(self, name: str) -> User | None:
        """Return a user, None if there is none of that name."""
        return self._users.get(name)

    def with_token(self, token: str) -> User | None:
        """Return the user whose own token this is, byte by byte."""
        return self._by_token.get(token)

    def show(self, user: User) -> None:
        """Have a user until the platform stops, without storing it."""
        self._show(user)

    async def add(self, user: User) -> None:
        """Add a user; that of a container is stored no longer than the container.

        Raises:
            Conflict: the name is taken. NotStored: it could not be kept.
        """
        await self._errands.run("adding of a user", partial(self._add, user))

    async def change(self, name: str, changed: User) -> None:
        """Put a user in the place of another, perhaps under another name.

        Raises:
            NotFound: there is no such user. Conflict: the new name is taken. NotStored: it could not be kept.
        """
        await self._errands.run("change of a user", partial(self._change, name, changed))

    async def remove(self, name: str) -> bool:
        """Remove a user; False if there is none of that name.

        Raises:
            NotStored: it could not be removed from the disk, and stays.
        """
        return await self._errands.run("removal of a user", partial(self._remove, name))

    def container_gone(self, container_id: str) -> None:
        """Forget the user of a container that is stored no more."""
        user = self._users.get(container_id)
        if user is not None and user.kind == "container":
            self._hide(user)

    async def _add(self, user: User) -> None:
        async with self._writing:
            if user.name in self._users:
                raise Conflict(f"there is a user {user.name} already")
            self._position += 1
            container_id = user.name if user.kind == "container" else None
            await self._database.write(
                # It can only be one that could not be read; its logins go with it.
                ("DELETE FROM users WHERE name = ?", (user.name,)),
                (
                    "INSERT INTO users (name, position, container_id, record) VALUES (?, ?, ?, ?)",
                    (user.name, self._position, container_id, encode(user).decode()),
                ),
            )
            self._show(user)

    async def _change(self, name: str, changed: User) -> None:
        async with self._writing:
            user = self._users.get(name)
            if user is None:
                raise NotFound(name)
            if changed.name != name and changed.name in self._users:
                raise Conflict(f"there is a user {changed.name} already")
            self._position += 1
            # One that was only shown until now is stored with its first change.
            await self._database.write(
                (
                    "INSERT INTO users (name, position, record) VALUES (?, ?, ?)"
                    " ON CONFLICT (name) DO UPDATE SET record = excluded.record",
                    (name, self._position, encode(changed).decode()),
                ),
                ("UPDATE users SET name = ? WHERE name = ?", (changed.name, name)),
            )
            self._users = {
                each.name: each for each in (changed if other is user else other for other in self._users.values())
            }
            self._by_token.pop(user.token, None)
            self._show(changed)
            self._tell_loss()

    async def _remove(self, name: str) -> bool:
        async with self._writing:
            user = self._users.get(name)
            if user is None:
                return False
            await self._database.write(("DELETE FROM users WHERE name = ?", (name,)))
            self._hide(user)
            return True

    def _show(self, user: User) -> None:
        self._users[user.name] = user
        if user.token:
            self._by_token[user.token] = user

    def _hide(self, user: User) -> None:
        self._users.pop(user.name, None)
        self._by_token.pop(user.token, None)
        self._tell_loss()

    def _tell_loss(self) -> None:
        for tell in self.on_loss:
            tell()
