"""A board whose program fails can still be reached, and one that hangs starts anew."""

from __future__ import annotations

import json
import signal
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.micro.boards import ROOT
from tests.micro.homes import CLIMATE, HASTE, INTERPRETERS, PROGRAM, Home, VirtualBoard

MakeBoard = Callable[..., VirtualBoard]

RESET = 93  # the exit code of the stand-in for machine.reset()

BROKEN = HASTE + "\ndef agents():\n    raise OSError('the sensor does not answer')\n\nboard.run(agents)\n"


@pytest.fixture(params=INTERPRETERS)
def make_board(request: pytest.FixtureRequest, tmp_path: Path, built: Path) -> Iterator[MakeBoard]:
    """Make a board; nobody needs to be at its platform."""
    made = []

    def make(program: str, **settings: object) -> VirtualBoard:
        made.append(
            VirtualBoard(
                request.param, built, tmp_path / "board", program, **{"platform": "http://127.0.0.1:9", **settings}
            )
        )
        return made[-1]

    yield make
    for board in made:
        board.stop()


def failed_boots(board: VirtualBoard) -> int:
    failed: int = json.loads((board.folder / "boots.json").read_text())["failed"]
    return failed


def test_a_program_that_cannot_be_loaded_ends_in_safe_mode_which_shows_why(home: Home, make_board: MakeBoard) -> None:
    board = make_board(BROKEN, platform=home.url, user="board-1", token=home.token())
    for _ in range(5):
        board.start()
        assert board.ended() == RESET
        assert "the sensor does not answer" in board.log
    board.start()
    container_id = board.attached_id()
    container = home.containers()[container_id]
    assert "failed 5 times" in container["image"]["description"]
    assert "the sensor does not answer" in container["image"]["description"]
    assert [agent["agentId"] for agent in container["agents"]] == ["safe-mode"]
    assert "the sensor does not answer" in home.ask("admin", "POST", "/invoke/GetReason", {}).json()


def test_a_program_beside_the_shipped_main_is_loaded_where_it_can_do_no_harm(make_board: MakeBoard) -> None:
    board = make_board((ROOT / "micro/main.py").read_text())
    board.write("program.py", HASTE + CLIMATE + "\nagents = [climate]\n")
    board.start()
    board.until_says("cannot be reached")
    board.write("program.py", "def climate(:\n")
    for _ in range(3):
        board.start()
        assert board.ended() == RESET
        assert "SyntaxError" in board.log
    assert failed_boots(board) == 4


def test_safe_mode_is_left_by_whoever_asks_and_a_good_program_then_stays(home: Home, make_board: MakeBoard) -> None:
    board = make_board(PROGRAM, platform=home.url, user="board-1", token=home.token())
    board.write("boots.json", '{"failed": 5, "reason": "MemoryError: it was too much"}')
    board.start()
    before = board.attached_id()
    assert home.temperature() is None
    assert home.ask("admin", "POST", "/invoke/Restart", {}).status == 200
    assert board.ended() == RESET
    board.start()
    assert board.attached_id() == before
    assert home.temperature() == 21.5
    board.until(lambda: failed_boots(board) == 0, "that the boot counts as good")


def test_safe_mode_gives_the_program_one_more_chance(make_board: MakeBoard) -> None:
    board = make_board(BROKEN)
    board.write("boots.json", '{"failed": 5, "reason": "MemoryError: it was too much"}')
    board.start()
    board.until_says("safe mode: the program failed 5 times")
    board.start()  # somebody pulled its plug
    assert board.ended() == RESET
    board.start()
    board.until_says("safe mode: the program failed 5 times, last: OSError: the sensor does not answer")


def test_safe_mode_ends_by_itself(make_board: MakeBoard) -> None:
    board = make_board("from opaca_micro import safe_mode\nsafe_mode.LASTS_S = 1\n" + PROGRAM)
    board.write("boots.json", '{"failed": 5, "reason": "MemoryError: it was too much"}')
    board.start()
    assert board.ended() == RESET
    assert failed_boots(board) == 4


def test_a_board_on_which_not_even_safe_mode_runs_does_not_start_anew_all_the_time(make_board: MakeBoard) -> None:
    board = make_board(
        "from opaca_micro import announce, board\ndel announce.Announcer\nboard.HOPELESS_S = 2\nboard.run(list)\n"
    )
    board.write("boots.json", '{"failed": 4, "reason": "MemoryError: it was too much"}')
    board.start()
    assert board.ended() == RESET
    since = time.monotonic()
    board.start()
    assert board.ended() == RESET
    assert time.monotonic() - since >= 2
    assert "safe mode: the program failed 5 times, last: " in board.log
    assert failed_boots(board) == 4


def test_a_file_of_boots_that_was_torn_counts_as_none(make_board: MakeBoard) -> None:
    board = make_board(PROGRAM)
    board.write("boots.json", '{"failed": 5, "rea')
    board.start()
    board.until_says("cannot be reached")
    assert "safe mode" not in board.log


def test_boots_that_hold_are_forgotten_and_others_counted(make_board: MakeBoard) -> None:
    board = make_board(PROGRAM.replace("good_after_s = 1", "good_after_s = 600"))
    for count in (1, 2):
        board.start()
        board.until_says("cannot be reached")
        assert failed_boots(board) == count
    board.write("main.py", PROGRAM)
    board.start()
    board.until(lambda: failed_boots(board) == 0, "that the boot counts as good")


def test_somebody_who_unplugs_a_board_again_and_again_still_has_their_program(make_board: MakeBoard) -> None:
    board = make_board(PROGRAM.replace("good_after_s = 1", "good_after_s = 600"))
    for _ in range(7):
        board.start()
        board.until_says("cannot be reached")
        assert "safe mode" not in board.log


def test_a_supply_that_breaks_down_with_the_program_ends_in_safe_mode_too(make_board: MakeBoard) -> None:
    board = make_board(PROGRAM.replace("good_after_s = 1", "good_after_s = 600\nboot.Boot.most_cut = 2"))
    for _ in range(2):
        board.start()
        board.until_says("cannot be reached")
    for _ in range(2):
        board.start()
        board.until_says("safe mode: the program failed 2 times, last: it was reset or lost power")
        board.start()  # one more chance
        board.until_says("cannot be reached")
        assert "safe mode" not in board.log


def test_a_program_that_somebody_at_the_console_stops_has_not_failed(make_board: MakeBoard) -> None:
    stop = "\n@climate.job\nasync def stop():\n    raise KeyboardInterrupt\n\nboard.run(climate)\n"
    board = make_board(HASTE + CLIMATE + stop)
    board.surround(reset_cause="reset")
    for _ in range(6):
        board.start()
        board.ended()
        assert "safe mode" not in board.log
    assert failed_boots(board) == 0
    board.write("main.py", HASTE + "\ndef agents():\n    raise KeyboardInterrupt\n\nboard.run(agents)\n")
    board.write("boots.json", '{"failed": 2, "reason": "MemoryError: it was too much"}')
    board.start()
    board.ended()
    assert json.loads((board.folder / "boots.json").read_text())["reason"] == "MemoryError: it was too much"
    assert failed_boots(board) == 2


def test_a_job_that_falls_with_a_task_of_its_own_does_not_leave_the_board_dead(make_board: MakeBoard) -> None:
    fall = """
import asyncio

@climate.job
async def fall():
    async def wait():
        await asyncio.sleep(60)

    task = asyncio.create_task(wait())
    await asyncio.sleep(0.1)
    task.cancel()
    await task

board.run(climate)
"""
    board = make_board(HASTE + CLIMATE + fall, watchdog=False)
    board.start()
    assert board.ended() == RESET
    assert "CancelledError" in (board.folder / "boots.json").read_text()


def test_what_cannot_be_an_agent_ends_in_safe_mode(make_board: MakeBoard) -> None:
    board = make_board(HASTE + "\nboard.run(lambda: 'climate')\n", watchdog=False)
    board.start()
    assert board.ended() == RESET
    assert "AttributeError" in (board.folder / "boots.json").read_text()


IMPATIENT = "from opaca_micro import watchdog\nwatchdog.TIMEOUT_MS = 1000\nwatchdog.FEED_S = 0.1\n"


def test_the_watchdog_ends_a_board_whose_loop_stands_still(make_board: MakeBoard) -> None:
    hang = """
import asyncio

@climate.job
async def hang():
    await asyncio.sleep(1.5)
    print("hangs")
    while True:
        pass

board.run(climate)
"""
    board = make_board(IMPATIENT + HASTE + CLIMATE + hang)
    board.start()
    assert board.ended() == -signal.SIGALRM
    assert "hangs" in board.log
    board.surround(reset_cause="watchdog")
    board.write("boots.json", '{"failed": 5, "reason": ""}')
    board.start()
    board.until_says("last: the watchdog reset the board")


def test_the_watchdog_ends_a_board_whose_server_does_not_take_connections(make_board: MakeBoard) -> None:
    board = make_board(IMPATIENT + PROGRAM)
    with socket.socket() as taken:
        taken.bind(("0.0.0.0", board.tcp_port))
        taken.listen()
        board.start()
        assert board.ended() == -signal.SIGALRM
    assert "the server failed; it is started anew" in board.log


def test_the_watchdog_lets_a_board_run_that_works_or_has_none(make_board: MakeBoard) -> None:
    slow = 'import asyncio\n\n@climate.job\nasync def wait():\n    await asyncio.sleep(2.5)\n    print("alive")\n'
    patient = IMPATIENT.replace("1000", "2000")
    board = make_board(patient + HASTE + CLIMATE + slow + "board.run(climate)\n")
    board.start()
    board.until_says("alive")
    block = 'import time\n\n@climate.job\nasync def block():\n    time.sleep(2.5)\n    print("alive")\n'
    board = make_board(patient + HASTE + CLIMATE + block + "board.run(climate)\n", watchdog=False)
    board.start()
    board.until_says("alive")


def test_jobs_that_fail_are_started_anew(make_board: MakeBoard) -> None:
    fail = '\n@climate.job\nasync def fail():\n    raise ValueError("no luck")\n\nboard.run(climate)\n'
    board = make_board("from opaca_micro import board\nboard.RESTART_S = 0.1\n" + HASTE + CLIMATE + fail)
    board.start()
    board.until_says("no luck", times=3)
    assert board.is_on


def test_a_relay_goes_off_when_somebody_at_the_console_stops_the_program(make_board: MakeBoard) -> None:
    stopped = """
from opaca_micro.parts.relay import Relay

relay = Relay(26, active_low=True)
relay.offer(climate)

@climate.at_end
def broken():
    raise OSError("cannot be ended")

@climate.job
async def stop():
    relay.set(True)
    print("on:", relay._pin.value())
    raise KeyboardInterrupt

try:
    board.run(climate)
except KeyboardInterrupt:
    print("off:", relay._pin.value())
"""
    board = make_board(HASTE + CLIMATE + stopped)
    board.surround(wiring={"26": "!pump"})
    board.start()
    board.ended()
    assert "on: 0" in board.log
    assert "cannot be ended" in board.log
    assert "off: 1" in board.log


def test_a_board_ends_at_once_when_its_settings_are_wrong(make_board: MakeBoard) -> None:
    board = make_board(PROGRAM, port="eighty")
    board.start()
    assert board.ended() == 1
    assert board.log.splitlines()[-1].endswith(
        'opaca.json: port: expected a whole number from 1 to 65535, found "eighty"'
    )
    assert not (board.folder / "boots.json").exists()
