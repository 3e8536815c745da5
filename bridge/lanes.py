"""Which lane a message goes to, and what each lane may take, by the configuration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from fnmatch import fnmatchcase

from bridge.config import LaneSettings
from bridge.store import DOWN, UP, Lane, LanePolicy

_MB = 1_000_000


class Lanes:
    """The lanes as configured."""

    def __init__(self, settings: Mapping[str, LaneSettings], *, gateway: str | None) -> None:
        """Args:
        settings: By the lane's name.
        gateway: The gateway that this platform is a site of: what goes there goes upwards; None if there is none.
        """
        self._settings = {lane: settings.get(lane.word, LaneSettings()) for lane in Lane}
        self._gateway = gateway

    def of(self, kind: str, name: str) -> Lane:
        """Return the lane of a message.

        Args:
            kind: `send` or `broadcast`.
            name: The agent or the channel.
        """
        for lane in Lane:
            settings = self._settings[lane]
            patterns = settings.agents if kind == "send" else settings.channels
            if any(fnmatchcase(name, pattern) for pattern in patterns):
                return lane
        return Lane.MESSAGE

    def policy(self, party: str, lane: Lane) -> LanePolicy:
        """Return what a lane towards a party may take."""
        settings = self._settings[lane]
        base = UP[lane] if party == self._gateway else DOWN[lane]
        return replace(
            base,
            is_buffered=settings.is_buffered,
            max_bytes=base.max_bytes if settings.max_mb is None else int(settings.max_mb * _MB),
            expiry_s=base.expiry_s if settings.expires_s is None else settings.expires_s or None,
        )
