"""`opaca-edge boards virtual` and the examples of firmware: on the real MicroPython, called through a platform."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edge.model.units import split_description
from micro.flash import virtual
from tests.contract.running import Process, platform_process, until
from tests.contract.wire import Response
from tests.micro.boards import ROOT, micropython

EXAMPLES = ROOT / "firmware-examples"
ATTACHED = re.compile(r"attached to \S+ as container (\S+)")
_PATIENCE_S = 20.0
# The least heap that a board may have (design, section 8).
SMALL = ("--heap", "64k")

pytestmark = pytest.mark.timeout(60)


@pytest.fixture(scope="module")
def keeping(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state directory for all boards here, so that bytecode is made once."""
    micropython()
    return tmp_path_factory.mktemp("boards")


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[Process]:
    folder = tmp_path / "platform"
    folder.mkdir()
    with platform_process(folder, {"ears": "tests.system.ears:container"}) as process:
        yield process


class Virtual:
    """`opaca-edge boards virtual` with one board, and that board seen through its platform."""

    def __init__(self, platform: Process, home: Path, keeping: Path, name: str, *arguments: str) -> None:
        self.platform = platform
        self.flash = keeping / "virtual-boards" / name
        words = ["boards", "virtual", name, "--url", platform.base_url, *arguments]
        home.mkdir(exist_ok=True)
        self.process = Process(words, home, {"STATE_DIR": str(keeping)})

    def __enter__(self) -> Virtual:
        self.process.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.process.stop()

    @property
    def log(self) -> str:
        return self.process.log

    def container_id(self) -> str:
        """Wait until it is attached."""
        until(lambda: ATTACHED.search(self.log) or not self.process.is_running(), "it is attached", _PATIENCE_S)
        found = ATTACHED.search(self.log)
        assert found, self.log
        return found[1]

    def invoke(self, action: str, **arguments: Any) -> Response:
        return self.platform.ask("POST", f"/invoke/{action}", json_body=arguments)

    def value(self, action: str, **arguments: Any) -> Any:
        answer = self.invoke(action, **arguments)
        assert answer.status == 200, f"{answer.text}\n{self.log}"
        return answer.json()

    def actions(self) -> dict[str, dict[str, Any]]:
        container = self.platform.ask("GET", f"/containers/{self.container_id()}").json()
        return {action["name"]: action for agent in container["agents"] for action in agent["actions"]}

    def surround(self, **host: Any) -> None:
        """Change what surrounds the board."""
        before = json.loads((self.flash / "host.json").read_text())
        virtual._write(self.flash / "host.json", before | host)


def assert_plausible(board: Virtual) -> dict[str, Any]:
    """Call every action that needs nothing, compare the value with what its description says, and return all values."""
    values = {}
    for name, action in board.actions().items():
        if any(parameter["required"] for parameter in action["parameters"].values()):
            continue
        values[name] = board.value(name)
        _, quantity = split_description(action["description"])
        if quantity is not None and quantity.minimum is not None:
            assert quantity.minimum <= values[name], name
        if quantity is not None and quantity.maximum is not None:
            assert values[name] <= quantity.maximum, name
    return values


def test_one_command_shows_a_value_of_a_board_through_the_platform(
    platform: Process, tmp_path: Path, keeping: Path
) -> None:
    with Virtual(platform, tmp_path / "home", keeping, "gh-1") as board:
        board.container_id()
        assert 10 < board.value("GetTemperature") < 35
        advice = f"opaca-edge invoke GetTemperature --agent climate --url {platform.base_url}    gives "
        until(lambda: advice in board.log, "it says what to call", _PATIENCE_S)
        assert "MicroPython" in board.log
        assert board.process.is_running()
        board.process._popen.send_signal(signal.SIGINT)  # type: ignore[union-attr]
        assert board.process.wait() == 0


def test_a_board_started_again_is_the_same_container_also_at_another_address(
    platform: Process, tmp_path: Path, keeping: Path
) -> None:
    with Virtual(platform, tmp_path / "home", keeping, "gh-2") as board:
        first = board.container_id()
        tcp_port = json.loads((board.flash / "opaca.json").read_text())["port"]
    with (
        socket.create_server(("127.0.0.1", tcp_port)),
        Virtual(platform, tmp_path / "home", keeping, "gh-2") as board,
    ):
        assert board.container_id() == first
        assert json.loads((board.flash / "opaca.json").read_text())["port"] != tcp_port
        assert isinstance(board.value("GetTemperature"), float)
    assert attached(platform) == [first]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGHUP])
def test_no_board_goes_on_after_its_command_has_been_killed_or_its_terminal_closed(
    platform: Process, tmp_path: Path, keeping: Path, number: signal.Signals
) -> None:
    with Virtual(platform, tmp_path / "home", keeping, f"gone-{number.value}") as board:
        board.container_id()
        (board_pid,) = children(board.process.pid)
        os.kill(board.process.pid, number)
        board.process.wait()
        until(lambda: not Path(f"/proc/{board_pid}").exists(), "its MicroPython ends", _PATIENCE_S)


def test_boards_of_two_names_are_two_containers(platform: Process, tmp_path: Path, keeping: Path) -> None:
    with (
        Virtual(platform, tmp_path / "home", keeping, "gh-3") as one,
        Virtual(platform, tmp_path / "home-2", keeping, "gh-4") as other,
    ):
        assert one.container_id() != other.container_id()


def test_a_platform_that_asks_who_is_calling_gets_a_user_for_the_board(tmp_path: Path, keeping: Path) -> None:
    folder, home = tmp_path / "platform", tmp_path / "home"
    folder.mkdir()
    home.mkdir()
    settings = {"REQUIRE_AUTH": "true", "HOST": "127.0.0.1", "PLATFORM_ADMIN_PWD": "admin-pw"}
    with platform_process(folder, settings=settings) as platform:
        with Virtual(platform, home, keeping, "gh-5") as board:
            assert board.process.wait(_PATIENCE_S) == 1
            assert "opaca-edge login" in board.log
        login = platform.ask("POST", "/login", json_body={"username": "admin", "password": "admin-pw"})
        token = {"Authorization": f"Bearer {login.text}"}
        with Virtual(platform, home, keeping, "gh-5", "--heap", "much") as board:
            board.process.environment["OPACA_EDGE_TOKEN"] = login.text
            board.process.stop()
            board.process.start()
            assert board.process.wait(_PATIENCE_S) == 1
            assert "'much' is no size" in board.log
        ids = []
        for _ in range(2):
            with Virtual(platform, home, keeping, "gh-5") as board:
                board.process.environment["OPACA_EDGE_TOKEN"] = login.text
                board.process.stop()
                board.process.start()
                ids.append(board.container_id())
                answer = platform.ask("POST", "/invoke/GetTemperature", json_body={}, headers=token)
                assert answer.status == 200, answer.text
        assert ids[0] == ids[1]
        users = platform.ask("GET", "/users", headers=token).json()
        (user,) = [each for each in users if each["username"] == "board-gh-5"]
        assert (user["role"], user["privileges"]) == ("USER", ["attach"])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--example", "moonbase"), "01-climate-sensor, 02-plant-watering"),
        (("--heap", "much"), "64k"),
    ],
)
def test_what_cannot_be_run_is_said(
    platform: Process, tmp_path: Path, keeping: Path, arguments: tuple[str, ...], said: str
) -> None:
    with Virtual(platform, tmp_path / "home", keeping, "gh-6", *arguments) as board:
        assert board.process.wait(_PATIENCE_S) != 0
        assert said in board.log


def test_climate_sensor(platform: Process, tmp_path: Path, keeping: Path) -> None:
    with Virtual(platform, tmp_path / "home", keeping, "climate-1", "--example", "01-climate-sensor", *SMALL) as board:
        values = assert_plausible(board)
        assert set(values) == {"GetTemperature", "GetHumidity", "GetPressure"}
        assert 950 < values["GetPressure"] < 1050
        board.surround(values={"temperature": 23.5, "humidity": 40})
        until(
            lambda: board.value("GetTemperature") == pytest.approx(23.5, abs=0.02), "the other temperature", _PATIENCE_S
        )
        until(lambda: broadcasts(platform, "climate-temperature"), "a value is broadcast", _PATIENCE_S)


def test_plant_watering(platform: Process, tmp_path: Path, keeping: Path) -> None:
    with Virtual(platform, tmp_path / "home", keeping, "plant-1", "--example", "plant-watering", *SMALL) as board:
        values = assert_plausible(board)
        assert values["IsTankEmpty"] is False and values["IsPumpOn"] is False
        dry = board.value("GetSoilMoisture")
        board.value("SetPump", on=True, seconds=1)
        assert board.value("IsPumpOn") is True
        until(lambda: not board.value("IsPumpOn"), "the pump goes off by itself", _PATIENCE_S)
        assert board.value("GetSoilMoisture") > dry + 1
        board.value("SetLimit", percent=20)

        board.surround(fail=["soil"])
        answer = board.invoke("GetSoilMoisture")
        assert answer.status == 502
        assert "is the sensor connected?" in answer.text
        assert isinstance(board.value("GetLight"), float)

        board.surround(fail=[], values={"tank": True})
        answer = board.invoke("SetPump", on=True)
        assert answer.status == 502
        assert "the tank is empty" in answer.text


def test_a_sensor_that_fails_is_a_502_with_the_reason_and_comes_back(
    platform: Process, tmp_path: Path, keeping: Path
) -> None:
    with Virtual(platform, tmp_path / "home", keeping, "climate-2", "--example", "01") as board:
        board.container_id()
        board.surround(fail=["bme280"])
        until(lambda: board.invoke("GetTemperature").status == 502, "the sensor fails", _PATIENCE_S)
        assert "BME280 at 0x76 does not answer, check its wires" in board.invoke("GetPressure").text
        assert platform.ask("GET", "/agents/climate").json()["agentId"] == "climate"
        board.surround(fail=[])
        until(lambda: board.invoke("GetTemperature").status == 200, "the sensor is back", _PATIENCE_S)


def test_door_contact_sleeps_and_tells_when_it_moves(platform: Process, tmp_path: Path, keeping: Path) -> None:
    with Virtual(platform, tmp_path / "home", keeping, "door-1", "--example", "door-contact", *SMALL) as board:
        container_id = board.container_id()
        for is_open in (True, False, True):
            board.surround(values={"door": is_open})
            until(
                lambda is_open=is_open: broadcasts(platform, "door")[-1:] == [is_open], "the door is told", _PATIENCE_S
            )  # type: ignore[misc]
        answer = platform.ask("POST", "/invoke/IsDoorOpen", json_body={})
        assert answer.status in (404, 502), answer.text
        assert attached(platform) == [container_id]
        until(lambda: "opaca-edge events -f /broadcast" in board.log, "it says how to hear it", _PATIENCE_S)
        # Attached once: while it sleeps it remembers that it is.
        assert board.log.count("attached to") == 1


def test_relay_box(platform: Process, tmp_path: Path, keeping: Path) -> None:
    with Virtual(platform, tmp_path / "home", keeping, "box-1", "--example", "04-relay-box", *SMALL) as board:
        values = assert_plausible(board)
        assert [values[f"Is{name}On"] for name in ("Lamp", "Fan", "Heater", "Socket")] == [False] * 4
        board.value("SetLamp", on=True)
        board.value("SetFan", on=True, seconds=60)
        assert board.value("IsLampOn") and board.value("IsFanOn") and not board.value("IsHeaterOn")
        assert board.invoke("SetHeater", on=True, seconds=7200).status == 502
        assert platform.ask("POST", "/broadcast/all-off", json_body={"payload": None, "replyTo": ""}).status == 200
        assert not board.value("IsLampOn") and not board.value("IsFanOn")
        board.surround(values={"button": True})
        until(lambda: board.value("IsLampOn"), "the button works", _PATIENCE_S)
        assert board.value("CountButtonPresses") == 1
        board.value("AllOff")


@pytest.mark.parametrize("example", sorted(folder.name for folder in EXAMPLES.iterdir()))
def test_an_example_is_short_and_complete(example: str) -> None:
    folder = EXAMPLES / example
    assert len((folder / "main.py").read_text().splitlines()) < 60
    settings = json.loads((folder / "opaca.json").read_text())
    # The Wi-Fi is asked for where none is in the file.
    assert {"name", "platform"} <= settings.keys() <= {"name", "platform", "push"}
    readme = (folder / "README.md").read_text()
    assert "wiring.svg" in readme and (folder / "wiring.svg").read_text().startswith("<svg")
    assert f"--example {example}" in readme


def test_what_the_stand_ins_take_is_not_taken_from_the_heap_that_is_asked_for(tmp_path: Path, keeping: Path) -> None:
    runs_on = virtual.interpreter(keeping, "400k")
    program = """
import gc
import asyncio, struct, json, math, random
asyncio.sleep, asyncio.Lock
gc.collect()
before = gc.mem_alloc()
import world, machine, network, bme280_device
machine.WDT()
gc.collect()
print(gc.mem_alloc() - before)
"""
    (tmp_path / "main.py").write_text(program)
    done = subprocess.run(runs_on.command, cwd=tmp_path, env=runs_on.variables, capture_output=True, check=True)
    assert 0.8 * virtual.STAND_INS_BYTES < int(done.stdout) <= virtual.STAND_INS_BYTES


async def test_where_there_is_no_micropython_a_board_runs_on_this_python(
    platform: Process, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(virtual, "find_micropython", lambda: None)
    runs_on = virtual.interpreter(tmp_path, None)
    assert runs_on.command[0] == sys.executable
    with pytest.raises(virtual.BuildError, match="MicroPython"):
        virtual.interpreter(tmp_path, "64k")
    board = virtual.VirtualBoard(folder=tmp_path / "py-1")
    board.set_up(EXAMPLES / "01-climate-sensor", {"name": "py-1", "platform": platform.base_url}, "127.0.0.1")
    stop, lines = asyncio.Event(), []

    def hear(line: str) -> None:
        lines.append(line)
        if line.startswith("attached to"):
            stop.set()

    async with asyncio.timeout(_PATIENCE_S):
        assert await virtual.run(board, runs_on, stop, hear) == 0
    assert any(line.startswith("attached to") for line in lines)


def children(pid: int) -> list[int]:
    """Return the processes that a process has started."""
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def broadcasts(platform: Process, channel: str) -> list[Any]:
    """Return the payloads that were broadcast on a channel, the oldest first."""
    heard: list[Any] = platform.ask("POST", f"/invoke/TellHeard/{channel}", json_body={}).json()
    return heard


def attached(platform: Process) -> list[str]:
    """Return the IDs of what is attached."""
    listed = platform.ask("GET", "/containers").json()
    return [each["containerId"] for each in listed if each["image"]["imageName"] != "ears"]
