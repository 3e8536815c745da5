"""Users, tokens and what follows from them, wired and loaded: what the composition root needs of them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from edge.runtime.accounts import Accounts
from edge.runtime.administrator import ensure_administrator
from edge.runtime.brake import LoginBrake
from edge.runtime.directory import Directory
from edge.runtime.errands import Errands
from edge.runtime.logins import Logins
from edge.runtime.passwords import Passwords
from edge.runtime.peer_accounts import PeerAccounts
from edge.runtime.session import Session
from edge.runtime.tenants import Tenants
from edge.runtime.tokens import Tokens
from edge.runtime.users import Users
from edge.state.database import Database


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustSettings:
    """What the settings say about users.

    Attributes:
        requires_auth: Whether callers must log in.
        administrator: Name of the platform's administrator.
        password: To give the administrator; None keeps or makes one.
        key: Signs tokens.
    """

    requires_auth: bool
    administrator: str
    password: str | None
    key: bytes

    @property
    def owner(self) -> str:
        """Whose it is what the platform starts by itself."""
        return self.administrator if self.requires_auth else ""

    def __repr__(self) -> str:
        return f"TrustSettings({self.administrator!r}, requires_auth={self.requires_auth})"  # without the secrets


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """Who is known, and what is decided by that."""

    users: Users
    tokens: Tokens
    session: Session
    logins: Logins
    accounts: Accounts
    tenants: Tenants
    peers: PeerAccounts


@asynccontextmanager
async def trust(
    settings: TrustSettings, database: Database, errands: Errands, directory: Directory
) -> AsyncIterator[Trust]:
    """Load users, stored containers and logins; have the administrator among them."""
    users, tokens, logins = Users(database, errands), Tokens(settings.key), Logins(directory, database)
    session = Session(database, users.container_gone)
    await session.load()
    await users.load()
    await logins.load()
    tenants = Tenants(users, tokens, session, settings.administrator, settings.requires_auth)
    async with Passwords() as passwords:
        await ensure_administrator(users, passwords, settings.administrator, settings.password, settings.requires_auth)
        await tenants.settle()
        yield Trust(
            users=users,
            tokens=tokens,
            session=session,
            logins=logins,
            accounts=Accounts(users, passwords, tokens, logins, LoginBrake()),
            tenants=tenants,
            peers=PeerAccounts(users, tokens, logins, settings.requires_auth),
        )
