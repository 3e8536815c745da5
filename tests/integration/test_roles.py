"""Every route of the platform by every kind of caller (contract, sections 7.3 and 7.4; Decisions 10 and 21).

What a route needs stands here once more, as the contract has it: a route without a row fails, and so does a row that
the table contradicts.
"""

from __future__ import annotations

import time
from typing import Any, NamedTuple

import pytest

from tests.architecture import served_routes
from tests.contract.wire import Response
from tests.integration.house import ADMIN, ANY, CONTRIBUTOR, GUEST, OPEN, USER, House
from tests.integration.signed import SECRET, signed


class Row(NamedTuple):
    """A harmless request of a route.

    Attributes:
        needs: Index of the lowest role; OPEN for nobody in particular.
        status: What whoever may gets.
        board: What a board gets where that is not what every other USER gets.
        anonymous: What a missing token gets where that is not 401.
    """

    path: str
    needs: int
    status: int
    body: Any = None
    text: str | None = None
    board: int | None = None
    anonymous: int | None = None


IMAGE = {"image": {"imageName": "no-such-image"}}
ROWS: dict[tuple[str, str], Row] = {
    ("POST", "/login"): Row("/login", OPEN, 422, {"user": "a"}),
    ("GET", "/token"): Row("/token", ANY, 200),
    ("GET", "/info"): Row("/info", GUEST, 200),
    ("GET", "/config"): Row("/config", ANY, 200),
    ("GET", "/history"): Row("/history", USER, 200),
    ("GET", "/agents"): Row("/agents", GUEST, 200),
    ("GET", "/agents/{agentId}"): Row("/agents/nobody", GUEST, 200),
    ("POST", "/send/{agentId}"): Row("/send/nobody", USER, 404, {"payload": 1}),
    ("POST", "/broadcast/{channel}"): Row("/broadcast/news", USER, 200, {"payload": 1}),
    ("POST", "/invoke/{action}"): Row("/invoke/Nothing", USER, 404, {}),
    ("POST", "/invoke/{action}/{agentId}"): Row("/invoke/Nothing/nobody", USER, 404, {}),
    ("GET", "/stream/{stream}"): Row("/stream/Nothing", USER, 404),
    ("GET", "/stream/{stream}/{agentId}"): Row("/stream/Nothing/nobody", USER, 404),
    ("POST", "/stream/{stream}"): Row("/stream/Nothing", USER, 404, text="x"),
    ("POST", "/stream/{stream}/{agentId}"): Row("/stream/Nothing/nobody", USER, 404, text="x"),
    ("GET", "/containers"): Row("/containers", GUEST, 200),
    ("GET", "/containers/{id}"): Row("/containers/none", GUEST, 200),
    ("POST", "/containers"): Row("/containers", CONTRIBUTOR, 404, IMAGE, board=403),
    ("PUT", "/containers"): Row("/containers", CONTRIBUTOR, 400, IMAGE),
    ("DELETE", "/containers/{id}"): Row("/containers/none", CONTRIBUTOR, 200, board=200),
    ("POST", "/containers/notify"): Row("/containers/notify", CONTRIBUTOR, 404, text="none", board=404),
    ("POST", "/containers/login/{id}"): Row("/containers/login/none", USER, 404, {"username": "a", "password": "b"}),
    ("POST", "/containers/logout/{id}"): Row("/containers/logout/none", USER, 404),
    ("GET", "/users"): Row("/users", ADMIN, 200),
    # Others are an administrator's business; oneself is below.
    ("GET", "/users/{name}"): Row("/users/admin", ADMIN, 200),
    ("POST", "/users"): Row("/users", ADMIN, 400, {"username": "m"}),
    ("PUT", "/users/{name}"): Row("/users/nobody", ADMIN, 404, {}),
    ("DELETE", "/users/{name}"): Row("/users/nobody", ADMIN, 200),
    ("GET", "/connections"): Row("/connections", USER, 200),
    ("POST", "/connections"): Row("/connections", ADMIN, 400, {"url": "no url"}),
    ("DELETE", "/connections"): Row("/connections", ADMIN, 200, {"url": "http://never.invalid"}),
    ("POST", "/connections/notify"): Row("/connections/notify", ADMIN, 400, text="nonsense"),
    ("GET", "/edge/containers"): Row("/edge/containers", USER, 200),
    ("GET", "/edge/containers/{id}/log"): Row("/edge/containers/none/log", USER, 404),
    ("GET", "/edge/bridge"): Row("/edge/bridge", USER, 200),
    ("GET", "/edge/connections"): Row("/edge/connections", USER, 200),
    ("GET", "/edge/images"): Row("/edge/images", USER, 200),
    ("GET", "/v3/api-docs/actions"): Row("/v3/api-docs/actions", GUEST, 200),
    ("GET", "/v3/api-docs"): Row("/v3/api-docs", OPEN, 200),
    # It begins like an open path, so that nobody is asked for a token, and is none.
    ("GET", "/v3/api-docs.yaml"): Row("/v3/api-docs.yaml", ANY, 200, anonymous=403),
    ("GET", "/v3/api-docs/All"): Row("/v3/api-docs/All", OPEN, 200),
    ("GET", "/swagger-ui.html"): Row("/swagger-ui.html", OPEN, 302),
    ("GET", "/swagger-ui/{file}"): Row("/swagger-ui/index.html", OPEN, 200),
    ("GET", "/"): Row("/", ANY, 200),
    ("GET", "/subscribe"): Row("/subscribe", ANY, 400),
    # What the landing page is made of: browsers ask for it without a token.
    **{
        ("GET", route.path): Row(route.path, OPEN, 200)
        for route in served_routes()
        if route.path.endswith((".js", ".css", ".svg")) or route.path == "/index.html"
    },
}


def try_row(house: House, method: str, row: Row, authorization: str | None) -> Response:
    headers = {} if authorization is None else {"Authorization": authorization}
    body = b"" if row.text is None else row.text.encode()
    return house.household.ask(method, row.path, headers=headers, json_body=row.body, body=body)


def test_every_route_has_a_row() -> None:
    assert {(route.method, route.path) for route in served_routes()} == set(ROWS)


@pytest.mark.parametrize(("method", "path"), ROWS, ids=lambda part: str(part))
def test_a_route_serves_whom_it_is_for(house: House, method: str, path: str) -> None:
    row = ROWS[method, path]
    found: dict[str, int] = {"nobody": try_row(house, method, row, None).status}
    wanted: dict[str, int] = {"nobody": row.anonymous or (row.status if row.needs == OPEN else 401)}
    for kind, (authorization,) in house.invalid.items():
        found[kind], wanted[kind] = try_row(house, method, row, authorization).status, 401
    for kind, (token, level) in house.valid.items():
        found[kind] = try_row(house, method, row, f"Bearer {token}").status
        wanted[kind] = row.status if level >= row.needs else 403
        if kind == "board" and row.board is not None:
            wanted[kind] = row.board
    assert found == wanted


@pytest.mark.parametrize(
    ("method", "path", "nobody", "guest", "admin"),
    [
        ("GET", "/nothing", 401, 404, 404),
        ("GET", "/loginx", 403, 404, 404),
        ("GET", "/swagger-uix", 401, 404, 404),
        ("GET", "/swagger-ui/nothing", 404, 404, 404),
        ("GET", "/v3/api-docsx", 403, 404, 404),
        ("GET", "/v3/api-docs/nothing", 404, 404, 404),
        ("GET", "/v3/api-docs/actions/x", 401, 404, 404),
        ("GET", "/login", 405, 405, 405),
        ("PUT", "/info", 401, 405, 405),
        ("POST", "/agents", 401, 405, 405),
        ("POST", "/invoke", 401, 403, 404),
        ("POST", "/containers/x", 401, 403, 405),
        ("DELETE", "/connections/x", 401, 403, 404),
        ("PATCH", "/users", 401, 403, 405),
        ("GET", "/users/a/b", 401, 404, 404),
        ("HEAD", "/info", 401, 200, 200),
        ("HEAD", "/users", 401, 403, 200),
        ("OPTIONS", "/info", 401, 200, 200),
        ("OPTIONS", "/users", 401, 403, 200),
    ],
)
def test_who_may_not_know_is_told_so_before_what_is_wrong(
    house: House, method: str, path: str, nobody: int, guest: int, admin: int
) -> None:
    tokens = (None, house.valid["guest"][0], house.valid["admin"][0])
    assert tuple(house.ask(method, path, token).status for token in tokens) == (nobody, guest, admin)


def test_a_missing_token_is_said_as_text_that_any_page_may_read(house: House) -> None:
    answer = house.household.ask("GET", "/info", headers={"Origin": "http://elsewhere.example"})
    assert (answer.status, answer.header("www-authenticate"), answer.header("content-type")) == (401, "Bearer", None)
    assert answer.header("access-control-allow-origin") == "*"
    refused = house.ask("GET", "/history", house.valid["guest"][0])
    assert refused.status == 403 and set(refused.json()) == {"timestamp", "status", "error", "path"}


def test_a_browser_gets_the_page_to_log_in_on_along_with_the_401(house: House) -> None:
    browser = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}
    answer = house.household.ask("GET", "/", headers=browser)
    assert (answer.status, answer.header("www-authenticate")) == (401, "Bearer")
    assert answer.header("content-type") == "text/html;charset=UTF-8"
    assert "default-src 'none'" in (answer.header("content-security-policy") or "")
    shown = {**browser, "Authorization": f"Bearer {house.valid['guest'][0]}"}
    assert house.household.ask("GET", "/", headers=shown).body == answer.body  # so there is no data in it
    for headers, path in (({}, "/"), ({"Accept": "*/*"}, "/"), (browser, "/info"), (browser, "/nothing")):
        plain = house.household.ask("GET", path, headers=headers)
        assert (plain.status, plain.header("content-type"), plain.text) == (401, None, "Missing token.")


def test_who_is_refused_leaves_no_event(house: House) -> None:
    assert house.ask("POST", "/invoke/Secretly", None, json_body={}).status == 401
    assert house.ask("POST", "/invoke/Secretly", house.valid["guest"][0], json_body={}).status == 403
    assert house.ask("POST", "/invoke/Openly", house.valid["user"][0], json_body={}).status == 404
    routes = [event.get("route") for event in house.ask("GET", "/history", house.valid["admin"][0]).json()]
    assert ("POST /invoke/Openly" in routes, "POST /invoke/Secretly" in routes) == (True, False)


def test_a_preflight_needs_no_token(house: House) -> None:
    headers = {"Origin": "http://elsewhere.example", "Access-Control-Request-Method": "POST"}
    answer = house.household.ask("OPTIONS", "/invoke/Echo", headers=headers)
    assert (answer.status, answer.header("access-control-allow-origin")) == (200, "*")


def test_a_token_that_names_nobody_is_nobody(house: House) -> None:
    nobody = signed({"exp": int(time.time()) + 60})
    assert [house.ask("GET", path, nobody).status for path in ("/info", "/v3/api-docs")] == [403, 200]


@pytest.mark.parametrize("alg", ["HS384", "HS512"])
def test_longer_signatures_count_if_the_key_is_long_enough(house: House, alg: str) -> None:
    claims = {"sub": "guest", "exp": int(time.time()) + 60}
    assert house.ask("GET", "/info", signed(claims, alg=alg)).status == (200 if alg == "HS384" else 401)


def test_when_a_token_was_made_does_not_matter(house: House) -> None:
    later = int(time.time()) + 10**6
    assert house.ask("GET", "/info", signed({"sub": "guest", "iat": later, "exp": later + 1})).status == 200


@pytest.mark.parametrize("kind", ["guest", "user", "contributor", "board", "container"])
def test_everybody_sees_themselves(house: House, kind: str) -> None:
    name = {"board": "board-pump", "container": house.container_id}.get(kind, kind)
    answer = house.ask("GET", f"/users/{name}", house.valid[kind][0])
    assert answer.status == 200
    assert answer.json()["username"] == name
    assert set(answer.json()) == {"username", "role", "privileges", "containerLoginTokens"}


def test_a_container_acts_as_the_user_of_its_id(house: House) -> None:
    seen = house.ask("GET", f"/users/{house.container_id}", house.valid["admin"][0]).json()
    assert seen == {"username": house.container_id, "role": "CONTRIBUTOR", "privileges": []}
    assert (house.environment["OWNER"], house.environment["CONTAINER_ID"]) == ("contributor", house.container_id)
    assert house.ask("GET", f"/containers/{house.container_id}", house.container).json()["owner"] == "contributor"


def test_a_websocket_needs_a_token(house: House) -> None:
    handshake = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    }
    assert house.household.ask("GET", "/subscribe", headers=handshake).status == 401
    handshake["Authorization"] = f"Bearer {house.valid['guest'][0]}"
    assert house.household.ask("GET", "/subscribe", headers=handshake).status == 101


def test_the_websocket_of_a_browser_shows_its_token_as_a_subprotocol(house: House) -> None:
    handshake = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    }
    token = house.valid["guest"][0]

    def ask(offered: str, path: str = "/subscribe", **more: str) -> Response:
        return house.household.ask("GET", path, headers={**handshake, "Sec-WebSocket-Protocol": offered, **more})

    taken = ask(f"opaca-edge, bearer.{token}")
    # What is chosen is not the token: answers are written down in more places than requests.
    assert (taken.status, taken.header("sec-websocket-protocol")) == (101, "opaca-edge")
    assert ask(f"bearer.{token}").header("sec-websocket-protocol") is None
    for offered in ("opaca-edge", "bearer.", "bearer.junk", f"Bearer.{token}", f"bearer {token}", token):
        assert ask(offered).status == 401
    # The header counts where there is one, and nowhere else is a subprotocol looked at.
    assert ask(f"opaca-edge, bearer.{token}", Authorization="Bearer junk").status == 401
    assert ask(f"opaca-edge, bearer.{token}", "/info").status == 401
    assert token not in house.household.process.log


def test_the_log_tells_who_did_what_and_no_secret(house: House) -> None:
    slip = {"username": "mistyped secret", "password": ""}
    assert house.household.ask("POST", "/login", json_body=slip).status == 403
    log = house.household.process.log
    assert 'user="contributor" address=127.0.0.1 route="POST /containers" status=200' in log
    assert 'user="guest" address=127.0.0.1 route="DELETE /containers/none" status=403' in log
    assert 'user="-" address=127.0.0.1 route="POST /login" status=403' in log
    assert 'user="-" address=127.0.0.1 route="POST /users" status=401' in log
    assert not [word for word in (house.board, house.container, SECRET, "admin-pw", "mistyped") if word in log]
