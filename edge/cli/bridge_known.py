"""The bridge of this machine, as the command finds it: by what it left in the state directory."""

from __future__ import annotations

import argparse
import asyncio
import os
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

from edge.cli.failures import ExitCode, Failed, failure_of
from edge.cli.output import Output
from edge.cli.platform import Platform
from edge.cli.service_unit import STATE_DIR
from edge.config import ClientConfig, PlatformConfig
from edge.errors import OpacaError
from edge.transport.http import HttpClient

_ADDRESS = "bridge-address"
LANES = ("alarm", "message", "telemetry")
Work: TypeAlias = Callable[[Platform, Output], Awaitable[None]]


def bridge_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options that all verbs about a running bridge have."""
    group = parser.add_argument_group("bridge")
    group.add_argument("--config", metavar="FILE", type=Path, help="the configuration file that it runs with")
    group.add_argument("--state-dir", metavar="FOLDER", help="its state directory (STATE_DIR)")
    parser.add_argument("--json", action="store_true", help="print JSON, for scripts")


def call_bridge(arguments: argparse.Namespace, work: Work) -> None:
    """Do a verb's work with an open connection to the bridge.

    Raises:
        Failed: no bridge runs with this state directory, or it refuses.
    """
    config = PlatformConfig.load({"STATE_DIR": arguments.state_dir}, config_file=arguments.config, bundled=False)
    section = config.bridge.get("state_dir")
    folder = config.state_dir
    if isinstance(section, str) and arguments.state_dir is None and config.config_file is not None:
        folder = config.config_file.absolute().parent / Path(section).expanduser()
    if arguments.state_dir is None and not os.access(folder / _ADDRESS, os.R_OK) and os.access(STATE_DIR, os.X_OK):
        folder = STATE_DIR  # the service's, for root and the service's own user
    try:
        url = (folder / _ADDRESS).read_text(encoding="ascii").strip()
        token = (folder / "bridge-token").read_text(encoding="ascii").strip()
    except PermissionError as error:
        raise Failed(f"{error.filename} may not be read: run this as the user that the bridge runs as") from error
    except (OSError, UnicodeDecodeError) as error:
        raise Failed(
            f"no bridge has run with {folder}; opaca-edge run starts it where the configuration file has a section"
            " [bridge]; name that with --config, or its folder with --state-dir; sudo finds that of the service",
            ExitCode.UNREACHABLE,
        ) from error
    client_config = replace(ClientConfig.load(), url=url, token=token)
    output = Output(arguments.json, client_config.is_colour_wanted)

    async def connected() -> None:
        async with HttpClient() as client:
            await work(Platform(client, client_config), output)

    try:
        asyncio.run(connected())
    except OpacaError as error:
        failed = failure_of(error, url)
        if failed.exit_code is ExitCode.UNREACHABLE:
            raise Failed(
                f"the bridge does not run: nothing answers at {url}, where it ran last; opaca-edge run starts it with"
                " its platform, opaca-edge bridge test says whether its broker can be used",
                ExitCode.UNREACHABLE,
            ) from error
        raise failed from error
