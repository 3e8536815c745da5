"""The log says what happened; what strangers send stands in it, but writes no lines of its own."""

from __future__ import annotations

import logging

from edge.cli.serving import PlainLines


def shown(message: str, *arguments: object) -> str:
    try:
        raise ValueError("why")
    except ValueError as error:
        failure = (type(error), error, error.__traceback__)
    record = logging.LogRecord("bridge", logging.WARNING, "file", 1, message, arguments, failure)
    return PlainLines("%(levelname)s %(name)s: %(message)s").format(record)


def test_a_message_with_line_ends_and_commands_to_a_terminal_is_shown_as_what_it_is() -> None:
    lines = shown("%s is tried again", "POST /send/x\n12:00:00 ERROR bridge: \x1b[2Jall is lost\r\u2028<3>y").split(
        "\n"
    )
    assert lines[0] == "WARNING bridge: POST /send/x"
    assert lines[1] == "    12:00:00 ERROR bridge: \\x1b[2Jall is lost  <3>y is tried again"
    assert lines[2] == "Traceback (most recent call last):"


def test_letters_of_any_language_stay_as_they_are() -> None:
    assert shown("Gewächshaus %s", "温室").startswith("WARNING bridge: Gewächshaus 温室\nTraceback")
