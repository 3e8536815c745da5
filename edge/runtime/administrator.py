"""The platform's administrator, who is there at every start (contract, section 7.8 and Decision 19)."""

from __future__ import annotations

import logging
from secrets import choice

from msgspec.structs import replace

from edge.errors import NotStored
from edge.model.users import RoleName
from edge.runtime.passwords import EMPTY, Passwords
from edge.runtime.users import User, Users

log = logging.getLogger(__name__)

# Without the letters and digits that people take for each other.
_LETTERS = "abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789"
_GROUPS, _GROUP_LENGTH = 4, 5


async def ensure_administrator(
    users: Users, passwords: Passwords, name: str, password: str | None, requires_auth: bool
) -> None:
    """Have the administrator among the users, with the role ADMIN.

    A password from the settings is applied. Without one, what was kept holds; where there is none yet it is made and
    shown once if callers must log in, and is otherwise empty, as the reference has it, until the platform stops.

    Args:
        users: Are loaded.
        password: The setting PLATFORM_ADMIN_PWD; None if it is not set.
        requires_auth: Whether callers must log in.
    """
    there = users.get(name)
    if password is not None:
        if password == "" and requires_auth:
            log.warning("PLATFORM_ADMIN_PWD is empty: WHOEVER REACHES THIS PLATFORM can log in as %s", name)
        if there is None or not await passwords.fits(password, there.password):
            await _keep(users, name, there, await passwords.hash(password))
    elif requires_auth and (there is None or there.password == EMPTY):
        made = "-".join("".join(choice(_LETTERS) for _ in range(_GROUP_LENGTH)) for _ in range(_GROUPS))
        # Shown before it is kept: one that was kept and never shown would lock everybody out.
        log.warning("the password of %s is %s (shown only now; `opaca-edge users passwd` changes it)", name, made)
        await _keep(users, name, there, await passwords.hash(made))
    elif there is None:
        users.show(User(name=name, password=EMPTY, role=RoleName.ADMIN))
    there = users.get(name)
    if there is not None and there.role is not RoleName.ADMIN:
        log.warning("%s has the role ADMIN again", name)
        await _keep(users, name, there, there.password)


async def _keep(users: Users, name: str, there: User | None, digest: str) -> None:
    try:
        if there is None:
            await users.add(User(name=name, password=digest, role=RoleName.ADMIN))
        else:
            await users.change(name, replace(there, password=digest, role=RoleName.ADMIN))
    except NotStored as error:
        log.error("the password of %s holds until the platform stops: %s", name, error.message)
        users.show(User(name=name, password=digest, role=RoleName.ADMIN))
