"""How the verbs change the connections of a platform."""

from __future__ import annotations

from edge.cli.platform import Platform
from edge.model.codec import encode
from edge.model.requests import ConnectionRequest


async def manage(platform: Platform, method: str, wish: ConnectionRequest, limit_s: float) -> bytes:
    """Ask to connect (POST) or disconnect (DELETE), and return the answer."""
    async with platform.patience(limit_s):
        return await platform.transport.request(method, "/connections", body=encode(wish))


def answer_of(body: bytes) -> bool:
    """Return the yes or no that a platform answered."""
    return body.strip() == b"true"
