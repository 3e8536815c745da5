"""Pages of an author's own are served beside the container, by microdot, behind the same guard."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from micro.flash.build import compiled
from tests.contract.running import until
from tests.micro.boards import ROOT, Board, on_cpython, on_micropython
from tests.micro.homes import INTERPRETERS

PROGRAM = ROOT / "tests/micro/pages_board.py"
TOKEN = "a-token"


@pytest.fixture(params=INTERPRETERS)
def board(request: pytest.FixtureRequest, built: Path, tmp_path: Path) -> Iterator[Board]:
    if request.param == "cpython":
        made = on_cpython(PROGRAM, tmp_path, "an-id", TOKEN)
    else:
        compiled(PROGRAM, built / "pages_board.mpy")
        made = on_micropython(built, "pages_board", tmp_path, "an-id", TOKEN, heap="64k")
    with made as board:
        yield board


def test_pages_and_container_are_at_one_address(board: Board) -> None:
    page = board.ask("GET", "/")
    assert (page.status, page.text, page.header("Content-Type")) == (200, "<h1>Greenhouse</h1>", "text/html")
    assert board.ask("GET", "/rooms/hall?unit=K").json() == {"room": "hall", "unit": "K"}
    assert board.ask("GET", "/rooms/hall?at=1&unit=%C2%B0C").json()["unit"] == "°C"
    assert board.ask("POST", "/limits", json_body={"low": 7}).json() == {"low": 7, "form": "application/json"}
    assert board.ask("GET", "/log").text == "line 0\nline 1\nline 2\n"
    assert board.ask("GET", "/info").json()["containerId"] == "an-id"
    assert board.ask("POST", "/invoke/GetTemperature", json_body={}).json() == 21.5
    unknown = board.ask("GET", "/nowhere")
    assert (unknown.status, unknown.json()["statusCode"]) == (404, 404)


def test_a_page_is_for_those_who_have_the_token_of_the_board(board: Board) -> None:
    for path in ("/", "/info"):
        for shown in ("", "Bearer another", TOKEN):
            assert board.ask("GET", path, headers={"Authorization": shown}).status == 403


def test_a_page_takes_no_more_than_the_container_does(board: Board) -> None:
    for path in ("/limits", "/send/greenhouse"):
        assert board.ask("POST", path, body=b"{" + b" " * 4096 + b"}").status == 413
        assert board.ask("POST", path, body=b"{}", headers={"X-Long": "y" * 9000}).status == 431


def test_a_page_that_fails_or_is_asked_nonsense_does_not_end_the_board(board: Board) -> None:
    for _ in range(20):
        assert board.ask("GET", "/broken").status == 500
        assert board.ask("POST", "/limits", json_body=["no", "object"]).status == 500
        assert board.ask("DELETE", "/limits").status == 405
        assert board.ask("GET", "/rooms/%zz").status in (200, 400)
    assert "the page is broken" in board.log
    assert board.ask("GET", "/").status == 200
    assert board.is_running


def test_a_page_is_served_behind_callers_that_say_nothing(board: Board) -> None:
    silent = [socket.create_connection(board.address) for _ in range(8)]
    try:
        until(lambda: board.ask("GET", "/").status == 200, "the page")
    finally:
        for link in silent:
            link.close()
