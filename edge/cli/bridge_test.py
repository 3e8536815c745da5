"""`bridge test`: what is wrong with the bridge's broker, in words."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING

from edge.cli.bridge_known import call_bridge
from edge.cli.bridge_settings import bridge_config
from edge.cli.failures import ExitCode, Failed
from edge.cli.output import Output
from edge.cli.platform import Platform
from edge.cli.tables import printable
from edge.config import DEFAULT_URL, PlatformConfig, environment, is_colour_wanted
from edge.errors import OpacaError

if TYPE_CHECKING:
    from bridge.config import BridgeConfig
    from bridge.mqtt.check import Step
    from bridge.operation import SiteStatus

_SIGNS = {True: "ok", False: "FAILED", None: "note"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what `bridge test` takes."""
    parser.add_argument("--config", metavar="FILE", type=Path, help="the configuration file with [bridge]")
    parser.add_argument("--state-dir", metavar="FOLDER", help="its state directory (STATE_DIR)")
    parser.add_argument("--json", action="store_true", help="print JSON, for scripts")


def run(arguments: argparse.Namespace) -> None:
    """Test each role's broker; through the bridge if it runs, as a second connection would throw it out."""
    config = PlatformConfig.load({"STATE_DIR": arguments.state_dir}, config_file=arguments.config, bundled=False)
    settings = bridge_config(config, config.public_url or DEFAULT_URL, logs_in=False)
    output = Output(arguments.json, is_colour_wanted(environment()))
    steps = asyncio.run(_told(_of_running(arguments) or _of_broker(settings), output))
    if output.is_json:
        output.json([{"step": each.name, "ok": each.is_good, "text": each.text} for each in steps])
    if any(each.is_good is False for each in steps):
        raise Failed("the bridge cannot work like this")


async def _told(steps: AsyncIterator[Step] | list[Step], output: Output) -> list[Step]:
    """Print each step as it is done."""
    done: list[Step] = []
    if isinstance(steps, list):
        for step in steps:
            _tell(step, output)
        return steps
    async for step in steps:
        _tell(step, output)
        done.append(step)
    return done


def _tell(step: Step, output: Output) -> None:
    if not output.is_json:
        sign = _SIGNS[step.is_good]
        shown = output.red(sign) if step.is_good is False else sign
        print(f"{shown}{' ' * (8 - len(sign))}{step.name.ljust(13)}{printable(step.text)}", flush=True)


async def _of_broker(settings: BridgeConfig) -> AsyncIterator[Step]:
    from bridge.config import BadBridge
    from bridge.mqtt.check import Step, check

    roles = []
    if settings.device is not None:
        roles.append((settings.device.site, settings.device.gateway, settings.device.broker))
    if settings.gateway is not None:
        roles.append((settings.gateway.name, "", settings.gateway.broker))
    for name, gateway, broker in roles:
        try:
            opened = broker.open()
        except BadBridge as error:
            yield Step("files", False, str(error))
            continue
        async for step in check(opened, settings.topics, name, gateway=gateway):
            yield step


def _of_running(arguments: argparse.Namespace) -> list[Step] | None:
    """Return what the running bridge says, None if none runs."""
    from bridge.mqtt.check import Step
    from bridge.operation import BridgeStatus

    steps: list[Step] = []

    async def work(platform: Platform, _: Output) -> None:
        status = await platform.get("/_bridge/status", BridgeStatus)
        for link in status.links:
            is_up = link.connected_since is not None
            text = f"{link.name} is connected to {link.broker} with MQTT {link.mqtt}" if is_up else link.problem
            steps.append(Step("link", is_up, text))
            if is_up and link.problem:
                steps.append(Step("permissions", False, link.problem))
        problem = status.platform_problem
        steps.append(Step("platform", not problem, problem or f"{status.platform} is used"))
        steps.extend([await _round_trip(platform, site) for site in status.sites])
        steps.append(Step("bridge", True, "it runs; stop it to have the broker tested step by step"))

    try:
        call_bridge(arguments, work)
    except Failed as failed:
        if failed.exit_code is ExitCode.UNREACHABLE:
            return None
        raise
    return steps


async def _round_trip(platform: Platform, site: SiteStatus) -> Step:
    """Ask a party whether it is there."""
    from bridge.mqtt.check import Step

    if site.state != "connected":
        return Step("round trip", None, site.problem or f"{site.name} is away")
    try:
        ms = float(await platform.transport.request("POST", f"/_bridge/ping/{site.name}"))
    except OpacaError as error:
        return Step("round trip", False, f"{site.name}: {site.problem or error.message}")
    if site.problem:
        return Step("round trip", False, f"{site.name} answers in {ms:g} ms, but {site.problem}")
    return Step("round trip", True, f"{site.name} answers in {ms:g} ms")
