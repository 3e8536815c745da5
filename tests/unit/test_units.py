"""The bracket that ends a description."""

from __future__ import annotations

import doctest

import pytest

import edge.model.units
from edge.model.units import Quantity, split_description, with_quantity


def test_the_examples_in_the_module_are_true() -> None:
    assert doctest.testmod(edge.model.units).failed == 0


@pytest.mark.parametrize(
    ("description", "text", "quantity"),
    [
        (
            "The air. [unit=°C range=-40..85 class=temperature channel=temp]",
            "The air.",
            Quantity(unit="°C", minimum=-40, maximum=85, device_class="temperature", channel="temp"),
        ),
        ("[unit=%]", "", Quantity(unit="%")),
        ("Two lines\nof text. [unit=m/s] \n", "Two lines\nof text.", Quantity(unit="m/s")),
        ("A [range=0..]", "A", Quantity(minimum=0)),
        ("A [range=..1.5]", "A", Quantity(maximum=1.5)),
        ("A [unit=s precision=2]", "A", Quantity(unit="s")),
        ("A [unit=s unit=ms]", "A", Quantity(unit="ms")),
        ("A [unit=m³]", "A", Quantity(unit="m³")),
    ],
)
def test_a_bracket_is_split_off(description: str, text: str, quantity: Quantity) -> None:
    assert split_description(description) == (text, quantity)


@pytest.mark.parametrize("bracket", ["range=warm..hot", "range=5", "range=1..2..3"])
def test_a_range_that_cannot_be_read_is_not_given(bracket: str) -> None:
    assert split_description(f"A [unit=s {bracket}]") == ("A", Quantity(unit="s"))


@pytest.mark.parametrize(
    "description",
    [
        None,
        "",
        "No bracket.",
        "Not at [unit=s] the end.",
        "A [note]",
        "A []",
        "A [unit=]",
        "A [unit = s]",
        "A [x=[1]]",
        "A ]",
    ],
)
def test_everything_else_is_text(description: str | None) -> None:
    assert split_description(description) == (description or "", None)


@pytest.mark.parametrize(
    "quantity",
    [
        Quantity(unit="°C", minimum=-40, maximum=85, device_class="temperature", channel="temp"),
        Quantity(unit="%"),
        Quantity(minimum=0.5),
        Quantity(maximum=-3),
        Quantity(channel="news"),
    ],
)
def test_what_is_written_is_read_again(quantity: Quantity) -> None:
    assert split_description(with_quantity("The air.", quantity)) == ("The air.", quantity)


def test_nothing_to_say_is_no_bracket() -> None:
    assert with_quantity("The air.", Quantity()) == "The air."


@pytest.mark.parametrize("unit", ["km h", "a]", "[b", "a=b", "a\nb"])
def test_values_that_would_break_the_bracket_are_refused(unit: str) -> None:
    with pytest.raises(ValueError, match="no blanks"):
        with_quantity("The air.", Quantity(unit=unit))


def test_a_long_text_is_read_quickly() -> None:
    hostile = "[a=b " * 20_000
    assert split_description(hostile) == (hostile, None)
