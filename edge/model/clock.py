"""What can be known of this machine's clock: a Pi has none while it is off, and starts years behind."""

from __future__ import annotations

from datetime import UTC, datetime

# When this was written, in seconds since the epoch: it cannot be earlier than that where this runs.
WRITTEN_S = 1_775_001_600.0  # 2026-04-01
# OpenSSL's X509_V_FLAG_NO_CHECK_TIME, for which Python has no name.
SSL_NO_CHECK_TIME = 0x200000


def is_surely_wrong(now_s: float) -> bool:
    """Tell whether a clock is years behind; one that is ahead cannot be told from a right one.

    Args:
        now_s: What it says, in seconds since the epoch.
    """
    return now_s < WRITTEN_S


def day(moment_s: float) -> str:
    """Return the day of a moment as people read it, in UTC."""
    return datetime.fromtimestamp(moment_s, UTC).strftime("%Y-%m-%d")
