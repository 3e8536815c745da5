"""A real browser, driven over its debugging protocol: one headless Chromium with one tab."""

from __future__ import annotations

import asyncio
import base64
import os
import shutil
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession, ClientWebSocketResponse

_NAMES = ("chromium", "chromium-browser", "google-chrome")
_OPTIONS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--mute-audio",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions",
    "--window-size=1280,900", "--remote-debugging-port=0",
)  # fmt: skip
_START_S = 20.0
_PATIENCE_S = 20.0


class PageGone(Exception):
    """The page was left while it was asked."""


class Tab:
    """What is on the screen.

    Attributes:
        complaints: What the browser wrote to its console as an error, without failed requests.
    """

    def __init__(self, socket: ClientWebSocketResponse) -> None:
        self._socket = socket
        self._numbers = count(1)
        self.complaints: list[str] = []

    async def go(self, url: str) -> None:
        """Open an address, and wait until it is loaded."""
        await self.do("Page.navigate", url=url)
        await self.until("document.readyState === 'complete' && location.href !== 'about:blank'")

    async def value(self, expression: str) -> Any:
        """Return what an expression of the page is."""
        done = await self.do("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in done, done["exceptionDetails"]
        return done["result"].get("value")

    async def until(self, expression: str) -> None:
        """Wait until an expression of the page is true."""
        try:
            async with asyncio.timeout(_PATIENCE_S):
                while not await self._is(expression):
                    await asyncio.sleep(0.02)
        except TimeoutError:
            seen = await self.text()
            raise AssertionError(f"never so: {expression}; the page shows {seen!r}; {self.complaints}") from None

    async def _is(self, expression: str) -> bool:
        try:
            return bool(await self.value(f"Boolean({expression})"))
        except PageGone:
            return False

    async def text(self) -> str:
        """Return what can be read on the page."""
        return str(await self.value("document.body.innerText"))

    async def type(self, element_id: str, text: str) -> None:
        """Click into a field and type."""
        await self.value(f"document.getElementById({element_id!r}).focus()")
        await self.do("Input.insertText", text=text)

    async def click(self, selector: str) -> None:
        """Click."""
        await self.value(f"document.querySelector({selector!r}).click()")

    async def picture(self, file: Path) -> None:
        """Keep what the page looks like."""
        shown = await self.do("Page.captureScreenshot", format="png")
        file.write_bytes(base64.b64decode(shown["data"]))

    async def do(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a command and return its result."""
        number = next(self._numbers)
        await self._socket.send_json({"id": number, "method": method, "params": parameters})
        while True:
            message = await self._socket.receive_json(timeout=_PATIENCE_S)
            if message.get("id") == number:
                if "error" in message:
                    raise PageGone(message["error"])
                result: dict[str, Any] = message["result"]
                return result
            self._note(message)

    def _note(self, message: dict[str, Any]) -> None:
        if message["method"] == "Runtime.exceptionThrown":
            self.complaints.append(str(message["params"]["exceptionDetails"]))
        elif message["method"] == "Log.entryAdded":
            entry = message["params"]["entry"]
            if entry["level"] == "error" and entry["source"] not in ("network", "javascript"):
                self.complaints.append(entry["text"])


@asynccontextmanager
async def browser(folder: Path) -> AsyncIterator[Tab]:
    """Start the browser with an empty profile and yield its tab; without one it is a skip, and fails if CI is set."""
    program = next(filter(None, map(shutil.which, _NAMES)), None)
    if program is None:
        complaint = "Chromium is not installed"
        pytest.fail(complaint) if os.environ.get("CI") else pytest.skip(complaint)
    home = folder / "home"
    home.mkdir()
    with (folder / "chromium.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            program, *_OPTIONS, f"--user-data-dir={folder / 'profile'}", "about:blank",
            stdout=log, stderr=log, start_new_session=True, env={**os.environ, "HOME": str(home)},
        )  # fmt: skip
    try:
        host = await _debugging_address(folder)
        async with ClientSession() as session:
            async with session.get(f"{host}/json/list") as answer:
                [tab] = [each for each in await answer.json() if each["type"] == "page"]
            async with session.ws_connect(tab["webSocketDebuggerUrl"], max_msg_size=0) as socket:
                opened = Tab(socket)
                for domain in ("Page", "Runtime", "Log"):
                    await opened.do(f"{domain}.enable")
                yield opened
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


async def _debugging_address(folder: Path) -> str:
    """Return where the browser takes commands; it says so in a file of its profile."""
    file = folder / "profile" / "DevToolsActivePort"
    async with asyncio.timeout(_START_S):
        while not file.exists() or "\n" not in file.read_text():
            await asyncio.sleep(0.02)
    return f"http://127.0.0.1:{file.read_text().splitlines()[0]}"
