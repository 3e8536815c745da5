"""`opaca-edge bridge run`: the bridge alone, beside any OPACA platform."""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path

from edge.cli.bridge_settings import bridge_config
from edge.cli.failures import ExitCode, Failed
from edge.cli.serving import serve_until_signal, set_up_log
from edge.config import DEFAULT_URL, PlatformConfig


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what `bridge run` takes."""
    parser.add_argument("--config", metavar="FILE", type=Path, help="configuration file with [bridge] (else "
                        "OPACA_EDGE_CONFIG, else /etc/opaca-edge.toml, else ./opaca-edge.toml)")  # fmt: skip
    parser.add_argument("--state-dir", metavar="FOLDER", help="what must survive a restart (STATE_DIR)")
    parser.add_argument("--log-level", metavar="LEVEL", help="debug, info, warning or error (LOG_LEVEL; info)")


def run(arguments: argparse.Namespace) -> None:
    """Run the bridge until a signal ends it."""
    config = PlatformConfig.load(
        {"STATE_DIR": arguments.state_dir, "LOG_LEVEL": arguments.log_level},
        config_file=arguments.config,
        bundled=False,
    )
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
