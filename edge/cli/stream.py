"""`stream`: the bytes of a stream to standard output as they come, or a file to a stream."""

from __future__ import annotations

import argparse
import asyncio
import os
import stat
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import IO

from edge.cli.containers_logs import Printer
from edge.cli.failures import ExitCode, Failed
from edge.cli.output import Output
from edge.cli.platform import Platform, call_platform, client_arguments
from edge.transport.base import CallOptions

_PIECE_BYTES = 64 * 1024


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what `stream` takes."""
    parser.add_argument("stream", metavar="NAME", help="name of the stream")
    parser.add_argument("--agent", metavar="ID", help="the agent to ask; else any that offers the stream")
    parser.add_argument("--container", metavar="ID", help="the container to ask")
    parser.add_argument("--send", metavar="FILE", help="feed the stream from a file; - reads standard input")
    client_arguments(parser, has_json=False)


def run(arguments: argparse.Namespace) -> None:
    """Follow the stream or feed it."""
    options = CallOptions(container_id=arguments.container, forward=True)

    async def follow(platform: Platform, output: Output) -> None:
        printer = Printer(output)
        async with platform.transport.get_stream(arguments.stream, arguments.agent, options) as pieces:
            async for piece in pieces:
                printer.add(piece)
        printer.end()

    async def feed(platform: Platform, output: Output) -> None:
        with _source(arguments.send) as file:
            await platform.transport.post_stream(arguments.stream, _pieces(file), arguments.agent, options)

    call_platform(arguments, follow if arguments.send is None else feed)


def _source(name: str) -> IO[bytes]:
    if name == "-":
        return os.fdopen(os.dup(sys.stdin.fileno()), "rb", buffering=0)
    try:
        return Path(name).open("rb", buffering=0)
    except OSError as error:
        raise Failed(f"{name}: {error.strerror or error}", ExitCode.USAGE) from error


async def _pieces(file: IO[bytes]) -> AsyncIterator[bytes]:
    """Yield what can be read as soon as it can be read."""
    if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        while piece := await asyncio.to_thread(file.read, _PIECE_BYTES):
            yield piece
        return
    # Not in a thread: one that waits for a terminal or pipe cannot be ended by Ctrl-C.
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), file)
    try:
        while piece := await reader.read(_PIECE_BYTES):
            yield piece
    finally:
        transport.close()
