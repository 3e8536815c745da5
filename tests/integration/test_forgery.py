"""Where the platform can be made to send requests: to what was registered by whoever may, and nowhere else.

Two servers stand somewhere else on the network: one that is registered, and one that nobody named, which must be left
alone whatever the first one says (contract, Decision 15).
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.contract.running import PlatformThread, platform_process, until
from tests.contract.wire import Response
from tests.integration.elsewhere import Answer, Answers, Asked, Elsewhere, as_platform, container_info, platform_info
from tests.integration.signed import KEY, token_for

REDIRECTS = (301, 302, 303, 307, 308)

# Neither http nor https, or not one host and one port of somebody.
NO_URLS = (
    "file:///etc/passwd", "file://localhost/etc/passwd", "file:/etc/passwd", "ftp://{host}", "gopher://{host}/_GET",
    "data:application/json,{{}}", "unix:///run/docker.sock", "http+unix://%2Frun%2Fdocker.sock", "ws://{host}",
    "jar:http://{host}!/", "javascript:alert(1)", "dict://{host}", "ldap://{host}", "//{host}", "{host}", "http:{host}",
    "http:/{host}", "http:///{host}", "http://", "http://:80", "http://{host}@{host}", "http://user:word@{host}",
    "http://@{host}", "http://{host}#@{host}", "http://{host}?x=1", "http://{host}\\@{host}", "http://{host}/\tx",
    "http://{host}\r\nX: y", "http://{host} /", "http://127.0.0.1:0", "http://127.0.0.1:65536", "http://127.0.0.1:-1",
    "http://127.0.0.1:8o", "http://[::1", "http://[127.0.0.1:1", "http://\x00{host}", "http://{host}/\u2028x",
)  # fmt: skip


AGENT = {
    "agentId": "a",
    "actions": [{"name": "Do", "parameters": {}, "result": None}],
    "streams": [{"name": "Out", "mode": "GET"}, {"name": "In", "mode": "POST"}],
}


def takes(type_name: str) -> dict[str, Any]:
    """An agent with an action that takes a value of this type."""
    action = {"name": "Take", "parameters": {"value": {"type": type_name, "required": True}}, "result": None}
    return {"agentId": "a", "actions": [action], "streams": []}


def as_container(**info: Any) -> Answers:
    description = container_info(agents=[AGENT]) | info
    return lambda asked: Answer(description) if asked.path == "/info" else Answer(True)


def redirecting(elsewhere: Elsewhere, status: int = 307) -> Answers:
    return lambda asked: Answer(status=status, headers={"Location": elsewhere.url + asked.path})


class Lan:
    """The platform and the two servers.

    Attributes:
        named: Is registered by the tests.
        canary: Is not.
    """

    def __init__(self, platform: PlatformThread, named: Elsewhere, canary: Elsewhere) -> None:
        self.platform = platform
        self.named = named
        self.canary = canary

    def ask(self, method: str, path: str, body: Any = None, text: str = "", user: str = "admin") -> Response:
        headers = {"Authorization": f"Bearer {token_for(user)}"}
        return self.platform.ask(method, path, headers=headers, json_body=body, body=text.encode())

    def connect(self, url: str, *, connect_back: bool = False, user: str = "admin", method: str = "POST") -> Response:
        return self.ask(method, "/connections", {"url": url, "connectBack": connect_back}, user=user)

    def attach(self, url: str, *, user: str = "admin", key: str = "k") -> Response:
        config = {"type": "ATTACHED", "url": url, "key": key}
        return self.ask(
            "POST", "/containers?timeout=5", {"image": {"imageName": "i"}, "clientConfig": config}, user=user
        )

    def calls(self) -> list[Response]:
        """Make every kind of call that is passed on, to whoever offers it."""
        return [
            self.ask("POST", "/invoke/Do", {}),
            self.ask("POST", "/send/a", {"payload": 1}),
            self.ask("POST", "/broadcast/news", {"payload": 1}),
            self.ask("GET", "/stream/Out"),
            self.ask("POST", "/stream/In", text="x"),
        ]


@pytest.fixture
def lan(tmp_path: Path) -> Iterator[Lan]:
    with (
        Elsewhere() as named,
        Elsewhere() as canary,
        PlatformThread(tmp_path, secret=KEY, require_auth=True, platform_admin_pwd="pw") as platform,
    ):
        yield Lan(platform, named, canary)
        assert canary.was_left_alone()


@pytest.mark.parametrize("status", REDIRECTS)
def test_nobody_is_registered_by_a_redirect(lan: Lan, status: int) -> None:
    lan.named.answers = redirecting(lan.canary, status)
    for answer in (
        lan.connect(lan.named.url),
        lan.connect(lan.named.url, connect_back=True),
        lan.attach(lan.named.url),
    ):
        assert (answer.status, "redirects are not followed" in answer.text) == (502, True)
    assert lan.ask("GET", "/connections").json() == lan.ask("GET", "/containers").json() == []


@pytest.mark.parametrize("status", REDIRECTS)
def test_no_call_to_a_container_follows_a_redirect(lan: Lan, status: int) -> None:
    lan.named.answers = as_container()
    container_id = lan.attach(lan.named.url).text
    assert lan.ask("POST", f"/containers/login/{container_id}", {"username": "a", "password": "b"}).status == 200
    lan.named.answers = redirecting(lan.canary, status)
    assert [answer.status for answer in lan.calls()] == [502] * 5
    assert lan.ask("POST", f"/containers/login/{container_id}", {"username": "a", "password": "b"}).status == 502
    assert lan.ask("POST", f"/containers/logout/{container_id}").status == 502
    assert lan.ask("POST", "/containers/notify", text=container_id).text == "false"


@pytest.mark.parametrize("status", REDIRECTS)
def test_no_call_to_a_platform_follows_a_redirect(lan: Lan, status: int) -> None:
    described = platform_info(lan.named.url, container_info(agents=[AGENT]))

    def answers(asked: Asked) -> Answer:
        return Answer(described) if asked.path == "/info" else redirecting(lan.canary, status)(asked)

    lan.named.answers = answers
    back = lan.connect(lan.named.url, connect_back=True)
    assert (back.status, "redirects are not followed" in back.text) == (502, True)
    assert lan.connect(lan.named.url).text == "true"
    until(lambda: "GET /subscribe" in lan.named.paths(), "it is followed")
    assert [answer.status for answer in lan.calls()] == [502] * 5
    lan.named.answers = redirecting(lan.canary, status)
    assert lan.ask("POST", "/connections/notify", text=lan.named.url).text == "false"
    assert lan.connect(lan.named.url, connect_back=True, method="DELETE").status == 502


def test_what_others_say_of_addresses_is_not_called(lan: Lan) -> None:
    port = lan.canary.tcp_port
    place = {"publicUrl": "http://127.0.0.1", "apiPortMapping": port, "extraPortMappings": {}}
    container = container_info(agents=[AGENT], url=lan.canary.url) | {"connectivity": place, "owner": lan.canary.url}
    described = platform_info(lan.canary.url, container) | {
        "connections": [lan.canary.url],
        "provides": [lan.canary.url],
    }
    lan.named.answers = lambda asked: Answer(described if asked.path == "/info" else True)
    assert lan.connect(lan.named.url).text == "true"
    assert lan.ask("GET", "/connections").json() == [lan.named.url]
    lan.calls()
    assert lan.connect(lan.named.url, method="DELETE").text == "true"
    lan.named.answers = as_container(**container)
    container_id = lan.attach(lan.named.url).text
    assert lan.ask("GET", f"/containers/{container_id}").json()["connectivity"]["apiPortMapping"] == lan.named.tcp_port
    lan.calls()
    assert lan.ask("POST", "/containers/notify", text=container_id).text == "true"


def test_what_is_no_url_of_somebody_is_refused(lan: Lan) -> None:
    for form in NO_URLS:
        url = form.format(host=f"127.0.0.1:{lan.canary.tcp_port}")
        for answer in (
            lan.connect(url),
            lan.connect(url, connect_back=True),
            lan.connect(url, method="DELETE"),
            lan.ask("POST", "/connections/notify", text=url),
            lan.attach(url),
        ):
            assert (answer.status, "expected" in answer.text) == (400, True), f"{url!r}: {answer.text}"


@pytest.mark.parametrize(
    "form",
    [
        "http://127.0.0.1:{named}%2f@127.0.0.1:{canary}", "http://127.0.0.1%00:{named}", "http://127.0.0.1%2e:{canary}",
        "http://%31%32%37.0.0.1:{canary}", "http://127.0.0.1:{canary}.invalid", "http://[::1%25lo]:{canary}",
        "http://127.0.0.1:{canary}:{named}", "http://127.0.0.1\uff0f@127.0.0.1:{canary}",
    ],
)  # fmt: skip
def test_no_trick_of_writing_leads_elsewhere(lan: Lan, form: str) -> None:
    url = form.format(named=lan.named.tcp_port, canary=lan.canary.tcp_port)
    for answer in (lan.connect(url), lan.attach(url)):
        assert answer.status in (400, 502), answer.text
    assert lan.named.was_left_alone()


@pytest.mark.parametrize("form", ["http://[::ffff:127.0.0.1]:{0}", "hTTp://LocalHost:{0}//"])
def test_an_odd_address_of_what_is_meant_is_called(lan: Lan, form: str) -> None:
    lan.named.answers = as_platform
    assert lan.connect(form.format(lan.named.tcp_port)).text == "true"


@pytest.mark.parametrize(
    "form",
    ["http://localhost:{0}", "HTTP://LOCALHOST:{0}/", "http://0.0.0.0:{0}", "http://[::ffff:7f00:1]:{0}",
     "http://127.0.0.1:{0}//"],
)  # fmt: skip
@pytest.mark.parametrize("connect_back", [False, True])
def test_the_platform_does_not_connect_to_itself(lan: Lan, form: str, connect_back: bool) -> None:
    url = form.format(lan.platform.address[1])
    body = {"url": url, "connectBack": connect_back, "token": token_for("admin")}
    assert lan.ask("POST", "/connections", body).text == "false"
    assert lan.ask("GET", "/connections").json() == []
    assert lan.attach(url).status == 502
    assert [user["username"] for user in lan.ask("GET", "/users").json()] == ["admin"]


def test_what_is_not_connected_is_not_asked(lan: Lan) -> None:
    assert lan.ask("POST", "/connections/notify", text=lan.canary.url).status == 404
    assert lan.connect(lan.canary.url, connect_back=True, method="DELETE").text == "false"
    assert lan.ask("POST", "/containers/notify", text=lan.canary.url).status == 404
    assert lan.ask("POST", f"/invoke/Do?containerId={lan.canary.url}", {}).status == 404
    # Nor is what is not connected any more.
    lan.named.answers = as_platform
    assert lan.connect(lan.named.url).text == "true"
    assert lan.connect(lan.named.url, method="DELETE").text == "true"
    asked = len(lan.named.asked)
    assert lan.ask("POST", "/connections/notify", text=lan.named.url).status == 404
    assert lan.ask("POST", "/broadcast/news", {"payload": 1}).status == 200
    assert len(lan.named.asked) == asked


@pytest.mark.parametrize(("user", "role"), [("maker", "CONTRIBUTOR"), ("user", "USER"), ("guest", "GUEST")])
def test_who_may_not_register_reaches_nobody(lan: Lan, user: str, role: str) -> None:
    assert lan.ask("POST", "/users", {"username": user, "password": "", "role": role}).status == 201
    assert lan.connect(lan.canary.url, user=user).status == 403
    assert lan.connect(lan.canary.url, user=user, connect_back=True, method="DELETE").status == 403
    assert lan.ask("POST", "/connections/notify", text=lan.canary.url, user=user).status == 403
    if user == "maker":
        lan.named.answers = as_container()
        assert lan.attach(lan.named.url, user=user).status == 200
    else:
        assert lan.attach(lan.canary.url, user=user).status == 403


@pytest.mark.parametrize("status", REDIRECTS)
def test_a_schema_is_loaded_from_where_it_was_named_or_not_at_all(lan: Lan, status: int) -> None:
    info = container_info(agents=[takes("Far")], definitionsByUrl={"Far": lan.named.url + "/far"})
    redirect = redirecting(lan.canary, status)
    lan.named.answers = lambda asked: redirect(asked) if asked.path == "/far" else as_container(**info)(asked)
    assert lan.attach(lan.named.url).status == 200
    until(lambda: "GET /far" in lan.named.paths(), "it is asked for")
    assert lan.ask("POST", "/invoke/Take", {"value": 7}).status == 200
    [asked] = [asked for asked in lan.named.asked if asked.path == "/far"]
    # Whoever names it is a stranger to where it is: nothing of this platform is shown there.
    assert not {"authorization", "sender-id", "containerlogintoken", "cookie", "content-type"} & set(asked.headers)


def test_a_schema_comes_over_http_and_from_no_file(lan: Lan, tmp_path: Path) -> None:
    schema = tmp_path / "schema.json"
    schema.write_text('{"type": "string"}')
    forms = {"A": f"file://{schema}", "B": f"file:{schema}", "C": "data:application/json,{}", "D": str(schema)}
    forms |= {"E": f"ftp://127.0.0.1:{lan.canary.tcp_port}/x", "F": f"http://a:b@127.0.0.1:{lan.canary.tcp_port}/x"}
    forms["Far"] = lan.named.url + "/far"
    info = container_info(agents=[takes("Far")], definitionsByUrl=forms)

    def answers(asked: Asked) -> Answer:
        return Answer({"type": "string"}) if asked.path == "/far" else as_container(**info)(asked)

    lan.named.answers = answers
    container_id = lan.attach(lan.named.url).text
    until(lambda: lan.ask("POST", "/invoke/Take", {"value": 7}).status == 400, "the one over http is there")
    for name in "ABCDEF":
        info["agents"] = [takes(name)]
        assert lan.ask("POST", "/containers/notify", text=container_id).text == "true"
        assert lan.ask("POST", "/invoke/Take", {"value": 7}).status == 200, forms[name]


def test_no_request_waits_for_a_schema(lan: Lan) -> None:
    info = container_info(agents=[takes("Slow")], definitionsByUrl={"Slow": lan.named.url + "/slow"})
    given = threading.Event()

    def answers(asked: Asked) -> Answer:
        return Answer({"type": "string"}, after=given) if asked.path == "/slow" else as_container(**info)(asked)

    lan.named.answers = answers
    try:
        assert lan.attach(lan.named.url).status == 200
        until(lambda: "GET /slow" in lan.named.paths(), "it is asked for")
        assert lan.ask("POST", "/invoke/Take", {"value": 7}).status == 200
    finally:
        given.set()
    until(lambda: lan.ask("POST", "/invoke/Take", {"value": 7}).status == 400, "it is there")
    assert lan.named.paths().count("GET /slow") == 1


def test_no_proxy_of_the_environment_learns_of_calls(tmp_path: Path) -> None:
    with Elsewhere() as proxy, Elsewhere(as_platform) as named:
        proxies = dict.fromkeys(("http_proxy", "HTTP_PROXY", "https_proxy", "all_proxy"), proxy.url)
        with platform_process(tmp_path, settings=proxies) as process:
            wish = {"url": named.url, "connectBack": False}
            assert process.ask("POST", "/connections", json_body=wish).text == "true"
            until(lambda: "GET /subscribe" in named.paths(), "it is followed")
        assert proxy.was_left_alone()


def test_a_token_goes_to_whom_it_was_given_for(lan: Lan) -> None:
    lan.named.answers = as_platform
    with Elsewhere(as_container()) as other:
        wish = {"url": lan.named.url, "connectBack": False, "token": "for-the-platform"}
        assert lan.ask("POST", "/connections", wish).text == "true"
        config = {"type": "ATTACHED", "url": other.url, "token": "for-the-container"}
        body = {"image": {"imageName": "i"}, "clientConfig": config}
        assert lan.ask("POST", "/containers", body).status == 200
        lan.calls()
        for server, token in ((lan.named, "for-the-platform"), (other, "for-the-container")):
            assert {asked.headers.get("authorization") for asked in server.asked} == {f"Bearer {token}"}
        for path in ("/info", "/config", "/history", "/edge/connections", "/edge/containers", "/containers"):
            assert "for-the-" not in lan.ask("GET", path).text
