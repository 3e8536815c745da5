"""A server that answers byte for byte what it is told to, for tests of HTTP clients."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

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
