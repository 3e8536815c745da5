"""Documents by URL: what is asked, how much is read, where nobody is led to."""

from __future__ import annotations

import asyncio

import pytest

from edge.errors import BadAnswer, RemoteError, Unreachable
from edge.model.definitions import DefinedValue
from edge.model.descriptions import AgentContainerImage
from edge.runtime.definitions import Schemas
from edge.transport.documents import MAX_DOCUMENT_BYTES, fetch_document
from edge.transport.http import HttpClient
from tests.unit.scripted import ok, scripted, status


async def test_document_is_fetched_with_its_query() -> None:
    async with scripted(ok(b"{}")) as script, HttpClient() as client:
        assert await fetch_document(client, script.base_url + "/schemas/a%20b.json?v=1") == b"{}"
    assert script.last.line == "GET /schemas/a%20b.json?v=1 HTTP/1.1"
    assert "authorization" not in script.last.headers


async def test_redirect_is_not_followed() -> None:
    redirect = b"HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n"
    async with scripted(redirect) as script, HttpClient() as client:
        with pytest.raises(RemoteError, match="redirects"):
            await fetch_document(client, script.base_url + "/a")
    assert len(script.requests) == 1


@pytest.mark.parametrize("code", [400, 404, 500])
async def test_error_is_no_document(code: int) -> None:
    async with scripted(status(code, b"{}")) as script, HttpClient() as client:
        with pytest.raises(RemoteError):
            await fetch_document(client, script.base_url + "/a")


async def test_no_more_is_read_than_the_limit() -> None:
    endless = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"10000\r\n" + b" " * 65536 + b"\r\n"
    declared = b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n"
    for answer in (
        ok(b" " * (MAX_DOCUMENT_BYTES + 1)),
        endless + (b"10000\r\n" + b" " * 65536 + b"\r\n") * 16,
        declared,
    ):
        async with scripted(answer) as script, HttpClient() as client:
            with pytest.raises(BadAnswer, match="bytes"):
                await fetch_document(client, script.base_url + "/a")


async def test_document_that_breaks_off_is_none() -> None:
    async def break_off(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{")
        writer.close()

    async with scripted(break_off) as script, HttpClient() as client:
        with pytest.raises(Unreachable):
            await fetch_document(client, script.base_url + "/a")


async def test_definitions_are_loaded_over_real_http() -> None:
    async with (
        scripted(ok(b'{"type": "integer"}')) as script,
        HttpClient() as client,
        Schemas(lambda url: fetch_document(client, url)) as schemas,
        asyncio.TaskGroup() as tasks,
    ):
        job = tasks.create_task(schemas.run())
        image = AgentContainerImage(image_name="i", definitions_by_url={"Room": script.base_url + "/room.json"})
        definitions = schemas.of("c", image)
        async with asyncio.timeout(15):
            while "Room" not in definitions:
                await asyncio.sleep(0.001)
        assert await definitions.mismatch([DefinedValue("Room", "x", "room")])
        job.cancel()
