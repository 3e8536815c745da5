"""The live verbs on a real terminal: what they draw, how they end, what they leave behind."""

from __future__ import annotations

import asyncio
import os
import pty
import re
import signal
import sys
import termios
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.unit.cli.conftest import StandIn
from tests.unit.cli.test_containers import BOARD, PUMP, PUMP_ID

ROOT = Path(__file__).parents[3]
_CONTROL = re.compile(r"\x1b\[[?0-9;]*[a-zA-Z]")


class Terminal:
    """A terminal with one command in it."""

    def __init__(self, master: int, process: asyncio.subprocess.Process) -> None:
        self._master = master
        self.process = process
        self.drawn = ""
        self._more = asyncio.Event()
        asyncio.get_running_loop().add_reader(master, self._read)

    async def until(self, text: str) -> None:
        """Wait until a text was drawn."""
        try:
            async with asyncio.timeout(10):
                while text not in self.drawn:
                    self._more.clear()
                    await self._more.wait()
        except TimeoutError:
            pytest.fail(f"{text!r} was never drawn: {self.drawn!r}")

    def press(self, keys: str) -> None:
        os.write(self._master, keys.encode())

    async def end(self) -> int:
        """Return the exit code."""
        async with asyncio.timeout(10):
            return await self.process.wait()

    def _read(self) -> None:
        self.drawn += os.read(self._master, 65536).decode("utf-8", "replace")
        self._more.set()


@asynccontextmanager
async def terminal(platform: StandIn, *words: str, **environ: str) -> AsyncIterator[Terminal]:
    """Run a verb in a terminal of 100 columns and 20 lines."""
    master, slave = pty.openpty()
    termios.tcsetwinsize(slave, (20, 100))
    before = termios.tcgetattr(slave)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "edge", *words),
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "TERM": "xterm", "OPACA_EDGE_URL": platform.url, **environ},
        stdin=slave,
        stdout=slave,
        stderr=slave,
        start_new_session=True,
        preexec_fn=_own_terminal,
    )
    try:
        yield Terminal(master, process)
        assert termios.tcgetattr(slave) == before, "the terminal is not as it was"
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        asyncio.get_running_loop().remove_reader(master)
        os.close(slave)
        os.close(master)


def _own_terminal() -> None:
    """Make the terminal the one whose Ctrl-C this process gets."""
    import fcntl

    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def plain(drawn: str) -> str:
    return _CONTROL.sub("", drawn)


class Story:
    """Statuses that a platform tells one after the other, the last one again and again."""

    def __init__(self, *looks: Any) -> None:
        self._looks = list(looks)

    async def __call__(self) -> Any:
        return self._looks.pop(0) if len(self._looks) > 1 else self._looks[0]


async def test_top_draws_bars_on_the_other_screen_until_q(platform: StandIn) -> None:
    platform.answers["GET /edge/containers"] = Story(
        [{**PUMP, "cpu_seconds": 1.0}, BOARD], [{**PUMP, "cpu_seconds": 1.0, "memory_bytes": 32 * 1024 * 1024}, BOARD]
    )
    async with terminal(platform, "containers", "top", "--interval", "0.2") as seen:
        await seen.until("█████····· 32 MiB of 64 MiB")
        seen.press("q")
        await seen.until("\x1b[?25h")
        assert await seen.end() == 0
    assert seen.drawn.startswith("\x1b[?25l\x1b[?1049h")
    assert seen.drawn.rstrip().endswith("\x1b[?25h")
    assert "2 containers, 1 well" in plain(seen.drawn)
    assert "\x1b[31m" + "greenhouse" in seen.drawn  # away: red
    assert "\x1b[2J" not in seen.drawn  # clearing all before drawing is what flickers


async def test_top_uses_plain_letters_where_there_are_no_blocks(platform: StandIn) -> None:
    platform.answers["GET /edge/containers"] = [{**PUMP, "memory_bytes": 32 * 1024 * 1024}]
    async with terminal(platform, "containers", "top", PYTHONIOENCODING="latin-1", PYTHONUTF8="0") as seen:
        await seen.until("#####..... 32 MiB of 64 MiB")
        seen.press("q")
        assert await seen.end() == 0


async def test_ctrl_c_ends_top_and_gives_the_terminal_back(platform: StandIn) -> None:
    platform.answers["GET /edge/containers"] = [PUMP]
    async with terminal(platform, "containers", "top") as seen:
        await seen.until("pump")
        seen.press("\x03")
        await seen.until("\x1b[?1049l\x1b[?25h")
        assert await seen.end() == 130


@pytest.mark.parametrize("words", [("top",), ("--watch",)])
async def test_sigterm_gives_the_terminal_back(platform: StandIn, words: tuple[str, ...]) -> None:
    platform.answers["GET /edge/containers"] = [PUMP]
    async with terminal(platform, "containers", *words) as seen:
        await seen.until("pump")
        seen.process.terminate()
        await seen.until("\x1b[?25h")
        assert await seen.end() == 128 + signal.SIGTERM
    assert ("\x1b[?1049l" in seen.drawn) == ("\x1b[?1049h" in seen.drawn)
    assert "Traceback" not in seen.drawn


async def test_watch_redraws_in_place_and_stays_to_be_read(platform: StandIn) -> None:
    restarting = {**PUMP, "state": "restarting", "reason": "signal 9"}
    platform.answers["GET /edge/containers"] = Story([PUMP, BOARD], [restarting, BOARD])
    async with terminal(platform, "containers", "--watch", "--interval", "0.2") as seen:
        await seen.until("signal 9")
        seen.press("q")
        await seen.until("\x1b[?25h")
        assert await seen.end() == 0
    frames = seen.drawn.split("\x1b[?2026h")[1:]
    assert len(frames) >= 2
    assert "A\r" not in frames[0]
    lines = frames[0].count("\n")
    assert frames[1].startswith(f"\x1b[?7l\x1b[{lines}A\r")
    assert "\x1b[?1049h" not in seen.drawn


async def test_add_shows_what_it_waits_for_and_prints_the_id_alone(platform: StandIn) -> None:
    starting = {**PUMP, "id": "new", "state": "starting", "reason": "waiting for /info"}
    shown = asyncio.Event()

    async def post() -> Any:
        await shown.wait()
        return PUMP_ID

    platform.answers |= {
        "GET /edge/containers": Story([PUMP], [PUMP, starting]),
        "POST /containers": post,
    }
    async with terminal(platform, "containers", "add", "pump") as seen:
        await seen.until("starting: waiting for /info")
        assert "starting pump  " in seen.drawn
        shown.set()
        await seen.until(PUMP_ID)
        assert await seen.end() == 0
    assert plain(seen.drawn).rsplit("\r", 2)[1] == PUMP_ID


async def test_add_that_is_left_says_that_it_goes_on(platform: StandIn) -> None:
    left = asyncio.Event()

    async def post() -> Any:
        await left.wait()
        return PUMP_ID

    platform.answers |= {"GET /edge/containers": [], "POST /containers": post}
    async with terminal(platform, "containers", "add", "pump") as seen:
        await seen.until("starting pump  ")
        os.killpg(seen.process.pid, signal.SIGINT)
        await seen.until("the platform goes on starting pump; opaca-edge containers shows how that ends")
        assert await seen.end() == 130
    left.set()


async def test_logs_cannot_control_the_terminal(platform: StandIn) -> None:
    platform.answers |= {
        "GET /edge/containers": [PUMP],
        "GET /containers": [],
        f"GET /edge/containers/{PUMP_ID}/log": "\x1b[2Jevil\ttab\nnext\n",
    }
    async with terminal(platform, "containers", "logs", "pump") as seen:
        await seen.until("next")
        assert await seen.end() == 0
    assert "\\x1b[2Jevil" in seen.drawn
    assert "\x1b" not in seen.drawn


async def test_a_stream_cannot_control_the_terminal(platform: StandIn) -> None:
    platform.answers["GET /stream/Out"] = [b"one\n\x1b[2J\xc2", b"\x9b31m", b"\xc3", b"\xa4\xff\n"]
    async with terminal(platform, "stream", "Out") as seen:
        await seen.until("\ufffd")
        assert await seen.end() == 0
        assert plain(seen.drawn) == "one\r\n\\x1b[2J\\x9b31mä\ufffd\r\n"
