"""What every test stands on: sizes, seeds, a watch for blocking calls, and nothing left behind.

Warnings are errors and 20 s the time limit (pyproject.toml), a minute for tests of whole programs, more by
`@pytest.mark.timeout`. Where port 0 cannot be used, a port comes from tests/contract/ports.py or `unused_tcp_port`.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import os
import random
import shutil
import signal
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from pathlib import Path

import pytest
from blockbuster import blockbuster_ctx

from tests.contract.ports import free_port

SEED = 20260421

# Folders whose tests start programs: how long one may take, in seconds, on a machine that runs other tests beside it.
PROGRAMS = ("integration/", "micro/", "system/", "unit/cli/")
PROGRAMS_LIMIT_S = 60

# How long what a test started may take to go away after it, in seconds: sockets close on the loop's next turns.
GRACE_S = 5.0


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--full", action="store_true", help="run at the sizes that the documentation states")


def pytest_configure() -> None:
    # Whoever starts this in the background of a script has Ctrl-C ignored, and what the tests start would inherit that.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    # No configuration file: this machine may have one of a service that runs here.
    os.environ["OPACA_EDGE_CONFIG"] = ""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        is_of_programs = item.path.relative_to(Path(__file__).parent).as_posix().startswith(PROGRAMS)
        if is_of_programs and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(PROGRAMS_LIMIT_S))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """What hostile tests log may be no text that UTF-8 can write, and pytest-xdist sends reports as UTF-8."""
    report = yield
    report.sections = [(title, _writable(text)) for title, text in report.sections]
    return report


def _writable(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


@pytest.fixture(scope="session")
def at_size(request: pytest.FixtureRequest) -> Callable[[int, int], int]:
    """`at_size(200, 10_000)`: the first by default, the second under --full."""
    is_full = bool(request.config.getoption("--full"))

    def choose(small: int, full: int) -> int:
        return full if is_full else small

    return choose


@pytest.fixture(scope="session")
def real_part() -> Callable[[str], Path]:
    """`real_part("opaca")`: the interpreter of a foreign program's environment under .venvs, set up by scripts/test.

    Where it is missing the test is skipped, or fails if CI is set.
    """

    def interpreter_of(name: str) -> Path:
        interpreter = Path(__file__).parent.parent / ".venvs" / name / "bin" / "python"
        if not interpreter.exists():
            complaint = f"{name} is not installed: run scripts/test, which makes .venvs/{name}"
            pytest.fail(complaint) if os.environ.get("CI") else pytest.skip(complaint)
        return interpreter

    return interpreter_of


@pytest.fixture
def unused_tcp_port() -> int:
    """In place of pytest-asyncio's, which another program may be given as well before it is used."""
    return free_port()


@pytest.fixture(scope="session")
def unused_tcp_port_factory() -> Callable[[], int]:
    """As above, for several."""
    return free_port


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder as `tmp_path`, but where another user gets in: pytest closes its own, now and then, to others."""
    folder = Path(tempfile.mkdtemp(prefix="opaca-edge-test-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(autouse=True)
def seed() -> int:
    """Every test draws the same random numbers in every run; for a generator of its own it takes this seed."""
    random.seed(SEED)
    return SEED


@pytest.fixture(autouse=True)
def no_blocking_call(request: pytest.FixtureRequest) -> Iterator[None]:
    """A blocking call of ours on the loop raises; `@pytest.mark.may_block` is for agents that block on purpose."""
    if request.node.get_closest_marker("may_block") or not inspect.iscoroutinefunction(request.function):
        yield
        return
    with blockbuster_ctx(["edge", "bridge"]):
        yield


@pytest.fixture(autouse=True)
def nothing_left(request: pytest.FixtureRequest) -> Iterator[None]:
    """A test leaves no thread, child process or open file; what a fixture of a wider scope holds was there before."""
    before = _threads() | _children() | _open_files()
    yield
    if request.node.get_closest_marker("leaves_things"):
        return
    give_up_at = time.monotonic() + GRACE_S
    while left := (_threads() | _children() | _open_files()) - before:
        if time.monotonic() > give_up_at:
            pytest.fail(f"left behind: {', '.join(sorted(left))}")
        time.sleep(0.005)


@pytest.fixture(autouse=True)
def no_task_left(request: pytest.FixtureRequest, nothing_left: None) -> Iterator[None]:
    """A coroutine test leaves no task, and nothing that asyncio could only complain about in the log."""
    if not inspect.iscoroutinefunction(request.function):
        yield
        return
    request.getfixturevalue("_all_tasks_end")
    complaints = _Complaints(logging.ERROR)
    logger = logging.getLogger("asyncio")
    logger.addHandler(complaints)
    yield
    logger.removeHandler(complaints)
    if complaints.messages:
        pytest.fail("asyncio complained: " + "; ".join(complaints.messages))


@pytest.fixture
async def _all_tasks_end() -> AsyncIterator[None]:
    yield
    give_up_at = time.monotonic() + GRACE_S
    while left := asyncio.all_tasks() - {asyncio.current_task()}:
        if time.monotonic() > give_up_at:
            pytest.fail("tasks left behind: " + ", ".join(sorted(map(repr, left))))
        await asyncio.sleep(0.005)


class _Complaints(logging.Handler):
    def __init__(self, level: int) -> None:
        super().__init__(level)
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(self.format(record))


def _threads() -> set[str]:
    return {f"thread {thread.name} ({thread.ident})" for thread in threading.enumerate()}


def _children() -> set[str]:
    children: set[str] = set()
    for listing in Path("/proc/self/task").glob("*/children"):
        try:
            children.update(f"process {child}" for child in listing.read_text().split())
        except (FileNotFoundError, ProcessLookupError):
            continue  # the thread ended while we looked
    return children


def _open_files() -> set[str]:
    """Sockets, pipes, files; not devices and not the listing itself."""
    links: set[str] = set()
    for descriptor in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink(f"/proc/self/fd/{descriptor}")
        except FileNotFoundError:
            continue  # the listing's own descriptor
        if not target.startswith(("/dev/", "/proc/self/fd")):
            links.add(f"descriptor {descriptor} ({target})")
    return links
