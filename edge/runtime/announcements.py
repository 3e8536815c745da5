"""Tells connected platforms of containers that changed although nobody asked for it: that crashed, came back, grew."""

from __future__ import annotations

import asyncio

from edge.runtime.history import History

# Changes come in bursts: a container that starts, then each of its agents.
_GATHERED_S = 0.25
# What a container itself calls when it has changed; whoever follows this platform then looks at it anew.
_ROUTE = "POST /containers/notify"


class Announcements:
    """Pushes one event for the changes of a moment."""

    def __init__(self, history: History) -> None:
        self._history = history
        self._timer: asyncio.TimerHandle | None = None

    def changed(self) -> None:
        """Say that the containers are not what they were."""
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_GATHERED_S, self._announce)

    def _announce(self) -> None:
        self._timer = None
        self._history.announce(_ROUTE)
