"""Tokens as another platform with the same SECRET makes them: HS256 by hand, from RFC 7515 alone."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from typing import Any

# Base64 with a leftover character, which is dropped: 65 characters for 48 bytes.
SECRET = base64.b64encode(bytes(range(48))).decode() + "A"
KEY = bytes(range(48))


def _part(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def signed(
    claims: dict[str, Any], key: bytes = KEY, alg: Any = "HS256", signed_as: str | None = None, **header: Any
) -> str:
    """Return a token with exactly these claims; `signed_as` signs it by another algorithm than it says."""
    return signed_text(json.dumps(claims), key, {"alg": alg, **header}, signed_as or alg)


def signed_text(claims: str, key: bytes = KEY, header: dict[str, Any] | None = None, signed_as: str = "HS256") -> str:
    """Return a token with these claims as they are written."""
    head = _part(json.dumps(header or {"alg": "HS256"}).encode())
    signing_input = f"{head}.{_part(claims.encode('utf-8', 'surrogatepass'))}"
    digest = {"HS256": hashlib.sha256, "HS384": hashlib.sha384, "HS512": hashlib.sha512}.get(signed_as)
    signature = b"" if digest is None else hmac.digest(key, signing_input.encode(), digest)
    return f"{signing_input}.{_part(signature)}"


def token_for(subject: str, lifetime_s: float = 86_400, **more: Any) -> str:
    """Return a token as the reference writes it; one that a module makes holds until the last test."""
    now = int(time.time())
    return signed({"sub": subject, "iat": now, "exp": now + lifetime_s, **more})


def claims_of(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return header and claims, once the signature is right."""
    head, claims, signature = token.split(".")
    expected = hmac.digest(KEY, f"{head}.{claims}".encode(), hashlib.sha256)
    assert signature == _part(expected)

    def read(part: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
        return found

    return read(head), read(claims)
