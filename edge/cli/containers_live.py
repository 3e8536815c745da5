"""What changes while somebody looks: a table redrawn in place, a line that says what is waited for, a key that ends."""

from __future__ import annotations

import asyncio
import math
import shutil
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from types import FrameType
from typing import NoReturn, Self

from edge.cli.containers_figures import can_show_blocks
from edge.cli.tables import printable

_HIDE_CURSOR, _SHOW_CURSOR = "\x1b[?25l", "\x1b[?25h"
_OTHER_SCREEN, _FIRST_SCREEN = "\x1b[?1049h", "\x1b[?1049l"
# A terminal that knows these shows a frame at once; others pass over them.
_FRAME, _END_OF_FRAME = "\x1b[?2026h", "\x1b[?2026l"
_NO_WRAP, _WRAP = "\x1b[?7l", "\x1b[?7h"
_REST_OF_LINE, _REST_OF_SCREEN = "\x1b[K", "\x1b[J"

_SPIN_S = 0.1
_SPINNER, _PLAIN_SPINNER = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏", "|/-\\"


class Screen:
    """Lines on a terminal that are painted over again and again; a context manager, which SIGTERM ends in order.

    Args:
        is_whole: Use the whole terminal, and give back afterwards what was on it. Else paint where the cursor is.
    """

    def __init__(self, *, is_whole: bool) -> None:
        self._is_whole = is_whole
        self._painted = 0
        self._last: Sequence[str] | None = None

    def __enter__(self) -> Self:
        self._on_sigterm = signal.signal(signal.SIGTERM, _end)
        _write(_HIDE_CURSOR + (_OTHER_SCREEN if self._is_whole else ""))
        return self

    def __exit__(self, *_: object) -> None:
        _write((_FIRST_SCREEN if self._is_whole else "") + _SHOW_CURSOR)
        signal.signal(signal.SIGTERM, self._on_sigterm)

    def paint(self, lines: Sequence[str]) -> None:
        """Show these lines in place of the last ones, in one write; those that do not fit are cut."""
        height = shutil.get_terminal_size().lines - 1
        lines = list(lines[:height])
        if lines == self._last:
            return
        back = "\x1b[H" if self._is_whole else f"\x1b[{self._painted}A\r" if self._painted else ""
        # Each line is written over the old one and only then cleared behind its end: nothing flickers.
        frame = "".join(f"{line}{_REST_OF_LINE}\n" for line in lines)
        _write(f"{_FRAME}{_NO_WRAP}{back}{frame}{_REST_OF_SCREEN}{_WRAP}{_END_OF_FRAME}")
        self._painted, self._last = len(lines), lines


def seconds(text: str) -> float:
    """Return a time that a user wrote, for `type=` of an argument.

    Raises:
        ValueError: no number, or none that time can be.
    """
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(text)
    return number


def _end(number: int, _frame: FrameType | None) -> NoReturn:
    # As a shell reports a command that a signal has ended.
    raise SystemExit(128 + number)


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


@contextmanager
def quit_key() -> Iterator[asyncio.Event]:
    """Yield an event that is set when somebody presses q; where no keyboard is, never."""
    pressed = asyncio.Event()
    if not sys.stdin.isatty():
        yield pressed
        return
    import os
    import termios
    import tty

    keyboard = sys.stdin.fileno()
    before = termios.tcgetattr(keyboard)
    loop = asyncio.get_running_loop()

    def read() -> None:
        keys = os.read(keyboard, 64)
        if not keys or keys in (b"q", b"Q"):
            pressed.set()
            loop.remove_reader(keyboard)

    tty.setcbreak(keyboard)
    loop.add_reader(keyboard, read)
    try:
        yield pressed
    finally:
        loop.remove_reader(keyboard)
        termios.tcsetattr(keyboard, termios.TCSADRAIN, before)


async def passes(event: asyncio.Event, seconds: float) -> bool:
    """Wait for an event, at most so long; tell whether it came."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return False
    return True


@asynccontextmanager
async def waiting(
    what: str, state: Callable[[], str], look: Callable[[], Coroutine[object, object, None]]
) -> AsyncIterator[None]:
    """Show on the terminal what is waited for, with seconds and state, until the block ends.

    It is shown on the standard error output, so results stay alone; into a file nothing is written.

    Args:
        what: Words that stay.
        state: Words that change.
        look: Runs beside the block, to know the state; not where nobody reads along.
    """
    if not sys.stderr.isatty():
        yield
        return
    async with asyncio.TaskGroup() as tasks:
        beside = [tasks.create_task(job, name=what) for job in (_spin(what, state), look())]
        try:
            yield
        finally:
            for task in beside:
                task.cancel()
            sys.stderr.write(f"\r{_REST_OF_LINE}")
            sys.stderr.flush()


async def _spin(what: str, state: Callable[[], str]) -> None:
    signs = _SPINNER if can_show_blocks(sys.stderr.encoding) else _PLAIN_SPINNER
    started_s = time.monotonic()
    step = 0
    while True:
        said = state()
        text = f"{what}  {time.monotonic() - started_s:.0f} s" + (f"  {said}" if said else "")
        columns = shutil.get_terminal_size().columns - 4
        sys.stderr.write(f"\r{signs[step % len(signs)]} {printable(text)[:columns]}{_REST_OF_LINE}")
        sys.stderr.flush()
        step += 1
        await asyncio.sleep(_SPIN_S)
