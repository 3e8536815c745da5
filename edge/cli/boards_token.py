"""The token of a board: made with its user, and made anew."""

from __future__ import annotations

import secrets

from edge.cli.boards_known import ATTACH
from edge.cli.failures import Failed
from edge.cli.platform import ANSWER_S, Platform
from edge.cli.users_known import ask_for_user
from edge.errors import CalleeError, RemoteError
from edge.model.requests import Login
from edge.model.users import RoleName


async def first_token(platform: Platform, name: str, user: str) -> str:
    """Make the user of a board, and return its token.

    Raises:
        Failed: there is such a user already, or it got no token.
    """
    password = secrets.token_urlsafe(32)
    role = RoleName.USER.value
    body = {"username": user, "password": password, "role": role, "privileges": [ATTACH]}
    try:
        await ask_for_user(platform, "POST", None, body)
    except RemoteError as error:
        if error.cause is not None and error.cause.status == 409:
            raise Failed(
                f"there is a board {name} already: opaca-edge boards rotate {name} gives it another token"
            ) from error
        raise
    return await _token(platform, name, user, password)


async def next_token(platform: Platform, name: str, user: str) -> str:
    """Take its token from a board, which holds at once, and return the new one.

    Raises:
        Failed: there is no such user, or it got no token.
    """
    password = secrets.token_urlsafe(32)
    await ask_for_user(platform, "PUT", user, {"password": password})
    return await _token(platform, name, user, password)


async def _token(platform: Platform, name: str, user: str, password: str) -> str:
    # Nobody needs the password again: another token comes with another password.
    try:
        async with platform.patience(ANSWER_S):
            return (await platform.transport.login(Login(username=user, password=password))).strip()
    except (CalleeError, Failed) as error:
        raise Failed(f"{name} has no token: {error}\n  opaca-edge boards rotate {name} tries it again") from error
