"""Calling what the author wrote: plain or asynchronous, within a limit, whatever it raises."""

import asyncio
import sys

from opaca_micro.agent import Failed

_END = object()


async def call(function, given, named, limit_s):
    """Call a function and, where it is an asynchronous one, wait for it, at most this many seconds."""
    result = function(*given, **named)
    if hasattr(result, "send"):
        try:
            result = await asyncio.wait_for(result, limit_s)
        except asyncio.TimeoutError:
            raise Failed("not done within %d s" % limit_s)
    return result


class Pieces:
    """The pieces of a stream. What it does before its first one, and fails with, is done before this is made."""

    def __init__(self, source):
        self._source = source
        self._is_plain = hasattr(source, "__next__")
        self._first = next(source, _END) if self._is_plain else None

    def __aiter__(self):
        return self

    async def __anext__(self):
        while True:
            piece = self._first
            self._first = None
            if piece is None:
                piece = next(self._source, _END) if self._is_plain else await self._source.__anext__()
            if piece is _END:
                raise StopAsyncIteration
            if piece and isinstance(piece, (bytes, bytearray, str)):
                return piece.encode() if isinstance(piece, str) else piece
            await (piece or asyncio.sleep(0))

    async def aclose(self):
        """Let the generator run its `finally`."""
        if hasattr(self._source, "close"):
            self._source.close()
        elif hasattr(self._source, "aclose"):
            await self._source.aclose()


def reason_of(error):
    """Say why something failed, in a line."""
    text = str(error)
    return text if isinstance(error, Failed) and text else type(error).__name__ + ": " + text


def show(error):
    """Print where an error of the author's own code comes from."""
    if hasattr(sys, "print_exception"):
        sys.print_exception(error)
    else:
        from opaca_micro import cpython

        cpython.print_exception(error)
