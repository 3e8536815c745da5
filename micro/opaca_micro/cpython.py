"""What a computer's Python does otherwise; boards do not have this file."""

import asyncio
import json
import sys


async def readable(listener):
    """Wait until somebody wants to be let in."""
    loop = asyncio.get_running_loop()
    event = asyncio.Event()
    loop.add_reader(listener, event.set)
    try:
        await event.wait()
    finally:
        loop.remove_reader(listener)


async def streams(link):
    """Return reader and writer of a connection; `drain` waits until all has gone."""
    reader, writer = await asyncio.open_connection(sock=link)
    writer.transport.set_write_buffer_limits(0)
    return reader, writer


def cut(writer):
    """End a connection at once."""
    writer.transport.abort()


def read_json(body):
    """Read the first JSON value in bytes; raises ValueError."""
    try:
        return json.JSONDecoder().raw_decode(str(body, "utf-8").lstrip())[0]
    except RecursionError:
        raise ValueError("too many levels")


def print_exception(error):
    """Print an error with where it came from."""
    sys.excepthook(type(error), error, error.__traceback__)
