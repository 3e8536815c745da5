"""Failures of agents' methods in the log: with name and traceback, but not a thousand times the same."""

from __future__ import annotations

import logging
import time

from edge.agents.errors import describe_exception

log = logging.getLogger("edge.agents")

_QUIET_S = 10.0
_MOST_KINDS = 500

_Kind = tuple[str, str, type[BaseException]]


class FailureLog:
    """Logs failures; the same agent, method and exception type at most once in 10 s, then with the number left out.

    A caller who repeats a failing call must not fill an SD card.
    """

    def __init__(self) -> None:
        self._kinds: dict[_Kind, tuple[float, int]] = {}

    def add(self, agent_id: str, what: str, error: BaseException) -> None:
        """Log a failure with its traceback, or count it."""
        now_s = time.monotonic()
        kind = (agent_id, what, type(error))
        logged_s, left_out = self._kinds.get(kind, (now_s - _QUIET_S, 0))
        if now_s - logged_s < _QUIET_S:
            self._kinds[kind] = logged_s, left_out + 1
            return
        if len(self._kinds) >= _MOST_KINDS:
            self.close()
        self._kinds[kind] = now_s, 0
        more = f" ({left_out} more like this were not logged)" if left_out else ""
        log.error("agent %s: %s failed: %s%s", agent_id, what, describe_exception(error), more, exc_info=error)

    def close(self) -> None:
        """Log the numbers that were left out, and forget them."""
        for (agent_id, what, kind), (_, left_out) in self._kinds.items():
            if left_out:
                log.error(
                    "agent %s: %s failed %d more times with %s, not logged", agent_id, what, left_out, kind.__name__
                )
        self._kinds.clear()
