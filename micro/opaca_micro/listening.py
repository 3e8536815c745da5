"""Taking connections one by one: asyncio's own server takes as many as come, which a board has no memory for."""

import asyncio
import select
import socket

try:
    from asyncio import core as _core  # MicroPython's
except ImportError:
    _core = None


def listen(host, tcp_port):
    """Open a socket that listens.

    Raises:
        OSError: the TCP port is taken.
    """
    listener = socket.socket()
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(socket.getaddrinfo(host, tcp_port)[0][-1])
        # What waits here costs the board next to nothing, and is served in turn.
        listener.listen(8)
        listener.setblocking(False)
    except OSError:
        listener.close()
        raise
    return listener


def is_waiting(listener):
    """Whether somebody waits to be let in."""
    poller = select.poll()
    poller.register(listener, select.POLLIN)
    return bool(poller.poll(0))


async def accept(listener):
    """Wait for the next connection and return its streams, the one to read from and the one to write to."""
    if _core is None:
        loop = asyncio.get_running_loop()
        return await asyncio.open_connection(sock=(await loop.sock_accept(listener))[0])
    await _readable(listener)
    link = listener.accept()[0]
    link.setblocking(False)
    stream = asyncio.StreamReader(link)
    return stream, stream


async def close(stream):
    """End a connection, whatever is still to be sent."""
    if _core is None:
        stream.transport.abort()
    else:
        await stream.wait_closed()


def _readable(link):
    yield _core._io_queue.queue_read(link)
