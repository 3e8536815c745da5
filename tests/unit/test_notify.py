"""What the service manager hears from a platform, over a real socket."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from edge.app import serve
from edge.config import PlatformConfig
from edge.notify import Notifier
from tests.contract.running import Process, bundled_toml
from tests.contract.wire import ask


class Manager:
    """The manager's end."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(f"\0{address[1:]}" if address.startswith("@") else address)
        self.socket.setblocking(False)
        self.heard: list[str] = []

    def listen(self) -> list[str]:
        """All messages since the last time."""
        fresh: list[str] = []
        while True:
            try:
                fresh.append(self.socket.recv(4096).decode())
            except BlockingIOError:
                self.heard += fresh
                return fresh

    def hears(self, wanted: str, limit_s: float = 15.0) -> None:
        give_up_at = time.monotonic() + limit_s
        while not any(wanted in message for message in self.heard):
            self.listen()
            assert time.monotonic() < give_up_at, f"no {wanted}, only {self.heard}"
            time.sleep(0.005)

    async def comes(self, wanted: str) -> None:
        async with asyncio.timeout(15):
            while not any(wanted in message for message in self.listen()):
                await asyncio.sleep(0.002)


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Manager]:
    address = str(tmp_path / "notify") if request.param == "path" else f"@opaca-edge-test-{os.getpid()}"
    manager = Manager(address)
    yield manager
    manager.socket.close()


def test_a_platform_is_ready_when_it_answers_and_says_that_it_stops(manager: Manager, tmp_path: Path) -> None:
    settings = {"NOTIFY_SOCKET": manager.address, "WATCHDOG_USEC": "400000", "STATE_DIR": str(tmp_path / "state")}
    process = Process(["run", "--port", "0"], tmp_path, settings)
    process.start()
    try:
        manager.hears("READY=1")
        url = next(message for message in manager.heard if "READY=1" in message).split("Answers on ")[1]
        assert ask(("127.0.0.1", int(url.rpartition(":")[2])), "GET", "/info").status == 200
        manager.hears("WATCHDOG=1")
    finally:
        assert process.stop() == 0
    manager.listen()
    assert "STOPPING=1" in "\n".join(manager.heard)
    # Nothing is said of readiness after the end began.
    assert "READY=1" not in "\n".join(manager.heard).partition("STOPPING=1")[2]


@pytest.mark.may_block
async def test_no_ping_while_the_loop_is_blocked(manager: Manager) -> None:
    async with Notifier(manager.address, 0.1):
        await manager.comes("WATCHDOG=1")
        manager.listen()
        time.sleep(0.3)
        assert manager.listen() == []
        await manager.comes("WATCHDOG=1")


async def test_no_ping_while_a_part_does_not_answer(manager: Manager) -> None:
    answers = asyncio.Event()
    asked: list[float] = []

    async def answer() -> None:
        asked.append(time.monotonic())
        await answers.wait()

    async with Notifier(manager.address, 0.04) as notifier:
        with notifier.proving(answer):
            while not asked:
                await asyncio.sleep(0.001)
            manager.listen()
            await asyncio.sleep(0.1)
            assert manager.listen() == []
            assert len(asked) == 1
            answers.set()
            await manager.comes("WATCHDOG=1")
        asked.clear()
        await manager.comes("WATCHDOG=1")
        await manager.comes("WATCHDOG=1")
        assert asked == []


async def test_no_ping_after_a_proof_that_failed(manager: Manager, caplog: pytest.LogCaptureFixture) -> None:
    failures = 3

    async def fail() -> None:
        nonlocal failures
        failures -= 1
        if failures >= 0:
            assert manager.listen() == []
            raise OSError("the card is gone")

    async with Notifier(manager.address, 0.02) as notifier:
        with notifier.proving(fail):
            await manager.comes("WATCHDOG=1")
    assert failures < 0
    assert "the card is gone" in caplog.text


@pytest.fixture
def config(tmp_path: Path) -> PlatformConfig:
    return PlatformConfig.from_environ({"STATE_DIR": str(tmp_path / "state"), "PORT": "0"})


@pytest.mark.may_block
async def test_the_thread_of_the_database_must_get_on_too(manager: Manager, config: PlatformConfig) -> None:
    """A stuck database is what the loop alone would not show."""
    stop, ready = asyncio.Event(), asyncio.Event()
    async with Notifier(manager.address, 0.08) as notifier:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(serve(config, stop, lambda url: ready.set(), notifier=notifier))
            await ready.wait()
            assert len(notifier._proofs) == 1
            database = notifier._proofs[0].__closure__[0].cell_contents  # type: ignore[attr-defined]
            release = asyncio.Event()
            loop = asyncio.get_running_loop()
            stuck = loop.run_in_executor(database._thread, _wait_for(loop, release))
            await manager.comes("READY=1")
            await asyncio.sleep(0.1)
            manager.listen()
            await asyncio.sleep(0.2)
            assert manager.listen() == []
            release.set()
            await stuck
            await manager.comes("WATCHDOG=1")
            stop.set()
        assert notifier._proofs == []


def _wait_for(loop: asyncio.AbstractEventLoop, event: asyncio.Event) -> Callable[[], object]:
    return lambda: asyncio.run_coroutine_threadsafe(event.wait(), loop).result()


async def test_what_cannot_be_sent_now_is_sent_with_the_next_message(manager: Manager) -> None:
    async with Notifier(manager.address) as notifier:
        sent = 0
        while not notifier._unsent:  # the manager does not read: its queue is full at some point
            notifier.ready("x" * 100)
            sent += 1
            assert sent < 10_000
        notifier._unsent = ""
        notifier.ready("at last")
        assert "at last" in notifier._unsent
        manager.listen()
        notifier.stopping()
        [message] = manager.listen()
        assert message.splitlines() == ["READY=1", "STATUS=at last", "STOPPING=1", "STATUS=Stopping"]


async def test_a_manager_that_is_gone_is_logged_and_nothing_more(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with Notifier(str(tmp_path / "nobody")) as notifier:
        notifier.ready("here")
    assert "service manager" in caplog.text


async def test_without_a_manager_nothing_is_done() -> None:
    async with Notifier.from_environ({"WATCHDOG_USEC": "1000"}) as notifier:
        notifier.ready("here")
        assert notifier._pings is None
        assert notifier._socket is None


@pytest.mark.parametrize(
    ("variables", "limit_s"),
    [
        ({"WATCHDOG_USEC": "60000000"}, 60.0),
        ({"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": "77"}, 60.0),
        ({"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": "78"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({"WATCHDOG_USEC": "-5"}, None),
        ({}, None),
    ],
)
def test_the_limit_is_what_was_said_to_this_process(variables: dict[str, str], limit_s: float | None) -> None:
    assert Notifier.from_environ({"NOTIFY_SOCKET": "/run/x", **variables}, pid=77)._limit_s == limit_s


SLEEPER = """
import time
from edge.agents import Agent, Container, action

class Sleeper(Agent):
    @action
    async def Block(self) -> None:
        time.sleep(1.2)

container = Container("sleeper", [Sleeper("sleeper")])
"""


def test_a_platform_whose_loop_hangs_stops_pinging(tmp_path: Path) -> None:
    """The whole chain: systemd would end this process now."""
    (tmp_path / "sleeper.py").write_text(SLEEPER)
    (tmp_path / "edge.toml").write_text(bundled_toml({"sleeper": "sleeper:container"}))
    manager = Manager(str(tmp_path / "notify"))
    settings = {"NOTIFY_SOCKET": manager.address, "WATCHDOG_USEC": "400000", "STATE_DIR": str(tmp_path / "state")}
    arguments = ["run", "--port", "0", "--config", str(tmp_path / "edge.toml")]
    try:
        with Process(arguments, tmp_path, settings) as process, ThreadPoolExecutor() as threads:
            manager.hears("WATCHDOG=1")
            answer = threads.submit(process.ask, "POST", "/invoke/Block", body=b"{}")
            give_up_at = time.monotonic() + 10
            # Pings come every 0.1 s; it hangs for 1.2 s.
            last_ping = time.monotonic()
            while time.monotonic() - last_ping < 0.7:
                assert time.monotonic() < give_up_at, "the pings went on"
                if manager.listen():
                    last_ping = time.monotonic()
                time.sleep(0.01)
            assert answer.result().status == 200
            manager.heard.clear()
            manager.hears("WATCHDOG=1")
    finally:
        manager.socket.close()
