"""The verbs for connections: what they ask, what they print, how they end."""

from __future__ import annotations

import asyncio
import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from edge.kept_tokens import keep_token, token_file
from tests.unit.cli.conftest import Command, StandIn

URL = "http://cloud:8000"


def status(**changes: Any) -> dict[str, Any]:
    return {
        "url": URL, "state": "connected", "reason": "", "since": "2026-04-21T13:13:39.120Z", "containers": 2,
        "agents": 7, "connects_back": True, "has_token": True, "token_until": "2026-04-28T13:13:39.120Z", **changes,
    }  # fmt: skip


AWAY = status(url="http://pi:8000", state="away", reason="Connection refused\nmore", has_token=False, token_until=None)


async def test_list_shows_how_each_is_doing(platform: StandIn, command: Command) -> None:
    platform.answers["GET /edge/connections"] = [status(), AWAY]
    ran = await command("connections")
    header, first, second = ran.out.splitlines()
    assert header.split() == ["URL", "STATE", "FOR", "CONTAINERS", "AGENTS", "TOKEN", "REASON"]
    assert first.split()[:2] == [URL, "connected"]
    assert "until 2026-04-28" in first
    assert second.split()[:2] == ["http://pi:8000", "away"]
    assert second.rstrip().endswith("none   Connection refused") or "Connection refused" in second
    assert "more" not in second
    assert ran.code == 0


async def test_list_as_json(platform: StandIn, command: Command) -> None:
    platform.answers["GET /edge/connections"] = [AWAY]
    assert json.loads((await command("connections", "--json")).out) == [AWAY]


async def test_list_of_another_kind_of_platform_has_urls(platform: StandIn, command: Command) -> None:
    generic = {"timestamp": 1, "status": 404, "error": "Not Found", "path": "/edge/connections"}
    platform.answers = {"GET /edge/connections": (404, generic), "GET /connections": [URL]}
    assert (await command("connections")).out.splitlines() == ["URL", URL]
    assert json.loads((await command("connections", "--json")).out) == [URL]


async def test_an_empty_list_says_what_to_do(platform: StandIn, command: Command) -> None:
    platform.answers["GET /edge/connections"] = []
    ran = await command("connections")
    assert "connections add" in ran.out + ran.err


@pytest.mark.parametrize(
    ("words", "stdin", "wish"),
    [
        ((), "", {"connectBack": False, "token": None}),
        (("--connect-back", "--peer-token", "abc"), "", {"connectBack": True, "token": "abc"}),
        (("--token-stdin",), "abc\n", {"connectBack": False, "token": "abc"}),
    ],
)
async def test_add_asks_for_what_was_wished(
    platform: StandIn,
    command: Command,
    monkeypatch: pytest.MonkeyPatch,
    words: tuple[str, ...],
    stdin: str,
    wish: dict[str, Any],
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(stdin))
    platform.answers["POST /connections"] = True
    ran = await command("connections", "add", URL, *words)
    assert (ran.code, ran.out) == (0, f"{URL} is connected\n")
    assert platform.last == ("POST /connections", {}, {"url": URL, **wish})


async def test_the_token_for_this_platform_is_another_one(platform: StandIn, command: Command) -> None:
    platform.answers["POST /connections"] = True
    await command("connections", "add", URL, "--token", "ours", "--peer-token", "theirs")
    assert platform.headers["Authorization"] == "Bearer ours"
    assert platform.last[2]["token"] == "theirs"


async def test_add_says_what_was_so_already(platform: StandIn, command: Command) -> None:
    platform.answers["POST /connections"] = False
    ran = await command("connections", "add", URL)
    assert (ran.code, "was connected already" in ran.out) == (0, True)
    assert (await command("connections", "add", URL, "--json")).out == "false\n"


async def test_add_says_why_not(platform: StandIn, command: Command) -> None:
    cause = {"statusCode": 401, "message": "Missing Token."}
    platform.answers["POST /connections"] = (502, {"statusCode": 502, "message": f"{URL} answered 401", "cause": cause})
    ran = await command("connections", "add", URL)
    assert ran.code == 1
    assert ran.err.splitlines() == [
        f"error: {URL} answered 401",
        "  because: Missing Token.",
        f'  log in there with "opaca-edge login --url {URL}", then do this again with --logged-in',
    ]


async def test_an_empty_token_is_wrong_usage(
    platform: StandIn, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("\n"))
    ran = await command("connections", "add", URL, "--token-stdin")
    assert (ran.code, "is empty" in ran.err) == (2, True)
    assert platform.asked == []


async def test_the_token_of_a_login_there_is_used_if_that_is_asked_for(
    platform: StandIn, command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    platform.answers["POST /connections"] = True
    ran = await command("connections", "add", URL, "--logged-in")
    assert (ran.code, f"opaca-edge login --url {URL}" in ran.err) == (2, True)
    await asyncio.to_thread(keep_token, token_file({"HOME": str(tmp_path)}, URL), "kept")
    assert (await command("connections", "add", f"{URL}/", "--logged-in")).code == 0
    assert platform.last[2]["token"] == "kept"


async def test_remove_disconnects_one_side_or_both(platform: StandIn, command: Command) -> None:
    platform.answers["DELETE /connections"] = True
    for words, back in (((), False), (("--both",), True)):
        ran = await command("connections", "remove", URL, *words)
        assert (ran.code, ran.out) == (0, f"{URL} is disconnected\n")
        assert platform.last[2] == {"url": URL, "connectBack": back, "token": None}
    platform.answers["DELETE /connections"] = False
    ran = await command("connections", "remove", URL)
    assert (ran.code, "is not connected" in ran.err) == (1, True)


async def test_notify_says_whether_it_answered(platform: StandIn, command: Command) -> None:
    platform.answers["POST /connections/notify"] = True
    ran = await command("connections", "notify", URL)
    assert (ran.code, ran.out) == (0, f"{URL} described itself anew\n")
    assert platform.last == ("POST /connections/notify", {}, URL)
    platform.answers["POST /connections/notify"] = False
    ran = await command("connections", "notify", URL)
    assert (ran.code, "does not answer" in ran.err) == (1, True)
