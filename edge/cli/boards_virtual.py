"""`boards virtual`: a board that runs here, with stand-ins for the chip and its sensors."""

from __future__ import annotations

import argparse
import asyncio
import shlex
import signal
import socket
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

from edge.cli.boards_known import requires_auth, user_of
from edge.cli.boards_token import first_token
from edge.cli.failures import ExitCode, Failed
from edge.cli.output import Output, own_command
from edge.cli.platform import ANSWER_S, Platform, call_platform, client_arguments
from edge.cli.users_known import known_users
from edge.config import environment, state_folder
from edge.errors import OpacaError
from edge.model.descriptions import AgentContainer

if TYPE_CHECKING:
    from micro.flash.virtual import Interpreter, VirtualBoard

_ATTACHED = "attached to "
_USUAL_PROGRAM = "01-climate-sensor"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what `boards virtual` takes."""
    parser.add_argument("name", metavar="NAME", help="of the board: 1 to 64 of a-z, 0-9 and -")
    parser.add_argument(
        "--example", metavar="NAME", help=f"of firmware-examples, or a folder with main.py ({_USUAL_PROGRAM})"
    )
    parser.add_argument("--heap", metavar="SIZE", help="of the board's heap, 64k (needs MicroPython; 160k)")
    client_arguments(parser, has_json=False)


def run(arguments: argparse.Namespace) -> None:
    """Run a board until Ctrl-C; it is the same one whenever it has the same name."""
    from micro.flash.build import BuildError
    from micro.flash.virtual import VirtualBoard, interpreter

    user = user_of(arguments.name)
    folder = state_folder(environment()) / "virtual-boards"
    board = VirtualBoard(folder=folder / arguments.name)

    async def work(platform: Platform, output: Output) -> None:
        program = _program(arguments.example, board.program())
        own_address, url = await asyncio.to_thread(_addresses, platform.config.url)
        try:
            # Before the platform has a user for it, whose token would be lost.
            runs_on = await asyncio.to_thread(interpreter, folder, arguments.heap)
            identity = await _identity(platform, arguments.name, user, board.settings())
            settings = {"name": arguments.name, "platform": url, **identity}
            board.set_up(program, settings, own_address)
        except BuildError as error:
            raise Failed(str(error)) from error
        except OSError as error:
            raise Failed(f"{board.folder} cannot be written: {error.strerror or error}") from error
        output.line(f"{arguments.name} runs {program.name} on {runs_on.name}; Ctrl-C ends it")
        output.line(f"what surrounds it stands in {board.folder / 'host.json'}, and may be changed")
        at = f" --url {shlex.quote(arguments.url)}" if arguments.url else ""
        await _run(platform, output, board, runs_on, at)

    call_platform(arguments, work)


async def _run(platform: Platform, output: Output, board: VirtualBoard, runs_on: Interpreter, at: str) -> None:
    from micro.flash.virtual import run as run_board

    told: list[str] = []
    with _stop_on_signals() as stop:
        async with asyncio.TaskGroup() as tasks:

            def hear(line: str) -> None:
                output.line(f"{board.folder.name} | {line}")
                if line.startswith(_ATTACHED) and not told:
                    told.append(line.split()[-1])
                    if board.settings().get("push"):
                        follow = f"{own_command()} events -f /broadcast{at}"
                        output.line(f"it sleeps and is not called; in another terminal: {follow}")
                    else:
                        tasks.create_task(_advise(platform, output, told[0], at), name="advice")

            code = await run_board(board, runs_on, stop, hear)
    if code:
        raise Failed(f"{board.folder.name} has ended ({code}): its program is {board.folder / 'main.py'}")


async def _advise(platform: Platform, output: Output, container_id: str, at: str) -> None:
    """Print what to call, with the words that say at which platform."""
    try:
        container = await platform.get("/containers/" + quote(container_id, safe=""), AgentContainer)
    except (OpacaError, Failed):
        return  # it goes on without advice
    output.line("in another terminal:")
    for agent in container.agents:
        for action in agent.actions:
            needed = [name for name, parameter in action.parameters.items() if parameter.required]
            given = "".join(f" {name}=..." for name in needed)
            value = "" if needed else await _value(platform, action.name, agent.agent_id, container_id)
            output.line(f"  {own_command()} invoke {action.name}{given} --agent {agent.agent_id}{at}{value}")


async def _value(platform: Platform, action: str, agent_id: str, container_id: str) -> str:
    """Return what a sensor gives, asked through the platform; what may move something is not asked."""
    if not action.startswith("Get"):
        return ""
    path = f"/invoke/{quote(action, safe='')}/{quote(agent_id, safe='')}"
    try:
        async with platform.patience(ANSWER_S):
            body = await platform.transport.request("POST", path, (("containerId", container_id),), b"{}")
    except (OpacaError, Failed):
        return ""
    return f"    gives {body.decode('utf-8', 'replace')}"


@contextmanager
def _stop_on_signals() -> Iterator[asyncio.Event]:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    for number in signals:
        loop.add_signal_handler(number, stop.set)
    try:
        yield stop
    finally:
        for number in signals:
            loop.remove_signal_handler(number)


async def _identity(platform: Platform, name: str, user: str, before: dict[str, object]) -> dict[str, object]:
    """Return as whom the board attaches: as before, as a new user, or as nobody where nobody is asked."""
    if not await requires_auth(platform):
        return {}
    is_known = any(each.username == user for each in await known_users(platform))
    if is_known and before.get("user") == user and before.get("token"):
        return {"user": user, "token": before["token"]}
    return {"user": user, "token": await first_token(platform, name, user)}


def _addresses(url: str) -> tuple[str, str]:
    """Return this machine's address towards a platform, and the platform's URL with its address.

    Raises:
        Failed: boards cannot use the URL.
    """
    parts = urlsplit(url)
    if parts.scheme != "http" or parts.path.strip("/"):
        raise Failed(f"{url}: boards speak http, no https, and no path: name another address with --url")
    tcp_port = parts.port or 80
    try:
        found = socket.getaddrinfo(parts.hostname, tcp_port, socket.AF_INET, socket.SOCK_STREAM)
        address = str(found[0][4][0])
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.connect((address, tcp_port))  # sends nothing
            return str(probe.getsockname()[0]), f"http://{address}:{tcp_port}"
    except OSError as error:
        raise Failed(f"{url} has no IPv4 address, and boards know no other: {error.strerror}") from error


def _program(wanted: str | None, before: Path | None) -> Path:
    """Return the folder of the program that a board runs.

    Args:
        wanted: Name of an example with or without its number, or a folder; None is as before.
    Raises:
        Failed: there is no such program.
    """
    if wanted is None and before is not None and (before / "main.py").exists():
        return before
    name = wanted or _USUAL_PROGRAM
    folders = [Path(name).expanduser(), *(folder for folder in _examples() if name in _names(folder))]
    for folder in folders:
        if (folder / "main.py").exists():
            return folder.resolve()
    known = ", ".join(folder.name for folder in _examples())
    raise Failed(f"there is no program {name!r}; a folder with main.py is one, and so are: {known}", ExitCode.USAGE)


def _names(example: Path) -> tuple[str, ...]:
    number, _, name = example.name.partition("-")
    return example.name, number, name


def _examples() -> list[Path]:
    """Return the folders of the examples, in the repository or where the distribution puts them."""
    places = [
        Path(__file__).resolve().parents[2] / "firmware-examples",
        Path(sysconfig.get_path("data"), "share/opaca-edge/firmware-examples"),
    ]
    return sorted(file.parent for place in places for file in place.glob("*/main.py"))
