"""`run`: a platform, until Ctrl-C or SIGTERM."""

from __future__ import annotations

import argparse
import asyncio
import logging
import signal
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from edge.cli.bridge_settings import bridge_config
from edge.cli.failures import Failed
from edge.cli.platform_arguments import load_platform_config, platform_arguments
from edge.cli.serving import address_problem, find_modules_in, is_about_address, serve_until_signal, set_up_log
from edge.config import DEFAULT_URL, PlatformConfig, environment

if TYPE_CHECKING:
    from edge.runtime.beside import BridgeView

log = logging.getLogger(__name__)

_FIRST_PAUSE_S = 1.0
_LONGEST_PAUSE_S = 60.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what `run` takes."""
    platform_arguments(parser)


def run(arguments: argparse.Namespace) -> None:
    """Run the platform."""
    config = load_platform_config(arguments)
    set_up_log(config.log_level)
    find_modules_in(Path.cwd() if config.config_file is None else config.config_file.absolute().parent)
    if config.bridge:
        # What is wrong with it is said before anything is started.
        bridge_config(config, DEFAULT_URL, logs_in="platform" in config.bridge)
    serve_until_signal(lambda stop: _serve(config, stop), config.tcp_port)


async def _serve(config: PlatformConfig, stop: asyncio.Event) -> None:
    """Serve the platform, and the bridge where the file has one, until `stop` is set."""
    from edge.app import serve
    from edge.notify import Notifier
    from edge.runtime.beside import BridgeView

    view = BridgeView()
    address: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    def announce(base_url: str) -> None:
        print(f"OPACA Edge answers on {base_url}", flush=True)
        address.set_result(base_url)

    async with Notifier.from_environ(environment()) as notifier, asyncio.TaskGroup() as tasks:
        bridge = tasks.create_task(_bridge(config, address, stop, view), name="bridge") if config.bridge else None
        try:
            await serve(config, stop, announce, renewed=_renewed(config), notifier=notifier, bridge=view)
        finally:
            if bridge is not None:
                bridge.cancel()


async def _bridge(config: PlatformConfig, address: asyncio.Future[str], stop: asyncio.Event, view: BridgeView) -> None:
    """Run the bridge beside the platform; whatever happens to it, the platform does not care."""
    from bridge.app import serve
    from bridge.config import BadBridge

    pause_s, tcp_port = _FIRST_PAUSE_S, 0
    while True:
        try:
            settings = bridge_config(config, await address, view.entrance)
            tcp_port = settings.tcp_port
            await serve(settings, stop, on_status=partial(setattr, view, "look"))
        except Failed as failed:
            log.error("the bridge does not run: %s", failed.message)
        except BadBridge as error:
            log.error("the bridge does not run; it is tried again in %.0f s: %s", pause_s, error)
        except Exception as error:
            if is_about_address(error):
                log.error("the bridge does not run: %s", address_problem(error, tcp_port, "[bridge] listen"))
            elif isinstance(error, OSError) and error.filename is not None:
                log.error("the bridge does not run; it is tried again in %.0f s: %s", pause_s, error)
            else:
                log.exception("the bridge failed; it is started again in %.0f s", pause_s)
        await asyncio.sleep(pause_s)
        pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)


def _renewed(config: PlatformConfig) -> asyncio.Event:
    """Return what SIGHUP sets under TLS; in a terminal it means, as ever, that the terminal is gone."""
    renewed = asyncio.Event()
    if config.tls_cert is not None and not sys.stdin.isatty():
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, renewed.set)
    return renewed
