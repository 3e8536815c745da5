"""How old what another party sent is, without trusting anybody's clock."""

from __future__ import annotations

import time


def tick_ms() -> int:
    """Return milliseconds that only ever grow; what they count from is nobody's business."""
    return time.monotonic_ns() // 1_000_000


class Age:
    """Ages by the sender's own ticks: the quickest message so far stands for one that was under way for no time.

    >>> age = Age()
    >>> age.of(1_000, 50_000), age.of(2_000, 51_250), age.of(3_000, 52_010)
    (0, 250, 10)
    """

    def __init__(self) -> None:
        self._offset_ms: int | None = None

    def of(self, sent_ms: int, now_ms: int | None = None) -> int:
        """Return for how many ms longer than the quickest a message was under way; 0 for the first one.

        Args:
            sent_ms: The sender's tick, of this connection; 0 if it has none.
            now_ms: Ours; None takes it now.
        """
        if sent_ms <= 0:
            return 0
        offset_ms = (tick_ms() if now_ms is None else now_ms) - sent_ms
        if self._offset_ms is None or offset_ms < self._offset_ms:
            self._offset_ms = offset_ms
        return offset_ms - self._offset_ms
