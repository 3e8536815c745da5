"""Users as they are sent and shown (contract, section 4.3 and Decision 7)."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

from edge.model.json_value import JsonValue


class RoleName(StrEnum):
    """The roles that a user may have, in the reference's order: an ordinal may be sent instead of the name."""

    ADMIN = "ADMIN"
    CONTRIBUTOR = "CONTRIBUTOR"
    USER = "USER"
    GUEST = "GUEST"


class UserWish(Struct, rename="camel", forbid_unknown_fields=True, kw_only=True):
    """A user to make or to change; what is null is kept as it is. Login tokens are accepted and ignored."""

    username: str | None = None
    password: str | None = None
    role: RoleName | None = None
    privileges: list[str] | None = None
    container_login_tokens: JsonValue = None


class UserView(Struct, rename="camel", omit_defaults=True, kw_only=True):
    """A user as shown: never a password, login tokens only to the user itself."""

    username: str
    role: RoleName
    privileges: list[str]
    container_login_tokens: dict[str, str] | None = None
