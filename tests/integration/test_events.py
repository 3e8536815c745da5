"""Which requests make which events, and what the history keeps (contract, section 9.4)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.contract.running import PlatformThread, until
from tests.contract.wire import Wire, chunked, request_bytes
from tests.integration.laboratory import FACTORY, Laboratory


def history(platform: PlatformThread) -> list[dict[str, Any]]:
    events = platform.ask("GET", "/history").json()
    assert isinstance(events, list)
    return events


def test_a_call_that_succeeds_is_call_and_success(platform: PlatformThread) -> None:
    platform.ask("POST", "/invoke/Say/lab?timeout=5", json_body={"text": "a"}, headers={"sender-id": "c1"})
    call, success = history(platform)
    route = {"route": "POST /invoke/Say/lab", "senderId": "c1"}
    assert call == {"id": call["id"], "timestamp": call["timestamp"], "eventType": "CALL", **route}
    assert success == {
        "id": success["id"],
        "timestamp": success["timestamp"],
        "eventType": "SUCCESS",
        "relatedId": call["id"],
        **route,
    }
    assert success["id"] != call["id"]
    assert success["timestamp"] >= call["timestamp"]


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/invoke/Unknown", b"{}", 404),
        ("POST", "/invoke/Say", b"{}", 400),
        ("POST", "/invoke/Say", b"{", 422),
        ("POST", "/invoke/Say", b"null", 400),
        ("POST", "/invoke/Say?timeout=soon", b"{}", 400),
        ("POST", "/send/nobody", b"{}", 404),
        ("POST", "/stream/Refuse", b"piece", 502),
        ("GET", "/stream/Unknown", b"", 404),
        ("POST", "/containers", b'{"image": {"imageName": "no-such-image"}}', 404),
        ("PUT", "/containers", b'{"image": {"imageName": "no-such-image"}}', 400),
        ("POST", "/containers/notify", b"none", 404),
        ("POST", "/containers/some-id", b"", 405),
        ("DELETE", "/containers", b"", 405),
        ("POST", "/invoke", b"{}", 404),
        ("POST", "/sending", b"{}", 404),
        ("GET", "/streams/of/letters", b"", 404),
    ],
)
def test_a_call_that_fails_is_call_and_error(
    platform: PlatformThread, method: str, path: str, body: bytes, status: int
) -> None:
    assert platform.ask(method, path, body=body).status == status
    call, error = history(platform)
    assert set(call) == {"id", "timestamp", "eventType", "route"}
    assert set(error) == {"id", "timestamp", "eventType", "route", "statusCode", "relatedId"}
    assert (call["eventType"], error["eventType"]) == ("CALL", "ERROR")
    assert call["route"] == error["route"] == f"{method} {path.partition('?')[0]}"
    assert error["relatedId"] == call["id"]
    assert error["statusCode"] == status


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/info"),
        ("GET", "/agents"),
        ("GET", "/containers"),
        ("GET", "/history"),
        ("GET", "/invoke/Say"),
        ("GET", "/nothing"),
        ("POST", "/nothing"),
        ("POST", "/agents"),
        ("PUT", "/invoke/Say"),
        ("DELETE", "/stream/Drip"),
        ("OPTIONS", "/invoke/Say"),
        ("GET", "/v3/api-docs/actions"),
        ("POST", "/containers%2F"),
    ],
)
def test_other_requests_make_no_events(platform: PlatformThread, method: str, path: str) -> None:
    platform.ask(method, path)
    assert history(platform) == []


def test_routes_stand_as_they_were_sent(platform: PlatformThread) -> None:
    platform.ask("POST", "/send/two%20w%c3%b6rds+1?forward=no", json_body={})
    assert [event["route"] for event in history(platform)] == ["POST /send/two%20w%c3%b6rds+1"] * 2


def test_deleting_nothing_is_a_success(platform: PlatformThread) -> None:
    platform.ask("DELETE", "/containers/none")
    assert [event["eventType"] for event in history(platform)] == ["CALL", "SUCCESS"]


def test_calls_at_the_same_time_are_told_apart(platform: PlatformThread) -> None:
    request = request_bytes("POST", "/stream/Keep/lab", {"Transfer-Encoding": "chunked", "sender-id": "slow"})
    with Wire(platform.address) as slow:
        slow.send(request)
        until(lambda: history(platform), "the first call is seen")
        platform.ask("POST", "/stream/Keep/lab", body=b"x", headers={"sender-id": "quick"})
        slow.exchange(chunked([b"y"]), "POST")
    events = history(platform)
    calls = {event["id"]: event for event in events if event["eventType"] == "CALL"}
    ends = [event for event in events if event["eventType"] == "SUCCESS"]
    assert [end["senderId"] for end in ends] == ["quick", "slow"]
    assert [calls[end["relatedId"]]["senderId"] for end in ends] == ["quick", "slow"]


def test_a_stream_succeeds_when_it_begins(platform: PlatformThread, lab: Laboratory) -> None:
    with Wire(platform.address) as wire:
        wire.send(request_bytes("GET", "/stream/Drip/lab"))
        assert wire.read_head().status == 200
        assert [event["eventType"] for event in history(platform)] == ["CALL", "SUCCESS"]
    until(lambda: "drips no more" in lab.seen, "the stream is closed")
    assert [event["eventType"] for event in history(platform)] == ["CALL", "SUCCESS"]


def test_a_caller_who_leaves_is_an_error(platform: PlatformThread, lab: Laboratory) -> None:
    with Wire(platform.address) as wire:
        wire.send(request_bytes("POST", "/invoke/Wait/lab", {"Content-Type": "application/json"}, b"{}"))
        until(lambda: "waits" in lab.seen, "the action runs")
    until(lambda: len(history(platform)) == 2, "the call has an end")
    call, error = history(platform)
    assert (error["eventType"], error["relatedId"]) == ("ERROR", call["id"])


def test_the_history_keeps_the_latest_entries(tmp_path: Path) -> None:
    with PlatformThread(tmp_path, event_history_size=3) as platform:
        for name in "abc":
            platform.ask("POST", f"/broadcast/{name}", json_body={})
        events = history(platform)
    assert [(event["eventType"], event["route"]) for event in events] == [
        ("SUCCESS", "POST /broadcast/b"),
        ("CALL", "POST /broadcast/c"),
        ("SUCCESS", "POST /broadcast/c"),
    ]


@pytest.mark.parametrize(("size", "kept"), [(0, 0), (1, 1), (-1, 160), (50, 50)])
def test_the_history_is_as_long_as_configured(tmp_path: Path, size: int, kept: int) -> None:
    with PlatformThread(tmp_path, {"lab": FACTORY}, event_history_size=size) as platform:
        with Wire(platform.address) as wire:
            for _ in range(80):
                wire.exchange(
                    request_bytes("POST", "/broadcast/a", {"Content-Type": "application/json"}, b"{}"), "POST"
                )
        events = history(platform)
    assert len(events) == kept
    assert len({event["id"] for event in events}) == kept
