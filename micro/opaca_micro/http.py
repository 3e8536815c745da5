"""One HTTP request at a time, with bounds on time and memory: how a board talks to its platform."""

import asyncio
import errno
import select
import socket
import sys

from opaca_micro.clock import passed_ms, ticks_ms

# What is kept of an answer, its header included; the rest is not read.
_LONGEST = 2048
_PIECE = 128


async def request(base, method, path, body=b"", token="", network=None, limit_ms=15000):
    """Return status and body of an answer.

    It is HTTP/1.0, so that the answer comes in one piece and ends with the connection. Not asyncio's streams: those of
    MicroPython look names up with the loop standing still, and forget an open socket when a connection takes too long.

    Args:
        base: `http://host` or `http://host:port`.
        body: Bytes of JSON, or of bare text.
        token: What the platform knows us by; empty sends none.
        network: Knows the name server.
        limit_ms: For all of it.
    Raises:
        OSError: no answer, or none that can be understood.
    """
    since = ticks_ms()
    name = base[7:].rstrip("/")
    host, _, tcp_port = name.partition(":")
    address = await address_of(host, int(tcp_port or 80), network)
    head = method + " " + path + " HTTP/1.0\r\nHost: " + name + "\r\nContent-Type: application/json\r\n"
    if token:
        head += "Authorization: Bearer " + token + "\r\n"
    head = (head + "Content-Length: " + str(len(body)) + "\r\n\r\n").encode()
    link = socket.socket()
    try:
        link.setblocking(False)
        poller = select.poll()
        poller.register(link, select.POLLOUT)

        async def ready():
            while not poller.poll(0):
                if passed_ms(since) > limit_ms:
                    raise OSError("no answer in time")
                await asyncio.sleep(0.02)

        try:
            link.connect(address)
        except OSError as error:
            if error.args[0] != errno.EINPROGRESS:
                raise
        for data in (head, body):
            while data:
                await ready()
                data = data[link.send(data) :]
        head = body = None
        poller.modify(link, select.POLLIN)
        return await _received(link, ready)
    finally:
        link.close()


async def _received(link, ready):
    """Return status and body of what comes; of its headers nothing is kept."""
    status, left, kept = 0, _LONGEST, b""
    while left > 0:
        await ready()
        piece = link.recv(_PIECE)
        if not piece:
            break
        left -= len(piece)
        kept += piece
        end = -1 if status else kept.find(b"\r\n\r\n")
        if end >= 0:
            status, length = _understood(kept[:end])
            kept = kept[end + 4 :]
            left = min(left, length - len(kept))
    if not status:
        raise OSError("an answer that is not HTTP")
    return status, kept


async def address_of(host, tcp_port, network):
    """Return what `socket.connect` takes to reach a host; raises OSError if nobody knows it."""
    is_name = bool([c for c in host if c not in "0123456789."])
    # A computer has a resolver, and no watchdog.
    if is_name and sys.platform not in ("linux", "darwin", "win32"):
        from opaca_micro.memory import forget
        from opaca_micro.resolve import resolve

        try:
            host = await resolve(host, network)
        finally:
            forget("resolve")
    return socket.getaddrinfo(host, tcp_port, 0, socket.SOCK_STREAM)[0][-1]


def _understood(head):
    """Return the status, and how long the body is, as far as that is said."""
    words = head.split(None, 2)
    if not head.startswith(b"HTTP/1.") or len(words) < 2 or not words[1].isdigit():
        raise OSError("an answer that is not HTTP")
    _, _, length = head.lower().partition(b"\r\ncontent-length:")
    length = length.split(b"\r\n", 1)[0].strip()
    return int(words[1]), int(length) if length.isdigit() else _LONGEST
