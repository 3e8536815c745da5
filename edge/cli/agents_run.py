"""`agents run`: a container of agents as a process of its own."""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path

from edge.cli.failures import ExitCode, Failed
from edge.cli.serving import find_modules_in, serve_until_signal, set_up_log
from edge.cli.values import parse_assignment
from edge.config import ContainerConfig, environment


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what `agents run` takes; a platform that starts the process gives the same as variables."""
    parser.add_argument("factory", metavar="MODULE:NAME", help="a container, or a function that returns one")
    parser.add_argument("assignments", metavar="key=value", nargs="*", help="what the function is called with")
    parser.add_argument("--host", metavar="ADDRESS", help="address to listen on (HOST; 127.0.0.1)")
    parser.add_argument("--port", metavar="PORT", help="where to listen, 0 takes a free one (PORT; else the image's)")
    parser.add_argument("--platform-url", metavar="URL", help="platform that the agents call (PLATFORM_URL)")
    parser.add_argument("--ca-file", metavar="FILE", help="authorities to trust if the platform speaks TLS (CA_FILE)")
    parser.add_argument("--log-level", metavar="LEVEL", help="debug, info, warning or error (LOG_LEVEL; info)")


def run(arguments: argparse.Namespace) -> None:
    """Run the container."""
    config = ContainerConfig.from_environ(
        environment(),
        {
            "HOST": arguments.host,
            "PORT": arguments.port,
            "PLATFORM_URL": arguments.platform_url,
            "CA_FILE": arguments.ca_file,
            "LOG_LEVEL": arguments.log_level,
        },
    )
    try:
        assignments = [parse_assignment(word) for word in arguments.assignments]
    except ValueError as error:
        raise Failed(str(error), ExitCode.USAGE) from error
    set_up_log(config.log_level)
    find_modules_in(Path.cwd())
    from edge.agents.server import serve_container
    from edge.agents.signature import BadSignature
    from edge.cli.platform import json_or_text
    from edge.launcher.bundled import BadFactory, load_container

    try:
        container = load_container(arguments.factory, {each.key: json_or_text(each.text) for each in assignments})
    except (BadFactory, BadSignature) as error:
        raise Failed(str(error), ExitCode.USAGE) from error

    def announce(base_url: str) -> None:
        print(f"container {container.name} answers on {base_url}", flush=True)

    async def until(stop: asyncio.Event) -> None:
        await serve_container(
            container,
            stop,
            container_id=config.container_id,
            owner=config.owner,
            token=config.token,
            platform_url=config.platform_url,
            ca_file=config.ca_file,
            host=config.host,
            tcp_port=config.tcp_port,
            port_mapping=config.port_mapping,
            values=config.values,
            on_ready=announce,
        )

    serve_until_signal(until, container.image.api_port if config.tcp_port is None else config.tcp_port)
