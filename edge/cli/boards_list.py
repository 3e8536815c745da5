"""`boards list`: which boards there are, and how each is doing."""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Sequence

from edge.cli.boards_known import Board, known_boards, named
from edge.cli.containers import first_line
from edge.cli.containers_figures import age_s, duration_text
from edge.cli.containers_known import short_ids
from edge.cli.containers_live import Screen, passes, quit_key, seconds
from edge.cli.failures import ExitCode, Failed
from edge.cli.output import Output, local_time
from edge.cli.platform import Platform, call_platform, client_arguments
from edge.cli.tables import layout

HEADER = ("NAME", "STATE", "FOR", "ADDRESS", "CONTAINER", "AGENTS", "REASON")
_NONE = "no boards; opaca-edge boards add NAME makes one"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what `boards list` takes."""
    parser.add_argument("name", metavar="NAME", nargs="?", help="one board only")
    parser.add_argument("-w", "--watch", action="store_true", help="go on looking, on a terminal; q ends")
    parser.add_argument(
        "--interval", metavar="S", type=seconds, default=1.0, help="with --watch: seconds between looks"
    )
    client_arguments(parser)


def run(arguments: argparse.Namespace) -> None:
    """List or watch boards."""

    async def look(platform: Platform) -> list[Board]:
        boards = await known_boards(platform)
        return boards if arguments.name is None else [named(arguments.name, boards)]

    async def work(platform: Platform, output: Output) -> None:
        if not arguments.watch:
            _show(await look(platform), output, is_one=arguments.name is not None)
            return
        if output.is_json or not output.is_terminal:
            raise Failed("--watch needs a terminal; in scripts, opaca-edge containers --watch --json", ExitCode.USAGE)
        with quit_key() as pressed, Screen(is_whole=False) as screen:
            while True:
                lines = _lines(await look(platform), output)
                screen.paint([*lines, "", output.dim(f"{platform.config.url}   q ends")])
                if await passes(pressed, max(arguments.interval, 0.1)):
                    return

    call_platform(arguments, work)


def _show(boards: Sequence[Board], output: Output, *, is_one: bool) -> None:
    if output.is_json:
        output.json(boards[0].as_json() if is_one else [board.as_json() for board in boards])
    elif is_one:
        _show_one(boards[0], output)
    elif boards:
        output.table(HEADER, _rows(boards))
    else:
        output.note(_NONE)


def _show_one(board: Board, output: Output) -> None:
    status = board.status
    pairs = [
        ("name", board.name),
        ("user", board.user),
        ("state", board.state),
        ("reason", "" if status is None else first_line(status.reason)),
        ("since", "" if status is None else local_time(status.since)),
        ("key", "" if status is None else status.name),
        ("container", "" if status is None else status.id),
        ("address", board.address),
        ("agents", ", ".join(board.agents)),
    ]
    output.pairs([(name, value) for name, value in pairs if value])


def _lines(boards: Sequence[Board], output: Output) -> list[str]:
    """Return the table as wide as the terminal."""
    if not boards:
        return [output.dim(_NONE)]
    first, *others = layout(HEADER, _rows(boards), shutil.get_terminal_size().columns)
    return [output.bold(first), *others]


def _rows(boards: Sequence[Board]) -> list[tuple[str, ...]]:
    short = short_ids([board.status for board in boards if board.status is not None])
    return [
        (
            board.name,
            board.state,
            "" if board.status is None else duration_text(age_s(board.status.since)),
            board.address,
            "" if board.status is None else short[board.status.id],
            ", ".join(board.agents),
            "it has a token and was never here" if board.status is None else first_line(board.status.reason),
        )
        for board in boards
    ]
