"""What agents' failures look like to others."""

from __future__ import annotations

from edge.errors import BadInput

_LONGEST_TEXT = 1000


class StreamBroken(BadInput):
    """What a POST stream's method sees when its caller breaks off; let it pass."""


def describe_exception(error: BaseException) -> str:
    """Return `Type: text` of an exception, short and printable whatever the agent put into it."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]  # what a task group of the agent's wrapped
    try:
        text = str(error)
    except Exception:  # noqa: BLE001 - an agent's own exception class may fail in __str__
        text = "<its text cannot be read>"
    if len(text) > _LONGEST_TEXT:
        text = text[:_LONGEST_TEXT] + "…"
    kind = type(error).__name__
    return f"{kind}: {text}".encode("utf-8", "backslashreplace").decode() if text else kind
