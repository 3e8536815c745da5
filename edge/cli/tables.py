"""Tables for people: as wide as the terminal, no wider, and safe to print."""

from __future__ import annotations

import textwrap
import unicodedata
from collections.abc import Sequence

GAP = "  "
_NARROWEST = 6


def printable(text: str) -> str:
    """Return the text on one line, with everything that could control a terminal shown as an escape."""
    if text.isprintable():
        return text
    return "".join(_shown(character) for character in text)


def printable_lines(text: str) -> str:
    """As `printable`, but line breaks and tabs stay."""
    return "".join(character if character in "\n\t" else _shown(character) for character in text)


def _shown(character: str) -> str:
    if character.isprintable():
        return character
    if character.isspace():
        return " "
    return character.encode("unicode_escape").decode()


def display_width(text: str) -> int:
    """Return how many columns a terminal uses for the text."""
    if text.isascii():
        return len(text)
    return sum(_columns(character) for character in text)


def _columns(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def layout(header: Sequence[str], rows: Sequence[Sequence[str]], width: int | None) -> list[str]:
    """Return the lines of a table, header first.

    Args:
        rows: Cells by column; all rows as long as the header.
        width: Columns of the terminal; the widest cells are wrapped to fit. Where not even their words would, the last
            columns are told below each row. None wraps nothing.
    """
    cells = [[printable(cell) for cell in row] for row in rows]
    by_column = list(zip(header, *cells, strict=True))
    widths = [max(map(display_width, column)) for column in by_column]
    beside = len(header)
    if width is not None:
        words = [max(map(_longest_word, column)) for column in by_column]
        beside = _fitting(words, width)
        if not beside:  # the first column's words are as wide as the terminal: words are broken
            beside, words = len(header), [_NARROWEST] * len(header)
        widths = widths[:beside]
        _narrow(widths, words, width - len(GAP) * (beside - 1))
    lines = _side_by_side(header, widths)
    for row in cells:
        lines += _side_by_side(row, widths)
        rest = [f"{name.lower()}: {cell}" for name, cell in zip(header[beside:], row[beside:], strict=True) if cell]
        if width is not None and rest:
            lines += [GAP + line for line in _wrap("; ".join(rest), max(width - len(GAP), 1))]
    return lines


def _side_by_side(row: Sequence[str], widths: Sequence[int]) -> list[str]:
    """Return the lines of those cells of a row that have a width."""
    wrapped = [_wrap(cell, columns) for cell, columns in zip(row, widths, strict=False)]
    lines = []
    for number in range(max(map(len, wrapped))):
        parts = [
            _padded(cell[number] if number < len(cell) else "", columns)
            for cell, columns in zip(wrapped, widths, strict=True)
        ]
        lines.append(GAP.join(parts).rstrip())
    return lines


def _longest_word(text: str) -> int:
    return max(map(display_width, text.split()), default=0)


def _fitting(widths: Sequence[int], available: int) -> int:
    """Return how many of the first columns fit."""
    count = 0
    for columns in widths:
        available -= columns
        if available < 0:
            break
        count += 1
        available -= len(GAP)
    return count


def _narrow(widths: list[int], least: Sequence[int], available: int) -> None:
    """Take columns from the widest until all fit, or none is wider than the least that makes sense."""
    while sum(widths) > available:
        spare = [number for number, columns in enumerate(widths) if columns > least[number]]
        if not spare:
            return
        widths[max(spare, key=widths.__getitem__)] -= 1


def _wrap(text: str, columns: int) -> list[str]:
    if display_width(text) <= columns:
        return [text]
    # Wide characters are rare here: where there are some, lines are cut at half the width, which always fits.
    has_wide = not text.isascii() and any(_columns(character) == 2 for character in text)
    length = max(columns // 2, 1) if has_wide else columns
    return textwrap.wrap(text, length, break_on_hyphens=False) or [""]


def _padded(text: str, columns: int) -> str:
    return text + " " * (columns - display_width(text))
