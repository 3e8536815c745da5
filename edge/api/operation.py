"""What an operator sees of containers and images: routes of our own under `/edge/`, which OPACA does not know.

Keys are in lower case with underscores, as in the results of our own agents; OPACA's models are not used.
"""

from __future__ import annotations

from collections.abc import Sequence

from edge.errors import NotFound, ParameterMismatch
from edge.http.replies import TEXT, Reply, StreamReply, json_reply
from edge.http.request import Request
from edge.launcher.base import ContainerStatus, OfferedImage
from edge.runtime.platform import Platform

DEFAULT_LINES = 100
MOST_LINES = 10_000


class OperationHandlers:
    """Handlers of `/edge/containers`, `/edge/images` and `/edge/bridge`."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform

    async def containers(self, request: Request) -> Reply:
        """`GET /edge/containers`: the status of every container, running or not."""
        statuses: list[ContainerStatus] = []
        for launcher in self._platform.launchers:
            statuses += await launcher.statuses()
        return json_reply(statuses)

    async def images(self, request: Request) -> Reply:
        """`GET /edge/images`: what can be started, and what cannot and why."""
        source = self._platform.images
        offered: Sequence[OfferedImage] = [] if source is None else await source.offered()
        return json_reply(offered)

    async def bridge(self, request: Request) -> Reply:
        """`GET /edge/bridge`: links, sites and lanes of the bridge of this process; null if none runs in it."""
        return json_reply(await self._platform.bridge.status())

    async def log(self, request: Request) -> Reply | StreamReply:
        """`GET /edge/containers/{id}/log`: the newest lines; with `follow` also what comes."""
        container_id = request.parameters["id"]
        lines = request.query.integer("lines", DEFAULT_LINES)
        if not 0 <= lines <= MOST_LINES:
            raise ParameterMismatch(f"query parameter lines={lines}: expected 0 to {MOST_LINES}")
        follows = request.query.boolean("follow", False)
        for launcher in self._platform.launchers:
            newest = await launcher.log(container_id, 0 if follows else lines)
            if newest is None:
                continue
            # Always plain text, whatever is accepted: containers must not be able to write web pages.
            if follows:
                return StreamReply(launcher.follow(container_id, lines), TEXT)
            return Reply("".join(f"{line}\n" for line in newest).encode("utf-8", "replace"), TEXT)
        raise NotFound(f"there is no container {container_id}")
