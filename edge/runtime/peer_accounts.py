"""The users by whose names connected platforms call this one, among all others (contract, section 7.6 and Q25)."""

from __future__ import annotations

from msgspec.structs import replace

from edge.errors import Conflict
from edge.model.users import RoleName
from edge.runtime.logins import Logins
from edge.runtime.tokens import PEER_S, Tokens
from edge.runtime.users import User, Users


class PeerAccounts:
    """Makes and removes them; `edge.runtime.peer_users.PeerUsers` says how it is used."""

    def __init__(self, users: Users, tokens: Tokens, logins: Logins, requires_auth: bool) -> None:
        self._users = users
        self._tokens = tokens
        self._logins = logins
        self._requires_auth = requires_auth

    @property
    def key_mark(self) -> str:
        """Changes with the secret; empty where callers need not log in."""
        return self._tokens.key_mark if self._requires_auth else ""

    async def make(self, name: str, role_of: str) -> str | None:
        """Make the user of a platform, or replace the one of that name, and return a token of 7 days for it.

        Args:
            name: The platform's base URL.
            role_of: Name of the user whose role and privileges it gets; its own name keeps what it has.
        Returns:
            None where callers need not log in.
        Raises:
            Conflict: somebody else has this name. NotStored: it cannot be kept.
        """
        there, model = self._users.get(name), self._users.get(role_of)
        if there is not None and there.kind != "peer":
            raise Conflict(f"there is a user {name} already, who is no platform")
        peer = User(name=name, kind="peer", made_by=role_of)
        if self._requires_auth:
            role = RoleName.GUEST if model is None else model.role  # whoever asked was removed meanwhile
            peer = replace(peer, role=role, privileges=() if model is None else model.privileges)
        if there is None:
            await self._users.add(peer)
        elif name != role_of:
            await self._users.change(name, peer)
        return self._tokens.issue(name, PEER_S) if self._requires_auth else None

    async def remove(self, name: str) -> None:
        """Remove such a user and with it all its tokens; nothing happens if there is none."""
        there = self._users.get(name)
        if there is not None and there.kind == "peer" and await self._users.remove(name):
            self._logins.user_gone(name)
