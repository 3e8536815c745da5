"""`login` and `users` against a real platform that asks who is calling."""

from __future__ import annotations

import json
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.running import PlatformThread
from tests.integration.signed import KEY
from tests.unit.cli.shell import PASSWORD, Shell


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    with PlatformThread(tmp_path, require_auth=True, platform_admin_pwd=PASSWORD, secret=KEY) as platform:
        (tmp_path / "home").mkdir()
        yield Shell(tmp_path / "home", platform.base_url)


@pytest.fixture
def admin(shell: Shell) -> Shell:
    assert shell.run("login", "--password-stdin", typed=f"{PASSWORD}\n")[0] == 0
    return shell


def test_who_is_not_logged_in_is_told_how(shell: Shell) -> None:
    code, out, err = shell.run("info")
    assert (code, out) == (1, "")
    assert f'"opaca-edge login --url {shell.url}"' in err


def test_a_login_holds_for_the_verbs_that_follow(shell: Shell) -> None:
    code, out, err = shell.run("login", "--password-stdin", typed=f"{PASSWORD}\n")
    assert (code, out, err) == (0, f"logged in at {shell.url} as admin for ten hours\n", "")
    [file] = shell.kept
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert shell.run("info")[0] == 0
    assert shell.run("login", "--forget") == (0, f"logged out of {shell.url}\n", "")
    assert shell.run("login", "--forget") == (0, f"there was no token for {shell.url}\n", "")
    assert (shell.kept, shell.run("info")[0]) == ([], 1)


def test_a_wrong_password_keeps_nothing(shell: Shell) -> None:
    code, _, err = shell.run("login", "--user", "eve", "--password-stdin", typed="x")
    assert (code, err) == (1, f"error: {shell.url}: there is no user eve with this password\n")
    assert shell.kept == []


def test_a_token_that_has_ended_stands_in_the_way_of_no_login(shell: Shell, admin: Shell) -> None:
    admin.kept[0].write_text("over")
    assert shell.run("info")[0] == 1
    assert shell.run("login", "--password-stdin", typed=PASSWORD)[0] == 0
    assert shell.run("info")[0] == 0


def test_users_are_managed(admin: Shell) -> None:
    assert admin.run("users", "add", "eve", "--role", "Contributor", "--password-stdin", typed="pw\n")[0] == 0
    assert admin.run("users", "add", "board-a", "--privilege", "attach", "--password-stdin", typed="pw")[0] == 0
    code, out, err = admin.run("users", "add", "eve", "--password-stdin", typed="pw")
    assert (code, out, err) == (1, "", "error: there is a user eve already\n")
    assert [line.split() for line in admin.run("users")[1].splitlines()] == [
        ["NAME", "ROLE", "PRIVILEGES"],
        ["admin", "admin"],
        ["eve", "contributor"],
        ["board-a", "user", "attach"],
    ]
    assert admin.run("users", "role", "eve", "guest") == (0, "eve is guest now\n", "")
    assert json.loads(admin.run("users", "--json")[1])[1] == {"username": "eve", "role": "GUEST", "privileges": []}
    assert admin.run("users", "passwd", "eve", "--password-stdin", typed="new")[0] == 0
    assert admin.run("login", "--user", "eve", "--password-stdin", typed="new")[0] == 0
    code, _, err = admin.run("users")
    assert (code, "does not allow this to you: role too low" in err) == (1, True)
    assert admin.run("login", "--password-stdin", typed=PASSWORD)[0] == 0
    assert admin.run("users", "remove", "eve", "board-a") == (0, "eve is removed\nboard-a is removed\n", "")


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("users", "role", "zoe", "guest"), 1, "there is no user zoe"),
        (("users", "remove", "zoe"), 1, "there is no user zoe"),
        (("users", "role", "eve", "boss"), 2, "invalid choice: 'boss'"),
        (("users", "remove", "http://peer:8000"), 2, "cannot be named in a path"),
        (("users", "passwd", "zoe"), 2, "--password-stdin"),
        (("users", "add", "eve", "pw"), 2, "unrecognized arguments: pw"),
        (("users", "new"), 2, "unrecognized arguments: new"),
    ],
)
def test_what_cannot_be_done_is_said(admin: Shell, words: tuple[str, ...], code: int, message: str) -> None:
    ran = admin.run(*words)
    assert (ran[0], message in ran[2]) == (code, True), ran


def test_passwords_are_asked_for_without_showing_them(shell: Shell) -> None:
    code, shown = shell.on_terminal(["login"], [PASSWORD])
    assert (code, PASSWORD in shown) == (0, False), shown
    assert "Password of admin at" in shown
    code, shown = shell.on_terminal(["users", "add", "eve"], ["one", "other"])
    assert (code, "these were two different passwords" in shown) == (1, True)
    code, shown = shell.on_terminal(["users", "add", "eve"], ["same", "same"])
    assert (code, "same" in shown) == (0, False), shown
    assert shell.run("login", "--user", "eve", "--password-stdin", typed="same")[0] == 0
