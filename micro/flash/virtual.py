"""Boards on this computer: the same stub and the same programs, with the stand-ins of `micro/host` for the chip."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import secrets
import shutil
import signal
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from micro.flash.build import BuildError, build, compiled

SOURCES = Path(__file__).resolve().parent.parent
STAND_INS = SOURCES / "host"
# As `micro/host/machine.py` ends the process; the third is the signal of its watchdog.
RESET_EXIT, SLEEP_EXIT, WATCHDOG_EXIT = 93, 94, -signal.SIGALRM
REASONS = {RESET_EXIT: "reset", SLEEP_EXIT: "deepsleep", WATCHDOG_EXIT: "watchdog"}
# A Pico W and an ESP32 have more; this is what is left for a program there.
USUAL_HEAP = "160k"
# What the stand-ins take of the heap, measured at 32 bits; on a board they are part of the firmware.
STAND_INS_BYTES = 15 * 1024

_BOOT_S = 0.2
_GRACE_S = 2.0
_LONGEST_LINE_BYTES = 64 * 1024
_NOT_COPIED = {"README.md", "wiring.svg", "opaca.json", "host.json"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Interpreter:
    """What runs the program of a board.

    Attributes:
        name: For people: "MicroPython with a heap of 64k".
        command: What starts main.py.
        variables: The whole environment of the process.
    """

    name: str
    command: tuple[str, ...]
    variables: dict[str, str]


def find_micropython() -> Path | None:
    """Return MicroPython where this machine has it: installed, or as scripts/test fetches it."""
    fetched = SOURCES.parent / ".venvs/micropython/bin/micropython"
    found = shutil.which("micropython")
    return fetched if fetched.exists() else Path(found) if found else None


def interpreter(folder: Path, heap: str | None) -> Interpreter:
    """Return what runs boards here: MicroPython where it can be, else this Python.

    Args:
        folder: Where bytecode is kept; made if it is missing.
        heap: Size of the board's heap such as `64k`; what the stand-ins take comes on top. Needs MicroPython.

    Raises:
        BuildError: MicroPython or its compiler is missing although a heap was asked for, or a file does not compile.
    """
    found = find_micropython()
    lacking = "there is no MicroPython"
    if heap is not None and found is None:
        raise BuildError("a heap of this size needs MicroPython: apt-get install micropython, or run scripts/test once")
    if found is not None:
        try:
            built = _built(folder)
        except BuildError as error:
            if heap is not None:
                raise
            lacking = str(error)
        else:
            heap = heap or USUAL_HEAP
            command = (str(found), "-X", f"heapsize={_bytes_of(heap) + STAND_INS_BYTES}", "main.py")
            searched = f"{built}:{built / 'host'}:.frozen"
            return Interpreter(
                name=f"MicroPython with a heap of {heap}", command=command, variables={"MICROPYPATH": searched}
            )
    variables = {"PYTHONPATH": f"{SOURCES}:{STAND_INS}", "PYTHONDONTWRITEBYTECODE": "1", "PYTHONUNBUFFERED": "1"}
    return Interpreter(
        name=f"CPython {sys.version_info.major}.{sys.version_info.minor}, as {lacking}",
        command=(sys.executable, "main.py"),
        variables=variables,
    )


def _bytes_of(size: str) -> int:
    """Return a number of bytes that may end in k or M.

    Raises:
        BuildError: it is none.
    """
    digits = size.rstrip("kKmM")
    factor = {"": 1, "k": 1024, "m": 1024 * 1024}.get(size.removeprefix(digits).lower())
    if not digits.isdecimal() or factor is None:
        raise BuildError(f"{size!r} is no size of a heap; one is 64k")
    return int(digits) * factor


def _built(folder: Path) -> Path:
    """Return the folder with bytecode; compiled anew after a source has changed."""
    sources = [*(SOURCES / "opaca_micro").rglob("*.py"), *STAND_INS.glob("*.py"), *(SOURCES / "flash").glob("*.py")]
    newest = str(max(source.stat().st_mtime_ns for source in sources))
    # No board can have this name.
    built = folder / ".bytecode"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (folder / ".lock").open("w") as lock:
        # Boards that are started at once build once.
        fcntl.flock(lock, fcntl.LOCK_EX)
        with contextlib.suppress(OSError):
            if (built / "stamp").read_text("ascii") == newest:
                return built
        _build_into(built, newest)
    return built


def _build_into(built: Path, stamp: str) -> None:
    unfinished = built.with_name(f".unfinished-{secrets.token_hex(4)}")
    try:
        build(unfinished)
        for source in STAND_INS.glob("*.py"):
            compiled(source, unfinished / "host" / f"{source.stem}.mpy")
        (unfinished / "stamp").write_text(stamp, "ascii")
        # What runs has in memory what it needs for now.
        shutil.rmtree(built, ignore_errors=True)
        unfinished.rename(built)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class VirtualBoard:
    """A board in a folder, which is its flash: `main.py`, `opaca.json`, and `host.json` for what surrounds it."""

    folder: Path

    def settings(self) -> dict[str, object]:
        """Return what stands in opaca.json; empty if the board is new."""
        return _read(self.folder / "opaca.json")

    def program(self) -> Path | None:
        """Return the folder of the program that it runs; None if the board is new."""
        found = _read(self.folder / "host.json").get("program")
        return Path(found) if isinstance(found, str) else None

    def set_up(self, program: Path, settings: dict[str, object], own_address: str) -> None:
        """Put a program on the board; who it is stays, and so does what was changed in host.json.

        Args:
            program: Folder with main.py, and perhaps opaca.json and host.json.
            settings: `name`, `platform` and what else decides; all else comes from the program's opaca.json.
            own_address: Of this machine, as the platform reaches it.
        Raises:
            OSError: it cannot be written.
        """
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        before = self.settings()
        surroundings = _read(self.folder / "host.json")
        is_other = surroundings.get("program") != str(program)
        for file in program.iterdir():
            if file.is_file() and file.name not in _NOT_COPIED:
                shutil.copyfile(file, self.folder / file.name)
        kept = {} if is_other else surroundings
        unique_id = str(surroundings.get("unique_id") or secrets.token_hex(6))
        own = {"program": str(program), "unique_id": unique_id, "seed": int(unique_id[-2:], 16), "ip": own_address}
        _write(self.folder / "host.json", {**_read(program / "host.json"), **kept, **own})
        usual = {"wifi": {"ssid": "virtual"}, "ntp": "", "port": _free_port(before.get("port"))}
        _write(self.folder / "opaca.json", {**_read(program / "opaca.json"), **usual, **settings})

    def power_on(self) -> None:
        """Forget what only lasts while there is power."""
        for name in ("rtc", "wake"):
            (self.folder / name).unlink(missing_ok=True)

    def starts_after(self, reason: str) -> None:
        """Let the program read why it starts: power, reset, watchdog or deepsleep."""
        _write(self.folder / "host.json", {**_read(self.folder / "host.json"), "reset_cause": reason})


async def run(
    board: VirtualBoard, interpreter: Interpreter, stop: asyncio.Event, on_line: Callable[[str], None]
) -> int:
    """Run a board until `stop` is set or its program ends for good; resets and deep sleep start it again.

    Args:
        on_line: Called with each line that it prints.

    Returns:
        The exit code of its program; 0 if it was stopped.
    """
    board.power_on()
    reason: str | None = "power"
    code = 0
    while reason is not None and not stop.is_set():
        board.starts_after(reason)
        code = await _run_once(board, interpreter, stop, on_line)
        reason = REASONS.get(code)
        if reason is not None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), _BOOT_S)
    return 0 if stop.is_set() else code


async def _run_once(
    board: VirtualBoard, interpreter: Interpreter, stop: asyncio.Event, on_line: Callable[[str], None]
) -> int:
    process = await asyncio.create_subprocess_exec(
        *_ends_with_us(),
        *interpreter.command,
        cwd=board.folder,
        env={"LANG": "C.UTF-8", **interpreter.variables},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        limit=_LONGEST_LINE_BYTES,
        # Ctrl-C is for us: a board hears nothing of it.
        start_new_session=True,
    )
    assert process.stdout is not None
    try:
        async with asyncio.TaskGroup() as tasks:
            told = tasks.create_task(_tell(process.stdout, on_line), name="output")
            stopped = tasks.create_task(stop.wait(), name="stop")
            await asyncio.wait({told, stopped}, return_when=asyncio.FIRST_COMPLETED)
            stopped.cancel()
            if not told.done():
                process.terminate()
            async with asyncio.timeout(_GRACE_S):
                await process.wait()
    except* TimeoutError:
        pass
    finally:
        if process.returncode is None:
            process.kill()
    return await process.wait()


def _ends_with_us() -> tuple[str, ...]:
    """Return the words before a command that let the kernel end it as soon as this process is gone, however it ended.

    Empty where util-linux is missing; then a board goes on alone after a SIGKILL.
    """
    found = shutil.which("setpriv")
    return (found, "--pdeathsig", "KILL") if found else ()


async def _tell(output: asyncio.StreamReader, on_line: Callable[[str], None]) -> None:
    while True:
        try:
            line = await output.readline()
        except ValueError:  # longer than is kept
            continue
        if not line:
            return
        on_line(line.decode("utf-8", "replace").rstrip())


def _free_port(wanted: object) -> int:
    """Return the TCP port that a board had, or another one if that is taken."""
    for tcp_port in (wanted if isinstance(wanted, int) else 0, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with contextlib.suppress(OSError):
                probe.bind(("", tcp_port))
                return int(probe.getsockname()[1])
    raise OSError("this machine has no free TCP port")


def _read(path: Path) -> dict[str, object]:
    """Return the object in a JSON file; empty if there is none."""
    try:
        found = json.loads(path.read_text("utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _write(path: Path, values: dict[str, object]) -> None:
    """Replace a file at once: the board may be reading it."""
    unfinished = path.with_name(f".{path.name}.new")
    unfinished.touch(mode=0o600)
    unfinished.write_text(json.dumps(values, indent=2, ensure_ascii=False) + "\n", "utf-8")
    unfinished.replace(path)
