"""Containers that run already, attached over REST (contract, Decisions 8, 9 and 11)."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.contract.ports import free_port
from tests.contract.running import until
from tests.contract.wire import Response
from tests.system.households import ACTOR, Household, household

pytestmark = pytest.mark.timeout(40)


class Board:
    """A container that the test runs; it can be moved to another port."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def up(self, mode: str = "", moves: bool = True) -> None:
        if moves:
            self.port = free_port()
        variables = {"CONTAINER_ID": "own-name", "PORT": str(self.port), "MODE": mode, "HOME": str(self._folder)}
        self._process = subprocess.Popen(
            [sys.executable, "-S", "-E", str(ACTOR)], env=variables, stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL
        )
        until(self.answers, "the board listens")

    def answers(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
            return True
        return False

    def down(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def is_up(self) -> bool:
        return self._process is not None and self._process.poll() is None


@pytest.fixture
def board(tmp_path: Path) -> Iterator[Board]:
    made = Board(tmp_path)
    try:
        made.up()
        yield made
    finally:
        made.down()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Household]:
    with household(tmp_path_factory.mktemp("attached")) as home:
        yield home


@pytest.fixture
def home(shared: Household) -> Iterator[Household]:
    yield shared
    for container_id in shared.listed():
        shared.deleted(container_id)


def attach(home: Household, url: str, timeout: int = 0, **config: Any) -> Response:
    config = {"type": "ATTACHED", "url": url, **config}
    return home.post("greenhouse", clientConfig=config, timeout=timeout)


def attached(home: Household, url: str, **config: Any) -> str:
    answer = attach(home, url, **config)
    assert answer.status == 200, answer.text
    return answer.text


def test_an_attached_container_is_called_at_its_address(home: Household, board: Board) -> None:
    container_id = attached(home, board.url, token="t0ken")
    container = home.container(container_id)
    assert container["containerId"] == container_id != "own-name"
    assert container["owner"] == ""
    assert container["connectivity"] == {
        "publicUrl": "http://127.0.0.1",
        "apiPortMapping": board.port,
        "extraPortMappings": {},
    }
    assert home.do(container_id, "Echo", value="a") == "a"
    assert home.ask("GET", "/stream/Count").body == b"one\ntwo\n"
    [called, *_] = home.do(container_id, "Seen")
    assert called["headers"]["authorization"] == "Bearer t0ken"
    assert "t0ken" not in home.ask("GET", "/containers").text + home.ask("GET", "/info").text + home.process.log
    assert any(event.get("receiver") == board.url for event in home.ask("GET", "/history").json())


def test_removing_leaves_it_running(home: Household, board: Board) -> None:
    container_id = attached(home, board.url)
    home.deleted(container_id)
    assert home.listed() == []
    assert board.is_up()
    assert board.answers()
    assert attached(home, board.url) != container_id


def test_logging_in_and_out_works_as_at_any_container(home: Household, board: Board) -> None:
    container_id = attached(home, board.url)
    path = f"/containers/login/{container_id}"
    assert home.ask("POST", path, json_body={"username": "eve", "password": "sesame"}).text == '"quoted token"'
    assert home.ask("POST", path, json_body={"username": "eve", "password": ""}).status == 502
    assert home.ask("POST", f"/containers/logout/{container_id}").text == "true"


def test_one_that_comes_back_from_another_address_keeps_its_id(home: Household, board: Board, tmp_path: Path) -> None:
    container_id = attached(home, board.url, key="b8:27")
    board.down()
    board.up()
    assert attached(home, board.url, key="b8:27") == container_id
    assert home.listed() == [container_id]
    assert home.container(container_id)["connectivity"]["apiPortMapping"] == board.port
    assert home.do(container_id, "Echo", value=1) == 1


def test_a_wish_that_fails_leaves_what_is_attached(home: Household, board: Board) -> None:
    container_id = attached(home, board.url, key="b8:27")
    assert attach(home, "http://127.0.0.1:1", key="b8:27", timeout=1).status == 502
    assert home.do(container_id, "Echo", value=1) == 1


def test_one_that_does_not_answer_is_away_and_stays_listed(home: Household, board: Board) -> None:
    container_id = attached(home, board.url, key="b8:27")
    described = home.container(container_id)
    board.down()
    assert home.ask("POST", "/containers/notify", body=container_id.encode()).text == "false"
    assert home.container(container_id) == described
    answer = home.ask("POST", f"/invoke/Echo?containerId={container_id}", json_body={})
    assert answer.status == 502
    assert "away since" in answer.json()["message"]
    board.up(moves=False)
    assert home.ask("POST", "/containers/notify", body=container_id.encode()).text == "true"
    assert home.do(container_id, "Echo", value=1) == 1


def test_one_that_sleeps_is_never_called(home: Household, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(0.05)
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        container_id = attached(home, url, push=True, key="sleeper")
        assert home.container(container_id)["image"]["imageName"] == "greenhouse"
        assert home.ask("POST", "/containers/notify", body=container_id.encode()).text == "true"
        assert home.ask("POST", "/broadcast/news", json_body={"payload": 1}).status == 200
        named = home.ask("POST", f"/broadcast/news?containerId={container_id}", json_body={"payload": 1})
        assert (named.status, "only reports" in named.json()["message"]) == (502, True)
        with pytest.raises(TimeoutError):
            listening.accept()
    home.deleted(container_id)


def test_one_that_sleeps_hides_no_failure_of_others(home: Household, board: Board, tmp_path: Path) -> None:
    sleeper = attached(home, "http://127.0.0.1:9", push=True, key="sleeper")
    awake = attached(home, board.url, key="awake")
    assert home.ask("POST", "/broadcast/news", json_body={"payload": 1}).status == 200
    board.down()
    assert home.ask("POST", "/broadcast/news", json_body={"payload": 1}).status == 502
    home.deleted(awake)
    assert home.ask("POST", "/broadcast/news", json_body={"payload": 1}).status == 200
    home.deleted(sleeper)


@pytest.mark.parametrize(
    ("config", "status", "words"),
    [
        ({}, 422, "url"),
        ({"url": None}, 422, "null"),
        ({"url": "http://127.0.0.1:1", "surplus": 1}, 422, "surplus"),
        ({"url": "board.local"}, 400, "absolute URL"),
        ({"url": "file:///etc/passwd"}, 400, "absolute URL"),
        ({"url": "http://127.0.0.1:1", "token": "a\nb"}, 400, "token"),
        ({"url": "http://127.0.0.1:1"}, 502, "http://127.0.0.1:1"),
    ],
)
def test_what_cannot_be_attached_is_refused(home: Household, config: dict[str, Any], status: int, words: str) -> None:
    answer = home.post(clientConfig={"type": "ATTACHED", **config}, timeout=2)
    assert answer.status == status, answer.text
    assert words in answer.json()["message"]
    assert home.listed() == []


def test_one_that_does_not_describe_itself_is_not_attached(home: Household, board: Board) -> None:
    for mode, timeout in (("rubbish", 0), ("no container", 0), ("sleeps", 1)):
        board.down()
        board.up(mode)
        answer = attach(home, board.url, timeout=timeout)
        assert answer.status == 502, mode
        assert board.url in answer.json()["message"]
    assert home.listed() == []


def test_it_cannot_be_updated(home: Household, board: Board) -> None:
    container_id = attached(home, board.url)
    for config in (None, {"type": "ATTACHED", "url": board.url}):
        answer = home.put(clientConfig=config)
        assert answer.status == 400, answer.text
        assert "attached" in answer.json()["message"]
    assert home.listed() == [container_id]


@pytest.mark.parametrize("policy", ["restart", "reconnect"])
def test_it_is_there_again_without_being_asked(tmp_path: Path, policy: str) -> None:
    near, away = Board(tmp_path), Board(tmp_path)
    try:
        near.up()
        away.up()
        with household(tmp_path, SESSION_POLICY=policy) as home:
            ids = [attached(home, near.url, key="near"), attached(home, away.url, key="away", token="t")]
            described = home.ask("GET", "/containers").json()
            away.down()
            for end in (home.stop, home.kill):
                end()
                home.start()
                assert home.ask("GET", "/containers").json() == described
                home.settles(lambda: home.do(ids[0], "Echo", value=1) == 1, "the near one is called")
                answer = home.ask("POST", f"/invoke/Echo?containerId={ids[1]}", json_body={})
                assert (answer.status, answer.json()["statusCode"]) == (502, 502)
            away.up()  # elsewhere
            assert attached(home, away.url, key="away") == ids[1]
            home.kill()
            home.start()
            assert home.do(ids[1], "Echo", value=2) == 2
            home.deleted(ids[1])
            home.kill()
            home.start()
            assert home.listed() == [ids[0]]
    finally:
        near.down()
        away.down()


def test_with_shutdown_it_is_forgotten(tmp_path: Path, board: Board) -> None:
    with household(tmp_path, SESSION_POLICY="shutdown") as home:
        attached(home, board.url)
        home.stop()
        home.start()
        assert home.listed() == []
    assert board.is_up()


def test_what_it_learned_is_kept(tmp_path: Path, board: Board) -> None:
    with household(tmp_path) as home:
        container_id = attached(home, board.url)
        home.do(container_id, "Learn", value="Whisper")
        home.ask("POST", "/containers/notify", body=container_id.encode())
        described = home.container(container_id)
        assert "Whisper" in json.dumps(described)
        stored = home.folder / "state"

        def is_kept() -> bool:
            return any(b"Whisper" in path.read_bytes() for path in stored.glob("state.sqlite3*"))

        home.settles(is_kept, "it is on the disk")
        os.kill(home.process.pid, signal.SIGKILL)
        home.process.wait()
        board.down()
        home.start()
        assert home.container(container_id) == described
