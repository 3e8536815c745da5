"""Events over a WebSocket (contract, section 9.3)."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.api import subscribe
from tests.contract.running import PlatformThread, until
from tests.contract.wire import Address, Wire, request_bytes
from tests.integration.laboratory import FACTORY, Laboratory
from tests.integration.websocket import BINARY, CLOSE, PING, PONG, TEXT, WebSocket, frame, handshake

KEY = "dGhlIHNhbXBsZSBub25jZQ=="


def broadcast(platform: PlatformThread, channel: str = "a", sender: str | None = None) -> None:
    headers = {"sender-id": sender} if sender else {}
    assert platform.ask("POST", f"/broadcast/{channel}", json_body={}, headers=headers).status == 200


def test_an_event_is_what_the_contract_shows(platform: PlatformThread) -> None:
    with WebSocket(platform.address) as socket:
        socket.subscribe("/invoke")
        platform.ask("POST", "/invoke/Say/lab?forward=no", json_body={"text": "a"}, headers={"sender-id": "c1"})
        event = socket.event()
    call, success = platform.ask("GET", "/history").json()
    assert event == success
    assert event == {
        "id": event["id"],
        "timestamp": event["timestamp"],
        "eventType": "SUCCESS",
        "route": "POST /invoke/Say/lab",
        "senderId": "c1",
        "relatedId": call["id"],
    }


def test_the_server_pings_at_once(platform: PlatformThread) -> None:
    with WebSocket(platform.address) as socket:
        assert socket.receive()[0] == PING


def test_the_server_pings_again_and_again(platform: PlatformThread, monkeypatch: pytest.MonkeyPatch) -> None:
    assert subscribe._PING_EVERY_S == 10
    monkeypatch.setattr(subscribe, "_PING_EVERY_S", 0.4)
    with WebSocket(platform.address) as socket:
        for _ in range(3):
            kind, payload = socket.receive()
            assert kind == PING
            socket.send(PONG, payload)


def test_a_client_that_answers_no_ping_is_left(platform: PlatformThread, monkeypatch: pytest.MonkeyPatch) -> None:
    before = platform.tasks()
    monkeypatch.setattr(subscribe, "_PING_EVERY_S", 0.05)
    with WebSocket(platform.address) as socket:
        socket.subscribe("/invoke")
        assert socket.wire.is_closed_within(20)
        until(lambda: platform.tasks() <= before, "its task is gone")


def test_without_a_topic_nothing_comes(platform: PlatformThread) -> None:
    with WebSocket(platform.address) as socket:
        broadcast(platform)
        assert socket.is_silent()


@pytest.mark.parametrize(
    "topic",
    [
        "",
        "/",
        "broadcast",
        "/broadcast/",
        "/Broadcast",
        "/broadcast/a",
        " /broadcast",
        "/broad",
        "*",
        "/#",
        "POST /broadcast",
    ],
)
def test_topics_are_compared_exactly(platform: PlatformThread, topic: str) -> None:
    with WebSocket(platform.address) as socket:
        socket.subscribe(topic)
        broadcast(platform)
        assert socket.is_silent()


@pytest.mark.parametrize(
    ("topic", "method", "path"),
    [
        ("/broadcast", "POST", "/broadcast/a"),
        ("/invoke", "POST", "/invoke/Learn/lab"),
        ("/send", "POST", "/send/lab"),
        ("/stream", "GET", "/stream/None"),
        ("/stream", "POST", "/stream/Keep/lab"),
        ("/containers", "DELETE", "/containers/none"),
    ],
)
def test_the_topic_is_the_first_segment_of_the_route(
    platform: PlatformThread, topic: str, method: str, path: str
) -> None:
    body = {"name": "Twice"} if topic == "/invoke" else {} if method == "POST" else None
    with WebSocket(platform.address) as socket:
        socket.subscribe(topic)
        assert platform.ask(method, path, json_body=body).status == 200
        assert socket.event()["route"] == f"{method} {path}"


def test_a_later_topic_replaces_the_first(platform: PlatformThread) -> None:
    with WebSocket(platform.address) as socket:
        socket.subscribe("/broadcast")
        broadcast(platform, "first")
        assert socket.event()["route"] == "POST /broadcast/first"
        socket.subscribe("/invoke")
        broadcast(platform, "second")
        platform.ask("POST", "/invoke/Say", json_body={"text": "a"})
        assert socket.event()["route"] == "POST /invoke/Say"
        assert socket.is_silent()


def test_errors_are_not_pushed(platform: PlatformThread) -> None:
    with WebSocket(platform.address) as socket:
        socket.subscribe("/invoke")
        assert platform.ask("POST", "/invoke/Unknown", json_body={}).status == 404
        assert socket.is_silent()


def test_nothing_is_told_twice_or_afterwards(platform: PlatformThread) -> None:
    broadcast(platform, "before")
    with WebSocket(platform.address) as socket:
        socket.subscribe("/broadcast")
        socket.subscribe("/broadcast")
        broadcast(platform, "now")
        assert socket.event()["route"] == "POST /broadcast/now"
        assert socket.is_silent()


def test_who_has_read_the_answer_finds_the_event_there(platform: PlatformThread) -> None:
    with WebSocket(platform.address) as socket:
        socket.subscribe("/invoke")
        socket.subscribe("/invoke")  # the ping at the beginning has been read by now
        for number in range(50):
            platform.ask("POST", "/invoke/Say", json_body={"text": "a"}, headers={"sender-id": str(number)})
            assert socket.event(timeout_s=0.0001)["senderId"] == str(number)


def test_a_stream_is_told_when_it_begins(platform: PlatformThread, lab: Laboratory) -> None:
    with WebSocket(platform.address) as socket, Wire(platform.address) as wire:
        socket.subscribe("/stream")
        wire.send(request_bytes("GET", "/stream/Drip"))
        assert socket.event()["route"] == "GET /stream/Drip"
        assert "drips no more" not in lab.seen


def test_pushes_do_not_depend_on_the_history(tmp_path: Path) -> None:
    with PlatformThread(tmp_path, event_history_size=0) as platform, WebSocket(platform.address) as socket:
        socket.subscribe("/broadcast")
        broadcast(platform)
        assert socket.event()["eventType"] == "SUCCESS"


def test_all_subscribers_are_told(platform: PlatformThread) -> None:
    with WebSocket(platform.address) as one, WebSocket(platform.address) as two:
        one.subscribe("/broadcast")
        two.subscribe("/broadcast")
        broadcast(platform)
        assert one.event() == two.event()


def test_every_origin_may_subscribe(platform: PlatformThread) -> None:
    with WebSocket(platform.address, headers={"Origin": "http://ui.example"}) as socket:
        socket.subscribe("/broadcast")
        broadcast(platform)
        assert socket.event()


def test_a_goodbye_is_answered(platform: PlatformThread) -> None:
    before = platform.tasks()
    with WebSocket(platform.address) as socket:
        socket.subscribe("/broadcast")
        socket.send(CLOSE, b"\x03\xe8bye")
        kind, payload = socket.receive()
        assert (kind, payload[:2]) == (CLOSE, b"\x03\xe8")
        assert socket.wire.is_closed_within(20)
    until(lambda: platform.tasks() <= before, "its task is gone")


@pytest.mark.parametrize("way", ["close", "reset"])
def test_who_leaves_without_a_goodbye_leaves_nothing(platform: PlatformThread, way: str) -> None:
    before = platform.tasks()
    socket = WebSocket(platform.address)
    socket.subscribe("/broadcast")
    getattr(socket.wire, way)()
    broadcast(platform)
    until(lambda: platform.tasks() <= before, "its task is gone")


def test_the_65th_subscriber_is_refused_until_one_leaves(platform: PlatformThread) -> None:
    sockets = [WebSocket(platform.address) for _ in range(64)]
    try:
        key = handshake(KEY)
        answer = platform.ask("GET", "/subscribe", headers=key)
        assert answer.status == 503
        sockets.pop().wire.close()

        def is_taken() -> bool:
            try:
                sockets.append(WebSocket(platform.address))
            except ConnectionRefusedError:
                return False
            return True

        until(is_taken, "a place is free again")
    finally:
        for socket in sockets:
            socket.wire.close()


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Upgrade": "websocket"},
        {"Connection": "Upgrade"},
        {**handshake(KEY), "Upgrade": "h2c"},
        {**handshake(KEY), "Connection": "keep-alive"},
        {**handshake(KEY), "Sec-WebSocket-Key": "short"},
        {**handshake(KEY), "Sec-WebSocket-Key": "\xff"},
        {**handshake(KEY), "Sec-WebSocket-Version": "12"},
        {name: value for name, value in handshake(KEY).items() if name != "Sec-WebSocket-Key"},
        {name: value for name, value in handshake(KEY).items() if name != "Sec-WebSocket-Version"},
    ],
)
def test_what_is_no_handshake_is_400(platform: PlatformThread, headers: dict[str, str]) -> None:
    assert platform.ask("GET", "/subscribe", headers=headers).status == 400


@pytest.mark.parametrize(
    "wrong",
    [
        frame(TEXT, b"\xff\xfe"),
        frame(3, b"reserved"),
        frame(0, b"continues nothing"),
        frame(PING, bytes(126)),
        frame(TEXT, b"x" * 8192),
        frame(CLOSE, b"\x00"),
        b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
        frame(TEXT, b"/bro", final=False) + frame(TEXT, b"adcast"),
    ],
    ids=[
        "no UTF-8",
        "reserved kind",
        "continues nothing",
        "long ping",
        "long text",
        "short close",
        "all bits set",
        "text within text",
    ],
)
def test_wrong_frames_end_the_connection_and_nothing_else(platform: PlatformThread, wrong: bytes) -> None:
    before = platform.tasks()
    with WebSocket(platform.address) as well, WebSocket(platform.address) as socket:
        well.subscribe("/broadcast")
        socket.wire.send(wrong)
        assert socket.wire.is_closed_within(20)
        broadcast(platform)
        assert well.event()
        well.send(CLOSE, b"")
    until(lambda: platform.tasks() <= before, "both are gone")


def test_bytes_are_no_topic(platform: PlatformThread) -> None:
    with WebSocket(platform.address) as socket:
        socket.send(BINARY, b"/broadcast")
        broadcast(platform)
        assert socket.is_silent()


def test_a_topic_in_pieces_is_a_topic(platform: PlatformThread) -> None:
    with WebSocket(platform.address) as socket:
        socket.send(TEXT, b"/broad", final=False)
        socket.send(0, b"cast")
        assert socket.is_silent()
        broadcast(platform)
        assert socket.event()


def test_a_subscriber_that_does_not_read_is_cut_off(platform: PlatformThread) -> None:
    """Each event carries 15 KB, so that the sockets' own buffers are soon full."""
    before = platform.tasks()
    with WebSocket(platform.address, receive_bytes=4096) as dead, WebSocket(platform.address) as alive:
        dead.subscribe("/broadcast")
        alive.subscribe("/broadcast")
        with Wire(platform.address) as wire:
            _flood_until_cut(wire, alive, platform)
        alive.send(CLOSE, b"")
    until(lambda: platform.tasks() <= before, "both are gone")


def _flood_until_cut(wire: Wire, alive: WebSocket, platform: PlatformThread) -> None:
    sender = {"sender-id": "x" * 15_000, "Content-Type": "application/json"}
    with_both = len(platform.tasks())
    sent_bytes = 0
    while len(platform.tasks()) == with_both:
        assert wire.exchange(request_bytes("POST", "/broadcast/a", sender, b"{}"), "POST").status == 200
        assert alive.event()["senderId"] == sender["sender-id"]
        sent_bytes += 15_000
        assert sent_bytes < 20_000_000, "it is not cut off"


def test_the_platform_stops_although_somebody_listens(tmp_path: Path) -> None:
    with PlatformThread(tmp_path, {"lab": FACTORY}) as platform:
        socket = WebSocket(platform.address)
        socket.subscribe("/invoke")
    with socket:
        assert socket.wire.is_closed_within(20)
    assert not _answers(platform.address)


def _answers(address: Address) -> bool:
    try:
        Wire(address).close()
    except OSError:
        return False
    return True
