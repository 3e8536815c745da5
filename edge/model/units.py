"""Units in descriptions: one optional bracket at the end (contract, Decision 22); written and read here only.

`The air's temperature. [unit=°C range=-40..85 class=temperature channel=temp]`
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_BRACKET = re.compile(r"\s*\[((?:[a-z]+=[^\s\[\]=]+)(?:\s+[a-z]+=[^\s\[\]=]+)*)\]\s*$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantity:
    """What a value measures.

    Attributes:
        unit: As it is printed: `°C`, `%`, `hPa`; None if it has none.
        minimum: The smallest possible value.
        maximum: The largest possible value.
        device_class: Home Assistant's word for the kind: `temperature`, `humidity`.
        channel: The channel on which new values are broadcast.
    """

    unit: str | None = None
    minimum: float | None = None
    maximum: float | None = None
    device_class: str | None = None
    channel: str | None = None


def split_description(description: str | None) -> tuple[str, Quantity | None]:
    """Return a description without its bracket, and what the bracket says; None if there is none.

    Unknown keys are left out, so that later ones do no harm; a range that cannot be read counts as not given.

    >>> split_description("The air. [unit=°C range=-40..85]")
    ('The air.', Quantity(unit='°C', minimum=-40.0, maximum=85.0, device_class=None, channel=None))
    >>> split_description("Counts [all].")
    ('Counts [all].', None)
    """
    text = description or ""
    found = _BRACKET.search(text)
    if found is None:
        return text, None
    values = dict(pair.split("=", 1) for pair in found[1].split())
    minimum, maximum = _range(values.get("range", ""))
    quantity = Quantity(
        unit=values.get("unit"),
        minimum=minimum,
        maximum=maximum,
        device_class=values.get("class"),
        channel=values.get("channel"),
    )
    return text[: found.start()], quantity


def with_quantity(description: str, quantity: Quantity) -> str:
    """Return a description that ends with a bracket.

    >>> with_quantity("The air.", Quantity(unit="°C", minimum=-40, maximum=85.5))
    'The air. [unit=°C range=-40..85.5]'

    Raises:
        ValueError: a value has a blank, a bracket or an equals sign in it.
    """
    pairs = {
        "unit": quantity.unit,
        "range": _written_range(quantity.minimum, quantity.maximum),
        "class": quantity.device_class,
        "channel": quantity.channel,
    }
    bracket = " ".join(f"{key}={value}" for key, value in pairs.items() if value)
    if not bracket:
        return description
    if not _BRACKET.fullmatch(f"[{bracket}]"):
        raise ValueError(f"[{bracket}]: values have no blanks, brackets or equals signs")
    return f"{description} [{bracket}]".lstrip()


def _range(text: str) -> tuple[float | None, float | None]:
    low, dots, high = text.partition("..")
    if not dots:
        return None, None
    try:
        return (float(low) if low else None), (float(high) if high else None)
    except ValueError:
        return None, None


def _written_range(minimum: float | None, maximum: float | None) -> str:
    if minimum is None and maximum is None:
        return ""
    return f"{'' if minimum is None else f'{minimum:g}'}..{'' if maximum is None else f'{maximum:g}'}"
