"""Which texts the formats of JSON Schema accept."""

from __future__ import annotations

import time

import pytest

from edge.runtime.formats import FORMATS

GOOD: dict[str, list[str]] = {
    "date": ["2026-04-21", "2024-02-29"],
    "time": ["13:13:39Z", "13:13:39.120z", "23:59:60Z", "01:29:60+01:30", "12:00:00-05:00"],
    "date-time": ["2026-04-21T13:13:39Z", "2026-04-21t13:13:39.123456+02:00"],
    "duration": ["P1Y2M3DT4H5M6S", "P2W", "PT1S", "P1D", "P1M", "P1Y2M"],
    "hostname": ["localhost", "a-b.example.org", "1.2.3"],
    "idn-hostname": ["bücher.example", "localhost"],
    "email": ["a@b.org", "first.last+tag@sub.example.org", '"a b"@example.org', "x@[127.0.0.1]", "x@[IPv6:::1]"],
    "idn-email": ["jörg@bücher.example"],
    "ipv4": ["127.0.0.1", "255.255.255.255"],
    "ipv6": ["::1", "fe80::1:2", "::ffff:1.2.3.4"],
    "uuid": ["3b0e6c1c-9d4f-4b3c-8a53-5d0a3c1e9b11", "3B0E6C1C-9D4F-4B3C-8A53-5D0A3C1E9B11"],
    "uri": [
        "http://example.org/a?b=%20#c",
        "urn:isbn:1",
        "mailto:a@b.org",
        "http://[::1]:80/",
        "data:," + "a" * 200_000,
    ],
    "uri-reference": ["", "#/definitions/a", "../x", "http://example.org"],
    "iri": ["http://bücher.example/ä"],
    "iri-reference": ["ä/ö"],
    "uri-template": ["http://example.org/{user}{?a,b*}", ""],
    "json-pointer": ["", "/a/b~0c~1/0"],
    "relative-json-pointer": ["0", "1/a", "2#"],
    "regex": ["^a+$", r"\d{2,3}", "(?<name>x)", r"\p{L}"],
}

BAD: dict[str, list[str]] = {
    "date": ["2026-4-21", "2026-02-30", "20260421", "٢٠٢٦-04-21", "2026-04-21T", "2026-04-21\n"],
    "time": ["13:13:39", "24:00:00Z", "12:60:00Z", "12:00:60Z", "12:00:00+24:00", "12:00Z"],
    "date-time": ["2026-04-21", "2026-04-21 13:13:39Z", "2026-04-21T13:13:39", "2026-13-01T00:00:00Z", ""],
    "duration": ["P", "PT", "1D", "P1H", "P1Y2D", "P1DT", "P-1D"],
    "hostname": ["", "-a", "a-", "a..b", "a_b", "a" * 64, "ä.org", "a."],
    "idn-hostname": ["", "a..b", "-ä-." + "a" * 70],
    "email": ["a", "@b.org", "a@", "a b@c.org", ".a@b.org", "a@b c", "a@[1.2.3]"],
    "idn-email": ["a", "a b@c"],
    "ipv4": ["1.2.3", "1.2.3.256", "01.2.3.4", "1.2.3.4/8", "١.2.3.4"],
    "ipv6": ["1.2.3.4", ":::1", "fe80::1%eth0", "12345::"],
    "uuid": ["3b0e6c1c9d4f4b3c8a535d0a3c1e9b11", "{3b0e6c1c-9d4f-4b3c-8a53-5d0a3c1e9b11}", "x"],
    "uri": [
        "//example.org",
        "a b:c",
        "http://a b",
        "http://[::1",
        "http://x:port",
        "http://ä.org",
        "%:",
        "http://x/%zz",
    ],
    "uri-reference": ["a b", "\\", "%1"],
    "iri": ["ä", "http://a b"],
    "iri-reference": ["<ä>"],
    "uri-template": ["{", "a}", "{a b}", "a b"],
    "json-pointer": ["a", "/~2", "#/a"],
    "relative-json-pointer": ["/a", "01", "-1", ""],
    "regex": ["[", "(", "a{2,1}", "*", "a" * 20_000],
}


@pytest.mark.parametrize(
    ("name", "text"), [(name, text) for name, texts in GOOD.items() for text in texts], ids=lambda v: v[:40]
)
def test_format_accepts(name: str, text: str) -> None:
    assert FORMATS[name](text)


@pytest.mark.parametrize(
    ("name", "text"), [(name, text) for name, texts in BAD.items() for text in texts], ids=lambda v: v[:40]
)
def test_format_refuses(name: str, text: str) -> None:
    assert not FORMATS[name](text)


@pytest.mark.parametrize("name", FORMATS)
def test_no_text_keeps_a_check_busy(name: str) -> None:
    hostile = [
        piece * (1_000_000 // len(piece)) + "\x00"
        for piece in ("a", "a.", "1", "/~0", "%41", "{a}", "((", "::", '"\\"', "P1")
    ]
    hostile += [f"a:{text}" for text in hostile] + [f"{text[:4000]}\x00" for text in hostile]
    started = time.process_time()
    for text in hostile:
        FORMATS[name](text)
    assert time.process_time() - started < 1.0
