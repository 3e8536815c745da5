"""A board attaches itself to a real platform that asks who it is, and stays attached whatever happens to either."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import ClassVar

import pytest

from tests.contract.ports import free_port
from tests.contract.running import until
from tests.contract.wire import ask
from tests.micro.homes import CLIMATE, HASTE, INTERPRETERS, PROGRAM, Home, VirtualBoard

MakeBoard = Callable[..., VirtualBoard]

CHANGING = (
    HASTE
    + CLIMATE
    + """
@climate.action("Simplify")
def simplify():
    climate.remove("Simplify")
    climate.changed()

board.run(climate)
"""
)


@pytest.fixture(params=INTERPRETERS)
def make_board(request: pytest.FixtureRequest, tmp_path: Path, built: Path, home: Home) -> Iterator[MakeBoard]:
    """Make a board with a token at home; further arguments are its settings."""
    made = []

    def make(program: str = PROGRAM, **settings: object) -> VirtualBoard:
        identity = {"platform": home.url, "user": "board-1", "token": home.token(), **settings}
        made.append(VirtualBoard(request.param, built, tmp_path / "board", program, **identity))
        return made[-1]

    yield make
    for board in made:
        board.stop()


def test_a_board_attaches_itself_at_boot_and_is_called_through_its_platform(home: Home, make_board: MakeBoard) -> None:
    board = make_board()
    board.start()
    container_id = board.attached_id()
    container = home.containers()[container_id]
    assert container["owner"] == "admin"
    assert container["image"]["imageName"] == "greenhouse-1"
    assert [agent["agentId"] for agent in container["agents"]] == ["climate"]
    assert home.temperature() == 21.5
    assert home.household.process.log.count("WARNING") == 0


def test_nobody_but_its_platform_is_answered(make_board: MakeBoard) -> None:
    board = make_board()
    board.start()
    board.attached_id()
    for token in ("", board.settings["token"]):
        answer = ask(("127.0.0.1", board.tcp_port), "GET", "/info", headers={"Authorization": f"Bearer {token}"})
        assert answer.status == 403


def test_a_board_whose_platform_is_away_at_boot_attaches_when_it_comes(home: Home, make_board: MakeBoard) -> None:
    board = make_board()
    home.household.stop()
    board.start()
    board.until_says("cannot be reached")
    home.start()
    board.attached_id()
    assert home.temperature() == 21.5
    assert board.log.count("cannot be reached") == 1


@pytest.mark.parametrize("policy", ["restart", "shutdown"])
def test_a_board_outlives_its_platform(home: Home, make_board: MakeBoard, policy: str) -> None:
    board = make_board()
    board.start()
    before = board.attached_id()
    home.household.kill()
    board.until_says("cannot be reached")
    home.household.settings["SESSION_POLICY"] = policy
    home.start()
    board.until(lambda: home.temperature() == 21.5, "its value through the platform")
    board.until_says("is there again")
    # What the platform has forgotten gets another ID.
    assert (list(home.containers()) == [before]) == (policy == "restart")


def test_a_board_that_comes_back_at_another_address_keeps_its_container(home: Home, make_board: MakeBoard) -> None:
    board = make_board()
    board.start()
    before = board.attached_id()
    board.stop()
    board.set(port=free_port())
    board.start()
    assert board.attached_id() == before
    assert list(home.containers()) == [before]
    assert home.temperature() == 21.5


def test_a_board_whose_address_changes_says_so(home: Home, make_board: MakeBoard) -> None:
    board = make_board()
    board.start()
    before = board.attached_id()
    board.surround(ip="127.0.0.2")
    assert board.attached_id(times=2) == before
    assert "127.0.0.2" in home.ask("admin", "GET", f"/containers/{before}").json()["connectivity"]["publicUrl"]
    assert home.temperature() == 21.5


def test_a_board_finds_back_into_its_wifi(home: Home, make_board: MakeBoard) -> None:
    board = make_board()
    board.start()
    before = board.attached_id()
    board.surround(wifi=False)
    board.until_says("is lost")
    board.until_says("cannot be joined: no such network")
    board.surround(wifi=True, ip="127.0.0.3")
    assert board.attached_id(times=2) == before
    assert home.temperature() == 21.5
    assert board.log.count("is lost") == 1


def test_a_board_without_wifi_at_boot_waits_for_it(make_board: MakeBoard) -> None:
    board = make_board()
    board.surround(wifi=False)
    board.start()
    board.until_says("cannot be joined")
    assert "cannot be reached" not in board.log
    board.surround(wifi=True)
    board.attached_id()


def test_a_board_with_a_wrong_password_for_its_wifi_says_so(make_board: MakeBoard) -> None:
    board = make_board()
    board.surround(password="sesame-street-2")
    board.start()
    board.until_says("Wi-Fi home cannot be joined: wrong password", timeout_s=30)
    board.surround(password="sesame-street")
    board.attached_id()
    assert "sesame" not in board.log


def test_a_board_whose_token_is_refused_says_so_and_takes_the_next_from_its_file(
    home: Home, make_board: MakeBoard
) -> None:
    board = make_board()
    board.start()
    before = board.attached_id()
    token = home.token()  # which ends the one before
    board.until_says("refuses this board's token")
    board.until(lambda: home.temperature() == 21.5, "that its container is still called")
    board.set(token=token)
    board.until_says("is there again")
    assert board.log.count("refuses") == 1
    assert list(home.containers()) == [before]


def test_a_board_with_a_password_gets_its_tokens_itself(home: Home, make_board: MakeBoard) -> None:
    board = make_board(CHANGING, token="", password="board-pw")
    board.start()
    container_id = board.attached_id()
    home.token()  # somebody else logs in, which ends the board's token
    assert home.ask("admin", "POST", "/invoke/Simplify", {}).status == 200
    until(lambda: offered(home, container_id) == ["GetTemperature"], "the new description at the platform")
    assert "refuses" not in board.log


def test_a_board_that_may_not_attach_says_why(home: Home, make_board: MakeBoard) -> None:
    board = make_board()
    board.start()
    board.attached_id()
    board.stop()
    board.set(key="another")
    board.start()
    board.until_says("or is attached with another key")
    assert len(home.containers()) == 1


def test_a_board_tells_of_changes(home: Home, make_board: MakeBoard) -> None:
    board = make_board(CHANGING)
    board.start()
    container_id = board.attached_id()
    assert offered(home, container_id) == ["GetTemperature", "Simplify"]
    assert home.ask("admin", "POST", "/invoke/Simplify", {}).status == 200
    until(lambda: offered(home, container_id) == ["GetTemperature"], "the new description at the platform")


def offered(home: Home, container_id: str) -> list[str]:
    """Return the actions that a board has according to its platform."""
    return [action["name"] for action in home.containers()[container_id]["agents"][0]["actions"]]


CHANGED_ONCE = """
import asyncio, os

@climate.job
async def change():
    while "go" not in os.listdir():
        await asyncio.sleep(0.1)
    climate.changed()
    await asyncio.sleep(3600)

board.run(climate)
"""


class Forgetful(BaseHTTPRequestHandler):
    """A platform that says something odd when first attached to, and nothing when first told of a change."""

    told: ClassVar[list[str]] = []

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.told.append(self.path)
        notified = self.told.count("/containers/notify")
        if notified == 1 and self.path == "/containers/notify":
            return
        answer = (
            b"true" if self.path == "/containers/notify" else b"an-id" if self.told.count(self.path) > 1 else b"\xff"
        )
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None:
        pass


@pytest.mark.parametrize("interpreter", INTERPRETERS)
def test_a_change_that_did_not_arrive_is_told_again(interpreter: str, tmp_path: Path, built: Path) -> None:
    Forgetful.told.clear()
    haste = HASTE.replace("silence_ms = 1000", "silence_ms = 600000")
    board = VirtualBoard(interpreter, built, tmp_path / "board", haste + CLIMATE + CHANGED_ONCE)
    with HTTPServer(("127.0.0.1", 0), Forgetful) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        board.set(platform=f"http://127.0.0.1:{server.server_port}")
        try:
            board.start()
            board.attached_id()
            board.write("go", "")
            board.until(lambda: Forgetful.told.count("/containers/notify") >= 2, "the change is told again", 20)
            assert "announcer failed" not in board.log
        finally:
            board.stop()
            server.shutdown()


def test_what_an_agent_broadcasts_reaches_the_platforms_others(home: Home, make_board: MakeBoard) -> None:
    talk = """
heard = []

@climate.channel("news")
def hear(payload, reply_to):
    heard.append(payload)

@climate.action("Tell", {"text": "string"}, "boolean")
async def tell(text):
    return await climate.broadcast("news", text)

@climate.action("Heard", result="array")
def tell_heard():
    return heard

board.run(climate)
"""
    board = make_board(HASTE + CLIMATE + talk)
    board.start()
    board.attached_id()
    assert home.ask("admin", "POST", "/invoke/Tell", {"text": "grün"}).json() is True
    assert home.ask("admin", "POST", "/invoke/Heard", {}).json() == ["grün"]
