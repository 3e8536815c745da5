"""The verbs for containers and images: what they ask, what they print, how they end."""

from __future__ import annotations

import json
import sys
from io import BytesIO, TextIOWrapper
from pathlib import Path
from typing import Any

import pytest

from edge.cli.containers_figures import bar, can_show_blocks, duration_text, size_text
from tests.unit.cli.conftest import CONTAINER, Command, StandIn

PUMP_ID = "9b2f6f6e-0000-4000-8000-000000000001"
BOARD_ID = "9b2f6f6e-1111-4000-8000-000000000002"


def status(**changes: Any) -> dict[str, Any]:
    return {
        "id": PUMP_ID, "name": "pump", "image": "pump:1.2", "launcher": "process", "state": "running", "reason": "",
        "since": "2026-04-21T13:13:39.120Z", "pid": 4711, "host_port": 20001, "memory_bytes": 31_457_280,
        "cpu_seconds": 1.5, "restarts": 0, "last_exit": None, "limits": [], "attached_by": "",
        **changes,
    }  # fmt: skip


LIMITS = [
    {"name": "memory_mb", "value": 64, "enforced_by": "the platform, which looks once a second"},
    {"name": "cpu_percent", "value": 50, "enforced_by": None},
]
PUMP = status(limits=LIMITS)
BOARD = status(
    id=BOARD_ID, name="greenhouse", image="board", launcher="attached", state="away", reason="no route to host",
    pid=None, host_port=None, memory_bytes=None, cpu_seconds=None,
)  # fmt: skip
LAMPS = status(id="c-77", name="lamps", image="lamps:1", launcher="bundled", pid=None, host_port=None,
               memory_bytes=None, cpu_seconds=None)  # fmt: skip
IMAGES = [
    {
        "folder": "pump-1.2", "kind": "start.toml", "name": "pump", "version": "1.2", "description": "Waters.\nOften.",
        "parameters": [
            {"name": "PIN", "type": "integer", "required": True, "confidential": False, "default": None},
            {"name": "ROOM", "type": "string", "required": False, "confidential": False, "default": "hall"},
        ],
        "problem": None,
    },
    {"folder": "new", "kind": "start.toml", "name": None, "version": None, "description": None, "parameters": [],
     "problem": "there is no start.toml"},
]  # fmt: skip


@pytest.fixture
def containers(platform: StandIn) -> StandIn:
    """The stand-in platform with three containers and two image folders."""
    platform.answers = {
        "GET /edge/containers": [PUMP, BOARD, LAMPS],
        "GET /containers": [CONTAINER],
        "GET /edge/images": IMAGES,
        "POST /containers": PUMP_ID,
        "PUT /containers": PUMP_ID,
    }
    return platform


# list


async def test_containers_are_listed_with_state_and_reason(containers: StandIn, command: Command) -> None:
    ran = await command("containers")
    assert (ran.code, ran.err) == (0, "")
    header, pump, board, lamps = ran.out.splitlines()
    assert header.split() == ["ID", "NAME", "IMAGE", "KIND", "STATE", "FOR", "MEMORY", "PORT", "REASON"]
    assert pump.startswith("9b2f6f6e-000  pump ")
    assert "30 MiB" in pump
    assert "20001" in pump
    assert board.split()[:5] == ["9b2f6f6e-111", "greenhouse", "board", "attached", "away"]
    assert board.endswith("no route to host")
    assert lamps.startswith("c-77 ")


async def test_containers_as_json_are_what_the_platform_said(containers: StandIn, command: Command) -> None:
    ran = await command("containers", "--json")
    assert json.loads(ran.out) == [PUMP, BOARD, LAMPS]


@pytest.mark.parametrize("word", [PUMP_ID, "pump", "pump:1.2", "pump:7", "9b2f6f6e-0"])
async def test_one_container_is_shown_with_what_is_not_enforced(
    containers: StandIn, command: Command, word: str
) -> None:
    ran = await command("containers", word)
    assert ran.code == 0
    pairs = [(line[:16].strip(), line[16:]) for line in ran.out.splitlines()]
    assert ("id", PUMP_ID) in pairs
    assert ("limit", "memory 64 MiB, kept by the platform, which looks once a second") in pairs
    assert ("limit", "processor 50 %, NOT ENFORCED on this machine") in pairs
    assert "last end" not in dict(pairs)
    assert json.loads((await command("containers", word, "--json")).out) == PUMP


async def test_platform_that_tells_no_states_is_listed_by_what_opaca_knows(platform: StandIn, command: Command) -> None:
    generic = {"timestamp": 1, "status": 404, "error": "Not Found", "path": "/edge/containers"}
    platform.answers = {"GET /edge/containers": (404, generic), "GET /containers": [CONTAINER]}
    ran = await command("containers")
    assert ran.code == 0
    assert ran.out.splitlines()[1].split()[:3] == ["c-77", "lamps:1", "running"]
    platform.answers["GET /edge/images"] = (404, generic)
    refused = await command("images")
    assert (refused.code, refused.err) == (1, f"error: {platform.url} does not tell which images it has\n")


async def test_last_output_is_shown_with_one_container_only(containers: StandIn, command: Command) -> None:
    reason = "it exited with status 7; it is not started again; its last output:\nKeyError: 'PIN'\n\x1b[2Jbye"
    containers.answers["GET /edge/containers"] = [{**PUMP, "state": "crash-loop", "reason": reason}]
    assert (await command("containers")).out.splitlines()[1].endswith("exited with status 7; it is not started again")
    assert (await command("containers", "pump")).out.endswith("\nKeyError: 'PIN'\n\\x1b[2Jbye\n")


async def test_no_containers_is_no_error(platform: StandIn, command: Command) -> None:
    platform.answers = {"GET /edge/containers": [], "GET /edge/images": []}
    ran = await command("containers")
    assert (ran.code, ran.out) == (0, "")
    assert ran.err == "no containers; opaca-edge images lists what can be started\n"
    assert (await command("images")).err.startswith("no images; ")
    assert (await command("containers", "--json")).out == "[]\n"


async def test_watching_without_a_terminal_tells_changes_only(containers: StandIn, command: Command) -> None:
    looks = iter([[PUMP, BOARD], [PUMP, BOARD], [{**PUMP, "state": "restarting", "reason": "killed"}], [BOARD]])

    async def look() -> Any:
        return next(looks)

    containers.answers["GET /edge/containers"] = look
    ran = await command("containers", "--watch", "--interval", "0.1", "--count", "4")
    assert ran.code == 0
    told = [line.split("  ")[2:] for line in ran.out.splitlines()]
    assert told == [
        ["pump", "running"],
        ["greenhouse", "away", "no route to host"],
        ["pump", "restarting", "killed"],
        ["greenhouse", "gone"],
        ["greenhouse", "away", "no route to host"],
        ["pump", "gone"],
    ]


async def test_watching_as_json_is_one_line_for_each_change(containers: StandIn, command: Command) -> None:
    ran = await command("containers", "pump", "--watch", "--count", "1", "--json")
    assert [json.loads(line) for line in ran.out.splitlines()] == [PUMP]


# which one is meant


async def test_word_that_means_several_lists_them(containers: StandIn, command: Command) -> None:
    ran = await command("containers", "remove", "9b2f")
    assert ran.code == 2
    assert ran.err.splitlines() == [
        "error: '9b2f' means 2 containers; name one by its ID:",
        f"  {PUMP_ID}  pump, running",
        f"  {BOARD_ID}  greenhouse, away",
    ]
    assert not [asked for asked in containers.asked if asked[0].startswith("DELETE")]


async def test_unknown_container_gets_a_suggestion(containers: StandIn, command: Command) -> None:
    ran = await command("containers", "logs", "pmup")
    assert ran.code == 1
    assert ran.err == "error: there is no container 'pmup' (did you mean 'pump'?); opaca-edge containers lists them\n"


# add and update


async def test_add_sends_values_and_limits_and_prints_the_id(containers: StandIn, command: Command) -> None:
    words = ("pump:1.2", "PIN=17", "--memory", "64", "--cpu", "50", "--restart", "always", "--timeout", "5")
    ran = await command("containers", "add", *words)
    assert (ran.code, ran.out, ran.err) == (0, f"{PUMP_ID}\n", "")
    assert containers.last == (
        "POST /containers",
        {"timeout": "5"},
        {
            "image": {"imageName": "pump:1.2"},
            "arguments": {"PIN": "17"},
            "clientConfig": {"type": "NATIVE", "memoryMb": 64, "cpuPercent": 50, "restart": "always"},
        },
    )


async def test_add_as_json_prints_an_object(containers: StandIn, command: Command) -> None:
    ran = await command("containers", "add", "pump", "--json")
    assert json.loads(ran.out) == {"id": PUMP_ID}
    assert containers.last[1] == {}


async def test_add_attaches_what_runs_already(containers: StandIn, command: Command) -> None:
    assert (await command("containers", "add", "--attach", "http://b:80", "--key", "k")).code == 0
    assert containers.last[2]["clientConfig"] == {"type": "ATTACHED", "url": "http://b:80", "key": "k"}
    assert (await command("containers", "add", "board", "--attach", "http://b:80", "--push")).code == 0
    assert containers.last[2]["clientConfig"] == {"type": "ATTACHED", "url": "http://b:80", "push": True}
    assert containers.last[2]["image"] == {"imageName": "board"}


async def test_add_and_update_take_a_whole_wish(
    containers: StandIn, command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wish = {"image": {"imageName": "unheard-of"}, "arguments": {"KEY": "hunter2"}}
    (tmp_path / "wish.json").write_text(json.dumps(wish))
    assert (await command("containers", "update", "--file", f"{tmp_path}/wish.json")).out == f"{PUMP_ID}\n"
    assert containers.last == ("PUT /containers", {}, wish)
    monkeypatch.setattr(sys, "stdin", TextIOWrapper(BytesIO(json.dumps(wish).encode())))
    assert (await command("containers", "add", "--file", "-")).code == 0
    assert containers.last == ("POST /containers", {}, wish)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "name an image; opaca-edge images lists those of the platform"),
        (("pump", "PIN"), "'PIN': expected key=value"),
        (("pump", "PIN=1", "PIN=2"), "PIN: given twice"),
        (("pump", "PNI=1"), "PNI: image pump has no such parameter (did you mean 'PIN'?)\nit takes 2 parameters: PIN"),
        (("pump", "--key", "k"), "--key and --push are for --attach"),
        (("pump", "--file", "x"), "--file holds the whole wish"),
        (("--file", "/nowhere/x"), "/nowhere/x: No such file"),
        (("--attach", "http://b", "--memory", "3"), "an attached container runs already"),
        (("--attach", "http://b", "--push"), "a container that sleeps cannot be asked what it is"),
    ],
)  # fmt: skip
async def test_add_explains_wrong_usage(
    containers: StandIn, command: Command, words: tuple[str, ...], message: str
) -> None:
    ran = await command("containers", "add", *words)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith(f"error: {message}")
    assert not [asked for asked in containers.asked if asked[0].startswith("POST")]


async def test_add_that_fails_tells_reason_and_output(containers: StandIn, command: Command) -> None:
    cause = {"statusCode": None, "message": "Traceback ...\nKeyError: 'PIN'"}
    message = "container pump did not come up: it exited with status 1"
    containers.answers["POST /containers"] = (502, {"statusCode": 502, "message": message, "cause": cause})
    ran = await command("containers", "add", "pump")
    assert (ran.code, ran.out) == (1, "")
    assert ran.err == f"error: {message}\n  because: Traceback ...\nKeyError: 'PIN'\n"


# remove and notify


async def test_remove_stops_each_that_is_named(containers: StandIn, command: Command) -> None:
    containers.answers |= {f"DELETE /containers/{PUMP_ID}": "true", "DELETE /containers/c-77": "true"}
    ran = await command("containers", "remove", "pump", "lamp", "pump")  # lamp is an agent of lamps
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.splitlines() == [f"pump ({PUMP_ID}) is removed", "lamps (c-77) is removed"]
    assert json.loads((await command("containers", "remove", "pump", "--json")).out) == {"removed": [PUMP_ID]}


async def test_remove_of_what_has_just_gone_says_so(containers: StandIn, command: Command) -> None:
    containers.answers[f"DELETE /containers/{PUMP_ID}"] = "false"
    ran = await command("containers", "remove", "pump")
    assert (ran.code, ran.err) == (1, f"error: pump ({PUMP_ID}) was gone already\n")


async def test_notify_sends_the_bare_id(containers: StandIn, command: Command) -> None:
    containers.answers["POST /containers/notify"] = "true"
    ran = await command("containers", "notify", "pump")
    assert (ran.code, ran.out) == (0, f"pump ({PUMP_ID}) described itself anew\n")
    assert containers.last == ("POST /containers/notify", {}, PUMP_ID)
    containers.answers["POST /containers/notify"] = "false"
    gone = await command("containers", "notify", "pump", "--json")
    assert (gone.code, gone.out) == (1, "false\n")
    assert gone.err.startswith(f"error: pump ({PUMP_ID}) does not answer")


# logs


async def test_logs_prints_the_newest_lines(containers: StandIn, command: Command) -> None:
    containers.answers[f"GET /edge/containers/{PUMP_ID}/log"] = "one\ntwo\n"
    ran = await command("containers", "logs", "-n", "2", "pump")
    assert (ran.code, ran.out) == (0, "one\ntwo\n")
    assert containers.last[1] == {"lines": "2"}
    assert (await command("containers", "logs", "pump", "--json")).out == '"one"\n"two"\n'


async def test_logs_follow_puts_pieces_together(containers: StandIn, command: Command) -> None:
    containers.answers[f"GET /edge/containers/{PUMP_ID}/log"] = [b"on", b"e\ncaf\xc3", b"\xa9\nrest"]
    ran = await command("containers", "logs", "-f", "pump", "--json")
    assert [json.loads(line) for line in ran.out.splitlines()] == ["one", "café", "rest"]
    assert containers.last[1] == {"lines": "100", "follow": "true"}


async def test_logs_that_are_kept_elsewhere_say_where(containers: StandIn, command: Command) -> None:
    words = "a bundled container writes to the platform's own log"
    containers.answers["GET /edge/containers/c-77/log"] = (501, {"statusCode": 501, "message": words})
    ran = await command("containers", "logs", "lamps", "-f")
    assert (ran.code, ran.err) == (1, f"error: {words}\n")
    assert (await command("containers", "logs", "lamps", "-n", "-3")).code == 2


# top


async def test_top_once_tells_what_was_taken_between_two_looks(containers: StandIn, command: Command) -> None:
    taken = iter([10.0, 10.1])

    async def look() -> Any:
        return [{**PUMP, "cpu_seconds": next(taken), "memory_bytes": 60 * 1024 * 1024}, BOARD]

    containers.answers["GET /edge/containers"] = look
    ran = await command("containers", "top", "--json", "--interval", "0.2")
    pump, board = json.loads(ran.out)
    assert 20 < pump["cpu_percent"] <= 50
    assert (pump["memory_bytes"], pump["memory_limit_bytes"], pump["cpu_limit_percent"]) == (62914560, 67108864, 50)
    assert (board["cpu_percent"], board["memory_bytes"], board["state"]) == (None, None, "away")


async def test_top_without_a_terminal_is_printed_once(containers: StandIn, command: Command) -> None:
    ran = await command("containers", "top", "--interval", "0.2")
    assert ran.code == 0
    header, pump, *_ = ran.out.splitlines()
    assert header.split() == ["NAME", "STATE", "PROCESSOR", "MEMORY", "RESTARTS", "FOR", "REASON"]
    assert "0.0 %" in pump
    assert "30 MiB of 64 MiB" in pump
    assert "\x1b" not in ran.out


# images


async def test_images_are_listed_with_what_is_wrong(containers: StandIn, command: Command) -> None:
    ran = await command("images")
    assert ran.code == 0
    header, pump, broken = ran.out.splitlines()
    assert header.split() == ["IMAGE", "VERSION", "FOLDER", "TAKES", "DESCRIPTION"]
    assert pump.split(maxsplit=3) == ["pump", "1.2", "pump-1.2", "PIN, [ROOM=hall]  Waters."]
    assert broken.endswith("CANNOT BE USED: there is no start.toml")
    assert json.loads((await command("images", "--json")).out) == IMAGES
    assert len((await command("images", "pump:9")).out.splitlines()) == 2
    assert (await command("images", "pupm")).err.startswith("error: there is no image 'pupm' (did you mean 'pump'?)")


# figures


@pytest.mark.parametrize(
    ("fraction", "blocks", "plain"),
    [
        (0.0, "····", "...."),
        (0.5, "██··", "##.."),
        (0.53, "██▏·", "##.."),
        (1.7, "████", "####"),
        (-1.0, "····", "...."),
        (None, "    ", "    "),
    ],
)
def test_bar(fraction: float | None, blocks: str, plain: str) -> None:
    assert bar(fraction, 4, has_blocks=True) == blocks
    assert bar(fraction, 4, has_blocks=False) == plain


def test_blocks_need_an_encoding_that_has_them() -> None:
    assert can_show_blocks("utf-8")
    assert not can_show_blocks("latin-1")
    assert not can_show_blocks(None)


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 KiB"), (31_457_280, "30 MiB"), (5e13, "45 TiB"), (None, "")],
)
def test_size_text(size: float | None, text: str) -> None:
    assert size_text(size) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-1, "0 s"), (59.9, "59 s"), (60, "1 min"), (125, "2 min 5 s"), (7_260, "2 h 1 min"), (9e4, "1 d 1 h"), (None, "")]
)  # fmt: skip
def test_duration_text(seconds: float | None, text: str) -> None:
    assert duration_text(seconds) == text
