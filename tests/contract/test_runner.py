"""The runner of the fixtures finds what is wrong: it is held against a server that answers as it is told."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.contract.fixtures import BadFixture, Case, Face, hold, load, wrong_error
from tests.contract.patterns import BadPattern, mismatch
from tests.contract.wire import Address, BadHttp, Wire, WireClosed, ask, chunked, request_bytes


@contextmanager
def server(*answers: bytes) -> Iterator[tuple[Address, list[bytes]]]:
    """Answer one connection after the other with these bytes; yields its address and what was asked."""
    asked: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(20)

        def run() -> None:
            for answer in answers:
                connection, _ = listening.accept()
                with connection:
                    connection.settimeout(20)
                    asked.append(_request(connection))
                    connection.sendall(answer)

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield listening.getsockname(), asked
        finally:
            thread.join()


def _request(connection: socket.socket) -> bytes:
    data = b""
    while b"\r\n\r\n" not in data:
        data += connection.recv(65536)
    head, _, body = data.partition(b"\r\n\r\n")
    length = next((int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0)
    while len(body) < length or (b"chunked" in head and not body.endswith(b"0\r\n\r\n")):
        data = connection.recv(65536)
        body += data
    return head + b"\r\n\r\n" + body


def answer(status: int, body: bytes = b"", content_type: str | None = "application/json", *more: str) -> bytes:
    lines = [f"HTTP/1.1 {status} Text", f"Content-Length: {len(body)}", *more]
    if content_type:
        lines.append(f"Content-Type: {content_type}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def case(expect: dict[str, Any], **request: Any) -> Case:
    step = {"request": {"method": "GET", "path": "/x", **request}, "expect": expect}
    return Case("a case", ("platform",), "container", {}, (step,), {})


ERROR = b'{"statusCode": 404, "message": "no"}'
GENERIC = b'{"timestamp": 1776784419123, "status": 404, "error": "Not Found", "path": "/x"}'


@pytest.mark.parametrize(
    ("expect", "answered"),
    [
        ({"status": 200}, answer(200)),
        ({"status": [200, 404]}, answer(404)),
        ({"status": 200, "zero": True, "headers": {"Content-Type": None}}, answer(200, b"", None)),
        ({"status": 200, "text": "1.1"}, answer(200, b"1.1")),
        ({"status": 200, "base64": "AP8="}, answer(200, b"\x00\xff", "application/octet-stream")),
        ({"status": 200, "json": {"a": {"$any": "int"}}}, answer(200, b'{"a": 1}')),
        ({"status": 404, "ER": {}}, answer(404, ERROR)),
        ({"status": 404, "GE": {"path": "/x"}}, answer(404, GENERIC)),
        ({"status": 401, "TX": True}, answer(401, b"Missing Token.", None)),
        (
            {"status": 200, "headers": {"Content-Type": "text/plain;charset=UTF-8"}},
            answer(200, b"a", "text/plain; charset=utf-8"),
        ),
        ({"status": 200, "headers": {"Vary": {"$set": ["A", "B"]}}}, answer(200, b"", None, "Vary: b", "Vary: a")),
        (
            {"status": 200, "text": "chunks"},
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nchu\r\n3\r\nnks\r\n0\r\n\r\n",
        ),
        ({"status": 200, "text": "to the end"}, b"HTTP/1.1 200 OK\r\n\r\nto the end"),
        ({"status": 200}, b"HTTP/1.1 100 Continue\r\n\r\n" + answer(200)),
    ],
)
def test_right_answers_pass(expect: dict[str, Any], answered: bytes) -> None:
    with server(answered) as (address, _):
        hold(case(expect), Face("stand-in", "platform", address))


@pytest.mark.parametrize(
    ("expect", "answered"),
    [
        ({"status": 200}, answer(500)),
        ({"status": [200, 404]}, answer(201)),
        ({"status": 200, "zero": True}, answer(200, b"null")),
        ({"status": 200, "headers": {"Content-Type": None}}, answer(200, b"", "text/plain")),
        ({"status": 200, "headers": {"Allow": "GET"}}, answer(200)),
        ({"status": 200, "headers": {"Allow": "GET"}}, answer(200, b"", None, "Allow: GET, POST")),
        ({"status": 200, "headers": {"Vary": {"$set": ["A", "B"]}}}, answer(200, b"", None, "Vary: A")),
        ({"status": 200, "text": "1.1"}, answer(200, b"1.10")),
        ({"status": 200, "text": "a"}, answer(200, b"a\n")),
        ({"status": 200, "json": 1}, answer(200, b"true")),
        ({"status": 200, "json": {"a": 1}}, answer(200, b'{"a": 1, "b": null}')),
        ({"status": 200, "json": 1}, answer(200, b"1", "application/json;charset=utf-8")),
        ({"status": 200, "json": 1}, answer(200, b"1", "text/plain")),
        ({"status": 200, "json": {}}, answer(200, b"<html>")),
        ({"status": 404, "ER": {}}, answer(404, b'{"statusCode": 404, "message": "no", "cause": null}')),
        ({"status": 404, "ER": {}}, answer(404, b'{"statusCode": 400, "message": "no"}')),
        ({"status": 404, "ER": {"cause": {"$any": "object"}}}, answer(404, ERROR)),
        ({"status": 404, "ER": {}}, answer(404, GENERIC)),
        ({"status": 404, "GE": {}}, answer(404, ERROR)),
        ({"status": 404, "GE": {"path": "/y"}}, answer(404, GENERIC)),
        ({"status": 404, "GE": {}}, answer(404, GENERIC.replace(b"1776784419123", b"1776784419"))),
        ({"status": 401, "TX": True}, answer(401, ERROR)),
    ],
)
def test_wrong_answers_fail(expect: dict[str, Any], answered: bytes) -> None:
    with server(answered) as (address, _), pytest.raises(AssertionError):
        hold(case(expect), Face("stand-in", "platform", address))


@pytest.mark.parametrize(
    "error",
    [
        {"statusCode": 502, "message": "a", "cause": None},
        {"statusCode": 502, "message": "a", "cause": {"statusCode": 500, "message": "b", "cause": None}},
        {"statusCode": 502, "message": "a", "cause": {"statusCode": 500, "message": "b", "detail": "c"}},
        {"statusCode": 502, "message": "a", "cause": {"message": "b"}},
        {"statusCode": 502, "message": "a", "cause": "b"},
        {"statusCode": 502, "message": ""},
        {"statusCode": 502},
        {"statusCode": "502", "message": "a"},
        {"statusCode": 502, "message": "Traceback (most recent call last)"},
        {"statusCode": 502, "message": "a", "cause": {"statusCode": True, "message": "b"}},
        [],
    ],
)
def test_wrong_errors_are_found_at_every_depth(error: Any) -> None:
    assert wrong_error(error, 502)
    assert wrong_error({"statusCode": 502, "message": "a", "cause": error}, 502) or error in (
        {"statusCode": 502, "message": ""},
    )


def test_right_errors_pass() -> None:
    inner = {"statusCode": None, "message": None}
    assert (
        wrong_error(
            {"statusCode": 502, "message": "a", "cause": {"statusCode": 666, "message": "b", "cause": inner}}, 502
        )
        is None
    )


def test_requests_are_sent_as_they_are_written() -> None:
    with server(answer(200)) as (address, asked):
        face = Face("stand-in", "platform", address, headers={"Authorization": "Bearer t"})
        hold(
            case(
                {"status": 200}, method="ODD", path="//a%2F\\..", text="{", headers={"Content-Type": None, "X-A": "1"}
            ),
            face,
        )
    host = "{}:{}".format(*address)
    head = f"ODD //a%2F\\.. HTTP/1.1\r\nHost: {host}\r\nX-A: 1\r\nAuthorization: Bearer t\r\nContent-Length: 1"
    assert asked == [f"{head}\r\n\r\n{{".encode()]


def test_headers_of_the_face_can_be_replaced_and_left_out() -> None:
    with server(answer(200), answer(200)) as (address, asked):
        face = Face("stand-in", "platform", address, headers={"Authorization": "Bearer t"})
        hold(case({"status": 200}, headers={"authorization": None}), face)
        hold(case({"status": 200}, headers={"Authorization": "Bearer other"}), face)
    assert b"uthorization" not in asked[0]
    assert asked[1].count(b"Authorization: Bearer other") == 1
    assert b"Bearer t\r" not in asked[1]


def test_chunked_bodies_are_two_chunks() -> None:
    with server(answer(200)) as (address, asked):
        hold(case({"status": 200}, text="abcd", chunked=True), Face("stand-in", "platform", address))
    assert asked[0].endswith(b"\r\n\r\n2\r\nab\r\n2\r\ncd\r\n0\r\n\r\n")
    assert b"Content-Length" not in asked[0]


def test_what_was_captured_is_used() -> None:
    steps = (
        {
            "request": {"method": "GET", "path": "/x"},
            "expect": {"status": 200},
            "capture": {"id": "/0/id", "all": "$text"},
        },
        {
            "request": {"method": "GET", "path": "/${id}", "json": {"id": "${id}", "${id}": "a ${id}"}},
            "expect": {"status": 200, "json": "${id}"},
        },
    )
    with server(answer(200, b'[{"id": 7}]'), answer(200, b"7")) as (address, asked):
        hold(Case("a case", ("platform",), "container", {}, steps, {}), Face("stand-in", "platform", address))
    assert asked[1].startswith(b"GET /7 ")
    assert asked[1].endswith(b'{"id": 7, "7": "a 7"}')


def test_what_comes_eventually_is_waited_for() -> None:
    steps = ({"request": {"method": "GET", "path": "/x"}, "expect": {"status": 200, "text": "2"}, "eventually": True},)
    with server(answer(200, b"1"), answer(200, b"1"), answer(200, b"2")) as (address, asked):
        hold(Case("a case", ("platform",), "container", {}, steps, {}), Face("stand-in", "platform", address))
    assert len(asked) == 3


@pytest.mark.parametrize(
    ("pattern", "value", "fits"),
    [
        (1, 1, True), (1, 1.0, False), (1, True, False), (None, 0, False), ("a", "a", True),
        ([1, 2], [1, 2], True), ([1, 2], [2, 1], False), ([1], [1, 1], False),
        ({"a": 1}, {"a": 1}, True), ({"a": 1}, {}, False), ({}, {"a": 1}, False), ({}, [], False),
        ({"$like": {"a": 1}}, {"a": 1, "b": 2}, True), ({"$like": {"a": 1}}, {"a": 2}, False),
        ({"$like": {}}, [], False), ({"$in": [1, None]}, None, True), ({"$in": [1, None]}, 2, False),
        ({"$contains": "b"}, "abc", True), ({"$contains": "b"}, 5, False),
        ({"$has": [{"$like": {"a": 1}}]}, [{"b": 1}, {"a": 1, "c": 1}], True),
        ({"$has": [1]}, [2], False), ({"$has": []}, {}, False),
        ({"$each": {"$any": "int"}}, [1, 2], True), ({"$each": {"$any": "int"}}, [1, "2"], False),
        ({"$any": "uuid"}, "0b7d8a1e-6a53-4a0c-9d0e-3f5f6a7b8c9d", True), ({"$any": "uuid"}, "0b7d8a1e", False),
        ({"$any": "int"}, True, False), ({"$any": "date"}, "2026-04-21T13:13:39.120Z", True),
        ({"$any": "date"}, "2026-04-21T13:13:39.12Z", False),
        ({"$any": "date"}, "2026-04-21T13:13:39.120+00:00", False),
        ({"$any": "timestamp-ms"}, 1776784419123, True), ({"$any": "timestamp-ms"}, 1776784419, False),
        ({"$any": "timestamp-ms"}, 1776784419123.0, False), ({"$any": "url"}, "http://a:1", True),
        ({"$any": "url"}, "http://a:1/", False), ({"$any": "text"}, "", False), ({"$any": "anything"}, None, True),
    ],
)  # fmt: skip
def test_patterns_fit_what_they_should(pattern: Any, value: Any, fits: bool) -> None:
    assert (mismatch(pattern, value) is None) == fits


@pytest.mark.parametrize("pattern", [{"$any": "thing"}, {"$an": 1}, {"$any": "int", "x": 1}])
def test_unknown_placeholders_are_refused(pattern: Any) -> None:
    with pytest.raises(BadPattern):
        mismatch(pattern, 1)


@pytest.mark.parametrize(
    "change",
    [
        lambda case: case.update(setups="empty"),
        lambda case: case.update(setup="full"),
        lambda case: case.update(applies="board"),
        lambda case: case["expect"].update(body="x"),
        lambda case: case["expect"].pop("status"),
        lambda case: case["request"].update(body="x"),
        lambda case: case["request"].pop("path"),
        lambda case: case["request"].update(text="a", json={}),
    ],
)
def test_misspelt_fixtures_are_refused(change: Callable[[dict[str, Any]], object], tmp_path: Path) -> None:
    entry: dict[str, Any] = {"name": "a", "request": {"method": "GET", "path": "/"}, "expect": {"status": 200}}
    document = {"about": "", "applies": "both", "cases": [entry]}
    (tmp_path / "a.json").write_text(json.dumps(document))
    assert [case.name for case in load(tmp_path)] == ["a: a"]
    change(entry)
    (tmp_path / "a.json").write_text(json.dumps(document))
    with pytest.raises(BadFixture):
        load(tmp_path)


def test_rows_become_cases_with_variables(tmp_path: Path) -> None:
    entry = {
        "name": "${it}",
        "each": ["a", "b"],
        "request": {"method": "GET", "path": "/${it}"},
        "expect": {"status": 200},
    }
    (tmp_path / "a.json").write_text(json.dumps({"about": "", "applies": "platform", "cases": [entry]}))
    assert [(case.name, case.variables) for case in load(tmp_path)] == [("a: a", {"it": "a"}), ("a: b", {"it": "b"})]


@pytest.mark.parametrize(
    "broken",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
    ],
)
def test_answers_that_break_off_are_noticed(broken: bytes) -> None:
    with server(broken) as (address, _), pytest.raises(WireClosed):
        ask(address, "GET", "/")


@pytest.mark.parametrize(
    "broken",
    [
        b"nonsense\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
)
def test_answers_that_are_no_http_are_noticed(broken: bytes) -> None:
    with server(broken) as (address, _), pytest.raises(BadHttp):
        ask(address, "GET", "/")


def test_pieces_are_seen_one_by_one() -> None:
    body = chunked([b"one", b"two"])
    with server(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + body) as (address, _), Wire(address) as wire:
        wire.send(request_bytes("GET", "/"))
        assert list(wire.read_pieces(wire.read_head())) == [b"one", b"two"]
