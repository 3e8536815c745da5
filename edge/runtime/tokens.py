"""Tokens: JWTs signed with the secret, exchangeable with every platform that has the same (contract, section 7.2)."""

from __future__ import annotations

import hmac
import secrets
import time
from collections.abc import Callable
from typing import Any

from msgspec import Struct

from edge.errors import NotLoggedIn

# Lifetimes, in seconds.
LOGIN_S = 3600
RENEWED_S = 10 * 3600
CONTAINER_S = 24 * 3600
PEER_S = 7 * 24 * 3600

# Digests are as long as a key must be at least (RFC 7518, section 3.2), in bytes.
_KEY_BYTES = {"HS256": 32, "HS384": 48, "HS512": 64}
_MOST_REMEMBERED = 256


class _Read(Struct, frozen=True):
    subject: str | None
    expires: float


class Tokens:
    """Issues tokens and reads those that are presented.

    PyJWT is imported when the first token comes: a platform that nobody logs in at does not pay for it (0.4 MiB; more
    where `cryptography` is installed, which it then loads).
    """

    def __init__(self, key: bytes, clock: Callable[[], float] = time.time) -> None:
        """Args:
        key: The decoded SECRET, at least 32 bytes.
        clock: Seconds since the epoch.
        """
        self._key = key
        self._clock = clock
        self._algorithms = [name for name, least in _KEY_BYTES.items() if len(key) >= least]
        # Callers show the same token with each call: its signature is checked once.
        self._read: dict[str, _Read] = {}

    @property
    def key_mark(self) -> str:
        """What tells this key from others, and gives nothing of it away."""
        return hmac.new(self._key, b"opaca-edge: which key this is", "sha256").hexdigest()[:16]

    def issue(self, subject: str, lifetime_s: int, *, is_unique: bool = False) -> str:
        """Return a new token for a user.

        Args:
            is_unique: Whether it differs from one that was issued in the same second.
        """
        import jwt

        now = int(self._clock())
        claims: dict[str, object] = {"sub": subject, "iat": now, "exp": now + lifetime_s}
        if is_unique:
            claims["jti"] = secrets.token_urlsafe(9)
        # Without `typ`, as the reference writes it.
        return jwt.encode(claims, self._key, "HS256", headers={"typ": None})

    def subject(self, token: str) -> str | None:
        """Return the name of the user that a valid token is for; None if it names nobody.

        Raises:
            NotLoggedIn: it is not valid here, or not any more.
        """
        read = self._read.get(token)
        if read is None:
            read = self._verified(token)
            while len(self._read) >= _MOST_REMEMBERED:
                del self._read[next(iter(self._read))]
            self._read[token] = read
        if self._clock() >= read.expires:
            raise NotLoggedIn("The token has expired.")
        return read.subject

    def _verified(self, token: str) -> _Read:
        claims = self._claims(token)
        subject, expires = claims.get("sub"), claims.get("exp")
        if isinstance(expires, bool) or not isinstance(expires, int | float) or expires != expires:  # NaN
            raise NotLoggedIn("The token has no end.")
        if subject is not None and not isinstance(subject, str):
            raise NotLoggedIn("The token is not valid here.")
        return _Read(subject, expires)

    def _claims(self, token: str) -> dict[str, Any]:
        import jwt

        # `exp` is looked at with each call, and `iat` never: a Pi has no clock at boot.
        unchecked = {f"verify_{claim}": False for claim in ("exp", "iat", "nbf", "aud", "iss", "sub", "jti")}
        try:
            return jwt.decode(token, self._key, self._algorithms, options=unchecked)  # type: ignore[arg-type]
        except (jwt.PyJWTError, ValueError, RecursionError) as error:
            raise NotLoggedIn("The token is not valid here.") from error
