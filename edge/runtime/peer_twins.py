"""Notices where one platform is connected by two ways, such as by HTTP and through a bridge."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from edge.runtime.peer_link import PeerLink

log = logging.getLogger(__name__)


class PeerTwins:
    """Tells of each pair of ways once, until it is one way again."""

    def __init__(self) -> None:
        self._told: set[tuple[str, str]] = set()

    def look(self, links: Iterable[PeerLink]) -> None:
        """Compare who is at the other end of each connection; a platform that never answered has no name yet."""
        seen: dict[str, str] = {}
        twins: set[tuple[str, str]] = set()
        for link in links:
            platform_id = link.peer.info.platform_id
            first = seen.setdefault(platform_id, link.url) if platform_id else link.url
            if first != link.url:
                twins.add((link.url, first))
        for url, first in sorted(twins - self._told):
            log.warning(
                "%s is the same platform as %s: what is broadcast reaches it twice, and what it broadcasts may come"
                " twice; keep one way: opaca-edge connections remove %s, or the other if this one is through a bridge",
                url, first, url,
            )  # fmt: skip
        self._told = twins
