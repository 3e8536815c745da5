"""Where results go: tables and colours for people, JSON for scripts, bytes as they are."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from edge.cli.tables import layout, printable, printable_lines
from edge.model.json_value import JsonValue

_BOLD, _DIM, _RED, _RESET = "\x1b[1m", "\x1b[2m", "\x1b[31m", "\x1b[0m"


class Output:
    """Prints results.

    Args:
        is_json: Print JSON only.
        is_colour_wanted: Colours may be used where there is a terminal.

    Attributes:
        is_terminal: Somebody reads along.
    """

    def __init__(self, is_json: bool = False, is_colour_wanted: bool = True) -> None:
        self.is_json = is_json
        self.is_terminal = sys.stdout.isatty()
        self._is_coloured = self.is_terminal and is_colour_wanted

    def line(self, text: str) -> None:
        """Print one line for people; what could control a terminal is escaped."""
        print(printable(text), flush=True)

    def note(self, text: str) -> None:
        """Print one line that is no result, to the standard error output."""
        print(printable(text), file=sys.stderr, flush=True)

    def json(self, value: JsonValue, *, is_one_line: bool = False) -> None:
        """Print a JSON value: indented, or on one line where more will follow."""
        print(json_text(value, is_one_line=is_one_line), flush=True)

    def value(self, value: JsonValue) -> None:
        """Print the result of an action: strings as they are for people, all else as JSON."""
        if self.is_json or not isinstance(value, str):
            self.json(value)
        else:
            print(printable_lines(value) if self.is_terminal else value, flush=True)

    def table(self, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Print a table that fits the terminal; into a pipe nothing is wrapped."""
        width = shutil.get_terminal_size().columns if self.is_terminal else None
        first, *others = layout(header, rows, width)
        print(self._styled(first, _BOLD))
        for line in others:
            print(line)
        sys.stdout.flush()

    def pairs(self, rows: Sequence[tuple[str, str]]) -> None:
        """Print names and values, one pair a line."""
        widest = max(len(name) for name, _ in rows)
        for name, value in rows:
            print(f"{self._styled(name.ljust(widest), _BOLD)}  {printable(value)}".rstrip())
        sys.stdout.flush()

    def bold(self, text: str) -> str:
        """Return a text that stands out, as it should be printed."""
        return self._styled(text, _BOLD)

    def dim(self, text: str) -> str:
        """Return a text that matters less, as it should be printed."""
        return self._styled(text, _DIM)

    def red(self, text: str) -> str:
        """Return a text that tells of an error, as it should be printed."""
        return self._styled(text, _RED)

    def _styled(self, text: str, style: str) -> str:
        return f"{style}{text}{_RESET}" if self._is_coloured and text else text


def json_text(value: JsonValue, *, is_one_line: bool = False) -> str:
    """Return a JSON value as text, without characters that could control a terminal."""
    import msgspec

    encoded = msgspec.json.encode(value)
    text = (encoded if is_one_line else msgspec.json.format(encoded, indent=2)).decode()
    # JSON itself escapes those below a blank only.
    return "".join(f"\\u{ord(each):04x}" if "\x7f" <= each <= "\x9f" else each for each in text)


def local_time(moment: str | int) -> str:
    """Return a date of the wire (text, or ms since the epoch) in this machine's time zone, to the second."""
    try:
        at = datetime.fromtimestamp(moment / 1000) if isinstance(moment, int) else datetime.fromisoformat(moment)
    except (ValueError, OverflowError, OSError):
        return str(moment)
    return at.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def text_of(value: Any) -> str:
    """Return a field of a description for a table cell; None is empty."""
    return "" if value is None else str(value)


def counted(number: int, noun: str) -> str:
    """Return a number with its noun: `1 agent`, `3 agents`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def own_command() -> str:
    """Return how this command is called in a second terminal of the same user."""
    beside = Path(sys.executable).with_name("opaca-edge")
    if shutil.which("opaca-edge") == str(beside):
        return "opaca-edge"
    return str(beside) if beside.exists() else f"{sys.executable} -m edge"
