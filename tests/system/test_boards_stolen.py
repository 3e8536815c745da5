"""A thief with the token of a board tries every route, with what would hurt (contract, Decision 21).

A route without a row fails, so that a new one cannot be forgotten. What a row wants may name `{own}`, the container of
the stolen board, `{other}`, that of another board, and `{native}`, a process of somebody else.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from tests.architecture import served_routes
from tests.contract.wire import Response
from tests.integration.signed import SECRET, token_for
from tests.system.households import Household

AUTH = {"REQUIRE_AUTH": "true", "HOST": "127.0.0.1", "SECRET": SECRET, "PLATFORM_ADMIN_PWD": "admin-pw"}
URL = "http://127.0.0.1:9"


class Try(NamedTuple):
    """What the thief asks for, and the status that he gets."""

    status: int
    path: str
    body: Any = None
    text: str = ""


def attached(key: str | None, image: str = "board", url: str = URL, **config: Any) -> dict[str, Any]:
    client = {"type": "ATTACHED", "url": url, "push": True, "key": key, **config}
    return {"image": {"imageName": image}, "clientConfig": client}


NATIVE = {"image": {"imageName": "actor"}}
ADMIN = {"username": "thief", "password": "pw", "role": "ADMIN", "privileges": []}
LOGIN = {"username": "a", "password": "sesame"}
TRIES: dict[tuple[str, str], list[Try]] = {
    ("POST", "/login"): [Try(403, "/login", {"username": "admin", "password": ""})],
    ("GET", "/token"): [Try(200, "/token")],
    # As every user: what there is, what it does, and to ask for it.
    **{("GET", path): [Try(200, path)] for path in ("/info", "/config", "/history", "/agents", "/containers")},
    ("GET", "/agents/{agentId}"): [Try(200, "/agents/actor")],
    ("GET", "/containers/{id}"): [Try(200, "/containers/{native}"), Try(200, "/containers/{other}")],
    ("GET", "/connections"): [Try(200, "/connections")],
    ("POST", "/send/{agentId}"): [Try(200, "/send/actor", {"payload": 1})],
    ("POST", "/broadcast/{channel}"): [Try(200, "/broadcast/news", {"payload": 1})],
    ("POST", "/invoke/{action}"): [Try(200, "/invoke/Echo", {"value": 1})],
    ("POST", "/invoke/{action}/{agentId}"): [Try(200, "/invoke/Echo/actor", {"value": 1})],
    ("GET", "/stream/{stream}"): [Try(200, "/stream/Count")],
    ("GET", "/stream/{stream}/{agentId}"): [Try(200, "/stream/Count/actor")],
    ("POST", "/stream/{stream}"): [Try(200, "/stream/Collect", text="x")],
    ("POST", "/stream/{stream}/{agentId}"): [Try(200, "/stream/Collect/actor", text="x")],
    ("POST", "/containers/login/{id}"): [Try(200, "/containers/login/{native}", LOGIN)],
    ("POST", "/containers/logout/{id}"): [Try(200, "/containers/logout/{native}")],
    ("GET", "/edge/containers"): [Try(200, "/edge/containers")],
    ("GET", "/edge/containers/{id}/log"): [Try(200, "/edge/containers/{native}/log")],
    ("GET", "/edge/connections"): [Try(200, "/edge/connections")],
    ("GET", "/edge/bridge"): [Try(200, "/edge/bridge")],
    ("GET", "/edge/images"): [Try(200, "/edge/images")],
    # Containers: itself, under its key, and nothing else.
    ("POST", "/containers"): [
        Try(403, "/containers", NATIVE),
        Try(403, "/containers", NATIVE | {"clientConfig": {"type": "NATIVE"}}),
        Try(403, "/containers", attached(None)),
        Try(400, "/containers", attached("")),
        Try(403, "/containers", attached("another key")),
        Try(403, "/containers", attached("key of other")),
        Try(403, "/containers", attached("another key", url="http://127.0.0.1:10", image="other")),
        Try(400, "/containers", NATIVE | {"clientConfig": {"type": "DOCKER"}}),
        Try(200, "/containers", attached("key of own")),
    ],
    ("PUT", "/containers"): [
        Try(403, "/containers", NATIVE),
        Try(403, "/containers", attached("key of own")),
        Try(403, "/containers", attached("key of other", "other")),
    ],
    ("DELETE", "/containers/{id}"): [
        Try(403, "/containers/{native}"),
        Try(403, "/containers/{other}"),
        Try(200, "/containers/none"),
    ],
    ("POST", "/containers/notify"): [
        Try(403, "/containers/notify", text="{native}"),
        Try(403, "/containers/notify", text="{other}"),
        Try(404, "/containers/notify", text="none"),
        Try(200, "/containers/notify", text="{own}"),
    ],
    # Users: to see itself, without any secret.
    ("GET", "/users"): [Try(403, "/users")],
    ("GET", "/users/{name}"): [
        Try(403, "/users/admin"),
        Try(403, "/users/board-other"),
        Try(403, "/users/{native}"),
        Try(403, "/users/nobody"),
        Try(200, "/users/board-own"),
    ],
    ("POST", "/users"): [Try(403, "/users", ADMIN), Try(403, "/users", ADMIN | {"role": "GUEST"})],
    ("PUT", "/users/{name}"): [
        Try(403, "/users/board-own", {"role": "ADMIN"}),
        Try(403, "/users/board-own", {"privileges": ["attach", "ROLE_ADMIN"]}),
        Try(403, "/users/board-own", {"password": "mine"}),
        Try(403, "/users/admin", {"password": "mine"}),
    ],
    ("DELETE", "/users/{name}"): [Try(403, f"/users/{name}") for name in ("admin", "board-other", "board-own")],
    ("POST", "/connections"): [Try(403, "/connections", {"url": URL}), Try(403, "/connections", {"url": "no url"})],
    ("DELETE", "/connections"): [Try(403, "/connections", {"url": URL})],
    ("POST", "/connections/notify"): [Try(403, "/connections/notify", text=URL)],
    # Documents and pages.
    ("GET", "/subscribe"): [Try(400, "/subscribe")],
    ("GET", "/swagger-ui.html"): [Try(302, "/swagger-ui.html")],
    ("GET", "/swagger-ui/{file}"): [Try(200, "/swagger-ui/index.html")],
    **{
        ("GET", path): [Try(200, path)]
        for path in ("/", "/v3/api-docs/actions", "/v3/api-docs", "/v3/api-docs.yaml", "/v3/api-docs/All")
    },
    # What the landing page is made of.
    **{
        ("GET", route.path): [Try(200, route.path)]
        for route in served_routes()
        if route.path.endswith((".js", ".css", ".svg")) or route.path == "/index.html"
    },
}


class Victim:
    """A platform with a process, two boards, and the token of one of them in the wrong hands."""

    def __init__(self, home: Household) -> None:
        self.home = home
        for name, role, privileges in (
            ("ann", "CONTRIBUTOR", []),
            ("board-own", "USER", ["attach"]),
            ("board-other", "USER", ["attach"]),
        ):
            body = {"username": name, "password": "pw", "role": role, "privileges": privileges}
            assert self.ask("POST", "/users", body, token_for("admin")).status == 201
        self.token = self.log_in("board-own")
        self.ids = {
            "native": self.ask("POST", "/containers", home.wish(), token_for("ann")).text,
            "own": self.ask("POST", "/containers", attached("key of own"), self.token).text,
            "other": self.ask(
                "POST", "/containers", attached("key of other", "other"), self.log_in("board-other")
            ).text,
        }

    def log_in(self, name: str) -> str:
        return self.home.ask("POST", "/login", json_body={"username": name, "password": "pw"}).text

    def ask(self, method: str, path: str, body: Any, token: str, text: str = "") -> Response:
        headers = {"Authorization": f"Bearer {token}"}
        return self.home.ask(method, path, headers=headers, json_body=body, body=text.encode())

    def dare(self, method: str, wanted: Try) -> Response:
        path, text = (self._filled(part) for part in (wanted.path, wanted.text))
        return self.ask(method, path, wanted.body, self.token, text)

    def _filled(self, text: str) -> str:
        for name, container_id in self.ids.items():
            text = text.replace(f"{{{name}}}", container_id)
        return text

    def world(self) -> list[Any]:
        """All that a thief could have changed, as the administrator sees it."""
        paths = ("/users", "/containers", "/connections", "/edge/images", "/config")
        return [self.ask("GET", path, None, token_for("admin")).json() for path in paths]


@pytest.fixture(scope="module")
def victim(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Victim]:
    home = Household(tmp_path_factory.mktemp("victim"), AUTH)
    home.actor()
    try:
        home.start()
        yield Victim(home)
    finally:
        home.clear_away()


def test_every_route_is_tried() -> None:
    assert {(route.method, route.path) for route in served_routes()} == set(TRIES)


@pytest.mark.parametrize(("method", "path"), TRIES, ids=lambda part: str(part))
def test_a_stolen_token_does_no_more_than_a_board_may(victim: Victim, method: str, path: str) -> None:
    before = victim.world()
    answers = [(wanted, victim.dare(method, wanted)) for wanted in TRIES[method, path]]
    assert [(wanted, answer.status) for wanted, answer in answers] == [
        (wanted, wanted.status) for wanted in TRIES[method, path]
    ]
    assert _lasting(victim.world()) == _lasting(before)
    said = " ".join(answer.text for _, answer in answers if path != "/token")
    assert not [secret for secret in ("scrypt", "admin-pw", SECRET, victim.token) if secret in said]


def _lasting(world: list[Any]) -> list[Any]:
    """Without the moment of an attachment, which its own board renews."""
    users, containers, *others = json.loads(json.dumps(world))
    for container in containers:
        if container["image"]["imageName"] == "board":
            container["runningSince"] = ""
    return [users, containers, *others]


def test_it_gets_no_second_token_and_none_that_outlives_the_first(victim: Victim) -> None:
    assert victim.ask("GET", "/token", None, victim.token).text == victim.token


def test_after_rotation_it_opens_nothing(victim: Victim) -> None:
    stolen = victim.token
    changed = victim.ask("PUT", "/users/board-own", {"password": "pw"}, token_for("admin"))
    assert changed.status == 200
    for method, path in TRIES:
        for wanted in TRIES[method, path]:
            assert victim.dare(method, wanted).status == 401, (method, wanted)
    victim.token = victim.log_in("board-own")
    assert victim.token != stolen
    # The board itself goes on as the same container.
    assert victim.ask("POST", "/containers", attached("key of own"), victim.token).text == victim.ids["own"]
    assert victim.ask("DELETE", "/containers/" + victim.ids["own"], None, stolen).status == 401


def test_its_own_container_it_may_take_away(victim: Victim) -> None:
    token = victim.log_in("board-own")
    assert victim.ask("DELETE", "/containers/" + victim.ids["own"], None, token).text == "true"
    left = [each["containerId"] for each in victim.ask("GET", "/containers", None, token).json()]
    assert set(left) == {victim.ids["native"], victim.ids["other"]}
