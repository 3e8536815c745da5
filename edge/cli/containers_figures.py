"""Figures for people: sizes, times, bars."""

from __future__ import annotations

from datetime import UTC, datetime

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")
# Left blocks of one to eight eighths.
_EIGHTHS = " ▏▎▍▌▋▊▉█"


def size_text(size_bytes: float | None) -> str:
    """Return a size with three digits at most: `512 B`, `1.4 MiB`; nothing for None."""
    if size_bytes is None:
        return ""
    value, unit = size_bytes, 0
    while value >= 1000 and unit < len(_UNITS) - 1:
        value, unit = value / 1024, unit + 1
    return f"{value:.1f} {_UNITS[unit]}" if unit and value < 10 else f"{value:.0f} {_UNITS[unit]}"


def duration_text(seconds: float | None) -> str:
    """Return a time in its two largest units: `4 s`, `2 min 5 s`, `3 d 4 h`; nothing for None."""
    if seconds is None:
        return ""
    whole = max(int(seconds), 0)
    for length, name, part, part_name in ((86_400, "d", 3_600, "h"), (3_600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= length:
            rest = whole % length // part
            return f"{whole // length} {name} {rest} {part_name}" if rest else f"{whole // length} {name}"
    return f"{whole} s"


def age_s(since: str, now: datetime | None = None) -> float | None:
    """Return how long ago a date of the wire was, in seconds; None if it is none."""
    try:
        return ((now or datetime.now(UTC)) - datetime.fromisoformat(since)).total_seconds()
    except (ValueError, TypeError):
        return None


def bar(fraction: float | None, width: int, *, has_blocks: bool) -> str:
    """Return a bar as wide as `width`; what is above 1 fills it, None leaves it blank.

    Args:
        has_blocks: The terminal can show Unicode blocks; else the bar is of ASCII.
    """
    if fraction is None:
        return " " * width
    fraction = min(max(fraction, 0.0), 1.0)
    if not has_blocks:
        filled = round(fraction * width)
        return "#" * filled + "." * (width - filled)
    eighths = round(fraction * width * 8)
    whole, part = divmod(eighths, 8)
    drawn = "█" * whole + (_EIGHTHS[part] if part else "")
    return drawn + "·" * (width - len(drawn))


def can_show_blocks(encoding: str | None) -> bool:
    """Tell whether a terminal of this encoding has the letters of `bar`."""
    try:
        (_EIGHTHS + "·").encode(encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True
