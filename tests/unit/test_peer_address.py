"""Which URLs may name another platform, and which of them mean the same."""

from __future__ import annotations

import pytest

from edge.errors import ParameterMismatch
from edge.runtime.peer_address import base_url_of, identity


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("http://pi:8000", "http://pi:8000"),
        (' "http://pi:8000/" \n', "http://pi:8000"),
        ("HTTP://Pi:8000//", "http://Pi:8000"),
        ("https://cloud.example/opaca/site-1/", "https://cloud.example/opaca/site-1"),
        ("http://[fe80::1]:8000", "http://[fe80::1]:8000"),
        ("http://münchen.example", "http://münchen.example"),
        ("http://my_pi.local", "http://my_pi.local"),
    ],
)
def test_a_base_url_is_taken_as_it_is_but_trimmed(text: str, url: str) -> None:
    assert base_url_of(text) == url


@pytest.mark.parametrize(
    "text",
    [
        "", '"', "nonsense", "pi:8000", "//pi", "http:", "http://", "http:///path", "http:pi", "ftp://pi", "ws://pi",
        "file:///etc/passwd", "gopher://pi", "http://user@pi", "http://user:word@pi", "http://@pi", "http://pi?x",
        "http://pi#x", "http://pi:0", "http://pi:65536", "http://pi:x", "http://[::1", "http://p i", "http://pi/\tx",
        "http://pi\r\nHost: x", "http://pi\\@x", "http://pi/../x", "http://pi/.", "http://pi\x00", "http://pi\u2028x",
        "http://" + "x" * 3000,
    ],
)  # fmt: skip
def test_everything_else_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ParameterMismatch, match=r"expected the base URL of a platform such as http://"):
        base_url_of(text)


@pytest.mark.parametrize(
    "other", ["http://pi:80", "http://PI", "http://pi/", "HTTP://pi"], ids=["port", "case", "slash", "scheme"]
)
def test_the_same_platform_written_differently_is_recognised(other: str) -> None:
    assert identity(base_url_of(other)) == identity("http://pi")


@pytest.mark.parametrize("other", ["https://pi", "http://pi:81", "http://pie", "http://pi/site"])
def test_other_platforms_are_others(other: str) -> None:
    assert identity(other) != identity("http://pi")
