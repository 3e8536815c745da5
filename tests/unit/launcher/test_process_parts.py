"""The parts of the launcher of native processes that need no container."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from edge.errors import NotReady, Overloaded, Unreachable
from edge.launcher.images import Image, Restart
from edge.launcher.process import kin
from edge.launcher.process.exits import Exit
from edge.launcher.process.output import OutputLog, redact
from edge.launcher.process.plan import make_plan
from edge.launcher.process.ports import HostPorts, PortRegistry, allowed_ports
from edge.launcher.process.readiness import Died, until_ready
from edge.launcher.process.restarts import Done, GiveUp, Pause, Restarts
from edge.launcher.process.surroundings import command
from edge.model.descriptions import AgentContainerImage, PortDescription
from edge.model.requests import PostAgentContainer

INFO = b'{"containerId":"c","image":{"imageName":"i"},"runningSince":"2026-04-21T13:13:39.120Z"}'


# Ports


def test_ports_are_below_those_that_the_kernel_gives_out(tmp_path: Path) -> None:
    file = tmp_path / "range"
    for text, ports in [
        ("32768\t60999\n", range(20_000, 32_768)),
        ("20100 60999", range(1024, 20_100)),
        ("1024 60999", range(61_000, 65_536)),
        ("1024 65535", range(20_000, 32_768)),
        ("rubbish", range(20_000, 32_768)),
    ]:
        file.write_text(text)
        assert allowed_ports(file) == ports
    assert allowed_ports(tmp_path / "missing") == range(20_000, 32_768)


def test_no_port_is_given_twice_nor_one_that_somebody_listens_on() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        registry = PortRegistry(range(port, port + 1))
        with pytest.raises(Overloaded):
            registry.reserve({})
    ports = registry.reserve({})
    assert ports == HostPorts(port, {})
    with pytest.raises(Overloaded, match=f"all ports from {port} to {port} are taken"):
        registry.reserve({})
    registry.release(ports)
    registry.claim(ports)
    assert registry.taken == {port}


def test_ports_of_a_wish_that_cannot_be_met_are_given_back() -> None:
    with socket.create_server(("127.0.0.1", 0)) as found:
        port = found.getsockname()[1]
    registry = PortRegistry(range(port, port + 1))
    with pytest.raises(Overloaded):
        registry.reserve({9001: PortDescription()})
    assert registry.taken == frozenset()


def test_a_mapping_names_the_api_first() -> None:
    assert HostPorts(20_001, {9: 20_002, 8: 20_003}).mapping(8082) == "8082:20001,9:20002,8:20003"


# Restarts


def _fails(restarts: Restarts, lived_s: float = 1.0, was_ready: bool = True) -> Pause | GiveUp | Done:
    return restarts.after(is_success=False, lived_s=lived_s, was_ready=was_ready)


def test_pauses_double_up_to_half_a_minute_and_begin_anew_after_a_minute_of_health() -> None:
    restarts = Restarts(Restart.ON_FAILURE)
    pauses = [_fails(restarts, lived_s=11.0) for _ in range(9)]
    wanted = [0.5, 1, 2, 4, 8, 16, 30, 30, 30]
    assert all(isinstance(pause, Pause) for pause in pauses)
    assert [pause.pause_s for pause in pauses if isinstance(pause, Pause)] == pytest.approx(wanted, rel=0.11)
    verdict = _fails(restarts, lived_s=61.0)
    assert isinstance(verdict, Pause)
    assert verdict.pause_s < 0.6
    assert restarts.count == 10


def test_five_quick_ends_in_a_row_are_a_crash_loop() -> None:
    restarts = Restarts(Restart.ALWAYS)
    for _ in range(4):
        assert isinstance(_fails(restarts), Pause)
    assert isinstance(_fails(restarts, lived_s=20.0), Pause)
    for _ in range(4):
        assert isinstance(_fails(restarts, lived_s=20.0, was_ready=False), Pause)
    assert isinstance(_fails(restarts), GiveUp)


def test_exit_status_0_under_always_can_be_a_crash_loop_too() -> None:
    restarts = Restarts(Restart.ALWAYS)
    verdicts = [restarts.after(is_success=True, lived_s=0.1, was_ready=True) for _ in range(5)]
    assert isinstance(verdicts[-1], GiveUp)


@pytest.mark.parametrize(
    ("policy", "is_success", "verdict"),
    [
        (Restart.NEVER, True, Done),
        (Restart.NEVER, False, GiveUp),
        (Restart.ON_FAILURE, True, Done),
        (Restart.ON_FAILURE, False, Pause),
        (Restart.ALWAYS, True, Pause),
    ],
)
def test_the_policy_decides(policy: Restart, is_success: bool, verdict: type) -> None:
    assert isinstance(Restarts(policy).after(is_success=is_success, lived_s=99, was_ready=True), verdict)


@pytest.mark.parametrize(
    ("ended", "words", "is_success"),
    [
        (Exit(status=0), "exited with status 0", True),
        (Exit(status=3), "exited with status 3", False),
        (Exit(signal_number=9), "ended by signal 9 (killed)", False),
        (Exit(signal_number=15), "ended by signal 15 (terminated)", False),
        (Exit(signal_number=64), "ended by signal 64 (", False),
        (Exit(status=0).because("was killed: too fat"), "was killed: too fat", False),
        (Exit(), "ended, nobody knows how", False),
    ],
)
def test_ends_are_said_in_words(ended: Exit, words: str, is_success: bool) -> None:
    assert ended.words.startswith(words)
    assert ended.is_success is is_success


# Output


def test_a_full_file_keeps_its_newest_whole_lines_and_goes_on_empty(tmp_path: Path) -> None:
    log = OutputLog(tmp_path / "output.log", limit_bytes=1000)
    descriptor = log.open()
    try:
        for number in range(200):
            os.write(descriptor, f"line {number:04}\n".encode())
        assert log.rotate()
        assert not log.rotate()
        assert log.path.stat().st_size == 0
        assert log.old_path.stat().st_size <= 1000
        assert log.old_path.read_text().splitlines()[0] == "line 0101"
        os.write(descriptor, b"a new one\n")
        assert log.path.read_text() == "a new one\n"
        assert log.tail(3) == ["line 0198", "line 0199", "a new one"]
    finally:
        os.close(descriptor)
    assert log.path.stat().st_mode & 0o777 == 0o600


def test_the_tail_of_nothing_is_nothing(tmp_path: Path) -> None:
    log = OutputLog(tmp_path / "output.log")
    assert log.tail(10) == []
    assert not log.rotate()
    os.close(log.open())
    assert log.tail(10) == []


def test_a_tail_is_bounded_and_shows_bytes_that_are_no_text(tmp_path: Path) -> None:
    log = OutputLog(tmp_path / "output.log")
    log.path.write_bytes(b"\xff\xfe\r\n" + b"y" * 100_000 + b"\nlast")
    assert log.tail(2)[-1] == "last"
    assert len(log.tail(2)[0]) == 16 * 1024
    assert log.tail(5, limit_bytes=10) == ["yyyyy", "last"]
    assert log.tail(0) == []


async def test_who_follows_too_slowly_is_told_what_was_left_out(tmp_path: Path) -> None:
    log = OutputLog(tmp_path / "output.log")
    log.path.write_bytes(b"old\n")
    lines = log.follow(1)
    assert await anext(lines) == "old"
    with log.path.open("ab") as file:
        file.write(b"z" * 299_999 + b"\nnew\n")
    assert (await anext(lines)).endswith(" bytes left out]")
    assert set(await anext(lines)) == {"z"}
    assert await anext(lines) == "new"
    log.path.unlink()
    assert [line async for line in lines] == []


def test_secrets_are_not_shown() -> None:
    assert redact(["the key is hunter2", "x"], ["hunter2", "x", ""]) == ["the key is ***", "x"]


# Commands


@pytest.mark.parametrize(
    ("given", "arguments"),
    [
        (["python", "main.py", "-x"], ["MAIN", "1:2", "main.py", "-x"]),
        (["python3", "-u", "-X", "dev", "main.py"], ["-u", "-X", "dev", "MAIN", "1:2", "main.py"]),
        (["python", "-m", "pack.age", "-m"], ["MAIN", "1:2", "-m", "pack.age", "-m"]),
        (["python", "-c", "print()"], ["-c", "print()"]),
        (["python", "-cprint()"], ["-cprint()"]),
        (["python"], []),
    ],
)
def test_python_programs_go_through_our_main(tmp_path: Path, given: list[str], arguments: list[str]) -> None:
    program, *found = _command(tmp_path, given)
    assert program == sys.executable
    assert ["MAIN" if word.endswith("/python_main.py") else word for word in found] == arguments


def test_the_images_own_interpreter_comes_first(tmp_path: Path) -> None:
    own = tmp_path / ".venv" / "bin" / "python"
    own.parent.mkdir(parents=True)
    own.symlink_to(sys.executable)
    assert _command(tmp_path, ["python", "main.py"])[0] == str(own)
    assert _command(tmp_path, [".venv/bin/python", "main.py"])[1].endswith("python_main.py")


def test_other_programs_are_found_and_left_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "run.sh").touch()
    assert _command(tmp_path, ["sh", "-c", "exit"])[1:] == ["-c", "exit"]
    assert _command(tmp_path, ["./run.sh", "main.py"]) == [f"{tmp_path}/run.sh", "main.py"]


def _command(folder: Path, given: list[str]) -> list[str]:
    image = Image(folder=folder, description=AgentContainerImage("i"), command=tuple(given))
    plan = make_plan(PostAgentContainer(image=AgentContainerImage("i", api_port=1)), image)
    return command(plan, HostPorts(2, {}), "/usr/bin:/bin")


# Readiness


async def _wait(answers: list[bytes | Exception | None], limit_s: float = 5.0) -> str:
    """Wait with answers of a container; None lets its process end. Returns its ID, or raises."""
    ended: asyncio.Future[Exit] = asyncio.get_running_loop().create_future()

    async def ask() -> bytes:
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if answer is None:
            ended.set_result(Exit(status=4))
            await asyncio.Event().wait()
        if isinstance(answer, Exception):
            raise answer
        assert isinstance(answer, bytes)
        return answer

    return (await until_ready(ask, ended, "c", limit_s, set())).container_id


async def test_refusals_errors_and_answers_that_are_no_json_are_waited_through() -> None:
    assert await _wait([Unreachable("refused"), b"<html>", b"{", b"NaN", INFO.replace(b'"c"', b'"d"'), INFO]) == "c"


@pytest.mark.parametrize("body", [b"", b"null", b"[]", b'"x"', b"{}", INFO.replace(b".120Z", b"")])
async def test_an_answer_that_will_never_fit_ends_the_wait_at_once(body: bytes) -> None:
    with pytest.raises(NotReady, match="answered GET /info with what is no container description"):
        await _wait([body])


async def test_unknown_keys_do_not_matter() -> None:
    assert await _wait([INFO.replace(b'"imageName"', b'"optional":true,"imageName"')]) == "c"


async def test_the_end_of_the_process_ends_the_wait_at_once() -> None:
    with pytest.raises(Died, match="exited with status 4"):
        await _wait([Unreachable("refused"), None])


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (Unreachable("x cannot be reached: refused"), "within 0.1 s: x cannot be reached: refused"),
        (INFO.replace(b'"c"', b'"d"'), "within 0.1 s: GET /info answered as container d"),
        (b"<html>", "within 0.1 s: GET /info answered no JSON"),
    ],
)
async def test_a_wait_that_was_too_long_says_what_was_wrong(answer: bytes | Exception, words: str) -> None:
    with pytest.raises(NotReady, match=words):
        await _wait([answer], limit_s=0.1)


# Processes


def test_a_process_describes_itself() -> None:
    own = kin.read_process(os.getpid())
    assert own is not None
    assert (own.pid, own.parent, own.session, own.is_zombie) == (os.getpid(), os.getppid(), os.getsid(0), False)
    assert own.memory_bytes > 5_000_000
    assert own.cpu_s > 0
    assert kin.read_process(2**22 + 1) is None


def test_the_platform_itself_never_belongs_to_a_container(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = kin.read_process(os.getpid())
    assert own is not None
    as_leader = kin.Marks("c", tmp_path / "output.log", leader=os.getpid())
    assert os.getpid() not in kin.members(as_leader)


def test_a_process_with_anothers_id_is_not_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    own = kin.read_process(os.getpid())
    assert own is not None
    sent: list[int] = []
    monkeypatch.setattr(kin.signal, "pidfd_send_signal", lambda descriptor, number: sent.append(number))
    kin.kill(kin.Process(**{**_fields(own), "started": own.started + 1}), 15)
    assert sent == []
    kin.kill(own, 15)
    assert sent == [15]


def _fields(process: kin.Process) -> dict[str, int]:
    return {name: getattr(process, name) for name in kin.Process.__slots__}


def test_memory_of_many_counts_shared_pages_once_where_that_matters(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    own = kin.read_process(os.getpid())
    assert own is not None
    looked: list[Callable[[], None]] = []
    monkeypatch.setattr(kin, "_proportional_bytes", lambda process: looked.append(process) or 7)
    assert kin.memory_bytes([own, own], 10 * own.memory_bytes) == 2 * own.memory_bytes
    assert looked == []
    assert kin.memory_bytes([own, own], own.memory_bytes) == 14
