"""`opaca-edge bridge run`: the bridge alone, beside any OPACA platform."""

from __future__ import annotations

import argparse
import asyncio

from edge.cli.bridge_settings import bridge_config
from edge.cli.failures import ExitCode, Failed
from edge.cli.platform_arguments import load_platform_config, platform_arguments
from edge.cli.serving import serve_until_signal, set_up_log
from edge.config import DEFAULT_URL


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what `bridge run` takes."""
    platform_arguments(parser)


def run(arguments: argparse.Namespace) -> None:
    """Run the bridge until a signal ends it."""
    config = load_platform_config(arguments)
    set_up_log(config.log_level)
    settings = bridge_config(config, config.public_url or DEFAULT_URL)
    from bridge.app import serve
    from bridge.config import BadBridge

    def announce(url: str) -> None:
        print(f"OPACA Edge's bridge serves the parties it sees below {url}", flush=True)

    async def until(stop: asyncio.Event) -> None:
        try:
            await serve(settings, stop, announce)
        except BadBridge as error:
            raise Failed(str(error), ExitCode.USAGE) from error

    serve_until_signal(until, settings.tcp_port, "[bridge] listen")
