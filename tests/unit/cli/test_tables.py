"""Tables fit the terminal, and nothing in them can control it."""

from __future__ import annotations

import pytest

from edge.cli.output import json_text
from edge.cli.tables import display_width, layout, printable, printable_lines


def test_columns_are_as_wide_as_their_widest_cell() -> None:
    assert layout(("A", "LONG"), [("first", "x"), ("b", "y")], None) == ["A      LONG", "first  x", "b      y"]


def test_widest_column_is_wrapped_to_fit() -> None:
    lines = layout(("NAME", "DESCRIPTION"), [("lamp", "It shines in the kitchen and in the hall")], 30)
    assert lines == ["NAME  DESCRIPTION", "lamp  It shines in the kitchen", "      and in the hall"]
    assert all(display_width(line) <= 30 for line in lines)


@pytest.mark.parametrize("width", [100, 80, 60, 40])
def test_no_word_is_broken_where_there_are_many_columns(width: int) -> None:
    header = ("ID", "NAME", "IMAGE", "STATE", "FOR", "MEMORY", "REASON")
    rows = [("b3947c7e", "greenhouse", "greenhouse:1.2", "restarting", "12 min", "", "it ended: Connection refused")]
    lines = layout(header, rows, width)
    assert all(display_width(line) <= width for line in lines)
    shown = " ".join(lines).replace(";", " ").split()
    assert {word for cell in rows[0] for word in cell.split()} <= set(shown)
    assert lines[0].startswith("ID        NAME")


def test_columns_that_find_no_room_are_told_below_their_row() -> None:
    lines = layout(
        ("ID", "STATE", "PORT", "REASON"), [("b3947c7e", "away", "", "Connection refused"), *[("1",) * 4]], 18
    )
    assert lines == [
        "ID        STATE", "b3947c7e  away", "  reason:", "  Connection", "  refused", "1         1",
        "  port: 1; reason:", "  1",
    ]  # fmt: skip


def test_long_words_are_broken() -> None:
    assert all(len(line) <= 20 for line in layout(("A", "B"), [("x" * 50, "y")], 20))


def test_terminal_that_is_too_narrow_is_exceeded_rather_than_emptied() -> None:
    assert layout(("A", "B"), [("abcdef", "ghijkl")], 3) == ["A       B", "abcdef  ghijkl"]


def test_wide_characters_count_twice() -> None:
    assert display_width("日本") == 4
    assert layout(("A", "B"), [("日本", "x"), ("abcd", "y")], None)[1:] == ["日本  x", "abcd  y"]
    assert display_width("e\u0301") == 1
    assert all(display_width(line) <= 12 for line in layout(("A",), [("日" * 20,)], 12))


def test_table_without_rows_is_its_header() -> None:
    assert layout(("A", "B"), [], 80) == ["A  B"]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("Küche", "Küche"),
        ("a\x1b[2Jb", "a\\x1b[2Jb"),
        ("a\nb\tc", "a b c"),
        ("\x9b31m", "\\x9b31m"),
        ("\u202eevil", "\\u202eevil"),
        ("\ud800", "\\ud800"),
    ],
)
def test_what_could_control_a_terminal_is_escaped(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_lines_and_tabs_stay_where_they_are_wanted() -> None:
    assert printable_lines("a\n\tb\x1b") == "a\n\tb\\x1b"


def test_json_holds_no_control_characters_either() -> None:
    assert json_text("\x1b\x9bä", is_one_line=True) == '"\\u001b\\u009bä"'


def test_only_wide_letters_cost_two_columns() -> None:
    lines = layout(["WHAT"], [["warm: 21 °C, cold: 3 °C"]], 12)
    assert lines == ["WHAT", "warm: 21 °C,", "cold: 3 °C"]
    assert max(map(display_width, layout(["WHAT"], [["温度温度温度 温度温度"]], 12))) <= 12
