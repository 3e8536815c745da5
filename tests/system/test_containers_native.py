"""Native containers as users of the REST API see them (contract, sections 2, 3 and 8)."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.contract.running import until
from tests.contract.wire import Wire, request_bytes
from tests.integration.websocket import CLOSE, WebSocket
from tests.system.households import PARAMETERS, Household, household

pytestmark = pytest.mark.timeout(40)

UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Household]:
    """A platform whose containers each test starts and removes for itself."""
    with household(tmp_path_factory.mktemp("native")) as home:
        yield home


@pytest.fixture
def home(shared: Household) -> Iterator[Household]:
    yield shared
    for container_id in shared.listed():
        shared.deleted(container_id)
    assert shared.running() == {}


def error(answer: Any, status: int) -> str:
    """Check that an answer is an ErrorResponse; returns its message."""
    body = answer.json()
    assert answer.status == status, body
    assert body["statusCode"] == status
    assert body.keys() <= {"statusCode", "message", "cause"}
    assert body.get("cause", {}) is not None
    return str(body["message"])


def test_adding_answers_with_the_bare_id(home: Household) -> None:
    body = json.dumps(home.wish()).encode()
    for accept, content_type in (("*/*", "text/plain;charset=UTF-8"), ("application/json", "application/json")):
        answer = home.ask("POST", "/containers", headers={"Accept": accept}, body=body)
        assert (answer.status, answer.header("content-type")) == (200, content_type)
        assert UUID.fullmatch(answer.text)
        assert answer.header("content-length") == "36"
    assert len(home.listed()) == 2


def test_the_description_has_what_the_platform_alone_decides(home: Household) -> None:
    container_id = home.posted(extraPorts={"9001": {"protocol": "TCP", "description": "a page"}})
    [container] = home.ask("GET", "/containers").json()
    assert container == home.container(container_id) == home.ask("GET", "/info").json()["containers"][0]
    assert container["containerId"] == container_id
    assert container["owner"] == ""
    assert container["image"]["imageName"] == "actor"
    connectivity = container["connectivity"]
    assert connectivity["publicUrl"] == "http://127.0.0.1"
    assert list(connectivity["extraPortMappings"].values()) == [{"protocol": "TCP", "description": "a page"}]
    environment = home.do(container_id, "Environment")
    [extra] = connectivity["extraPortMappings"]
    assert environment["PORT_MAPPING"] == f"8082:{connectivity['apiPortMapping']},9001:{extra}"
    assert environment["PLATFORM_URL"] == home.process.base_url
    assert (environment["CONTAINER_ID"], environment["TOKEN"], environment["OWNER"]) == (container_id, "", "")


def test_arguments_reach_the_container_and_confidential_ones_nobody_else(home: Household) -> None:
    arguments = {"MODE": "quiet", "PASSWORD": "swordfish", "LD_PRELOAD": "/evil.so", "TOKEN": "mine"}
    container_id = home.posted(arguments=arguments)
    environment = home.do(container_id, "Environment")
    assert (environment["MODE"], environment["COLOUR"], environment["PASSWORD"]) == ("quiet", "red", "swordfish")
    assert "LD_PRELOAD" not in environment
    assert environment["TOKEN"] == ""
    assert home.container(container_id)["arguments"] == {"MODE": "quiet", "COLOUR": "red"}
    for path in ("/containers", "/info", "/history", "/config", f"/edge/containers/{container_id}"):
        assert "swordfish" not in home.ask("GET", path).text
    assert "swordfish" not in home.process.log
    assert "LD_PRELOAD" in home.process.log


def test_an_argument_of_null_is_none_and_of_another_kind_is_text(home: Household) -> None:
    container_id = home.posted(arguments={"MODE": None, "COLOUR": 7})
    environment = home.do(container_id, "Environment")
    assert "MODE" not in environment
    assert environment["COLOUR"] == "7"


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ({"image": {"imageName": "acter"}}, 404, "actor"),
        ({"image": {"imageName": "actor"}, "clientConfig": {"type": "DOCKER"}}, 400, "does not match"),
        ({"image": {"imageName": "actor"}, "clientConfig": {"type": "KUBERNETES"}}, 400, "does not match"),
        ({"image": {"imageName": "actor"}, "clientConfig": {"type": "docker"}}, 422, "NATIVE"),
        ({"image": {"imageName": "actor"}, "clientConfig": {}}, 422, "type"),
        ({"image": {"imageName": "actor"}, "clientConfig": {"type": 1}}, 422, "type"),
        ({"image": {"imageName": "actor"}, "clientConfig": {"type": "NATIVE", "x": 1}}, 422, "x"),
        ({"image": {"imageName": "actor"}, "clientConfig": {"type": "NATIVE", "memoryMb": 0}}, 400, "memoryMb"),
        ({"image": {"imageName": "actor"}, "clientConfig": "NATIVE"}, 422, ""),
        ({"image": {"imageName": "actor", "requires": ["agent:A", "image:actor"]}}, 400, "agent:A, image:actor"),
        ({"image": {"imageName": "actor", "parameters": [{"name": "MODE", "required": True}]}}, 400, "MODE"),
        ({"image": {"imageName": "actor", "extraPorts": {"x": {}}}}, 422, ""),
        ({"image": {"imageName": "actor"}, "surplus": 1}, 422, "surplus"),
        ({"image": {}}, 422, "imageName"),
        ({}, 422, "image"),
        ({"image": None}, 422, "null"),
    ],
)
def test_what_cannot_be_started_is_refused_with_the_reason(
    home: Household, body: dict[str, Any], status: int, words: str
) -> None:
    answer = home.ask("POST", "/containers", json_body=body)
    assert words in error(answer, status)
    assert home.listed() == []


def test_without_a_body_there_is_nothing_to_start(home: Household) -> None:
    for body in (b"", b"null"):
        answer = home.ask("POST", "/containers", headers={"Content-Type": "application/json"}, body=body)
        assert (answer.status, answer.json().keys()) == (400, {"timestamp", "status", "error", "path"})


@pytest.mark.parametrize("timeout", ["soon", "1.5"])
def test_a_timeout_must_be_a_whole_number(home: Household, timeout: str) -> None:
    error(home.ask("POST", f"/containers?timeout={timeout}", json_body=home.wish()), 400)
    assert home.listed() == []


def test_what_the_image_folder_requires_counts_as_well(home: Household) -> None:
    home.actor("demanding", requires=["skill:acting"])
    assert "skill:acting" in error(home.post("demanding"), 400)
    home.posted()
    home.posted("demanding")


def test_a_container_provides_what_others_require(home: Household) -> None:
    wanted = ["skill:acting", "agent:Actor", "action:Echo", "image:actor", "config:container-env=NATIVE"]
    assert home.post(requires=wanted).status == 400
    container_id = home.posted()
    assert set(wanted) <= set(home.ask("GET", "/info").json()["provides"])
    home.posted(requires=wanted)
    home.deleted(container_id)


@pytest.mark.parametrize(
    ("mode", "words"),
    [
        ("dies", r"status 1; its last output:\nthe actor enters\npassword is \*\*\*\nI forgot my text$"),
        ("no container", "no container description"),
    ],
)
def test_one_that_can_never_come_up_is_named_at_once(home: Household, mode: str, words: str) -> None:
    began_s = time.monotonic()
    message = error(home.post(arguments={"MODE": mode, "PASSWORD": "swordfish"}), 502)
    assert re.search(words, message)
    assert time.monotonic() - began_s < 15.0
    assert home.listed() == []
    assert home.running() == {}


@pytest.mark.parametrize(
    ("mode", "words"),
    [
        ("deaf", "its last output:\nthe actor enters"),
        ("rubbish", "no JSON"),
        ("other id", "somebody-else"),
        ("sleeps", "no answer"),
    ],
)
def test_one_that_does_not_come_up_in_the_time_of_the_caller_is_stopped(home: Household, mode: str, words: str) -> None:
    began_s = time.monotonic()
    message = error(home.post(mode=mode, timeout=1), 502)
    assert words in message
    assert 0.9 < time.monotonic() - began_s < 5.0
    assert home.listed() == []
    assert home.running() == {}


def test_all_calls_reach_the_container_as_the_contract_says(home: Household) -> None:
    container_id = home.posted()
    url = home.url_of(container_id)
    caller = {"sender-id": "somebody"}
    message = {"payload": {"a": [1, None]}}
    assert home.ask("POST", "/invoke/Echo/actor?timeout=7", caller, json_body={"value": [1]}).json() == [1]
    assert home.ask("POST", "/send/actor", caller, json_body=message).body == b""
    assert home.ask("POST", "/broadcast/news", caller, json_body=message).body == b""
    assert home.ask("GET", "/stream/Count/actor", caller).body == b"one\ntwo\n"
    assert home.ask("POST", "/stream/Collect", caller, body=b"abc").body == b""
    assert [event["receiver"] for event in home.ask("GET", "/history").json()[-15:] if "receiver" in event] == [url] * 5
    invoked, sent, told, *_ = home.do(container_id, "Seen")
    assert (invoked["path"], json.loads(invoked["body"])) == ("/invoke/Echo/actor", {"value": [1]})
    assert set(invoked["query"].split("&")) == {"timeout=7", "forward=false"}
    assert (sent["path"], told["path"]) == ("/send/actor", "/broadcast/news")
    assert json.loads(sent["body"]) == json.loads(told["body"]) == {**message, "replyTo": ""}
    for call in (invoked, sent, told):
        assert call["headers"]["content-type"].startswith("application/json")
        assert "authorization" not in call["headers"]


def test_an_error_of_the_container_is_the_cause(home: Household) -> None:
    container_id = home.posted()
    answer = home.ask("POST", f"/invoke/Echo?containerId={container_id}", json_body={"number": 1, "value": None})
    assert answer.json() is None
    failed = home.ask("POST", f"/invoke/Store?containerId={container_id}", json_body={"value": 5})
    assert home.url_of(container_id) in error(failed, 502)
    assert failed.json()["cause"] == {"statusCode": 500, "message": "write() argument must be str, not int"}


def test_logging_in_at_a_container(home: Household) -> None:
    container_id = home.posted()
    login = f"/containers/login/{container_id}"
    refused = home.ask("POST", login, json_body={"username": "eve", "password": "wrong"})
    error(refused, 502)
    assert refused.json()["cause"]["statusCode"] == 401
    assert "Invalid credentials" in refused.json()["cause"]["message"]
    home.do(container_id, "Echo")
    token = home.ask("POST", login, json_body={"username": "eve", "password": "sesame"})
    assert (token.status, token.text, token.header("content-type")) == (
        200,
        '"quoted token"',
        "text/plain;charset=UTF-8",
    )
    home.do(container_id, "Echo")
    home.ask("POST", "/send/actor", json_body={"payload": 1})
    logout = f"/containers/logout/{container_id}"
    # Neither a length nor a body: the Java client sends nothing.
    with Wire(home.process.address) as wire:
        answer = wire.exchange(request_bytes("POST", logout, {"Content-Type": "application/json"}), "POST")
    assert (answer.status, answer.text) == (200, "true")
    assert home.ask("POST", logout).text == "false"
    home.do(container_id, "Echo")
    seen = [(call["path"], call["headers"].get("containerlogintoken")) for call in home.do(container_id, "Seen")]
    assert seen == [
        ("/login", None),
        ("/invoke/Echo", None),
        ("/login", None),
        ("/invoke/Echo", '"quoted token"'),
        ("/send/actor", None),
        ("/logout", '"quoted token"'),
        ("/invoke/Echo", None),
    ]
    assert "quoted token" not in home.ask("GET", "/history").text
    for path in ("/containers/login/none", "/containers/logout/none"):
        error(home.ask("POST", path, json_body={"username": "eve", "password": ""}), 404)


def test_a_login_ends_with_the_container(home: Household) -> None:
    container_id = home.posted()
    home.ask("POST", f"/containers/login/{container_id}", json_body={"username": "eve", "password": "sesame"})
    home.deleted(container_id)
    error(home.ask("POST", f"/containers/logout/{container_id}"), 404)


@pytest.mark.parametrize("form", ["{}", '"{}"', " {}\n"])
def test_notifying_shows_what_the_container_has_learned(home: Household, form: str) -> None:
    container_id = home.posted()
    before = home.container(container_id)
    home.do(container_id, "Learn", value="Whisper")
    assert home.ask("POST", "/invoke/Whisper", json_body={}).status == 404
    headers = {"Content-Type": "application/json; charset=UTF-8"}
    answer = home.ask("POST", "/containers/notify", headers, body=form.format(container_id).encode())
    assert (answer.status, answer.text) == (200, "true")
    after = home.container(container_id)
    assert [action["name"] for action in after["agents"][0]["actions"]][-1] == "Whisper"
    assert {**after, "agents": before["agents"]} == before
    assert "action:Whisper" in home.ask("GET", "/info").json()["provides"]
    error(home.ask("POST", "/containers/notify", body=b"none"), 404)


def test_removing_takes_away_what_was_there(home: Household) -> None:
    container_id = home.posted()
    home.deleted(container_id)
    assert home.running() == {}
    assert home.ask("GET", f"/containers/{container_id}").body == b""
    assert home.ask("DELETE", f"/containers/{container_id}").text == "false"
    error(home.ask("POST", "/invoke/Echo", json_body={}), 404)
    assert not (home.folder / "state" / "containers" / container_id).exists()


def test_managing_makes_events(home: Household) -> None:
    with WebSocket(home.process.address) as socket:
        socket.subscribe("/containers")
        container_id = home.posted()
        assert home.post("no such image").status == 404
        home.ask("POST", "/containers/notify", body=container_id.encode())
        home.deleted(container_id)
        pushed = [socket.event()]
        while pushed[-1]["route"] != f"DELETE /containers/{container_id}":
            pushed.append(socket.event())
        socket.send(CLOSE, b"")
    events = home.ask("GET", "/history").json()[-8:]
    assert [event["eventType"] for event in events] == ["CALL", "SUCCESS", "CALL", "ERROR", *["CALL", "SUCCESS"] * 2]
    successes = [event for event in events if event["eventType"] == "SUCCESS"]
    routes = [event["route"] for event in successes]
    assert routes == ["POST /containers", "POST /containers/notify", f"DELETE /containers/{container_id}"]
    # Between them may be what the platform pushes of its own accord, a moment after a container has come or gone.
    assert [event for event in pushed if event["id"] in {each["id"] for each in successes}] == successes
    assert {event["route"] for event in pushed} == set(routes)
    assert events[3]["statusCode"] == 404
    assert all(done["relatedId"] == call["id"] for call, done in zip(events[::2], events[1::2], strict=True))


def test_a_killed_container_is_noticed_and_comes_back_as_itself(home: Household) -> None:
    container_id, neighbour = home.posted(), home.posted()
    pid, described = home.do(container_id, "Pid"), home.container(container_id)
    crashed = home.ask("POST", f"/invoke/Crash?containerId={container_id}", json_body={"number": 3})
    assert "exited with status 3" in error(crashed, 502)
    meanwhile = home.ask("POST", f"/invoke/Pid?containerId={container_id}", json_body={})
    assert "exited with status 3" in error(meanwhile, 502)
    assert home.do(neighbour, "Echo", value=1) == 1
    invoke = f"/invoke/Pid?containerId={container_id}"
    home.settles(lambda: home.ask("POST", invoke, json_body={}).status == 200, "it is back")
    assert home.do(container_id, "Pid") != pid
    assert home.container(container_id) == described


def test_one_that_is_done_is_not_there_any_more(home: Household) -> None:
    home.posted(mode="done soon")
    home.settles(lambda: not home.listed(), "it is taken off the list")
    assert home.running() == {}


def test_one_that_is_done_before_it_was_announced_is_not_listed_afterwards(home: Household) -> None:
    for _ in range(3):
        home.post(mode="done soon")
    home.settles(lambda: not home.listed(), "all are taken off the list")


def test_two_versions_of_an_image_stand_side_by_side(home: Household) -> None:
    for edition in ("1.9.0", "1.10.0"):
        start = f'[env]\nEDITION = "{edition}"\nREPORTED = "versioned"\n'
        home.actor("versioned", start, f"versioned-{edition}", version=edition)
    for asked, edition in (("versioned", "1.10.0"), ("versioned:1.9.0", "1.9.0"), ("versioned@sha256:0", "1.10.0")):
        assert home.container(home.posted(asked))["image"]["version"] == edition


def test_a_broken_image_is_named_where_it_is_missed(home: Household) -> None:
    folder = home.images / "broken"
    folder.mkdir()
    try:
        (folder / "image.json").write_text('{"imageName": "broken", "surplus": 1}')
        assert "broken" in error(home.post("broken"), 404)
        until(lambda: "start.toml" in home.process.log, "the log says why")
    finally:
        (folder / "image.json").unlink()
        folder.rmdir()


def test_the_list_of_parameters_is_the_images_own(home: Household) -> None:
    declared = [
        *PARAMETERS,
        {"name": "NEEDED", "required": True},
        {"name": "HELD", "defaultValue": "no", "required": True},
    ]
    home.actor("strict", parameters=declared)
    message = error(home.post("strict"), 400)
    assert "NEEDED" in message
    assert "HELD" in message
    container_id = home.posted("strict", arguments={"NEEDED": "1", "HELD": "2", "OTHER": "3"})
    environment = home.do(container_id, "Environment")
    assert (environment["NEEDED"], environment["HELD"], environment.get("OTHER")) == ("1", "2", None)
