"""How long a token still lasts, as it says itself; for renewing it in time."""

from __future__ import annotations

import base64
import binascii
from datetime import UTC, datetime

from msgspec import Struct

from edge.errors import BadInput
from edge.model.codec import decode
from edge.model.descriptions import timestamp
from edge.model.json_value import JsonValue

# What a token that says nothing about its making was probably given: the reference's login token lasts an hour.
_SHORT_LIFE_S = 3600.0
_DAY_S = 24 * 3600.0


class TokenLife(Struct, frozen=True):
    """When a token was made and when it ends, in seconds since the epoch."""

    issued_s: float
    expires_s: float

    @property
    def until(self) -> str | None:
        """When it ends, in the contract's form; None if that is no date."""
        try:
            return timestamp(datetime.fromtimestamp(self.expires_s, UTC))
        except (ValueError, OverflowError, OSError):
            return None

    def is_due(self, now_s: float, held_s: float) -> bool:
        """Tell whether it should be renewed: at half its life, one of several days at three quarters.

        Those are the ones that platforms make for each other; who made them renews them at half (contract, Q25).

        Args:
            now_s: Seconds since the epoch, by a clock that may be wrong.
            held_s: How long it has been held, by a clock that only ever grows.
        """
        life_s = self.expires_s - self.issued_s
        used_s = life_s * (0.75 if life_s > _DAY_S else 0.5)
        return now_s > self.issued_s + used_s or held_s > used_s


class _Claims(Struct):
    sub: JsonValue = None
    iat: float | None = None
    exp: float | None = None


def life_of(token: str) -> TokenLife | None:
    """Return the life of a token; None for one that is no JWT or has no end. Nothing is verified."""
    claims = _claims(token)
    if claims is None or claims.exp is None:
        return None
    issued_s = claims.iat if claims.iat is not None and claims.iat < claims.exp else claims.exp - _SHORT_LIFE_S
    return TokenLife(issued_s, claims.exp)


def is_for(token: str, user: str) -> bool:
    """Tell whether a token says that it is for a user. Nothing is verified."""
    claims = _claims(token)
    return claims is not None and claims.sub == user


def _claims(token: str) -> _Claims | None:
    parts = token.split(".")
    if len(parts) != 3:
        return None
    try:
        payload = base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4))
        return decode(payload, _Claims, ignored=set())
    except (binascii.Error, ValueError, BadInput):
        return None
