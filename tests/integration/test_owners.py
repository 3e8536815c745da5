"""Whose containers are, what boards may, what holds over a restart (contract, 7.5 and 7.6; Decisions 10 and 21)."""

from __future__ import annotations

import json
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.contract.running import PlatformThread
from tests.contract.wire import Response
from tests.integration.signed import KEY, SECRET, claims_of, signed, token_for
from tests.system.households import Household

AUTH = {"REQUIRE_AUTH": "true", "HOST": "127.0.0.1", "SECRET": SECRET, "PLATFORM_ADMIN_PWD": "admin-pw"}
PUSHED = "http://127.0.0.1:9"


class Home:
    """A platform with authentication, and a way to ask it as somebody."""

    def __init__(self, folder: Path) -> None:
        self.household = Household(folder, AUTH)
        self.household.actor()

    def ask(
        self, user: str, method: str, path: str, body: Any = None, token: str | None = None, text: str = ""
    ) -> Response:
        headers = {"Authorization": f"Bearer {token or token_for(user)}"}
        return self.household.ask(method, path, headers=headers, json_body=body, body=text.encode(), timeout_s=40)

    def user(self, name: str, role: str, *privileges: str) -> None:
        body = {"username": name, "password": "pw", "role": role, "privileges": privileges}
        assert self.ask("admin", "POST", "/users", body).status == 201

    def start(self, user: str, **more: Any) -> str:
        answer = self.ask(user, "POST", "/containers", self.household.wish(**more))
        assert answer.status == 200, answer.text
        return answer.text

    def environment(self, container_id: str) -> dict[str, str]:
        path = f"/invoke/Environment?containerId={container_id}"
        found: dict[str, str] = self.ask("admin", "POST", path, {}).json()
        return found

    def owner(self, container_id: str) -> str:
        return str(self.ask("admin", "GET", f"/containers/{container_id}").json()["owner"])

    def names(self) -> set[str]:
        return {user["username"] for user in self.ask("admin", "GET", "/users").json()}

    def attach(self, token: str, key: str | None = "b-1", **config: Any) -> Response:
        config = {"type": "ATTACHED", "url": PUSHED, "push": True, "key": key, **config}
        body = {"image": {"imageName": "board"}, "clientConfig": config}
        return self.ask("", "POST", "/containers", body, token=token)

    def login(self, name: str, password: str = "pw") -> str:
        answer = self.household.ask("POST", "/login", json_body={"username": name, "password": password})
        assert answer.status == 200, answer.text
        return answer.text


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    home = Home(tmp_path)
    try:
        home.household.start()
        for name, role in (("ann", "CONTRIBUTOR"), ("bob", "CONTRIBUTOR"), ("eve", "USER")):
            home.user(name, role)
        yield home
    finally:
        home.household.clear_away()


def test_only_owner_and_administrators_update_and_remove(home: Home) -> None:
    first = home.start("ann")
    assert home.owner(first) == "ann"
    assert home.ask("bob", "PUT", "/containers", home.household.wish()).status == 403
    assert home.ask("bob", "DELETE", f"/containers/{first}").status == 403
    assert home.ask("bob", "POST", "/containers/notify", text=first).text == "true"
    updated = home.ask("ann", "PUT", "/containers", home.household.wish())
    assert updated.status == 200
    assert first not in home.names() and updated.text in home.names()
    second = home.start("bob")
    assert home.ask("ann", "DELETE", f"/containers/{second}").status == 403
    assert home.ask("admin", "DELETE", f"/containers/{second}").text == "true"
    assert home.ask("ann", "DELETE", f"/containers/{updated.text}").text == "true"
    assert home.ask("bob", "DELETE", f"/containers/{updated.text}").text == "false"


def test_a_containers_user_and_token_end_with_it(home: Home) -> None:
    container_id = home.start("ann")
    token = home.environment(container_id)["TOKEN"]
    header, claims = claims_of(token)
    assert header == {"alg": "HS256"}
    assert (claims["sub"], claims["exp"] - claims["iat"]) == (container_id, 24 * 3600)
    assert home.ask("", "GET", "/info", token=token).status == 200
    # What it starts is its own, and it may remove that, but not itself.
    inner = home.ask("", "POST", "/containers", home.household.wish(), token=token).text
    assert home.owner(inner) == container_id
    assert home.ask("", "DELETE", f"/containers/{container_id}", token=token).status == 403
    assert home.ask("", "DELETE", f"/containers/{inner}", token=token).text == "true"
    assert home.ask("ann", "DELETE", f"/containers/{container_id}").text == "true"
    assert home.ask("", "GET", "/info", token=token).status == 401
    assert home.names() == {"admin", "ann", "bob", "eve"}


def test_nothing_is_left_of_a_container_that_does_not_come_up(home: Home) -> None:
    assert home.ask("ann", "POST", "/containers?timeout=2", home.household.wish(mode="rubbish")).status == 502
    assert home.names() == {"admin", "ann", "bob", "eve"}


def test_containers_keep_id_token_and_owner_over_a_restart(home: Home) -> None:
    container_id = home.start("ann")
    before = home.environment(container_id)
    home.ask("ann", "POST", f"/containers/login/{container_id}", {"username": "a", "password": "sesame"})
    home.household.kill()
    home.household.start()
    home.household.settles(lambda: home.ask("admin", "POST", "/invoke/Pid", {}).status == 200, "it runs again")
    assert home.environment(container_id)["TOKEN"] == before["TOKEN"]
    assert home.owner(container_id) == "ann"
    assert home.ask("", "GET", "/info", token=before["TOKEN"]).status == 200
    assert home.names() == {"admin", "ann", "bob", "eve", container_id}
    seen = home.ask("ann", "GET", "/users/ann").json()
    assert seen["containerLoginTokens"] == {container_id: '"quoted token"'}
    assert home.login("ann")


def test_the_own_token_of_a_container_has_no_end(home: Home) -> None:
    container_id = home.start("ann")
    token = home.environment(container_id)["TOKEN"]
    head, claims, _ = token.split(".")
    other = signed({"sub": container_id, "exp": 1})
    assert home.ask("", "GET", "/info", token=other).status == 401  # not the exact one, and over
    # The exact one is compared, not decoded: a platform whose secret has changed still knows it.
    home.household.stop()
    home.household.start(SECRET="B" * 64)
    assert home.household.ask("GET", "/info", headers={"Authorization": f"Bearer {token}"}).status == 200
    assert home.household.ask("GET", "/info", headers={"Authorization": f"Bearer {head}.{claims}."}).status == 401
    home.household.stop()
    home.household.start(SECRET=SECRET)


def test_a_container_gets_its_token_when_authentication_comes_later(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.household.settings.update(REQUIRE_AUTH="false")
    try:
        home.household.start()
        container_id = home.household.posted()
        assert home.household.do(container_id, "Environment")["TOKEN"] == ""
        assert container_id in {user["username"] for user in home.household.ask("GET", "/users").json()}
        home.household.stop()
        home.household.start(REQUIRE_AUTH="true")
        home.household.settles(lambda: home.ask("admin", "POST", "/invoke/Pid", {}).status == 200, "it runs again")
        token = home.environment(container_id)["TOKEN"]
        assert claims_of(token)[1]["sub"] == container_id
        assert home.ask("", "GET", "/info", token=token).status == 200
        assert home.owner(container_id) == "admin"
    finally:
        home.household.clear_away()


def test_containers_of_the_default_folder_belong_to_the_administrator(tmp_path: Path) -> None:
    home = Home(tmp_path)
    (tmp_path / "defaults").mkdir()
    (tmp_path / "defaults" / "actor.json").write_text('{"image": {"imageName": "actor"}}')
    home.household.settings["DEFAULT_IMAGE_DIRECTORY"] = str(tmp_path / "defaults")
    try:
        home.household.start()
        home.household.settles(lambda: home.ask("admin", "POST", "/invoke/Pid", {}).status == 200, "it runs")
        [container] = home.ask("admin", "GET", "/containers").json()
        assert container["owner"] == "admin"
        token = home.environment(container["containerId"])["TOKEN"]
        notified = home.ask("", "POST", "/containers/notify", token=token, text=container["containerId"])
        assert notified.text == "true"
    finally:
        home.household.clear_away()


def test_a_board_attaches_itself_and_nothing_else(home: Home) -> None:
    home.user("board-a", "USER", "attach")
    home.user("board-b", "USER", "attach")
    a, b = home.login("board-a"), home.login("board-b")
    assert home.attach(a, key=None).status == 403
    attached = home.attach(a)
    assert attached.status == 200
    # It belongs to whoever made the board's user, so that they can remove it.
    assert home.owner(attached.text) == "admin"
    assert home.attach(a).text == attached.text
    assert home.attach(a, key="b-2").status == 403
    assert home.attach(b).status == 403
    other = home.attach(b, key="b-2").text
    assert home.ask("", "POST", "/containers/notify", token=a, text=attached.text).text == "true"
    assert home.ask("", "POST", "/containers/notify", token=a, text=other).status == 403
    assert home.ask("", "DELETE", f"/containers/{other}", token=a).status == 403
    assert home.ask("", "PUT", "/containers", home.household.wish(), token=a).status == 403
    assert home.ask("ann", "DELETE", f"/containers/{attached.text}").status == 403
    assert home.ask("", "DELETE", f"/containers/{attached.text}", token=a).text == "true"
    assert home.attach(a, key="b-3").status == 200
    assert home.ask("admin", "DELETE", f"/containers/{other}").text == "true"


def test_a_boards_token_holds_until_it_logs_in_again_or_is_changed(home: Home) -> None:
    home.user("board-a", "USER", "attach")
    first = home.login("board-a")
    home.household.kill()
    home.household.start(SECRET="B" * 64)  # as good as over: its signature counts no more

    def status(token: str) -> int:
        return home.household.ask("GET", "/info", headers={"Authorization": f"Bearer {token}"}).status

    assert status(first) == 200
    second = home.login("board-a")
    assert (status(first), status(second)) == (401, 200)
    admin = {"Authorization": f"Bearer {home.login('admin', 'admin-pw')}"}
    changed = home.household.ask("PUT", "/users/board-a", headers=admin, json_body={"password": "other"})
    assert changed.status == 200
    home.household.stop()
    home.household.start(SECRET=SECRET)
    assert status(second) == 401


def test_a_board_has_one_token_whatever_is_well_signed(home: Home) -> None:
    home.user("board-a", "USER", "attach")
    token = home.login("board-a")
    assert home.ask("", "GET", "/token", token=token).text == token
    assert home.ask("", "GET", "/info", token=token_for("board-a", 700)).status == 401
    assert home.ask("admin", "PUT", "/users/board-a", {"password": "other"}).status == 200
    assert home.ask("", "GET", "/info", token=token).status == 401
    again = home.login("board-a", "other")
    assert home.ask("", "GET", "/info", token=again).status == 200
    assert home.ask("admin", "PUT", "/users/board-a", {"privileges": []}).status == 200
    assert home.ask("", "POST", "/containers", {}, token=again).status == 403  # an ordinary user from now on


def test_users_are_there_after_a_kill(home: Home) -> None:
    assert home.ask("admin", "PUT", "/users/eve", {"username": "eva", "role": "GUEST", "password": "new"}).status == 200
    assert home.ask("admin", "DELETE", "/users/bob").text == "true"
    home.household.kill()
    home.household.start()
    assert home.names() == {"admin", "ann", "eva"}
    home.login("eva", "new")
    assert home.ask("eva", "GET", "/users/eva").json()["role"] == "GUEST"
    assert home.ask("eve", "GET", "/info").status == 401


def test_the_password_from_the_settings_counts_at_every_start(home: Home) -> None:
    assert home.ask("admin", "PUT", "/users/admin", {"password": "mine", "role": "GUEST"}).status == 200
    home.household.stop()
    home.household.start()
    home.login("admin", "admin-pw")
    assert home.names() >= {"admin"}


def test_a_password_is_made_once_and_shown_once(tmp_path: Path) -> None:
    home = Home(tmp_path)
    del home.household.settings["PLATFORM_ADMIN_PWD"], home.household.settings["SECRET"]
    try:
        log = home.household.start().log
        [line] = [line for line in log.splitlines() if "the password of admin is" in line]
        password = line.partition(" is ")[2].split()[0]
        assert len(password.replace("-", "")) == 20
        token = home.login("admin", password)
        home.household.stop()
        assert "the password of" not in home.household.start().log
        assert home.household.ask("GET", "/users", headers={"Authorization": f"Bearer {token}"}).status == 200
        assert home.login("admin", password)
        secret = tmp_path / "state" / "secret"
        assert stat.S_IMODE(secret.stat().st_mode) == 0o600
        home.household.stop()
        secret.write_text("no base64!")
        refused = home.household
        with pytest.raises(AssertionError, match="state/secret: expected base64"):
            refused.start()
    finally:
        home.household.clear_away()


@pytest.mark.parametrize("password", ["", None])
def test_without_authentication_the_administrator_logs_in_with_nothing(tmp_path: Path, password: str | None) -> None:
    with PlatformThread(tmp_path, secret=KEY, platform_admin_pwd=password) as platform:
        answer = platform.ask("POST", "/login", json_body={"username": "admin", "password": ""})
        assert answer.status == 200
        assert claims_of(answer.text)[1]["sub"] == "admin"
        assert platform.ask("POST", "/login", json_body={"username": "admin", "password": "x"}).status == 403


def test_without_authentication_tokens_are_checked_and_roles_are_not(tmp_path: Path) -> None:
    with PlatformThread(tmp_path, secret=KEY) as platform:
        body = {"username": "gus", "password": "pw", "role": "GUEST"}
        assert platform.ask("POST", "/users", json_body=body).status == 201
        gus = {"Authorization": f"Bearer {token_for('gus')}"}
        assert platform.ask("GET", "/history", headers=gus).status == 200
        assert platform.ask("GET", "/users", headers=gus).status == 200
        for junk in ("Bearer junk", "Bearer null", f"Bearer {token_for('nobody')}", f"Bearer {token_for('gus', -1)}"):
            assert platform.ask("GET", "/info", headers={"Authorization": junk}).status == 401
        renewed = claims_of(platform.ask("GET", "/token", headers=gus).text)[1]
        assert (renewed["sub"], renewed["exp"] - renewed["iat"]) == ("gus", 10 * 3600)
        assert claims_of(platform.ask("GET", "/token").text)[1]["sub"] == "admin"


def test_a_foreign_page_gets_no_token_for_the_asking(tmp_path: Path) -> None:
    """Else it could manage the platform with it (Decision 18)."""
    with PlatformThread(tmp_path, secret=KEY) as platform:
        empty = {"username": "admin", "password": ""}
        for foreign in ({"Origin": "http://evil.example"}, {"Host": "evil.example"}):
            refused = platform.ask("GET", "/token", headers=foreign)
            assert (refused.status, "ALLOWED_ORIGINS" in refused.text) == (403, True)
            assert platform.ask("POST", "/login", headers=foreign, json_body=empty).status == 403
            assert platform.ask("POST", "/users", headers=foreign, json_body={}).status == 403
            body = {"username": f"u{len(foreign)}{'Host' in foreign}", "password": "pw", "role": "ADMIN"}
            assert platform.ask("POST", "/users", json_body=body).status == 201
            login = {"username": body["username"], "password": "pw"}
            assert platform.ask("POST", "/login", headers=foreign, json_body=login).status == 200
            # Who shows a token is no page that merely happens to be visited.
            headers = {**foreign, "Authorization": f"Bearer {token_for(body['username'])}"}
            assert platform.ask("DELETE", "/containers/none", headers=headers).text == "false"


@pytest.mark.parametrize(("header", "value"), [("Origin", "http://evil.example"), ("Host", "evil.example")])
def test_no_writing_of_a_path_hides_what_a_foreign_page_asks_for(tmp_path: Path, header: str, value: str) -> None:
    """Pages send simple requests without asking, and percent signs as they are."""
    foreign = {header: value}
    with PlatformThread(tmp_path, secret=KEY) as platform:
        user = {"username": "mallory", "password": "pw", "role": "ADMIN"}
        for path in ("/users", "/%75sers", "/user%73", "http://evil.example/user%73"):
            assert platform.ask("POST", path, headers=foreign, body=json.dumps(user).encode()).status == 403
        assert [each["username"] for each in platform.ask("GET", "/users").json()] == ["admin"]
        for path in ("/%63ontainers", "/c%6fntainers/none", "/%63ontainers/notify", "/connection%73"):
            for method in ("POST", "PUT", "DELETE"):
                assert platform.ask(method, path, headers=foreign, body=b"{}").status in (403, 405)
        for path in ("/token", "/%74oken", "/t%6Fken"):
            assert platform.ask("GET", path, headers=foreign).status == 403


def test_what_operators_see_is_not_shown_to_a_foreign_page(tmp_path: Path) -> None:
    """A page whose own host name leads here (DNS rebinding) is of one origin with the platform to its browser."""
    with PlatformThread(tmp_path, secret=KEY) as platform:
        for path in ("/edge/containers", "/edge/containers/none/log", "/edge/images", "/edg%65/bridge"):
            refused = platform.ask("GET", path, headers={"Host": "evil.example"})
            assert (refused.status, "ALLOWED_HOSTS" in refused.text) == (403, True)
        for host in ("localhost:8000", "127.0.0.1", "[::1]:8000"):
            assert platform.ask("GET", "/edge/containers", headers={"Host": host}).status == 200


@pytest.mark.parametrize("header", ["Origin", "Host"])
def test_a_foreign_page_is_refused_whatever_its_name_consists_of(tmp_path: Path, header: str) -> None:
    with PlatformThread(tmp_path, secret=KEY) as platform:
        answer = platform.ask("DELETE", "/containers/none", headers={header: "\xff\xfe"})
        assert answer.status == 403
        assert "ALLOWED_" in answer.json()["error"]
