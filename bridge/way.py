"""How far the sending of one durable lane is, and what it waits for."""

from __future__ import annotations

from collections import deque


class Way:
    """A lane's way to the other end; times are seconds of the loop's clock.

    Attributes:
        sent_seq: Up to which number was sent since it was begun last; 0 for none.
        under_way: Where the batches end that the other end has not spoken of yet, and how many bytes each has.
        is_greeting: Whether the other end is to be told where the lane ends, though nothing waits.
        resend_at_s: When what is under way is sent again.
        resend_after_s: How long after it was sent.
        refused_s: How long the broker's last refusal was waited for; 0 if it did not refuse.
        not_before_s: Nothing is sent before.
        full: What is said because the other end takes nothing; empty since nothing waits any more.
    """

    def __init__(self, resend_after_s: float) -> None:
        self.sent_seq = 0
        self.under_way: deque[tuple[int, int]] = deque()
        self.is_greeting = False
        self.resend_at_s = 0.0
        self.resend_after_s = resend_after_s
        self.refused_s = 0.0
        self.not_before_s = 0.0
        self.full = ""

    def begin(self, resend_after_s: float, *, is_greeting: bool) -> None:
        """Begin with another connection."""
        self.is_greeting = is_greeting
        self.resend_after_s, self.refused_s, self.not_before_s, self.full = resend_after_s, 0.0, 0.0, ""
        self.rewind()

    @property
    def under_way_bytes(self) -> int:
        """How much is under way."""
        return sum(size_bytes for _, size_bytes in self.under_way)

    def rewind(self) -> None:
        """Begin again after what is known to have arrived."""
        self.sent_seq = 0
        self.under_way.clear()
