"""The line at the start says who can reach what, loudly where that is dangerous."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edge.config import PlatformConfig
from edge.reach import say_who_may, who_may

HERE = PlatformConfig(state_dir=Path("s"), image_directory=Path("i"))
LAN = {"host": "0.0.0.0"}
AUTH = {"require_auth": True}
TLS = {"tls_cert": Path("c"), "tls_key": Path("k")}
PROXIED = {"public_url": "https://example.org"}


@pytest.mark.parametrize(
    ("settings", "severity", "words"),
    [
        ({}, logging.INFO, ["on this machine may use and manage"]),
        ({"host": "::1"}, logging.INFO, ["on this machine may use and manage"]),
        (LAN, logging.WARNING, ["WITHOUT LOGIN, ANYONE in this network", "start programs"]),
        (LAN | TLS, logging.WARNING, ["WITHOUT LOGIN, ANYONE in this network"]),
        (PROXIED, logging.WARNING, ["WITHOUT LOGIN", "ANYONE whom a proxy"]),
        (AUTH, logging.INFO, ["whoever logs in, on this machine"]),
        (AUTH | PROXIED, logging.INFO, ["whoever logs in, whom the network lets through"]),
        (AUTH | LAN | TLS, logging.INFO, ["whoever logs in, whom the network lets through"]),
        (AUTH | LAN, logging.WARNING, ["whoever logs in", "PASSWORDS AND TOKENS CROSS THE NETWORK READABLE"]),
    ],
)
def test_the_line_fits_the_settings(settings: dict[str, Any], severity: int, words: list[str]) -> None:
    base_url = settings.get("public_url") or "http://192.168.1.7:8000"
    found = who_may(replace(HERE, **settings), base_url)
    assert (found[0], found[1].startswith(f"{base_url}: ")) == (severity, True)
    assert [word for word in words if word not in found[1]] == []


@pytest.mark.parametrize("requires_auth", [True, False])
def test_a_clock_that_is_years_behind_is_said_where_tokens_matter(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, requires_auth: bool
) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setattr("edge.reach.time.time", lambda: 60.0)
    say_who_may(replace(HERE, require_auth=requires_auth), "http://127.0.0.1:8000")
    assert ("the clock says 1970-01-01" in caplog.text) == requires_auth
