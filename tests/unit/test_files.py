"""Files of containers for everybody on the network: what is passed on, and that nothing else is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from edge.api.files import LIMITS, is_file_path, serving_files
from edge.http.limits import Limits
from edge.transport.http import HttpClient
from tests.unit.scripted import Reply, Script, ok, scripted, status


@asynccontextmanager
async def files_of(*replies: bytes | Reply, limits: Limits = LIMITS) -> AsyncIterator[tuple[int, Script]]:
    async with (
        scripted(*replies) as script,
        HttpClient() as client,
        serving_files(client, "127.0.0.1", 0, script.base_url, limits) as port,
    ):
        yield port, script


async def ask(port: int, line: str, headers: str = "") -> tuple[str, dict[str, str], bytes]:
    """Send one request and return status line, headers and body."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"{line} HTTP/1.1\r\nHost: pi\r\nConnection: close\r\n{headers}\r\n".encode("latin-1"))
    answer = await reader.read(-1)
    writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    first, *rest = head.decode("latin-1").split("\r\n")
    return (
        first.partition(" ")[2],
        {name.lower(): value for name, value in (each.split(": ", 1) for each in rest)},
        body,
    )


async def test_file_is_passed_on_with_its_headers() -> None:
    theirs = (
        'Content-Type: text/csv\r\nContent-Disposition: inline; filename="a.csv"\r\nETag: "1"\r\nSet-Cookie: a=b\r\n'
    )
    async with files_of(ok(b"1,2\n", theirs)) as (port, script):
        answer, headers, body = await ask(
            port, "GET /files/a%20b.csv?x=1", "Authorization: Bearer t\r\nRange: bytes=0-\r\n"
        )
    assert (answer, body) == ("200 OK", b"1,2\n")
    assert headers["content-type"] == "text/csv"
    assert headers["content-disposition"] == 'inline; filename="a.csv"'
    assert headers["content-length"] == "4"
    assert headers["x-content-type-options"] == "nosniff"
    assert "set-cookie" not in headers
    assert script.last.line == "GET /files/a%20b.csv?x=1 HTTP/1.1"
    assert script.last.headers["range"] == "bytes=0-"
    assert "authorization" not in script.last.headers


async def test_part_of_a_file_is_passed_on_as_such() -> None:
    reply = b"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 1-2/4\r\nContent-Length: 2\r\n\r\nbc"
    async with files_of(reply) as (port, _):
        answer, headers, body = await ask(port, "GET /files/a")
    assert (answer, body, headers["content-range"]) == ("206 Partial Content", b"bc", "bytes 1-2/4")


@pytest.mark.parametrize(
    "line",
    [
        "GET /",
        "GET /info",
        "GET /files",
        "GET /files/",
        "GET /filesystem/a",
        "GET /files/../info",
        "GET /files/..%2finfo",
        "GET /files/%2e%2e/info",
        "GET /files/%252e%252e/info",
        "GET /files/..\\info",
        "GET /files/%5c..%5cinfo",
        "GET /files/a%2fb",
        "GET /files/a//b",
        "GET /files/./a",
        "GET //files/a",
        "GET /files/%00",
        "GET /files/%0d%0aX",
        "GET /files/%ff",
        "GET http://pi/files/a",
        "HEAD /files/a",
        "OPTIONS /files/a",
        "POST /files/a",
        "DELETE /files/a",
        "POST /invoke/Blink",
        "GET /FILES/a",
    ],
)
async def test_everything_else_is_not_found_and_not_passed_on(line: str) -> None:
    async with files_of(ok(b"secret")) as (port, script):
        answer, _, body = await ask(port, line)
        assert answer.startswith("404"), answer
        assert b"secret" not in body
        assert script.requests == []


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        (status(404, b"secret"), "404"),
        (status(403, b"secret"), "403"),
        (status(416, b"secret"), "416"),
        (status(500, b"secret"), "502"),
        (status(401, b"secret"), "502"),
        (b"HTTP/1.1 302 Found\r\nLocation: /files/other\r\nContent-Length: 0\r\n\r\n", "502"),
        (b"rubbish\r\n\r\n", "502"),
        (b"HTTP/1.1 304 Not Modified\r\n\r\n", "304"),
    ],
)
async def test_errors_keep_their_kind_and_lose_their_words(theirs: bytes, ours: str) -> None:
    async with files_of(theirs) as (port, script):
        answer, _, body = await ask(port, "GET /files/a")
        assert answer.startswith(ours), answer
        assert b"secret" not in body
        assert len(script.requests) == 1


async def test_container_that_is_down_is_a_bad_gateway(unused_tcp_port: int) -> None:
    async with (
        HttpClient() as client,
        serving_files(client, "127.0.0.1", 0, f"http://127.0.0.1:{unused_tcp_port}") as port,
    ):
        answer, _, _ = await ask(port, "GET /files/a")
    assert answer.startswith("502")


async def test_file_arrives_piece_by_piece() -> None:
    go_on = asyncio.Event()

    async def dribble(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\nfirst")
        await go_on.wait()
        writer.write(b"second")
        writer.close()

    async with files_of(dribble) as (port, _):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /files/a HTTP/1.1\r\nHost: pi\r\n\r\n")
        await reader.readuntil(b"first")
        go_on.set()
        await reader.readuntil(b"second")
        writer.close()


async def test_file_that_breaks_off_does_not_look_complete() -> None:
    async def break_off(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n")
        await writer.drain()
        writer.close()

    async with files_of(break_off) as (port, _):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /files/a HTTP/1.1\r\nHost: pi\r\n\r\n")
        answer = b""
        try:
            answer = await reader.read(-1)
        except ConnectionResetError:
            pass
        assert not answer.endswith(b"0\r\n\r\n")
        writer.close()


async def test_reader_that_leaves_ends_the_reading_of_the_file() -> None:
    async def endless(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            writer.write(b"x" * 10_000)
            await writer.drain()

    async with files_of(endless) as (port, script):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /files/a HTTP/1.1\r\nHost: pi\r\n\r\n")
        await reader.readexactly(50_000)
        writer.transport.abort()
        async with asyncio.timeout(15):
            await script.gone.wait()


async def test_connections_are_bounded() -> None:
    async with files_of(ok(b"1"), limits=Limits(max_connections=1, shutdown_time_s=0.2)) as (port, _):
        _, first = await asyncio.open_connection("127.0.0.1", port)
        first.write(b"GET /files/a HTTP/1.1\r\n")
        await first.drain()
        reader, second = await asyncio.open_connection("127.0.0.1", port)
        assert (await reader.readline()).startswith(b"HTTP/1.1 503")
        first.close()
        second.close()


async def test_leaving_ends_a_transfer_under_way() -> None:
    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\nx")
        await reader.read(-1)

    async with asyncio.timeout(15):
        async with scripted(endless) as script, HttpClient() as client:
            async with serving_files(client, "127.0.0.1", 0, script.base_url) as port:
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.write(b"GET /files/a HTTP/1.1\r\nHost: pi\r\n\r\n")
                await reader.readuntil(b"x\r\n")
            with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
                await reader.readexactly(100)
            writer.close()


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/files/a", True),
        ("/files/a/b.txt", True),
        ("/files/%C3%A4", True),
        ("/files/a..b", True),
        ("/files/a;b", True),
        ("/files/..;/info", False),
        ("/files/..;a=b/info", False),
        ("/files/..%3B/info", False),
        ("/files/a/;/b", False),
        ("/files/%2F", False),
    ],
)
def test_paths_of_files(path: str, expected: bool) -> None:
    assert is_file_path(path) is expected
