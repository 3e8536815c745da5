"""`boards` against a real platform: what is made, what is printed, what is said."""

from __future__ import annotations

import json
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edge.cli.boards_address import _address
from tests.contract.running import PlatformThread
from tests.integration.signed import KEY
from tests.unit.cli.shell import PASSWORD, Shell

WIFI = {"ssid": "Beet", "password": "geheim ä 1"}


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[PlatformThread]:
    with PlatformThread(tmp_path, require_auth=True, platform_admin_pwd=PASSWORD, secret=KEY) as platform:
        yield platform


def logged_in(platform: PlatformThread, folder: Path) -> Shell:
    (folder / "home").mkdir()
    shell = Shell(folder / "home", platform.base_url)
    assert shell.run("login", "--password-stdin", typed=f"{PASSWORD}\n")[0] == 0
    return shell


@pytest.fixture
def admin(platform: PlatformThread, tmp_path: Path) -> Shell:
    return logged_in(platform, tmp_path)


@pytest.fixture(scope="module")
def settled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    """One for all that is refused and changes nothing: there is a board `here`, and stays."""
    folder = tmp_path_factory.mktemp("settled")
    with PlatformThread(folder, require_auth=True, platform_admin_pwd=PASSWORD, secret=KEY) as platform:
        shell = logged_in(platform, folder)
        ok(shell.run("boards", "add", "here"))
        yield shell


def ok(ran: tuple[int, str, str]) -> str:
    assert ran[0] == 0, ran
    return ran[1]


def status(platform: PlatformThread, token: str) -> int:
    return platform.ask("GET", "/info", headers={"Authorization": f"Bearer {token}"}).status


def attach(platform: PlatformThread, token: str, key: str = "chip-7", **more: Any) -> str:
    config = {"type": "ATTACHED", "url": "http://192.0.2.7:80", "key": key, "push": True, **more}
    body = {"image": {"imageName": "greenhouse-1"}, "clientConfig": config}
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    answer = platform.ask("POST", "/containers", headers=headers, json_body=body)
    assert answer.status == 200, answer.text
    return answer.text


def test_a_board_is_added_with_settings_that_work(platform: PlatformThread, admin: Shell, tmp_path: Path) -> None:
    file, wifi = tmp_path / "opaca.json", tmp_path / "wifi"
    wifi.write_text("{ssid}\n{password}\n".format(**WIFI))
    code, out, err = admin.run("boards", "add", "greenhouse-1", "-o", str(file), "--wifi-file", str(wifi))
    assert (code, "greenhouse-1 may attach itself, as board-greenhouse-1" in out) == (0, True), err
    assert f"mpremote cp {file} :opaca.json" in out
    assert f"warning: {admin.url} is this machine only" in err and "HOST=0.0.0.0," in err
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    settings = json.loads(file.read_text())
    token = settings.pop("token")
    assert settings == {
        "name": "greenhouse-1", "platform": admin.url, "user": "board-greenhouse-1", "wifi": WIFI,
    }  # fmt: skip
    assert token not in out + err and WIFI["password"] not in out + err
    assert attach(platform, token)
    [user] = [each for each in json.loads(ok(admin.run("users", "--json"))) if each["username"] != "admin"]
    assert user == {"username": "board-greenhouse-1", "role": "USER", "privileges": ["attach"]}


def test_without_a_file_the_settings_are_the_output(platform: PlatformThread, admin: Shell) -> None:
    code, out, err = admin.run("boards", "add", "pump")
    assert (code, set(json.loads(out))) == (0, {"name", "platform", "user", "token"})
    assert status(platform, json.loads(out)["token"]) == 200
    assert "pump may attach itself" in err and "no Wi-Fi" in err
    added = json.loads(ok(admin.run("boards", "add", "lamp", "--json", "--platform", "http://pi.local:8000/")))
    assert (added["name"], added["user"], added["platform"]) == ("lamp", "board-lamp", "http://pi.local:8000")
    assert added["settings"]["token"] and added["other_addresses"] == []


def test_rotating_refuses_the_old_token_and_keeps_the_rest(
    platform: PlatformThread, admin: Shell, tmp_path: Path
) -> None:
    file = tmp_path / "opaca.json"
    file.write_text(json.dumps({"wifi": WIFI, "settings": {"pin": 4}, "password": "old", "name": "x"}))
    ok(admin.run("boards", "add", "pump", "-o", str(file), "--platform", "http://pi.local:8000"))
    first = json.loads(file.read_text())
    container_id = attach(platform, first["token"])
    ok(admin.run("boards", "rotate", "pump", "-o", str(file)))
    second = json.loads(file.read_text())
    assert (status(platform, first["token"]), status(platform, second["token"])) == (401, 200)
    assert attach(platform, second["token"]) == container_id
    assert first | {"token": ""} == second | {"token": ""} == {
        "name": "pump", "platform": "http://pi.local:8000", "user": "board-pump", "token": "",
        "wifi": WIFI, "settings": {"pin": 4},
    }  # fmt: skip
    third = json.loads(ok(admin.run("boards", "rotate", "pump", "--json")))
    assert (status(platform, second["token"]), status(platform, third["settings"]["token"])) == (401, 200)


def test_boards_are_listed_with_what_they_are_doing(platform: PlatformThread, admin: Shell) -> None:
    assert admin.run("boards", "list") == (0, "", "no boards; opaca-edge boards add NAME makes one\n")
    tokens = {name: json.loads(ok(admin.run("boards", "add", name)))["token"] for name in ("pump", "lamp")}
    container_id = attach(platform, tokens["pump"])
    header, pump, lamp = ok(admin.run("boards", "list")).splitlines()
    assert header.split() == ["NAME", "STATE", "FOR", "ADDRESS", "CONTAINER", "AGENTS", "REASON"]
    assert (pump.split()[:2], lamp.split()[:2]) == (["pump", "sleeping"], ["lamp", "waiting"])
    assert "http://192.0.2.7:80" in pump and container_id[:8] in pump
    listed = json.loads(ok(admin.run("boards", "list", "pump", "--json")))
    assert {**listed, "since": ""} == {
        "name": "pump", "user": "board-pump", "state": "sleeping", "since": "", "container": container_id,
        "reason": "it only reports and is never called", "key": "chip-7", "address": "http://192.0.2.7:80",
        "agents": [],
    }  # fmt: skip
    assert [each["name"] for each in json.loads(ok(admin.run("boards", "list", "--json")))] == ["pump", "lamp"]
    assert "chip-7" in ok(admin.run("boards", "list", "pump"))


def test_removing_takes_user_token_and_container(platform: PlatformThread, admin: Shell) -> None:
    token = json.loads(ok(admin.run("boards", "add", "pump")))["token"]
    other = attach(platform, json.loads(ok(admin.run("boards", "add", "lamp")))["token"], key="chip-8")
    container_id = attach(platform, token)
    assert ok(admin.run("boards", "remove", "pump")) == (
        f"pump is removed: its user and token, container {container_id}\n"
    )
    assert status(platform, token) == 401
    [listed] = json.loads(ok(admin.run("boards", "list", "--json")))
    assert (listed["name"], listed["container"]) == ("lamp", other)
    assert json.loads(ok(admin.run("boards", "remove", "lamp", "--json"))) == {"removed": ["lamp"]}
    assert [each for each in json.loads(ok(admin.run("containers", "--json"))) if each["launcher"] == "attached"] == []


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("add", "Pump"), 2, "'Pump' is no name for a board: expected 1 to 64 of a-z, 0-9 and -"),
        (("add", "here"), 1, "there is a board here already: opaca-edge boards rotate here gives it another token"),
        (("add", "new", "--platform", "https://pi:8000"), 1, "boards speak http"),
        (("add", "new", "-o", "/nowhere/opaca.json"), 2, "/nowhere/opaca.json cannot be written: No such file"),
        (("add", "new", "-o", "/etc/passwd"), 2, "holds no settings of a board, and is left alone"),
        (("add", "new", "--wifi-file", "/etc/passwd"), 2, "expected two lines"),
        (("add", "new", "--wifi-file", "/nowhere"), 2, "--wifi-file /nowhere"),
        (("rotate", "new"), 1, "there is no board new: opaca-edge boards add new makes it"),
        (("remove", "hree"), 1, "there is no board 'hree' (did you mean 'here'?); opaca-edge boards list shows them"),
        (("remove", "here", "new"), 1, "there is no board 'new'"),
        (("list", "--watch"), 2, "--watch needs a terminal"),
        ((), 2, "boards needs another word: boards list, boards add"),
    ],
)
def test_what_cannot_be_done_is_said_and_changes_nothing(
    settled: Shell, words: tuple[str, ...], code: int, message: str
) -> None:
    ran = settled.run("boards", *words)
    assert (ran[0], ran[1], message in ran[2]) == (code, "", True), ran
    assert [each["name"] for each in json.loads(ok(settled.run("boards", "list", "--json")))] == ["here"]


@pytest.mark.parametrize(
    ("lines", "said"),
    [("Beet\nshort\n", "8 to 64 bytes"), (f"{'x' * 33}\n\n", "1 to 32 bytes"), ("\n\n", "1 to 32 bytes")],
)
def test_a_wifi_that_cannot_be_is_refused(settled: Shell, lines: str, said: str) -> None:
    ran = settled.run("boards", "add", "pump", "--wifi-file", "-", typed=lines)
    assert (ran[0], said in ran[2]) == (2, True), ran


def test_an_open_wifi_has_no_password(admin: Shell) -> None:
    added = ok(admin.run("boards", "add", "pump", "--wifi-file", "-", typed="Beet\n"))
    assert json.loads(added)["wifi"] == {"ssid": "Beet"}


def test_the_wifi_is_asked_for_without_showing_its_password(admin: Shell, tmp_path: Path) -> None:
    file = tmp_path / "opaca.json"
    words = ["boards", "add", "pump", "-o", str(file)]
    code, shown = admin.on_terminal(words, ["Beet", WIFI["password"]])
    assert (code, WIFI["password"] in shown, "Password of Beet" in shown) == (0, False, True), shown
    assert json.loads(file.read_text())["wifi"] == WIFI
    # What stands there already is not asked for again.
    code, shown = admin.on_terminal(["boards", "add", "lamp", "-o", str(file)], [])
    assert (code, json.loads(file.read_text())["wifi"]) == (0, WIFI), shown
    code, shown = admin.on_terminal(["boards", "add", "fan", "-o", str(tmp_path / "fan.json")], [""])
    assert (code, "no Wi-Fi in them" in shown) == (0, True), shown


def test_whoever_may_not_is_told(admin: Shell) -> None:
    ok(admin.run("users", "add", "eve", "--password-stdin", typed="pw"))
    ok(admin.run("login", "--user", "eve", "--password-stdin", typed="pw"))
    for words in (("add", "pump"), ("list",), ("rotate", "pump"), ("remove", "pump")):
        ran = admin.run("boards", *words)
        assert (ran[0], "does not allow this to you" in ran[2]) == (1, True), ran
    ok(admin.run("login", "--forget"))
    ran = admin.run("boards", "add", "pump")
    assert (ran[0], "opaca-edge login" in ran[2]) == (1, True), ran


def test_without_login_any_board_may_attach_and_that_is_said(tmp_path: Path) -> None:
    with PlatformThread(tmp_path) as platform:
        shell = Shell(tmp_path, platform.base_url)
        code, out, err = shell.run("boards", "add", "greenhouse-1")
        assert (code, json.loads(out)) == (0, {"name": "greenhouse-1", "platform": platform.base_url})
        assert "this platform asks nobody for a token: ANY BOARD MAY ATTACH" in err
        assert "HOST=0.0.0.0 and REQUIRE_AUTH=true" in err
        container_id = attach(platform, "")
        [board] = json.loads(ok(shell.run("boards", "list", "--json")))
        assert (board["name"], board["user"], board["container"]) == ("greenhouse-1", None, container_id)
        ran = shell.run("boards", "rotate", "greenhouse-1")
        assert (ran[0], "asks nobody for one, unless it runs with REQUIRE_AUTH=true" in ran[2]) == (1, True), ran
        attach(platform, "", key="chip-8")
        ran = shell.run("boards", "remove", "greenhouse-1")
        assert (ran[0], "means 2 boards" in ran[2], container_id in ran[2]) == (1, True, True), ran
        ok(shell.run("containers", "remove", container_id))
        assert "greenhouse-1 is removed: container" in ok(shell.run("boards", "remove", "greenhouse-1"))


@pytest.mark.parametrize(
    ("base_url", "called_url", "public_url", "has_avahi", "url", "others"),
    [
        ("http://192.168.1.7:8000", "http://127.0.0.1:8000", None, True, "http://pi.local:8000", 1),
        ("http://192.168.1.7:8000", "http://localhost:8000", None, False, "http://192.168.1.7:8000", 0),
        ("http://192.168.1.7:8000", "http://pi.local:8000", None, False, "http://pi.local:8000", 1),
        ("http://192.168.1.7:8000", "http://192.168.1.7:8000", None, True, "http://192.168.1.7:8000", 0),
        ("http://gate.lan:80", "http://127.0.0.1:8000", "http://gate.lan:80", True, "http://gate.lan:80", 0),
    ],
)
def test_a_board_is_told_the_name_where_there_is_one(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    base_url: str,
    called_url: str,
    public_url: str | None,
    has_avahi: bool,
    url: str,
    others: int,
) -> None:
    (tmp_path / "socket").touch()
    monkeypatch.setattr("edge.cli.boards_address.AVAHI_SOCKET", tmp_path / ("socket" if has_avahi else "none"))
    monkeypatch.setattr("socket.gethostname", lambda: "Pi.fritz.box")
    found = _address(base_url, called_url, {"publicUrl": public_url})
    assert (found.url, found.others, found.warning) == (url, (base_url,) * others, "")
