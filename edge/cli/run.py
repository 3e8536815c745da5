"""`run`: a platform, until Ctrl-C or SIGTERM."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from pathlib import Path

from edge.cli.platform_arguments import load_platform_config, platform_arguments
from edge.cli.serving import find_modules_in, serve_until_signal, set_up_log
from edge.config import PlatformConfig, environment


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what `run` takes."""
    platform_arguments(parser)


def run(arguments: argparse.Namespace) -> None:
    """Run the platform."""
    config = load_platform_config(arguments)
    set_up_log(config.log_level)
    find_modules_in(Path.cwd() if config.config_file is None else config.config_file.absolute().parent)
    from edge.app import serve
    from edge.notify import Notifier

    def announce(base_url: str) -> None:
        print(f"OPACA Edge answers on {base_url}", flush=True)

    async def until(stop: asyncio.Event) -> None:
        async with Notifier.from_environ(environment()) as notifier:
            await serve(config, stop, announce, renewed=_renewed(config), notifier=notifier)

    serve_until_signal(until, config.tcp_port)


def _renewed(config: PlatformConfig) -> asyncio.Event:
    """Return what SIGHUP sets under TLS; in a terminal it means, as ever, that the terminal is gone."""
    renewed = asyncio.Event()
    if config.tls_cert is not None and not sys.stdin.isatty():
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, renewed.set)
    return renewed
