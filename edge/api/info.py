"""What the platform says of itself."""

from __future__ import annotations

from edge.http.replies import Reply, json_reply
from edge.http.request import Request
from edge.runtime.platform import Platform


class InfoHandlers:
    """Handlers of `/info`, `/config` and `/history`."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform

    async def info(self, request: Request) -> Reply:
        """`GET /info`."""
        return json_reply(self._platform.facts.info())

    async def config(self, request: Request) -> Reply:
        """`GET /config`."""
        return json_reply(self._platform.settings)

    async def history(self, request: Request) -> Reply:
        """`GET /history`, oldest first."""
        return json_reply(self._platform.history.events())
