"""Limits of the server (contract, Decision 17), with the long times shortened."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from edge.http import limits, request
from edge.http.limits import Limits
from tests.contract.running import PlatformThread, until
from tests.contract.wire import Wire, WireClosed, chunked, request_bytes
from tests.integration import laboratory
from tests.integration.laboratory import FACTORY, Laboratory

JSON = {"Content-Type": "application/json"}
MIB = 1024 * 1024
INFO = request_bytes("GET", "/info")


@contextmanager
def limited(folder: Path, **bounds: float) -> Iterator[PlatformThread]:
    with PlatformThread(folder, {"lab": FACTORY}, Limits(**bounds)) as platform:  # type: ignore[arg-type]
        yield platform


def test_the_limits_are_those_of_the_contract() -> None:
    usual = Limits()
    assert (usual.max_body_bytes, usual.max_bodies_bytes) == (16 * MIB, 64 * MIB)
    assert (usual.max_connections, usual.max_head_bytes) == (256, 16 * 1024)
    assert (usual.head_time_s, usual.idle_time_s, usual.stall_time_s) == (10, 75, 30)
    assert usual.stall_bytes == 256 * 1024


def test_the_257th_connection_is_refused_until_one_ends(platform: PlatformThread, lab: Laboratory) -> None:
    with ExitStack() as taken:
        wires = [taken.enter_context(Wire(platform.address)) for _ in range(256)]
        for wire in wires:
            wire.send(request_bytes("POST", "/invoke/Wait/lab", JSON, b"{}"))
        until(lambda: lab.seen.count("waits") == 256, "all places are taken")
        with Wire(platform.address) as wire:
            assert wire.exchange(INFO).status == 503
            assert wire.is_closed_within(20)
        wires[7].close()
        until(lambda: "waits no more" in lab.seen, "one left")
        assert platform.ask("GET", "/info").status == 200


def test_many_idle_connections_keep_nobody_out(platform: PlatformThread, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "_EVICTABLE_IDLE_S", 0.1)
    with ExitStack() as taken:
        wires = [taken.enter_context(Wire(platform.address)) for _ in range(256)]
        assert {wire.exchange(INFO).status for wire in wires} == {200}
        until(lambda: platform.ask("GET", "/info").status == 200, "a new one is served")


@pytest.mark.parametrize("is_chunked", [False, True])
def test_a_body_of_16_mib_is_taken_and_no_more(platform: PlatformThread, is_chunked: bool) -> None:
    def answer(size: int) -> int:
        body = b'{"payload": "' + bytes(size - 15).replace(b"\0", b"x") + b'"}'
        headers = {**JSON, "Transfer-Encoding": "chunked"} if is_chunked else JSON
        pieces = [body[start : start + MIB] for start in range(0, len(body), MIB)]
        with Wire(platform.address) as wire:
            wire.send(request_bytes("POST", "/broadcast/a", headers, chunked(pieces) if is_chunked else body))
            return wire.read_response("POST").status

    assert answer(16 * MIB) == 200
    assert answer(16 * MIB + 1) == 413


def test_a_body_that_announces_too_much_is_not_waited_for(platform: PlatformThread) -> None:
    with Wire(platform.address) as wire:
        wire.send(request_bytes("POST", "/broadcast/a", {**JSON, "Content-Length": str(10**15)}))
        assert wire.read_response("POST").status == 413
        wire.end_sending()
        assert wire.is_closed_within(20)


def test_bodies_in_flight_are_bounded_together(tmp_path: Path) -> None:
    with limited(tmp_path, max_bodies_bytes=400_000) as platform, ExitStack() as held:
        head = request_bytes("POST", "/send/lab", {**JSON, "Content-Length": "100000"})
        wires = [held.enter_context(Wire(platform.address)) for _ in range(4)]
        for wire in wires:
            wire.send(head)
            wire.send(bytes(99_000))
        # More than a server reads at once, so that it is a body that has to be waited for.
        body = b'{"payload": "' + b"x" * 350_000 + b'"}'

        def status() -> int:
            with Wire(platform.address) as wire:
                wire.send(request_bytes("POST", "/broadcast/a", {**JSON, "Content-Length": str(len(body))}))
                wire.send(body)
                return wire.read_response("POST").status

        until(lambda: status() == 503, "all that may be held is held")
        assert platform.ask("POST", "/invoke/Say", json_body={"text": "a"}).status == 200
        for wire in wires:
            wire.close()
        until(lambda: status() == 200, "what they held is given back")


def test_streams_do_not_count_as_bodies(tmp_path: Path) -> None:
    with limited(tmp_path, max_bodies_bytes=100_000, max_body_bytes=100_000) as platform:
        assert platform.ask("POST", "/stream/Sink", body=bytes(1_000_000)).status == 200
        assert platform.ask("POST", "/invoke/Taken", json_body={}).json() == 1_000_000


@pytest.mark.parametrize("begun", [b"G", b"GET /info HTTP/1.1\r\n", b"GET /info HTTP/1.1\r\nX-A: ", INFO[:-2]])
def test_a_head_must_come_in_time(tmp_path: Path, begun: bytes) -> None:
    with limited(tmp_path, head_time_s=0.2) as platform, Wire(platform.address) as wire:
        wire.send(begun)
        assert wire.read_response().status == 408
        assert wire.is_closed_within(20)


def test_dripping_a_head_gains_no_time(tmp_path: Path) -> None:
    with limited(tmp_path, head_time_s=0.3) as platform, Wire(platform.address) as wire:
        started = time.monotonic()
        with pytest.raises(OSError):
            for byte in INFO[:-2] + b"X-Filler: " + b"x" * 1000:
                wire.socket.send(bytes([byte]))
                time.sleep(0.02)
        assert time.monotonic() - started < 15  # the whole of it takes 20 s


def test_the_second_head_must_come_in_time_too(tmp_path: Path) -> None:
    with limited(tmp_path, head_time_s=0.5) as platform, Wire(platform.address) as wire:
        assert wire.exchange(INFO).status == 200
        wire.send(INFO[:10])
        assert wire.read_response().status == 408


@pytest.mark.parametrize("first", [b"", INFO])
def test_an_idle_connection_is_closed(tmp_path: Path, first: bytes) -> None:
    with limited(tmp_path, idle_time_s=0.4) as platform, Wire(platform.address) as wire:
        if first:
            assert wire.exchange(first).status == 200
        assert wire.is_closed_within(20)


def test_a_long_call_is_no_idle_connection(tmp_path: Path) -> None:
    with limited(tmp_path, idle_time_s=0.4, head_time_s=0.4) as platform, Wire(platform.address) as wire:
        wire.send(request_bytes("GET", "/stream/Drip"))
        head = wire.read_head()
        assert not wire.is_closed_within(0.9)
        assert head.status == 200


def test_a_body_must_come_in_time(platform: PlatformThread, monkeypatch: pytest.MonkeyPatch) -> None:
    assert request._BODY_TIME_S == 30
    monkeypatch.setattr(request, "_BODY_TIME_S", 0.2)
    with Wire(platform.address) as wire:
        wire.send(request_bytes("POST", "/send/lab", {**JSON, "Content-Length": "50"}) + b'{"payload"')
        assert wire.read_response("POST").status == 408


def test_a_stream_may_come_slowly(platform: PlatformThread, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request, "_BODY_TIME_S", 0.05)
    lab = laboratory.LATEST[0]
    with Wire(platform.address) as wire:
        wire.send(request_bytes("POST", "/stream/Keep/lab", {"Content-Length": "2"}) + b"a")
        until(lambda: lab.taken == [b"a"], "the first half is there")
        assert not wire.is_closed_within(0.3)
        wire.send(b"b")
        wire.socket.settimeout(20)
        assert wire.read_response("POST").status == 200


def test_a_client_that_asks_before_sending_is_told_to_go_on(platform: PlatformThread) -> None:
    body = b'{"text": "a"}'
    headers = {**JSON, "Expect": "100-continue", "Content-Length": str(len(body))}
    with Wire(platform.address) as wire:
        wire.send(request_bytes("POST", "/invoke/Say/lab", headers))
        assert wire.read_head(interim=True).status == 100
        wire.send(body)
        assert wire.read_response("POST").text == '"a"'


def test_a_client_that_asks_is_told_no_before_it_sends(platform: PlatformThread) -> None:
    headers = {**JSON, "Expect": "100-continue", "Content-Length": str(17 * MIB)}
    with Wire(platform.address) as wire:
        wire.send(request_bytes("POST", "/invoke/Say/lab", headers))
        assert wire.read_head(interim=True).status == 413


def test_requests_in_a_row_are_answered_in_order(platform: PlatformThread) -> None:
    requests = [request_bytes("POST", "/invoke/Say", JSON, b'{"text": "%d"}' % number) for number in range(20)]
    with Wire(platform.address) as wire:
        wire.send(b"".join(requests) + request_bytes("GET", "/nothing"))
        assert [wire.read_response("POST").text for _ in requests] == [f'"{number}"' for number in range(20)]
        assert wire.read_response().status == 404


@pytest.mark.parametrize(
    ("head", "stays"),
    [
        (b"GET /info HTTP/1.1\r\nHost: a\r\n", True),
        (b"GET /info HTTP/1.1\r\nHost: a\r\nConnection: close\r\n", False),
        (b"GET /info HTTP/1.0\r\n", False),
        (b"GET /info HTTP/1.0\r\nConnection: keep-alive\r\n", True),
        (b"GET http://a.example:8000/info HTTP/1.1\r\nHost: a\r\n", True),
    ],
)
def test_a_connection_stays_open_where_it_should(platform: PlatformThread, head: bytes, stays: bool) -> None:
    with Wire(platform.address) as wire:
        answer = wire.exchange(head + b"\r\n")
        assert (answer.status, answer.json()["baseUrl"]) == (200, platform.base_url)
        if stays:
            assert wire.exchange(INFO).status == 200
        else:
            assert wire.is_closed_within(20)


def test_head_asks_for_the_head_only(platform: PlatformThread) -> None:
    with Wire(platform.address) as wire:
        answer = wire.exchange(request_bytes("HEAD", "/info"), "HEAD")
        assert answer.status in (200, 405)
        assert wire.exchange(INFO).json()["baseUrl"] == platform.base_url


@pytest.mark.parametrize("headers", [JSON, {**JSON, "Transfer-Encoding": "chunked"}])
def test_what_is_refused_unread_confuses_no_later_request(platform: PlatformThread, headers: dict[str, str]) -> None:
    """A body that nobody wants must not be taken for the next request."""
    smuggled = request_bytes("POST", "/broadcast/smuggled", JSON, b"{}")
    body = chunked([smuggled]) if "Transfer-Encoding" in headers else smuggled
    with Wire(platform.address) as wire:
        assert wire.exchange(request_bytes("POST", "/nothing", headers, body), "POST").status == 404
        _try(lambda: wire.exchange(INFO))
    routes = {event["route"] for event in platform.ask("GET", "/history").json()}
    assert "POST /broadcast/smuggled" not in routes


def _try(work: Callable[[], object]) -> None:
    try:
        work()
    except WireClosed:
        pass
