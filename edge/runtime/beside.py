"""What runs beside the platform in the same process, as far as the platform shows it: the bridge."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Entrance:
    """How what runs in the platform's process calls it, without a password or a certificate.

    Attributes:
        url: Base URL of an address that speaks no TLS, or of the only one there is.
        user: The administrator's name.
        token: Returns a new token of the administrator; None where nobody needs one.
    """

    url: str
    user: str
    token: Callable[[], str] | None = None


class BridgeView:
    """The bridge of this process, as its page sees it; whoever starts one says how it is asked.

    Attributes:
        entrance: How it calls the platform; None before that can be called.
        look: Returns what the bridge says of itself, which can be written as JSON; None while none runs.
    """

    def __init__(self) -> None:
        self.entrance: Entrance | None = None
        self.look: Callable[[], Awaitable[object]] | None = None

    async def status(self) -> object:
        """Return what the bridge says of itself; None if none runs."""
        return None if self.look is None else await self.look()
