"""What a user holds open ends when the user may not hold it any more, and nobody else's does."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.contract.running import PlatformThread, until
from tests.contract.wire import Response, Wire, WireClosed, request_bytes
from tests.integration import laboratory
from tests.integration.laboratory import Laboratory
from tests.integration.signed import KEY, signed, token_for
from tests.integration.websocket import WebSocket

CHUNKED = {"Transfer-Encoding": "chunked"}


class House:
    """A platform with authentication and the laboratory, and two users who hold things."""

    def __init__(self, platform: PlatformThread) -> None:
        self.platform = platform
        for name in ("eve", "ann"):
            body = {"username": name, "password": "pw", "role": "USER", "privileges": []}
            assert self.ask("POST", "/users", body).status == 201

    def ask(self, method: str, path: str, body: Any = None) -> Response:
        return self.platform.ask(method, path, headers=shown_by("admin"), json_body=body)

    def follows(self, token: str) -> WebSocket:
        socket = WebSocket(self.platform.address, headers={"Authorization": f"Bearer {token}"})
        socket.subscribe("/broadcast")
        return socket

    @contextmanager
    def watches(self, name: str) -> Iterator[Iterator[bytes]]:
        """Open a stream that yields nothing by itself."""
        with Wire(self.platform.address) as wire:
            wire.send(request_bytes("GET", "/stream/Drip", shown_by(name)))
            head = wire.read_head()
            assert head.status == 200
            yield wire.read_pieces(head)

    def sends(self, name: str) -> Wire:
        """Begin to send a stream."""
        wire = Wire(self.platform.address)
        wire.send(request_bytes("POST", "/stream/Keep/lab", {**shown_by(name), **CHUNKED}) + b"1\r\nx\r\n")
        return wire


def shown_by(name: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token_for(name)}"}


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    containers = {"lab": laboratory.FACTORY}
    with PlatformThread(tmp_path, containers, secret=KEY, require_auth=True, platform_admin_pwd="pw") as platform:
        yield House(platform)


@pytest.fixture
def lab(house: House) -> Laboratory:
    return laboratory.LATEST[0]


def removed(house: House) -> None:
    assert house.ask("DELETE", "/users/eve").text == "true"


def renamed(house: House) -> None:
    assert house.ask("PUT", "/users/eve", {"username": "eva"}).status == 200


def lowered(house: House) -> None:
    assert house.ask("PUT", "/users/eve", {"role": "GUEST"}).status == 200


@pytest.mark.parametrize("barred", [removed, renamed])
def test_events_end_with_their_user(house: House, barred: Callable[[House], None]) -> None:
    before = house.platform.tasks()
    with house.follows(token_for("eve")) as eve, house.follows(token_for("ann")) as ann:
        barred(house)
        assert eve.wire.is_closed_within(20)
        assert house.ask("POST", "/broadcast/news", {}).status == 200
        assert ann.event()["route"] == "POST /broadcast/news"
    until(lambda: house.platform.tasks() <= before, "nothing is left")


@pytest.mark.parametrize("barred", [removed, renamed, lowered])
def test_streams_end_with_the_right_to_them(house: House, lab: Laboratory, barred: Callable[[House], None]) -> None:
    before = house.platform.tasks()
    with house.watches("eve") as watching, house.sends("eve") as sending, house.watches("ann") as other:
        until(lambda: lab.taken == [b"x"], "the first piece is there")
        barred(house)
        with pytest.raises(WireClosed):  # and not the end of a stream that is complete
            next(watching)
        assert sending.is_closed_within(20)
        house.platform.on_loop(_dropping(lab))
        assert next(other) == b"for ann"
    until(lambda: house.platform.tasks() <= before, "nothing is left")


def _dropping(lab: Laboratory) -> Callable[[], Any]:
    async def drop() -> None:
        lab.drop(b"for ann")

    return drop


def test_who_may_still_follow_goes_on(house: House) -> None:
    with house.follows(token_for("eve")) as eve:
        lowered(house)  # a guest may follow events
        assert house.ask("PUT", "/users/eve", {"password": "other"}).status == 200  # ends no token (contract, 7.2)
        assert house.ask("POST", "/broadcast/news", {}).status == 200
        assert eve.event()["route"] == "POST /broadcast/news"


def test_what_a_board_follows_ends_with_the_one_token_it_has(house: House) -> None:
    body = {"username": "board-a", "password": "pw", "role": "USER", "privileges": ["attach"]}
    assert house.ask("POST", "/users", body).status == 201
    token = house.platform.ask("POST", "/login", json_body={"username": "board-a", "password": "pw"}).text
    with house.follows(token) as board:
        lowered(house)  # somebody else
        assert board.is_silent()
        assert house.ask("PUT", "/users/board-a", {"password": "other"}).status == 200
        assert board.wire.is_closed_within(20)


def test_a_token_that_ends_ends_no_subscription(house: House) -> None:
    token = signed({"sub": "eve", "exp": time.time() + 0.3})
    with house.follows(token) as eve:
        shown = {"Authorization": f"Bearer {token}"}
        until(lambda: house.platform.ask("GET", "/info", headers=shown).status == 401, "it has ended")
        assert house.ask("DELETE", "/users/ann").text == "true"
        assert house.ask("POST", "/broadcast/news", {}).status == 200
        assert eve.event()["route"] == "POST /broadcast/news"


def test_a_call_that_has_begun_is_finished(house: House, lab: Laboratory) -> None:
    with Wire(house.platform.address) as wire:
        headers = {**shown_by("eve"), "Content-Type": "application/json"}
        wire.send(request_bytes("POST", "/invoke/Wait/lab", headers, b"{}"))
        until(lambda: lab.seen == ["waits"], "the action runs")
        removed(house)
        assert house.platform.ask("GET", "/info", headers=shown_by("eve")).status == 401
        assert lab.seen == ["waits"]


def test_without_authentication_a_removed_user_loses_what_its_token_opened(tmp_path: Path) -> None:
    with PlatformThread(tmp_path, secret=KEY) as platform:
        body = {"username": "eve", "password": "pw", "role": "USER", "privileges": []}
        assert platform.ask("POST", "/users", json_body=body).status == 201
        with WebSocket(platform.address, headers=shown_by("eve")) as eve, WebSocket(platform.address) as nobody:
            nobody.subscribe("/broadcast")
            assert platform.ask("DELETE", "/users/eve").text == "true"
            assert eve.wire.is_closed_within(20)
            assert platform.ask("POST", "/broadcast/news", json_body={}).status == 200
            assert nobody.event()["route"] == "POST /broadcast/news"
