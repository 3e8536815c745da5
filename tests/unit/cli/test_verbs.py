"""The verbs against a platform: what they ask, what they print, how they end."""

from __future__ import annotations

import asyncio
import io
import json
import os
import socket
import sys
from pathlib import Path

import pytest

from edge.cli import messages
from edge.cli import platform as platform_module
from tests.unit.cli.conftest import AGENTS, HISTORY, INFO, Command, StandIn

# invoke


async def test_invoke_types_values_by_the_actions_description(platform: StandIn, command: Command) -> None:
    ran = await command("invoke", "SetLevel", "room=kitchen", "level=3", 'scenes=["a"]')
    assert (ran.code, ran.out, ran.err) == (0, "true\n", "")
    query = {"timeout": "-1", "forward": "true"}
    assert platform.last == ("POST /invoke/SetLevel", query, {"room": "kitchen", "level": 3, "scenes": ["a"]})


async def test_invoke_passes_agent_container_and_timeout_on(platform: StandIn, command: Command) -> None:
    words = ("invoke", "SetLevel", "room=a", "--agent", "lamp", "--container", "c-77", "level=1", "--timeout", "5")
    assert (await command(*words)).code == 0
    query = {"timeout": "5", "forward": "true", "containerId": "c-77"}
    assert platform.last == ("POST /invoke/SetLevel/lamp", query, {"room": "a", "level": 1})
    assert platform.asked[0][0] == "GET /containers/c-77"


async def test_invoke_explains_what_does_not_fit_and_does_not_call(platform: StandIn, command: Command) -> None:
    ran = await command("invoke", "SetLevel", "rom=kitchen", "level=bright")
    assert ran.code == 2
    assert ran.err.splitlines() == [
        "error: rom: SetLevel has no such parameter (did you mean 'room'?)",
        "level=bright: expected a whole number",
        "room: missing, a value of type string is required",
        "the action is SetLevel(room: string, level: integer, fade: number = 0.5, [scenes: array of string])"
        " -> boolean",
    ]
    assert [asked[0] for asked in platform.asked] == ["GET /agents"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("SetLevle",), "no agent offers an action 'SetLevle' (did you mean 'SetLevel'?); opaca-edge agents lists"),
        (("Off", "--agent", "lmp"), "there is no agent 'lmp' (did you mean 'lamp'?); opaca-edge agents lists them"),
        (("Off", "--agent", "mute"), "agent 'mute' does not offer an action 'Off'; opaca-edge agents lists"),
    ],
)
async def test_invoke_suggests_near_names(
    platform: StandIn, command: Command, words: tuple[str, ...], message: str
) -> None:
    ran = await command("invoke", *words)
    assert ran.code == 1
    assert ran.err.startswith(f"error: {message}")


async def test_invoke_takes_all_arguments_as_json(platform: StandIn, command: Command, tmp_path: Path) -> None:
    assert (await command("invoke", "X", "--arguments", '{"a": [1]}')).code == 0
    assert [asked[0] for asked in platform.asked] == ["POST /invoke/X"]
    assert platform.last[2] == {"a": [1]}
    (tmp_path / "a.json").write_text('{"b": 2}')
    assert (await command("invoke", "X", "--arguments", f"@{tmp_path}/a.json")).code == 0
    assert platform.last[2] == {"b": 2}


async def test_invoke_reads_arguments_from_standard_input(
    platform: StandIn, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b'{"c": 3}')))
    assert (await command("invoke", "X", "--arguments", "-")).code == 0
    assert platform.last[2] == {"c": 3}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("X", "word"), "'word': expected key=value (or key:=JSON)"),
        (("X", "a=1", "--arguments", "{}"), "give arguments as key=value or as --arguments, not both"),
        (("X", "--arguments", "[1]"), "--arguments: expected a JSON object; "),
        (("X", "--arguments", "{a}"), "--arguments: expected a JSON object; not JSON"),
        (("X", "--arguments", "@/nowhere/a.json"), "/nowhere/a.json: No such file or directory"),
    ],
)
async def test_invoke_explains_wrong_usage(
    platform: StandIn, command: Command, words: tuple[str, ...], message: str
) -> None:
    ran = await command("invoke", *words)
    assert ran.code == 2
    assert ran.err.startswith(f"error: {message}")
    assert platform.asked == []


@pytest.mark.parametrize(
    ("result", "for_people", "for_scripts"),
    [
        ("on", "on\n", '"on"\n'),
        (None, "null\n", "null\n"),
        ({"a": [1]}, '{\n  "a": [\n    1\n  ]\n}\n', '{\n  "a": [\n    1\n  ]\n}\n'),
    ],
)
async def test_invoke_prints_the_result(
    platform: StandIn, command: Command, result: object, for_people: str, for_scripts: str
) -> None:
    platform.result = result
    assert (await command("invoke", "Off")).out == for_people
    assert (await command("invoke", "Off", "--json")).out == for_scripts


@pytest.mark.parametrize(
    ("status", "body", "message"),
    [
        (
            502,
            {
                "statusCode": 502,
                "message": "http://ac answered 500",
                "cause": {"statusCode": 500, "message": "boom", "cause": {"statusCode": None, "message": "deep"}},
            },
            "http://ac answered 500\n  because: boom\n    because: deep",
        ),
        (
            502,
            {"statusCode": 502, "message": "lamp: boom", "cause": {"statusCode": 500, "message": "boom"}},
            "lamp: boom",
        ),
        (400, {"statusCode": 400, "message": "level: too bright"}, "level: too bright"),
        (404, {"timestamp": 1, "status": 404, "error": "Not Found", "path": "/x"}, "Not Found"),
        (
            401,
            "Missing Token.",
            "{url} wants to know who is calling: Missing Token.\n"
            '  log in with "opaca-edge login --url {url}", or give --token',
        ),
        (
            403,
            {"timestamp": 1, "status": 403, "error": "Forbidden", "path": "/x"},
            "{url} does not allow this to you: role too low\n"
            '  "opaca-edge login --url {url} --user NAME" makes you another user',
        ),
        (500, "", "{url} answered 500 without a reason"),
    ],
)
async def test_error_of_the_platform_is_said_with_its_reasons(
    platform: StandIn, command: Command, status: int, body: object, message: str
) -> None:
    platform.error = (status, body)
    ran = await command("invoke", "X", "--arguments", "{}")
    assert ran.code == 1
    assert ran.err == f"error: {message.format(url=platform.url)}\n"


async def test_unknown_action_with_json_arguments_is_suggested_after_the_call(
    platform: StandIn, command: Command
) -> None:
    platform.error, platform.error_at = (404, {"statusCode": 404, "message": "no action Of"}), "/invoke"
    ran = await command("invoke", "Of", "--arguments", "{}")
    assert ran.code == 1
    assert ran.err.startswith("error: no agent offers an action 'Of' (did you mean 'Off'?)")
    ran = await command("invoke", "Off", "--arguments", "{}")
    assert (ran.code, ran.err) == (1, "error: no action Of\n")


# send, broadcast


@pytest.mark.parametrize(
    ("text", "payload"), [("5", 5), ('{"a": null}', {"a": None}), ("Rain is near", "Rain is near"), ("", "")]
)
async def test_payload_is_json_if_it_can_be(platform: StandIn, command: Command, text: str, payload: object) -> None:
    ran = await command("send", "lamp", text, "--reply-to", "me")
    assert (ran.code, ran.out, ran.err) == (0, "", "sent to lamp\n")
    assert platform.last == ("POST /send/lamp", {"forward": "true"}, {"payload": payload, "replyTo": "me"})


async def test_broadcast_goes_to_a_channel(platform: StandIn, command: Command) -> None:
    ran = await command("broadcast", "news of today", "1", "--container", "c")
    assert (ran.code, ran.err) == (0, "broadcast to news of today\n")
    query = {"forward": "true", "containerId": "c"}
    assert platform.last == ("POST /broadcast/news%20of%20today", query, {"payload": 1, "replyTo": None})


async def test_payload_can_come_from_standard_input(
    platform: StandIn, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("[1, 2]\n"))
    assert (await command("send", "lamp", "-")).code == 0
    assert platform.last[2]["payload"] == [1, 2]


# stream


async def test_stream_is_printed_byte_for_byte(platform: StandIn, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    from edge.cli.main import main

    assert await asyncio.to_thread(main, ["stream", "Light", "--agent", "lamp"]) == 0
    assert capsysbinary.readouterr().out == b"1\n\xff2\n"
    assert platform.last[:2] == ("GET /stream/Light/lamp", {"forward": "true"})


async def test_stream_is_fed_from_a_file(platform: StandIn, command: Command, tmp_path: Path) -> None:
    content = os.urandom(300_000)
    (tmp_path / "data").write_bytes(content)
    assert (await command("stream", "In", "--send", str(tmp_path / "data"))).code == 0
    assert platform.last == ("POST /stream/In", {"forward": "true"}, content)
    ran = await command("stream", "In", "--send", str(tmp_path / "missing"))
    assert (ran.code, ran.err) == (2, f"error: {tmp_path}/missing: No such file or directory\n")


async def test_stream_is_fed_from_a_pipe(platform: StandIn, command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = os.pipe()
    os.write(theirs, b"piece")
    os.close(theirs)
    with os.fdopen(ours) as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        assert (await command("stream", "In", "--send", "-")).code == 0
    assert platform.last[2] == b"piece"


# info, agents, history, events


async def test_info_tells_what_runs(platform: StandIn, command: Command) -> None:
    out = (await command("info")).out
    assert "base URL       http://pi:8000\n" in out
    assert "settings       session-policy=RESTART\n" in out
    assert "offers         2 agents with 2 actions and 1 stream\n" in out
    assert "connected to   http://cloud:8000\n" in out
    assert out.splitlines()[-1].startswith("c-77       lamps:1  lamp, mute  2026-04-21 ")
    assert json.loads((await command("info", "--json")).out) == INFO


async def test_agents_are_listed_with_what_they_offer(platform: StandIn, command: Command) -> None:
    lines = (await command("agents")).out.splitlines()
    assert lines[0].split() == ["AGENT", "OFFERS", "DESCRIPTION"]
    assert lines[1].startswith("lamp   SetLevel(room: string, level: integer, fade: number = 0.5, [scenes: array of")
    assert lines[1].endswith("Set how bright it is.")
    assert lines[2].strip() == "Off()"
    assert lines[3].split("  ")[-1] == "Brightness, once a second."
    assert "stream Light (GET)" in lines[3]
    assert lines[4].split() == ["mute", "Says", "nothing."]
    assert platform.last == ("GET /agents", {"includeConnected": "false"}, None)
    await command("agents", "--connected")
    assert platform.last[1] == {"includeConnected": "true"}


async def test_one_agent_is_shown_with_all_it_says(platform: StandIn, command: Command) -> None:
    out = (await command("agents", "lamp")).out
    assert "SetLevel(room: string" in out
    assert "\n    Set how bright it is.\n" in out
    assert json.loads((await command("agents", "lamp", "--json")).out) == AGENTS[0]
    assert json.loads((await command("agents", "--json")).out) == AGENTS
    for words in (("agents", "lmp"), ("agents", "lmp", "--json")):
        ran = await command(*words)
        assert (ran.code, "did you mean 'lamp'" in ran.err) == (1, True)


async def test_history_is_a_table_or_json(platform: StandIn, command: Command) -> None:
    lines = (await command("history")).out.splitlines()
    assert lines[0].split() == ["TIME", "EVENT", "ROUTE", "SENDER", "DETAIL"]
    assert lines[1].split()[2:] == ["CALL", "POST", "/invoke/Off", "me"]
    assert lines[2].split()[2:] == ["FORWARD", "POST", "/invoke/Off", "to", "http://ac"]
    assert lines[3].split()[2:] == ["ERROR", "POST", "/send/x", "404"]
    assert json.loads((await command("history", "--json")).out) == HISTORY


async def test_events_without_follow_are_the_history_of_the_topics(platform: StandIn, command: Command) -> None:
    lines = (await command("events", "invoke")).out.splitlines()
    assert [line.split()[2] for line in lines[1:]] == ["CALL", "FORWARD"]
    assert json.loads((await command("events", "/send", "--json")).out) == HISTORY[2:]
    assert (await command("events", "/users")).err == "no events\n"


async def test_events_are_followed_each_topic_by_its_own_subscription(platform: StandIn, command: Command) -> None:
    ran = await command("events", "-f", "/invoke", "send", "--count", "2")
    assert ran.code == 0
    assert sorted(platform.subscribed) == ["/invoke", "/send"]
    assert sorted(line.split()[2:] for line in ran.out.splitlines()) == [
        ["SUCCESS", "POST", "/invoke/x"],
        ["SUCCESS", "POST", "/send/x"],
    ]
    assert ran.err.startswith("following /invoke, /send at http://127.0.0.1:")


async def test_events_are_one_json_document_a_line(platform: StandIn, command: Command) -> None:
    ran = await command("events", "-f", "/login", "--count", "1", "--json")
    assert json.loads(ran.out) == {"id": "e", "timestamp": 0, "eventType": "SUCCESS", "route": "POST /login/x"}


async def test_no_topic_means_every_topic(platform: StandIn, command: Command) -> None:
    await command("events", "-f", "--count", "9")
    assert len(set(platform.subscribed)) == 9


async def test_platform_that_refuses_to_be_followed_is_an_error(platform: StandIn, command: Command) -> None:
    platform.error = (401, "Missing Token.")
    ran = await command("events", "-f", "/invoke")
    assert (ran.code, "or give --token" in ran.err) == (1, True)


# Whom to ask, and when nobody is there


async def test_token_comes_from_argument_or_variable(
    platform: StandIn, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    await command("history")
    assert "Authorization" not in platform.headers
    monkeypatch.setenv("OPACA_EDGE_TOKEN", "abc")
    await command("history")
    assert platform.headers["Authorization"] == "Bearer abc"
    await command("--token", "def", "history")
    assert platform.headers["Authorization"] == "Bearer def"


@pytest.mark.parametrize(
    "words",
    [
        ("info",),
        ("agents",),
        ("invoke", "Off"),
        ("send", "a", "1"),
        ("stream", "s"),
        ("history",),
        ("events", "-f"),
    ],
)
async def test_nobody_there_is_said_with_the_next_step(command: Command, words: tuple[str, ...]) -> None:
    with socket.socket() as bound:  # bound, but not listening
        bound.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{bound.getsockname()[1]}"
        ran = await command(f"--url={url}", *words)
    assert ran.code == 3
    assert ran.err == (
        f'error: nothing answers at {url}: start a platform with "opaca-edge run" or name one with --url\n'
        "  (Connection refused)\n"
    )


@pytest.mark.parametrize("words", [("info",), ("send", "a", "1"), ("agents",)])
async def test_platform_that_never_answers_is_given_up(
    command: Command, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    for module in (platform_module, messages):
        monkeypatch.setattr(module, "ANSWER_S", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        ran = await command("--url", url, *words)
    assert (ran.code, ran.err) == (3, f"error: {url} did not answer within 0.05 s\n")


async def test_something_else_that_answers_is_doubted(platform: StandIn, command: Command) -> None:
    ran = await command("--url", platform.url + "/elsewhere", "info")
    assert ran.code == 1
    assert "is it an OPACA platform?" in ran.err


async def test_bad_url_is_wrong_usage(command: Command) -> None:
    ran = await command("info", "--url", "pi")
    assert ran.code == 2
    assert ran.err.startswith("error: --url='pi': expected an absolute URL")
