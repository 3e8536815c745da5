"""Platforms and containers under test: real processes, or a thread of this one where a test looks inside."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import replace
from pathlib import Path
from typing import IO, Any, Self, TypeVar

from edge.app import serve
from edge.config import PlatformConfig
from edge.config_file import BundledContainer
from edge.http.limits import Limits
from tests.contract.wire import Address, Response, ask

T = TypeVar("T")

REPOSITORY = Path(__file__).parents[2]

# Generous: other tests run beside these.
_START_S = 30.0
_STOP_S = 20.0
# With TLS it is the plain listener that tests talk to.
_BASE_URL = re.compile(r"answers on http://[\w.\[\]:]+:(\d+)|http://[\w.\[\]:]+:(\d+) is the same without TLS")

# Not the tests' own: what a service gets from systemd, and nothing of the developer's shell.
_CLEAN = {
    "PATH": os.environ.get("PATH", "/usr/bin:/bin"), "LANG": "C.UTF-8", "PYTHONPATH": str(REPOSITORY),
    "OPACA_EDGE_CONFIG": "",
}  # fmt: skip


class Process:
    """A program under test.

    Args:
        arguments: After `python -m edge`.
        folder: Its working and home directory; its output goes to a file in it.
        settings: Environment variables besides the clean ones.
    """

    def __init__(self, arguments: list[str], folder: Path, settings: Mapping[str, str] | None = None) -> None:
        self.arguments = arguments
        # A program to run it under, such as `recorded_writes` has.
        self.under: list[str] = []
        self.folder = folder
        self.environment = {**_CLEAN, "HOME": str(folder), **(settings or {})}
        self.log_file = folder / "log"
        self._output: IO[bytes] | None = None
        self._popen: subprocess.Popen[bytes] | None = None
        self.address: Address = ("127.0.0.1", 0)

    def __enter__(self) -> Self:
        self.start()
        try:
            self._wait_for_address()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start it and return at once."""
        self._output = self.log_file.open("wb")
        self._popen = subprocess.Popen(
            [*self.under, sys.executable, "-m", "edge", *self.arguments],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=self._output,
        )

    @property
    def pid(self) -> int:
        assert self._popen is not None
        return self._popen.pid

    @property
    def log(self) -> str:
        return self.log_file.read_text("utf-8", "replace") if self.log_file.exists() else ""

    @property
    def base_url(self) -> str:
        return "http://{}:{}".format(*self.address)

    def is_running(self) -> bool:
        return self._popen is not None and self._popen.poll() is None

    def wait(self, timeout_s: float = _STOP_S) -> int:
        """Wait for its end and return its exit status."""
        assert self._popen is not None
        try:
            return self._popen.wait(timeout_s)
        finally:
            self.stop()

    def stop(self) -> int | None:
        """Ask it to stop, insist after a while; returns the exit status."""
        if self._popen is None:
            return None
        if self.is_running():
            self._popen.send_signal(signal.SIGTERM)
            try:
                self._popen.wait(_STOP_S)
            except subprocess.TimeoutExpired:
                self._popen.kill()
                self._popen.wait()
        if self._output is not None:
            self._output.close()
            self._output = None
        return self._popen.returncode

    def rss_bytes(self) -> int:
        pages = Path(f"/proc/{self.pid}/statm").read_text().split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")

    def open_files(self) -> int:
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def threads(self) -> int:
        return len(os.listdir(f"/proc/{self.pid}/task"))

    def ask(self, method: str, path: str, **more: Any) -> Response:
        return ask(self.address, method, path, **more)

    def _wait_for_address(self) -> None:
        """It says where it answers when requests are answered."""
        deadline = time.monotonic() + _START_S
        while time.monotonic() < deadline:
            if not self.is_running():
                raise AssertionError(f"it ended with {self._popen and self._popen.returncode}:\n{self.log}")
            if found := _BASE_URL.search(self.log):
                self.address = ("127.0.0.1", int(found[1] or found[2]))
                with contextlib.suppress(OSError):
                    ask(self.address, "GET", "/nothing")
                    return
            time.sleep(0.01)
        raise AssertionError(f"no base URL within {_START_S} s:\n{self.log}")


def bundled_toml(containers: Mapping[str, str]) -> str:
    """Write the configuration of bundled containers: name -> factory."""
    return "\n".join(f'[[bundled]]\nname = "{name}"\nfactory = "{factory}"\n' for name, factory in containers.items())


def platform_process(
    folder: Path,
    containers: Mapping[str, str] | None = None,
    settings: Mapping[str, str] | None = None,
) -> Process:
    """A platform as users start it, on a free port, with the bundled containers given and no others."""
    arguments = ["run", "--no-bundled"]
    if containers:
        (folder / "edge.toml").write_text(bundled_toml(containers))
        arguments = ["run", "--config", str(folder / "edge.toml")]
    return Process(arguments, folder, {"PORT": "0", "STATE_DIR": str(folder / "state"), **(settings or {})})


class PlatformThread:
    """A platform on a loop of its own in this process, so that a test can see its tasks and its agents' memories."""

    def __init__(
        self,
        folder: Path,
        containers: Mapping[str, str] | None = None,
        limits: Limits | None = None,
        **settings: Any,
    ) -> None:
        bundled = tuple(BundledContainer(name=name, factory=factory) for name, factory in (containers or {}).items())
        config = PlatformConfig(state_dir=folder / "state", image_directory=folder / "images", tcp_port=0)
        self.config = replace(config, bundled=bundled, **settings)
        self.limits = limits
        self.address: Address = ("127.0.0.1", 0)
        self.base_url = ""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._ready = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="platform under test")

    def __enter__(self) -> Self:
        self._thread.start()
        if not self._ready.wait(_START_S) or self._failure is not None:
            self.__exit__()
            raise AssertionError("the platform did not start") from self._failure
        return self

    def __exit__(self, *_: object) -> None:
        if self._loop is not None and self._stop is not None and self._thread.is_alive():
            with contextlib.suppress(RuntimeError):  # it has just ended by itself
                self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(_STOP_S)
        assert not self._thread.is_alive(), "the platform does not stop"

    def ask(self, method: str, path: str, **more: Any) -> Response:
        return ask(self.address, method, path, **more)

    def tasks(self) -> set[str]:
        """Names and coroutines of the tasks on the platform's loop."""

        async def look() -> set[str]:
            return {
                f"{task.get_name()} {task.get_coro()}"
                for task in asyncio.all_tasks()
                if task is not asyncio.current_task()
            }

        return self.on_loop(look)

    def on_loop(self, make: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Run a coroutine on the platform's loop and return its result."""
        assert self._loop is not None
        return asyncio.run_coroutine_threadsafe(make(), self._loop).result(_STOP_S)

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:
            self._failure = error
        finally:
            self._ready.set()

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        await serve(self.config, self._stop, self._is_up, self.limits)

    def _is_up(self, base_url: str) -> None:
        self.base_url = base_url
        self.address = ("127.0.0.1", int(base_url.rpartition(":")[2]))
        self._ready.set()


def until(claim: Callable[[], object], what: str, timeout_s: float = 20.0) -> None:
    """Wait until something holds; fails with `what` if it never does."""
    deadline = time.monotonic() + timeout_s
    while not claim():
        assert time.monotonic() < deadline, f"never so within {timeout_s} s: {what}"
        time.sleep(0.01)
