"""Milliseconds that only ever grow, on a board and on a computer."""

import time

try:
    ticks_ms = time.ticks_ms
    ticks_diff = time.ticks_diff
except AttributeError:  # CPython

    def ticks_ms():
        """Return milliseconds since some moment; compare two only with `ticks_diff`, at most 6 days apart."""
        return time.monotonic_ns() // 1000000

    def ticks_diff(later, earlier):
        """Return the milliseconds between two moments."""
        return later - earlier


def passed_ms(since):
    """Return the milliseconds since a moment that `ticks_ms` told."""
    return ticks_diff(ticks_ms(), since)
