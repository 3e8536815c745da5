"""Boards with the real stub on MicroPython: whatever restarts or moves, each stays the container that it is."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from micro.flash.virtual import Interpreter, VirtualBoard, interpreter, run
from tests.contract.ports import free_port
from tests.contract.running import REPOSITORY
from tests.integration.signed import token_for
from tests.micro.boards import micropython
from tests.system.farm import Farm, boards, farm
from tests.system.joined import restart, until

pytestmark = pytest.mark.timeout(120)

GUIDE = (REPOSITORY / "docs/boards.md").read_text("utf-8")
[PROGRAM] = re.findall(r"^`main.py`:\n\n```python\n(.*?)^```", GUIDE, re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def runs_on(tmp_path_factory: pytest.TempPathFactory) -> Interpreter:
    """The real MicroPython, with as much memory as an ESP32 has."""
    micropython()
    return interpreter(tmp_path_factory.mktemp("bytecode"), None)


@dataclass
class Running:
    """A board that is switched on."""

    board: VirtualBoard
    stop: asyncio.Event
    lines: list[str]

    @property
    def file(self) -> Path:
        return self.board.folder / "opaca.json"

    def change(self, name: str, **values: object) -> None:
        """Change keys of opaca.json or host.json, in one go."""
        path = self.board.folder / name
        unfinished = path.with_suffix(".test")
        unfinished.write_text(json.dumps(json.loads(path.read_text()) | values))
        unfinished.replace(path)


@asynccontextmanager
async def switched_on(board: VirtualBoard, runs_on: Interpreter) -> AsyncIterator[Running]:
    """Switch a board on, and off again."""
    running = Running(board, asyncio.Event(), [])
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(run(board, runs_on, running.stop, running.lines.append))
        try:
            yield running
        finally:
            running.stop.set()


def virtual(at: Farm, folder: Path, name: str) -> VirtualBoard:
    """Put the program of the guide on a new board."""
    program = folder / "program"
    program.mkdir(exist_ok=True)
    (program / "main.py").write_text(PROGRAM)
    board = VirtualBoard(folder=folder / name)
    settings = {"name": name, "platform": at.platform.url, "user": f"board-{name}", "token": at.tokens[name]}
    board.set_up(program, settings, "127.0.0.1")
    return board


async def answers(at: Farm, container_id: str) -> bool:
    answer = await at.ask("POST", f"/invoke/GetFreeMemory?containerId={container_id}", {})
    return answer.status == 200 and answer.json > 0


async def address(at: Farm, container_id: str) -> str:
    found = (await at.ask("GET", f"/containers/{container_id}")).json["connectivity"]
    return f"{found['publicUrl']}:{found['apiPortMapping']}"


async def test_a_board_is_the_same_whatever_restarts_or_moves(tmp_path: Path, runs_on: Interpreter) -> None:
    async with farm(tmp_path / "platform", CONTAINER_TIMEOUT_SEC="5") as at:
        await at.enrol("bed-1")
        board = virtual(at, tmp_path, "bed-1")
        async with switched_on(board, runs_on):
            await until(at.ids, "it has attached itself")
            [container_id] = await at.ids()
            assert await answers(at, container_id)
        for port in (board.settings()["port"], free_port()):  # restarted, and moved
            Running(board, asyncio.Event(), []).change("opaca.json", port=port)
            async with switched_on(board, runs_on) as running:
                await until(lambda: is_attached(running), "it has attached itself again")
                assert await address(at, container_id) == f"http://127.0.0.1:{port}"
                assert await answers(at, container_id)
        async with switched_on(board, runs_on) as running:
            await until(lambda: is_attached(running), "it has attached itself again")
            running.change("host.json", ip="127.0.0.2")
            await until(lambda: is_at(at, container_id, "127.0.0.2"), "it says that it has another address")
            assert await answers(at, container_id)

            os.kill(at.platform.process.pid, signal.SIGKILL)
            await restart(at.platform)
            assert await answers(at, container_id)

            await rotated(at, "bed-1", running.file)
            assert (await at.ask("GET", "/info", token=at.tokens["bed-1"])).status == 401
            assert await answers(at, container_id)
            running.change("host.json", ip="127.0.0.1")
            await until(lambda: is_at(at, container_id, "127.0.0.1"), "it takes the new token from its settings")
            assert await answers(at, container_id)
        assert await at.ids() == [container_id]


async def is_attached(running: Running) -> bool:
    return any(line.startswith("attached to") for line in running.lines)


async def is_at(at: Farm, container_id: str, host: str) -> bool:
    return (await address(at, container_id)).startswith(f"http://{host}:")


async def rotated(at: Farm, name: str, file: Path) -> None:
    """Rotate as a user does, with the settings in the board's own file."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "edge", "boards", "rotate", name, "-o", str(file)),
        cwd=REPOSITORY,
        env={"OPACA_EDGE_URL": at.platform.url, "OPACA_EDGE_TOKEN": token_for("admin"), "HOME": str(file.parent)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert process.returncode == 0, (out, err)


async def test_thirty_boards_come_after_a_power_cut(tmp_path: Path, runs_on: Interpreter) -> None:
    """Three of them on MicroPython, all at the same time."""
    names = [f"bed-{number}" for number in range(30)]
    async with AsyncExitStack() as opened:
        at = await opened.enter_async_context(farm(tmp_path / "platform", CONTAINER_TIMEOUT_SEC="5"))
        await at.enrol(*names)
        real = [virtual(at, tmp_path, name) for name in names[:3]]
        others = await opened.enter_async_context(boards(27))
        running = [await opened.enter_async_context(switched_on(board, runs_on)) for board in real]
        attached = await asyncio.gather(
            *(at.attach(name, board.url) for name, board in zip(names[3:], others, strict=True))
        )
        assert {answer.status for answer in attached} == {200}
        for each in running:
            await until(lambda each=each: is_attached(each), "it has attached itself")
        ids = await at.ids()
        assert len(ids) == 30
        mine = [line.split()[-1] for each in running for line in each.lines if line.startswith("attached to")]
        assert await asyncio.gather(*(answers(at, each) for each in mine)) == [True] * 3
        assert await asyncio.gather(*(at.blink(each) for each in ids if each not in mine)) == [200] * 27
