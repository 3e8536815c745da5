"""`containers logs`: what a container wrote, and what it writes."""

from __future__ import annotations

import argparse
import codecs
import sys
from urllib.parse import quote

from edge.cli.containers_known import find
from edge.cli.failures import ExitCode, Failed
from edge.cli.output import Output
from edge.cli.platform import ANSWER_S, Platform, call_platform, client_arguments
from edge.cli.tables import printable_lines

MOST_LINES = 10_000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what `containers logs` takes."""
    parser.add_argument("container", metavar="ID|NAME", help="ID or its beginning, name, image or agent")
    parser.add_argument("-f", "--follow", action="store_true", help="print what it writes as it comes, until Ctrl-C")
    parser.add_argument("-n", "--lines", metavar="N", type=int, default=100, help="how many of the newest lines (100)")
    client_arguments(parser)


def run(arguments: argparse.Namespace) -> None:
    """Print the log."""
    if not 0 <= arguments.lines <= MOST_LINES:
        raise Failed(f"--lines {arguments.lines}: expected 0 to {MOST_LINES}", ExitCode.USAGE)

    async def work(platform: Platform, output: Output) -> None:
        (status,) = await find(platform, [arguments.container])
        path = f"/edge/containers/{quote(status.id, safe='')}/log"
        query = (("lines", str(arguments.lines)),)
        printer = Printer(output)
        if not arguments.follow:
            async with platform.patience(ANSWER_S):
                printer.add(await platform.transport.request("GET", path, query))
            printer.end()
            return
        async with platform.transport.open(path, (*query, ("follow", "true"))) as pieces:
            async for piece in pieces:
                printer.add(piece)
        printer.end()

    call_platform(arguments, work)


class Printer:
    """Prints output: into a pipe as it is, to a terminal so that it cannot control it, as JSON one text a line."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._line = ""

    def add(self, piece: bytes) -> None:
        """Print a piece; half a letter, and as JSON half a line, waits for its other half."""
        if not self._output.is_json and not self._output.is_terminal:
            sys.stdout.buffer.write(piece)
            sys.stdout.buffer.flush()
            return
        self._print(self._decoder.decode(piece))

    def end(self) -> None:
        """Print what has waited."""
        self._print(self._decoder.decode(b"", final=True))
        if self._line:
            self._output.json(self._line, is_one_line=True)
            self._line = ""

    def _print(self, text: str) -> None:
        if not self._output.is_json:
            sys.stdout.write(printable_lines(text.replace("\r\n", "\n")))
            sys.stdout.flush()
            return
        *lines, self._line = (self._line + text).split("\n")
        for line in lines:
            self._output.json(line, is_one_line=True)
