"""Patterns that strangers write: what is usual is compiled, what would take the memory or the loop is refused."""

from __future__ import annotations

import random
import tracemalloc

import pytest
import regex

from edge.runtime.formats import is_regex
from edge.runtime.patterns import compiled

USUAL = (
    "^[0-9a-f]{8}-[0-9a-f]{4}-[1-5][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$",
    "^(?:[0-9a-f]{2}:){5}[0-9a-f]{2}$",
    r"^(([^<>()[\]\\.,;:\s@\"]+(\.[^<>()[\]\\.,;:\s@\"]+)*)|(\".+\"))@(([a-zA-Z\-0-9]+\.)+[a-zA-Z]{2,})$",
    r"::(ffff(:0{1,4}){0,1}:){0,1}((25[0-5]|(2[0-4]|1{0,1}[0-9]){0,1}[0-9])\.){3,3}(25[0-5]|(2[0-4]|1?[0-9])?[0-9])",
    "^(?<year>\\d{4})-\\p{Lu}+$", "^.{1,100000}$", "^[\\s\\S]{0,65536}$", "[[:]x", "^(a|b)*$",
)  # fmt: skip

# Some 300 bytes for each repetition, all at once and with nothing else running meanwhile.
HUGE = (
    "a{9999999}", "(?:ab){400000000}", "[a-z]{1000000,}", "(?:a{1000}){1000}", "(?:(?:a{100}){100}){100}",
    "(?:b|" * 30 + "a" + ")+" * 30, "(?:b|" * 20 + "a" + "){2}" * 20, "a{" + "9" * 5000 + "}", "x" * 10_001,
    # Read wrongly, they would look small.
    "(?x)a { 1 0 0 0 0 0 0 }", "(?#[)(?:a{1000}){1000}(?#])", "[]](?:a{1000}){1000}", "[^]a](?:a{1000}){1000}",
    "[[:alpha:](?:a{1000}){1000}]", "\\[(?:a{1000}){1000}\\]", "(?V1)[[a](?:a{1000}){1000}]",
)  # fmt: skip


@pytest.mark.parametrize("pattern", USUAL)
def test_usual_patterns_are_compiled(pattern: str) -> None:
    assert is_regex(pattern)


@pytest.mark.parametrize("pattern", HUGE, ids=lambda pattern: pattern[:20])
def test_patterns_that_would_take_too_much_are_refused(pattern: str) -> None:
    assert not is_regex(pattern)


def test_what_is_compiled_is_small(seed: int) -> None:
    """Whatever is nested in whatever: `regex` writes out no more than 3 MiB for it."""
    choose = random.Random(seed)
    refused = 0
    for _ in range(400):
        pattern = _made_up(choose, choose.randrange(3, 9))
        try:
            compiled(pattern)
        except (regex.error, ValueError):
            refused += 1
            continue
        tracemalloc.start()
        try:
            regex.compile(pattern, cache_pattern=False)
            peak_bytes = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert peak_bytes < 4 * 1024 * 1024, pattern
    assert 0 < refused < 400


def _made_up(choose: random.Random, depth: int) -> str:
    kind = choose.random()
    if depth == 0 or kind < 0.2:
        return choose.choice(["a", "[a-z]", "\\d", "(?:)", "b|c", ".", "[]]", "\\{", "(?=a)"])
    if kind < 0.6:
        inner = _made_up(choose, depth - 1) + _made_up(choose, depth - 1)
        return f"(?:{inner}){choose.choice(['', '+', '*', '{2}', '{3,}', '{1,4}', '?', '{12}', '{40}'])}"
    return _made_up(choose, depth - 1) + choose.choice(["", "|"]) + _made_up(choose, depth - 1)
