"""What stands wrong in the settings of a board is named, with what was expected."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.micro.parts import Workbench, workbench

__all__ = ["workbench"]

PAGE = (Path(__file__).resolve().parents[2] / "docs/boards.md").read_text("utf-8")

GOOD: dict[str, Any] = {
    "name": "greenhouse-1",
    "platform": "http://raspberrypi.local:8000/",
    "user": "board-greenhouse-1",
    "token": "a.b-c_d",
    "wifi": {"ssid": "home", "password": "sesame-street"},
}

LOAD = """
import json
from opaca_micro import config

for text in CASES:
    with open("opaca.json", "w") as file:
        file.write(text)
    try:
        found = config.load()
        print(json.dumps([found.platform, found.key, found.port, found.wifi, found.ntp, found.watchdog, found.push]))
    except config.ConfigError as error:
        print(json.dumps(str(error)))
"""

# What is wrong -> what is said, after the name of the file.
WRONG: list[tuple[dict[str, Any], str]] = [
    ({"name": None}, "name: missing; expected 1 to 64 of a-z, 0-9 and -"),
    ({"name": "Glass house"}, 'name: expected 1 to 64 of a-z, 0-9 and -, found "Glass house"'),
    ({"name": "a" * 65}, "name: expected 1 to 64 of a-z, 0-9 and -, found"),
    ({"platform": None}, "platform: missing; expected http://host:port; boards speak no https"),
    ({"platform": "https://pi:8443"}, "platform: expected http://host:port; boards speak no https, found"),
    ({"platform": "raspberrypi.local"}, "platform: expected http://host:port"),
    ({"platform": "http://pi:80000"}, "platform: expected http://host:port"),
    ({"platform": "http://pi/opaca"}, "platform: expected http://host:port"),
    ({"platform": "http://p i"}, "platform: expected http://host:port"),
    ({"platform": "http://pi\r\nX: y"}, "platform: expected http://host:port"),
    (
        {"plattform": "http://pi"},
        "plattform: there is no such setting; expected one of key, name, ntp, password, platform",
    ),
    ({"user": 7}, "user: expected text, found 7"),
    ({"token": "two words"}, "token: expected one word, as `opaca-edge boards add` prints it"),
    ({"token": "line\n"}, "token: expected one word"),
    ({"password": ["x"]}, "password: expected text"),
    ({"user": None, "password": "x"}, "user: expected, as there is a password"),
    ({"key": ""}, 'key: expected 1 to 200 characters, found ""'),
    ({"port": "80"}, 'port: expected a whole number from 1 to 65535, found "80"'),
    ({"port": 0}, "port: expected a whole number from 1 to 65535, found 0"),
    ({"port": True}, "port: expected a whole number from 1 to 65535, found true"),
    ({"port": 80.5}, "port: expected a whole number from 1 to 65535, found 80.5"),
    ({"wifi": "home"}, 'wifi: expected {"ssid": "...", "password": "..."}, found "home"'),
    ({"wifi": {}}, "wifi.ssid: missing; expected 1 to 32 bytes"),
    ({"wifi": {"ssid": "ü" * 17}}, "wifi.ssid: expected 1 to 32 bytes, found"),
    ({"wifi": {"ssid": "home", "password": "short"}}, "wifi.password: expected 8 to 64 bytes; left out for an open"),
    ({"wifi": {"ssid": "home", "passwort": "x"}}, "wifi.passwort: there is no such setting; expected one of hostname,"),
    ({"wifi": {"ssid": "home", "hostname": "a_b"}}, "wifi.hostname: expected 1 to 32 of a-z, 0-9 and -"),
    ({"wifi": None}, "url: expected, as there is no wifi that would give this board an address"),
    ({"url": "10.0.0.7"}, "url: expected http://host:port, as the platform reaches this board, found"),
    ({"push": 1}, "push: expected true or false, found 1"),
    ({"watchdog": "no"}, 'watchdog: expected true or false, found "no"'),
    ({"ntp": False}, "ntp: expected a time server; empty for none, found false"),
    ({"settings": []}, "settings: expected an object, for your own program, found []"),
]


def load(workbench: Workbench, *texts: str) -> list[Any]:
    """Load files with these texts on a board; returns settings or messages."""
    return workbench.run(LOAD.replace("CASES", repr(list(texts))), unique_id="0011223344556677")


def changed(change: dict[str, Any]) -> str:
    return json.dumps({key: value for key, value in {**GOOD, **change}.items() if value is not None})


def test_every_wrong_setting_is_named_with_what_is_expected(workbench: Workbench) -> None:
    said = load(workbench, *(changed(change) for change, _ in WRONG))
    expected = ["opaca.json: " + words for _, words in WRONG]
    assert [text[: len(words)] for text, words in zip(said, expected, strict=True)] == expected


def test_secrets_are_never_shown(workbench: Workbench) -> None:
    cases = [{"token": "geheim dings"}, {"wifi": {"ssid": "home", "password": "geheim"}}, {"password": ["geheim"]}]
    assert "geheim" not in str(load(workbench, *map(changed, cases)))


def test_files_that_are_no_settings_are_refused(workbench: Workbench) -> None:
    assert load(workbench, "", '{"name": "x"', "[]", "7") == [
        "opaca.json: not JSON; look for a missing comma or quotation mark",
        "opaca.json: not JSON; look for a missing comma or quotation mark",
        "opaca.json: expected one JSON object",
        "opaca.json: expected one JSON object",
    ]


def test_what_is_left_out_has_a_default(workbench: Workbench) -> None:
    plain, full = load(
        workbench,
        json.dumps(GOOD),
        changed({"key": "k", "port": 8080, "url": "http://1.2.3.4:80/", "wifi": None, "ntp": "", "watchdog": False}),
    )
    wifi = {"ssid": "home", "password": "sesame-street", "hostname": "greenhouse-1"}
    assert plain == ["http://raspberrypi.local:8000", "0011223344556677", 80, wifi, "pool.ntp.org", True, False]
    assert full == ["http://raspberrypi.local:8000", "k", 8080, None, "", False, False]


def test_a_board_without_a_file_is_told_where_to_get_one(workbench: Workbench) -> None:
    ended = workbench.end("from opaca_micro import config\nconfig.load()\n")
    assert ended.returncode == 1
    assert ended.stderr.splitlines()[-1].endswith(
        "ConfigError: opaca.json: there is no such file; `opaca-edge boards add` writes one"
    )


@pytest.mark.parametrize("key", ["wifi", "settings"])
def test_null_is_no_value(workbench: Workbench, key: str) -> None:
    (said,) = load(workbench, json.dumps({**GOOD, key: None}))
    assert said.startswith(f"opaca.json: {key}: expected ")


def test_every_setting_is_documented(workbench: Workbench) -> None:
    program = (
        "import json\nfrom opaca_micro import config\nprint(json.dumps([list(config._KEYS), list(config._WIFI)]))\n"
    )
    keys, wifi = workbench.run(program)[0]
    section = PAGE.partition("## opaca.json")[2].partition("\n## ")[0]
    rows = dict(re.findall(r"^\| (`.*?) \| (.*?) \|$", section, re.MULTILINE))
    named = set(re.findall(r"`([a-z]+)`", " ".join(rows)))
    assert named | {"password"} == set(keys)
    assert all(f"`{key}`" in rows["`wifi`"] for key in wifi)
