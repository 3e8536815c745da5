"""Calls over HTTP: what is sent, and what is made of the answer."""

from __future__ import annotations

import asyncio
import json

import pytest

from edge.errors import (
    BadAnswer,
    Cause,
    ParameterMismatch,
    RemoteError,
)
from edge.model.requests import Login, Message
from edge.transport.base import CallOptions
from edge.transport.http import HttpClient, Kind
from tests.unit.scripted import calling, ok, scripted, several, status

# What is sent.


async def test_invoke_sends_arguments_timeout_forward_and_container() -> None:
    async with calling(ok(b"3")) as (transport, script):
        options = CallOptions(container_id="c 7", timeout_s=5)
        assert await transport.invoke("Add", {"x": 1, "y": [None, "ä"]}, "lamp", options) == 3
    assert script.last.line == "POST /invoke/Add/lamp?timeout=5&forward=false&containerId=c%207 HTTP/1.1"
    assert script.last.headers["content-type"] == "application/json; charset=UTF-8"
    assert json.loads(script.last.body) == {"x": 1, "y": [None, "ä"]}


async def test_names_are_percent_encoded() -> None:
    async with calling(ok()) as (transport, script):
        await transport.invoke("a/b?c", {}, "ä +%&")
    assert script.last.line == "POST /invoke/a%2Fb%3Fc/%C3%A4%20%2B%25%26?timeout=-1&forward=false HTTP/1.1"


async def test_dots_are_no_folders() -> None:
    async with calling(ok()) as (transport, script):
        await transport.invoke("..", {}, ".")
    assert script.last.line.startswith("POST /invoke/%2E%2E/%2E?")


async def test_base_url_keeps_its_path_and_loses_its_final_slash() -> None:
    async with scripted(ok(b"{}")) as script, HttpClient() as client:
        transport = client.transport(script.base_url + "/boards/")
        assert await transport.info() == b"{}"
        assert transport.name == script.base_url + "/boards"
    assert script.last.line == "GET /boards/info HTTP/1.1"


async def test_get_carries_the_json_content_type_too() -> None:
    async with calling(ok(b"{}")) as (transport, script):
        await transport.info()
    assert script.last.headers["content-type"] == "application/json; charset=UTF-8"


@pytest.mark.parametrize(("token", "expected"), [("", None), ("abc", "Bearer abc")])
async def test_token_is_sent_as_bearer_only_if_there_is_one(token: str, expected: str | None) -> None:
    async with calling(ok(b"{}"), token=token) as (transport, script):
        await transport.info()
    assert script.last.headers.get("authorization") == expected


async def test_sender_and_idempotency_key_travel_in_headers() -> None:
    async with calling(ok()) as (transport, script):
        await transport.send("a", Message(1), CallOptions(sender_id="http://pi:8000", idempotency_key="s/1/2"))
    assert script.last.headers["sender-id"] == "http://pi:8000"
    assert script.last.headers["idempotency-key"] == "s/1/2"


async def test_login_token_is_sent_on_invoke_and_logout_only() -> None:
    options = CallOptions(login_token='"quoted"')
    async with calling(ok(b"true")) as (transport, script):
        await transport.send("a", Message(), options)
        await transport.broadcast("c", Message(), options)
        async with transport.get_stream("s", None, options):
            pass
        await transport.post_stream("s", several(b"x"), None, options)
        assert all("containerlogintoken" not in request.headers for request in script.requests)
        await transport.invoke("A", {}, None, options)
        assert script.last.headers["containerlogintoken"] == '"quoted"'
        assert await transport.logout(options) is True
        assert script.last.headers["containerlogintoken"] == '"quoted"'


@pytest.mark.parametrize(("kind", "expected"), [(Kind.CONTAINER, ""), (Kind.PLATFORM, None)])
async def test_reply_to_is_no_null_towards_containers(kind: Kind, expected: str | None) -> None:
    async with calling(ok(), kind=kind) as (transport, script):
        await transport.broadcast("news", Message({"a": None}))
        assert json.loads(script.last.body) == {"payload": {"a": None}, "replyTo": expected}
        await transport.send("a", Message(None, "b"))
        assert json.loads(script.last.body) == {"payload": None, "replyTo": "b"}


async def test_stream_of_an_agent_names_it_in_the_query_too_towards_containers() -> None:
    async with calling(ok()) as (transport, script):
        async with transport.get_stream("s", "a b"):
            pass
        assert script.last.line == "GET /stream/s/a%20b?forward=false&agent_id=a%20b HTTP/1.1"
        async with transport.get_stream("s", None):
            pass
        assert script.last.line == "GET /stream/s?forward=false HTTP/1.1"
    async with calling(ok(), kind=Kind.PLATFORM) as (transport, script):
        async with transport.get_stream("s", "a", CallOptions(forward=True)):
            pass
        assert script.last.line == "GET /stream/s/a?forward=true HTTP/1.1"


async def test_nothing_packed_is_asked_for_and_no_proxy_or_cookie_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    async with calling(ok(b"{}", "Set-Cookie: a=b\r\n")) as (transport, script):
        await transport.info()
        await transport.info()
    assert script.last.headers["accept-encoding"] == "identity"
    assert "cookie" not in script.last.headers


async def test_large_body_is_sent_whole() -> None:
    async with calling(ok()) as (transport, script):
        await transport.send("a", Message("x" * 3_000_000))
    assert len(script.last.body) == int(script.last.headers["content-length"]) > 3_000_000


@pytest.mark.parametrize(
    "url",
    [
        "",
        "pi:8000",
        "ftp://pi",
        "http://",
        "http://pi:99999",
        "http://pi/?a",
        "http://a@pi",
        "http://p i",
        "http://[::1",
        "http://ⓛocalhost%:9",
        "http://pi/" + "x" * 3000,
    ],
)
async def test_unusable_base_url_is_the_callers_mistake(url: str) -> None:
    async with HttpClient() as client:
        with pytest.raises(ParameterMismatch, match="expected an absolute URL"):
            client.transport(url)


async def test_unusable_token_is_the_callers_mistake() -> None:
    async with HttpClient() as client:
        with pytest.raises(ParameterMismatch, match="token"):
            client.transport("http://pi", token="a\r\nb")


# What is made of the answer.


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b"null", None),
        (b'"on"', "on"),
        (b" 1.10 ", 1.1),
        (b"1" * 30, int("1" * 30)),
    ],
)
async def test_invoke_returns_any_json_value(body: bytes, value: object) -> None:
    async with calling(ok(body)) as (transport, _):
        assert await transport.invoke("A", {}, None) == value


@pytest.mark.parametrize("body", [b"", b" ", b"on", b"{", b"NaN", b"1 2", b'"\xff"', b"[" * 5000 + b"]" * 5000])
async def test_success_that_is_no_json_is_a_bad_answer(body: bytes) -> None:
    async with calling(ok(body)) as (transport, script):
        with pytest.raises(BadAnswer, match="/invoke/A"):
            await transport.invoke("A", {}, None)
    assert len(script.requests) == 1


@pytest.mark.parametrize(
    ("body", "cause"),
    [
        (b'{"statusCode":500,"message":"boom","cause":null}', Cause(500, "boom")),
        (b'{"statusCode":666,"message":"boom"}', Cause(666, "boom")),
        (
            b'{"statusCode":null,"message":null,"cause":{"statusCode":1,"message":"in"}}',
            Cause(None, None, Cause(1, "in")),
        ),
        (b"null", None),
        (b"", Cause(404, None)),
        (b'{"detail":"no"}', Cause(404, '{"detail":"no"}')),
        (b"<html>no</html>", Cause(404, "<html>no</html>")),
        (b"\xff", Cause(404, "\ufffd")),
        (b'{"cause":' * 200 + b"null" + b"}" * 200, Cause(404, '{"cause":' * 200 + "null" + "}" * 200)),
    ],
)
async def test_error_answers_become_causes(body: bytes, cause: Cause | None) -> None:
    async with calling(status(404, body)) as (transport, script):
        with pytest.raises(RemoteError) as caught:
            await transport.invoke("A", {}, None)
    assert caught.value.cause == cause
    assert script.base_url in caught.value.message


async def test_endless_error_is_cut() -> None:
    async def rant(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 500 No\r\n\r\n")
        while True:
            writer.write(b"x" * 10_000)
            await writer.drain()

    async with calling(rant) as (transport, script):
        with pytest.raises(RemoteError) as caught:
            await transport.info()
        await script.gone.wait()
    assert caught.value.cause is not None
    message = caught.value.cause.message or ""
    assert len(message) == 64 * 1024 + 2
    assert message.endswith(" …")


@pytest.mark.parametrize("code", [301, 302, 304, 307])
async def test_redirects_are_not_followed(code: int) -> None:
    reply = f"HTTP/1.1 {code} Away\r\nLocation: http://127.0.0.1:1/x\r\nContent-Length: 0\r\n\r\n".encode()
    async with calling(reply) as (transport, script):
        with pytest.raises(RemoteError, match="redirects are not followed"):
            await transport.info()
        with pytest.raises(RemoteError, match="redirects are not followed"):
            await transport.send("a", Message(1))
    assert len(script.requests) == 2


@pytest.mark.parametrize(
    ("body", "token"), [(b"abc", "abc"), (b'"abc"', '"abc"'), (b"abc\r\n", "abc"), ("ä".encode(), "ä")]
)
async def test_login_returns_the_token_verbatim(body: bytes, token: str) -> None:
    async with calling(ok(body)) as (transport, script):
        assert await transport.login(Login(username="u", password="p")) == token
    assert json.loads(script.last.body) == {"username": "u", "password": "p"}


@pytest.mark.parametrize("body", [b"\xff", b"a\r\nEvil: header", b"a\x00"])
async def test_login_refuses_what_cannot_stand_in_a_header(body: bytes) -> None:
    async with calling(ok(body)) as (transport, _):
        with pytest.raises(BadAnswer):
            await transport.login(Login(username="u", password="p"))


@pytest.mark.parametrize("body", [b"", b"1", b'"true"', b"null"])
async def test_logout_expects_a_boolean(body: bytes) -> None:
    async with calling(ok(body)) as (transport, _):
        with pytest.raises(BadAnswer):
            await transport.logout(CallOptions(login_token="t"))


async def test_answer_above_the_limit_is_refused_unread() -> None:
    async def promise(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n")

    async with calling(promise) as (transport, _):
        with pytest.raises(BadAnswer, match="larger than 16777216 bytes"):
            await transport.info()


async def test_answer_without_length_is_cut_at_the_limit() -> None:
    async def flood(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            writer.write(b"x" * 100_000)
            await writer.drain()

    async with calling(flood) as (transport, script):
        with pytest.raises(BadAnswer, match="larger than"):
            await transport.invoke("A", {}, None)
        await script.gone.wait()


async def test_send_is_done_when_the_status_is_there() -> None:
    async def dawdle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(len('{"payload":1,"replyTo":""}'))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nnull")
        await reader.readexactly(1)

    async with calling(dawdle) as (transport, _):
        async with asyncio.timeout(15):
            await transport.send("a", Message(1))
