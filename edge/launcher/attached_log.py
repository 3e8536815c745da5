"""The log of who went and came back: a line each, but not for ever of one that does nothing else."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from edge.launcher.attachment import Attachment

# One that goes for the fourth time within ten minutes is said to come and go, and then nothing until it has stayed.
_MOST_SAID = 3
_WINDOW_S = 600.0


@dataclass(slots=True)
class _Memory:
    """Of one container, on the clock of the log.

    Attributes:
        said_s: When it was last said that it went.
        is_hushed: It was said that it comes and goes, and nothing since.
        changed_s: When it last went or came.
    """

    said_s: deque[float] = field(default_factory=lambda: deque(maxlen=_MOST_SAID))
    is_hushed: bool = False
    changed_s: float = 0.0


class AttachedLog:
    """Says of attached containers that they went, came back, moved, or do so all the time."""

    def __init__(self, log: logging.Logger, clock: Callable[[], float]) -> None:
        """Args:
        log: Where it is said.
        clock: Seconds that only ever grow.
        """
        self._log = log
        self._clock = clock
        self._memories: dict[str, _Memory] = {}

    def went(self, attachment: Attachment, reason: str) -> None:
        """Say that a container is away; of one that was away already this is not called."""
        memory = self._changed(attachment)
        if memory.is_hushed:
            return
        if len(memory.said_s) == _MOST_SAID and memory.changed_s - memory.said_s[0] < _WINDOW_S:
            memory.is_hushed = True
            self._log.warning(
                "%s comes and goes: away for the %dth time within %.0f min; nothing more until it has stayed so long",
                attachment.name, _MOST_SAID + 1, _WINDOW_S / 60,
            )  # fmt: skip
        else:
            memory.said_s.append(memory.changed_s)
            self._log.warning("%s is away: %s %s", attachment.name, attachment.record.url, reason)

    def came(self, attachment: Attachment, how: str) -> None:
        """Say that a container answers again; `how` ends the sentence "it is ..."."""
        if not self._changed(attachment).is_hushed:
            self._log.info("%s is %s", attachment.name, how)

    def moved(self, attachment: Attachment, old_url: str) -> None:
        """Say that a container that was not away has another address."""
        if not self._changed(attachment).is_hushed:
            self._log.info("%s moved from %s to %s", attachment.name, old_url, attachment.record.url)

    def stays(self, attachment: Attachment) -> None:
        """Speak of a container again that has been there for long enough."""
        memory = self._memories.get(attachment.container_id)
        if memory is None or self._clock() - memory.changed_s < _WINDOW_S:
            return
        del self._memories[attachment.container_id]
        if memory.is_hushed:
            self._log.info("%s has stayed for %.0f min now", attachment.name, _WINDOW_S / 60)

    def forget(self, container_id: str) -> None:
        """Remember nothing of a container that is not attached any more."""
        self._memories.pop(container_id, None)

    def _changed(self, attachment: Attachment) -> _Memory:
        memory = self._memories.setdefault(attachment.container_id, _Memory())
        memory.changed_s = self._clock()
        return memory
