"""Tokens: what is written, what is accepted, and that nothing a stranger sends does harm (contract, section 7.2)."""

from __future__ import annotations

import random
import string
from base64 import b64encode

import pytest

from edge.errors import NotLoggedIn
from edge.runtime.tokens import Tokens
from edge.settings import SIGNING_KEY
from tests.integration.signed import KEY, SECRET, claims_of, signed

NOW_S = 1_800_000_000.0


class Clock:
    def __init__(self) -> None:
        self.now_s = NOW_S

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def tokens(clock: Clock) -> Tokens:
    return Tokens(KEY, clock)


def test_what_is_written_is_the_references_form(tokens: Tokens) -> None:
    header, claims = claims_of(tokens.issue("eve", 3600))
    assert header == {"alg": "HS256"}
    assert claims == {"sub": "eve", "iat": int(NOW_S), "exp": int(NOW_S) + 3600}


def test_a_token_is_valid_until_its_last_second(tokens: Tokens, clock: Clock) -> None:
    token = tokens.issue("eve", 10)
    assert tokens.subject(token) == "eve"
    clock.now_s += 9.9
    assert tokens.subject(token) == "eve"
    clock.now_s += 0.1
    with pytest.raises(NotLoggedIn, match="expired"):
        tokens.subject(token)


@pytest.mark.parametrize(
    ("claims", "more"),
    [
        ({"sub": "eve"}, {}),
        ({"sub": "eve", "exp": None}, {}),
        ({"sub": "eve", "exp": True}, {}),
        ({"sub": "eve", "exp": "1900000000"}, {}),
        ({"sub": "eve", "exp": float("nan")}, {}),
        ({"sub": "eve", "exp": NOW_S - 1}, {}),
        ({"sub": 7, "exp": NOW_S + 1}, {}),
        ({"sub": ["eve"], "exp": NOW_S + 1}, {}),
        ({"sub": "eve", "exp": NOW_S + 1}, {"alg": "none"}),
        ({"sub": "eve", "exp": NOW_S + 1}, {"alg": "HS512"}),
        ({"sub": "eve", "exp": NOW_S + 1}, {"alg": "RS256"}),
        ({"sub": "eve", "exp": NOW_S + 1}, {"key": KEY[:32]}),
        ({"sub": "eve", "exp": NOW_S + 1}, {"crit": ["x"], "x": 1}),
    ],
)
def test_a_token_that_is_not_as_it_should_be_is_refused(tokens: Tokens, claims: dict, more: dict) -> None:
    token = signed(claims, **more)
    for _ in range(2):  # what was refused is not remembered as good
        with pytest.raises(NotLoggedIn):
            tokens.subject(token)


@pytest.mark.parametrize(
    "claims",
    [
        {"sub": "eve", "exp": NOW_S + 1, "iat": NOW_S + 10**9},
        {"sub": "eve", "exp": NOW_S + 0.5},
        {"sub": "eve", "exp": 10**400},
        {"sub": "eve", "exp": NOW_S + 1, "aud": "somebody", "iss": 7, "jti": 8},
    ],
)
def test_what_does_not_matter_is_not_looked_at(tokens: Tokens, claims: dict) -> None:
    assert tokens.subject(signed(claims)) == "eve"


def test_a_token_may_name_nobody(tokens: Tokens) -> None:
    assert tokens.subject(signed({"exp": NOW_S + 1})) is None


def test_when_the_clock_is_set_right_those_given_before_have_ended(tokens: Tokens, clock: Clock) -> None:
    clock.now_s = 60.0  # a Pi has just booted
    given_at_boot, given_before = tokens.issue("eve", 36_000), signed({"sub": "eve", "exp": NOW_S - 1})
    assert tokens.subject(given_at_boot) == tokens.subject(given_before) == "eve"
    clock.now_s = NOW_S
    for token in (given_at_boot, given_before):
        with pytest.raises(NotLoggedIn, match="expired"):
            tokens.subject(token)


def test_only_the_latest_tokens_are_remembered(tokens: Tokens) -> None:
    for number in range(1000):
        tokens.subject(tokens.issue(f"user {number}", 60))
    assert len(tokens._read) == 256


def test_any_text_is_refused_and_nothing_else_happens(tokens: Tokens, seed: int) -> None:
    chooser = random.Random(seed)
    good = tokens.issue("eve", 60)
    letters = string.ascii_letters + string.digits + "-_=.+/ \0\x7fé€" + chr(0x10FFFF)
    for _ in range(3000):
        text = list(good)
        for _ in range(chooser.randint(1, 6)):
            place = chooser.randrange(len(text))
            change = chooser.choice(("put", "drop", "cut", "swap"))
            if change == "put":
                text.insert(place, chooser.choice(letters))
            elif change == "drop" and len(text) > 1:
                del text[place]
            elif change == "cut":
                text = text[: place + 1]
            else:
                text[place] = chooser.choice(letters)
        try:
            assert tokens.subject("".join(text)) == "eve"
        except NotLoggedIn:
            pass
    for header in (
        "[]",
        "7",
        "null",
        '{"alg": 7}',
        '{"alg": ["HS256"]}',
        "[" * 5000,
        '{"b64": false}',
    ):
        for payload in ("{}", "[]", "7", "[" * 100_000, '{"exp": Infinity}', '{"exp": 1e999}', "\ud800"):
            parts = [b64encode(part.encode("utf-8", "surrogatepass")).decode() for part in (header, payload)]
            with pytest.raises(NotLoggedIn):
                tokens.subject(".".join([*parts, "AAAA"]))


@pytest.mark.parametrize(
    ("text", "size"),
    [("A" * 43, 32), ("A" * 44, 33), ("A" * 45, 33), ("A" * 43 + "=", 32), (SECRET, 48), ("A" * 86, 64)],
)
def test_the_secret_has_the_references_length(text: str, size: int) -> None:
    assert len(SIGNING_KEY.read(text)) == size
    assert SIGNING_KEY.read(SECRET) == KEY


@pytest.mark.parametrize("text", ["A" * 42, "A" * 41 + "==", "A" * 43 + "!", "A" * 20 + "=" + "A" * 40, "-_" * 30, ""])
def test_a_secret_that_is_short_or_no_base64_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        SIGNING_KEY.read(text)
