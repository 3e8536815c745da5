"""What a stream's method gives, whatever its kind, as pieces of bytes; and what it is given."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from typing import Any, TypeAlias

import msgspec

from edge.agents.errors import StreamBroken, describe_exception
from edge.agents.results import to_json
from edge.agents.tasks import current_owner
from edge.errors import TooLarge

# As large as any other body (contract, Decision 17).
LARGEST_COLLECTED_BYTES = 16 * 1024 * 1024

# Runs a sync call in a thread.
InThread: TypeAlias = Callable[[Callable[[], Any]], Awaitable[Any]]

_END = object()


def to_bytes(piece: object) -> bytes:
    """Return a piece as it goes to the caller: bytes as they are, text as UTF-8, anything else as one line of JSON.

    Raises:
        NotJson: it is neither.
    """
    if isinstance(piece, bytes):
        return piece
    if isinstance(piece, bytearray | memoryview):
        return bytes(piece)
    checked = to_json(piece)
    return checked.encode() if isinstance(checked, str) else msgspec.json.encode(checked) + b"\n"


async def each_piece(given: Any, in_thread: InThread) -> AsyncIterator[object]:
    """Yield the pieces of what a GET stream's method returned; leaving closes it, generators in a thread.

    Args:
        given: An async iterable, an iterator or iterable, or one value.
        in_thread: Runs the steps of a sync iterator.
    """
    if hasattr(given, "__aiter__"):
        try:
            async for piece in given:
                yield piece
        finally:
            if close := getattr(given, "aclose", None):
                await close()
    elif isinstance(given, list | tuple):
        for piece in given:
            yield piece
    elif isinstance(given, bytes | bytearray | memoryview | str | dict) or not isinstance(given, Iterable):
        yield given
    else:
        steps = _Steps(iter(given))
        try:
            while (piece := await in_thread(steps.next)) is not _END:
                yield piece
        finally:
            await steps.leave(in_thread)


class _Steps:
    """A sync iterator whose steps run in threads."""

    def __init__(self, iterator: Iterator[Any]) -> None:
        self._iterator = iterator
        self._is_left = False

    def next(self) -> Any:
        try:
            return next(self._iterator, _END)
        finally:
            if self._is_left:
                self._close()

    async def leave(self, in_thread: InThread) -> None:
        # Set first: a step that is under way in another thread closes the iterator when it ends.
        self._is_left = True
        await in_thread(self._close)

    def _close(self) -> None:
        close = getattr(self._iterator, "close", None)
        try:
            if close:
                close()
        except ValueError as error:
            if "already executing" not in str(error):
                raise


class Incoming:
    """The pieces of a POST stream as the agent's method sees them.

    Attributes:
        broke: What the caller's side raised; None while it is well.
    """

    def __init__(self, pieces: AsyncIterator[bytes]) -> None:
        self._pieces = pieces
        self.broke: Exception | None = None

    def __aiter__(self) -> Incoming:
        return self

    async def __anext__(self) -> bytes:
        # The platform's own code runs here: tasks that it starts are not the agent's.
        owner = current_owner.get()
        current_owner.set(None)
        try:
            while not (piece := await anext(self._pieces)):
                pass
            return piece
        except (StopAsyncIteration, StreamBroken):
            raise
        except Exception as error:
            self.broke = error
            raise StreamBroken(f"the stream's sender broke off: {describe_exception(error)}") from error
        finally:
            current_owner.set(owner)


async def collected(pieces: AsyncIterator[bytes]) -> bytes:
    """Return all pieces in one.

    Raises:
        TooLarge: they are more than `LARGEST_COLLECTED_BYTES`.
    """
    whole = bytearray()
    async for piece in pieces:
        whole += piece
        if len(whole) > LARGEST_COLLECTED_BYTES:
            raise TooLarge(f"the agent takes this stream as a whole, at most {LARGEST_COLLECTED_BYTES} bytes")
    return bytes(whole)
