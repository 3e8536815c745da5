"""Calls over HTTP against scripted servers, which answer byte for byte what they are told to."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from edge.errors import (
    BadAnswer,
    Cause,
    OpacaError,
    OutcomeUnknown,
    ParameterMismatch,
    RemoteError,
    TooLarge,
    Unreachable,
)
from edge.model.requests import Login, Message
from edge.transport.base import CallOptions
from edge.transport.http import HttpClient, HttpTransport, Kind

Reply = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Received:
    """One request as it came."""

    line: str
    headers: dict[str, str]
    body: bytes
    connection: int


@dataclass
class Script:
    """A server that answers each request with the next reply of its list, the last one again and again."""

    replies: list[bytes | Reply]
    base_url: str = ""
    requests: list[Received] = field(default_factory=list)
    connections: int = 0
    gone: asyncio.Event = field(default_factory=asyncio.Event)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        number = self.connections
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                line, *lines = head.decode().rstrip("\r\n").split("\r\n")
                headers = {name.lower(): value for name, value in (each.split(": ", 1) for each in lines)}
                self.requests.append(Received(line, headers, b"", number))
                reply = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
                if isinstance(reply, bytes):
                    self.requests[-1].body = await self._body(headers, reader)
                    writer.write(reply)
                    await writer.drain()
                    if b"\r\nContent-Length" not in reply and b"chunked" not in reply:
                        break
                else:
                    await reply(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            self.gone.set()
        finally:
            writer.close()

    async def _body(self, headers: dict[str, str], reader: asyncio.StreamReader) -> bytes:
        if headers.get("transfer-encoding") != "chunked":
            return await reader.readexactly(int(headers.get("content-length", "0")))
        body = b""
        while size := int(await reader.readline(), 16):
            body += (await reader.readexactly(size + 2))[:-2]
        await reader.readline()
        return body

    @property
    def last(self) -> Received:
        return self.requests[-1]


def ok(body: bytes = b"null", headers: str = "") -> bytes:
    return f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n{headers}\r\n".encode() + body


def status(code: int, body: bytes = b"") -> bytes:
    return f"HTTP/1.1 {code} No\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


@asynccontextmanager
async def scripted(*replies: bytes | Reply) -> AsyncIterator[Script]:
    script = Script(list(replies))
    server = await asyncio.start_server(script.serve, "127.0.0.1", 0)
    script.base_url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield script
    finally:
        server.close()


@asynccontextmanager
async def calling(
    *replies: bytes | Reply, token: str = "", kind: Kind = Kind.CONTAINER
) -> AsyncIterator[tuple[HttpTransport, Script]]:
    async with scripted(*replies) as script, HttpClient() as client:
        yield client.transport(script.base_url, token=token, kind=kind), script


async def several(*pieces: bytes) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


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
        async with asyncio.timeout(5):
            await transport.send("a", Message(1))


# What the network does.


async def test_refused_connection_is_unreachable() -> None:
    with socket.socket() as bound:  # bound, but not listening
        bound.bind(("127.0.0.1", 0))
        async with HttpClient() as client:
            transport = client.transport(f"http://127.0.0.1:{bound.getsockname()[1]}")
            with pytest.raises(Unreachable, match="cannot be reached"):
                await transport.send("a", Message(1))


@pytest.mark.parametrize("host", ["nobody.invalid", "a" * 70 + ".invalid"])
async def test_unknown_host_is_unreachable(host: str) -> None:
    async with HttpClient() as client:
        with pytest.raises(Unreachable, match="cannot be reached"):
            await client.transport(f"http://{host}").send("a", Message(1))


async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.close()


async def reset(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def talk_nonsense(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"SSH-2.0-OpenSSH_9.2\r\n\r\n")
    writer.close()


async def break_off(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n[1,")
    writer.close()


async def shout(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 50_000 + b"\r\nContent-Length: 4\r\n\r\nnull")
    writer.close()


@pytest.mark.parametrize("reply", [hang_up, reset, talk_nonsense, break_off, shout])
async def test_lost_answer_leaves_the_outcome_unknown_and_is_not_asked_again(reply: Reply) -> None:
    async with calling(reply) as (transport, script):
        with pytest.raises(OutcomeUnknown, match="went away"):
            await transport.invoke("A", {}, None)
    assert len(script.requests) == 1


@pytest.mark.parametrize("reply", [hang_up, reset, talk_nonsense, break_off, shout])
async def test_lost_answer_to_get_is_unreachable(reply: Reply) -> None:
    async with calling(reply) as (transport, _):
        with pytest.raises(Unreachable, match="went away"):
            await transport.info()


async def test_connections_are_used_again() -> None:
    async with calling(ok()) as (transport, script):
        for _ in range(3):
            await transport.invoke("A", {}, None)
            await transport.send("a", Message(1))
        assert script.connections == 1


async def test_connection_that_the_server_ended_is_not_used_for_an_action() -> None:
    ended = asyncio.Event()

    async def answer_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(2)
        writer.write(ok(b"1"))
        await writer.drain()
        writer.get_extra_info("socket")
        writer.close()
        ended.set()

    async with calling(answer_once) as (transport, script):
        for _ in range(5):
            assert await transport.invoke("A", {}, None) == 1
            await ended.wait()
            ended.clear()
        assert script.connections == 5


async def test_each_connected_call_of_an_event_is_told() -> None:
    told: list[tuple[str, str]] = []
    async with scripted(ok()) as script, HttpClient(lambda *args: told.append(args)) as client:
        transport = client.transport(script.base_url)
        await transport.invoke("A", {}, None, CallOptions(relate_to="e1"))
        await transport.invoke("A", {}, None, CallOptions(relate_to="e2"))
        await transport.invoke("A", {}, None)
        with pytest.raises(Unreachable):
            await client.transport("http://nobody.invalid").invoke("A", {}, None, CallOptions(relate_to="e3"))
        assert script.connections == 1
    assert told == [(script.base_url, "e1"), (script.base_url, "e2")]


async def test_event_is_told_before_the_answer_comes() -> None:
    told = asyncio.Event()

    async def wait_for_it(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await told.wait()
        writer.write(ok())

    async with scripted(wait_for_it) as script, HttpClient(lambda *_: told.set()) as client:
        await client.transport(script.base_url).invoke("A", {}, None, CallOptions(relate_to="e1"))


async def test_cancelled_call_hangs_up() -> None:
    async def never(_: asyncio.StreamReader, __: asyncio.StreamWriter) -> None:
        await _.readexactly(1000)

    async with calling(never) as (transport, script):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await transport.invoke("A", {}, None)
        await script.gone.wait()


async def test_client_must_be_open() -> None:
    with pytest.raises(RuntimeError, match="not open"):
        await HttpClient().transport("http://127.0.0.1:1").info()


# Streams.


async def test_each_piece_of_a_stream_comes_at_once_and_leaving_hangs_up() -> None:
    more = asyncio.Event()

    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for piece in (b"1", b"2", b"3"):
            writer.write(b"1\r\n" + piece + b"\r\n")
            await more.wait()
            more.clear()
        await reader.readexactly(1)

    async with calling(drip) as (transport, script):
        async with transport.get_stream("s", None) as pieces:
            seen = []
            async for piece in pieces:
                seen.append(piece)
                more.set()
                if len(seen) == 3:
                    break
            assert seen == [b"1", b"2", b"3"]
        await script.gone.wait()


async def test_stream_that_does_not_exist_fails_on_entering() -> None:
    async with calling(status(404)) as (transport, _):
        with pytest.raises(RemoteError):
            async with transport.get_stream("s", None):
                pytest.fail("entered")


async def test_stream_that_breaks_off_says_so() -> None:
    async with calling(break_off) as (transport, _), transport.get_stream("s", None) as pieces:
        assert await anext(pieces) == b"[1,"
        with pytest.raises(Unreachable, match="went away during GET /stream/s"):
            await anext(pieces)


async def test_error_of_the_consumer_is_not_mistaken_for_one_of_the_source() -> None:
    async with calling(ok(b"x")) as (transport, _):
        with pytest.raises(OSError, match="disk full"):
            async with transport.get_stream("s", None):
                raise OSError("disk full")


async def test_stream_is_posted_chunk_by_chunk() -> None:
    arrived = asyncio.Event()

    async def take_one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert await reader.readexactly(8) == b"3\r\none\r\n"
        arrived.set()
        assert await reader.readexactly(13) == b"3\r\ntwo\r\n0\r\n\r\n"
        writer.write(ok())

    async def pieces() -> AsyncIterator[bytes]:
        yield b"one"
        await arrived.wait()
        yield b""
        yield b"two"

    async with calling(ok(b"{}"), take_one) as (transport, script):
        await transport.info()
        await transport.post_stream("s", pieces(), "a")
    assert script.last.headers["transfer-encoding"] == "chunked"
    assert script.last.headers["content-type"] == "application/json; charset=UTF-8"


async def test_empty_stream_is_posted() -> None:
    async with calling(ok(b"{}")) as (transport, script):
        await transport.post_stream("s", several(), None)
    assert script.last.line == "POST /stream/s?forward=false HTTP/1.1"
    assert script.last.body == b""


async def test_no_piece_is_taken_before_the_connection_stands() -> None:
    async def pieces() -> AsyncIterator[bytes]:
        pytest.fail("asked for a piece")
        yield b""

    async with HttpClient() as client:
        transport = client.transport("http://nobody.invalid", kind=Kind.PLATFORM)
        with pytest.raises(Unreachable):
            await transport.post_stream("s", pieces(), None)


async def test_source_that_breaks_is_named_and_the_target_sees_no_end() -> None:
    class Broken(OpacaError):
        pass

    async def pieces() -> AsyncIterator[bytes]:
        yield b"one"
        raise Broken("the caller left")

    seen = bytearray()

    async def take(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        while piece := await reader.read(100):
            seen.extend(piece)
        raise ConnectionError

    async with calling(take, kind=Kind.PLATFORM) as (transport, script):
        with pytest.raises(Broken, match="the caller left"):
            await transport.post_stream("s", pieces(), None)
        await script.gone.wait()
    assert bytes(seen) == b"3\r\none\r\n"


async def test_target_that_refuses_early_ends_the_upload() -> None:
    async def refuse(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(status(404, b"no such stream"))

    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b"x"
            await asyncio.sleep(0.001)

    async with calling(refuse, kind=Kind.PLATFORM) as (transport, _):
        with pytest.raises(RemoteError) as caught:
            await transport.post_stream("s", endless(), None)
    assert caught.value.cause == Cause(404, "no such stream")


async def test_board_gets_a_short_stream_whole() -> None:
    board = b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n{}"
    async with calling(board) as (transport, script):
        await transport.post_stream("s", several(b"a" * 2048, b"b" * 2048), None)
        assert script.last.headers["content-length"] == "4096"
        assert script.last.body == b"a" * 2048 + b"b" * 2048
        with pytest.raises(TooLarge, match="at most 4096 bytes"):
            await transport.post_stream("s", several(b"a" * 4097), None)
    assert len(script.requests) == 2  # the first asked how the board speaks
