"""The table: one row for each figure, with its bare baseline from the same run and the budget it is held to."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Row:
    """One figure.

    Attributes:
        what: What was measured.
        ours: The platform's figure.
        bare: The baseline's, None where there is none.
        unit: Of both.
        ratio: Ours to bare; the median of the ratios of runs that followed each other, where there were several.
        budget: In words, empty where none is set.
        holds: Whether the budget is kept; None where none is set.
    """

    what: str
    ours: float
    bare: float | None = None
    unit: str
    ratio: float | None = None
    budget: str = ""
    holds: bool | None = None


def write(rows: Iterable[Row]) -> str:
    """The rows as a Markdown table."""
    head = ["", "platform", "bare", "ratio", "budget", ""]
    cells = [head] + [
        [
            row.what,
            f"{_number(row.ours)} {row.unit}",
            "" if row.bare is None else f"{_number(row.bare)} {row.unit}",
            "" if row.ratio is None else f"{row.ratio:.2f}",
            row.budget,
            {True: "kept", False: "**missed**", None: ""}[row.holds],
        ]
        for row in rows
    ]
    widths = [max(len(line[column]) for line in cells) for column in range(len(head))]
    lines = [
        "| " + " | ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)) + " |" for line in cells
    ]
    lines.insert(1, "| " + " | ".join("-" * max(3, width) for width in widths) + " |")
    return "\n".join(lines)


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.2f}" if abs(value) < 10 else f"{value:.1f}"
