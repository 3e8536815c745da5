"""What runs beside the platform in the same process, as far as the platform shows it: the bridge."""

from __future__ import annotations

from collections.abc import Awaitable, Callable


class BridgeView:
    """The bridge of this process, as its page sees it; whoever starts one says how it is asked.

    Attributes:
        look: Returns what the bridge says of itself, which can be written as JSON; None while none runs.
    """

    def __init__(self) -> None:
        self.look: Callable[[], Awaitable[object]] | None = None

    async def status(self) -> object:
        """Return what the bridge says of itself; None if none runs."""
        return None if self.look is None else await self.look()
