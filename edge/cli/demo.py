"""`opaca-edge demo`: the whole on one machine: a platform at home, one as the cloud, a broker, a virtual board."""

from __future__ import annotations

import argparse
import asyncio

from edge.cli.broker_files import mosquitto
from edge.cli.demo_parts import Parts
from edge.cli.demo_steps import Demo, free_port
from edge.cli.failures import ExitCode, Failed
from edge.cli.output import Output
from edge.cli.port_owner import why_not_listening
from edge.cli.serving import serve_until_signal
from edge.config import environment, is_colour_wanted
from edge.transport.http import HttpClient


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what `demo` takes."""
    parser.add_argument(
        "--port", metavar="PORT", help="of the platform at home; the cloud's takes the next (PORT; 8000)"
    )


def run(arguments: argparse.Namespace) -> None:
    """Run all of it until a signal ends it; nothing is left then."""
    mosquitto()
    tcp_port = _port(arguments.port or environment().get("PORT") or "8000")
    output = Output(is_colour_wanted=is_colour_wanted(environment()))
    failures: list[Failed] = []

    async def serve(stop: asyncio.Event) -> None:
        failed = await _serve(tcp_port, output, stop)
        if failed is not None:
            failures.append(failed)

    serve_until_signal(serve, tcp_port)
    if failures:
        raise failures[0]


def _port(text: str) -> int:
    """Return the port of the platform at home; `Failed` if that, or the next, cannot be had."""
    tcp_port = int(text) if text.isdecimal() else 0
    if not 1 <= tcp_port <= 65534:
        raise Failed(f"--port {text}: expected a number from 1 to 65534", ExitCode.USAGE)
    for each in (tcp_port, tcp_port + 1):
        try:
            free_port(each)
        except OSError as error:
            why = why_not_listening(error, each)
            raise Failed(
                f"port {each} {why}; the demo needs {tcp_port} and the next, choose others with --port"
            ) from error
    return tcp_port


async def _serve(tcp_port: int, output: Output, stop: asyncio.Event) -> Failed | None:
    """Run the demo until `stop` is set; returns why it ended before."""
    async with Parts() as parts, HttpClient() as client, asyncio.TaskGroup() as tasks:
        demo = Demo(parts, output, client, tcp_port)
        running = [tasks.create_task(each, name="demo") for each in (demo.run(), parts.lost(), _asked(stop))]
        done, _ = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
        for task in running:
            task.cancel()
    return next(task.result() for task in running if task in done)


async def _asked(stop: asyncio.Event) -> None:
    await stop.wait()
