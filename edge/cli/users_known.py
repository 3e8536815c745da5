"""Users as the verbs about them read and change them."""

from __future__ import annotations

import argparse
from urllib.parse import quote

from edge.cli.failures import ExitCode, Failed
from edge.cli.platform import ANSWER_S, Platform
from edge.errors import RemoteError
from edge.model.codec import encode
from edge.model.json_value import JsonValue
from edge.model.users import RoleName, UserView


async def known_users(platform: Platform) -> list[UserView]:
    """Return all users of a platform."""
    return await platform.get("/users", list[UserView])


async def ask_for_user(platform: Platform, method: str, name: str | None, body: dict[str, JsonValue]) -> None:
    """Make (`name` is None) or change a user.

    Raises:
        Failed: there is no such user, the name is taken, or something does not fit; the platform's words.
    """
    path = "/users" if name is None else user_path(name)
    async with platform.patience(ANSWER_S):
        try:
            await platform.transport.request(method, path, body=encode(body))
        except RemoteError as error:
            if error.cause is not None and error.cause.status == 404:
                raise Failed(f"there is no user {name}; opaca-edge users lists them") from error
            raise


def user_path(name: str) -> str:
    """Return the route of one user.

    Raises:
        Failed: the name cannot stand in a path, as those of connected platforms cannot.
    """
    if any(mark in name for mark in "/\\;%") or not name or name in (".", ".."):
        raise Failed(f"{name!r} cannot be named in a path, so OPACA cannot change it", ExitCode.USAGE)
    return f"/users/{quote(name, safe='')}"


def role_argument(parser: argparse.ArgumentParser, name: str, *, default: str | None = None) -> None:
    """Declare an argument that is a role."""
    words = {} if default is None else {"default": default}
    parser.add_argument(
        name,
        metavar="ROLE",
        type=str.lower,
        choices=[role.value.lower() for role in RoleName],
        help="admin, contributor, user or guest" + ("" if default is None else f" ({default})"),
        **words,  # type: ignore[arg-type]
    )
