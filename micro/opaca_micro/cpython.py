"""What a computer's Python does otherwise; boards do not have this file."""

import asyncio
import json
import sys


async def readable(link):
    """Wait until there is something to be read from a socket, or somebody who wants to be let in."""
    loop = asyncio.get_running_loop()
    await _ready(link.fileno(), loop.add_reader, loop.remove_reader)


async def writable(link):
    """Wait until a socket takes something."""
    loop = asyncio.get_running_loop()
    await _ready(link.fileno(), loop.add_writer, loop.remove_writer)


async def _ready(descriptor, add, remove):
    event = asyncio.Event()
    add(descriptor, event.set)
    try:
        await event.wait()
    finally:
        remove(descriptor)


def read_json(body):
    """Read the first JSON value in bytes; raises ValueError."""
    try:
        return json.JSONDecoder().raw_decode(str(body, "utf-8").lstrip())[0]
    except RecursionError:
        raise ValueError("too many levels")


def print_exception(error):
    """Print an error with where it came from."""
    sys.excepthook(type(error), error, error.__traceback__)
