"""The composition root: builds and wires every part of a platform, runs it, ends it in order."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable

from edge.agents.tasks import install_task_factory
from edge.agents.watchdog import Watchdog
from edge.api.gate import OpenGate, OriginGuard
from edge.api.routes import route_table
from edge.config import PlatformConfig, is_loopback
from edge.http.dispatch import Dispatcher
from edge.http.limits import Limits
from edge.http.server import HttpServer, listen
from edge.launcher.bundled import BundledLauncher
from edge.runtime.deployment import Deployment
from edge.runtime.directory import Directory
from edge.runtime.forwarding import Forwarding
from edge.runtime.history import History
from edge.runtime.local_road import LocalRoad
from edge.runtime.platform import Platform, PlatformFacts
from edge.runtime.provisions import Provisions
from edge.settings import BadSetting
from edge.state.installation import installation_id

log = logging.getLogger(__name__)

# Bundled containers usually run at once; who asks for `/info` first should see them.
_BUNDLED_START_S = 5.0


async def serve(
    config: PlatformConfig,
    stop: asyncio.Event,
    on_ready: Callable[[str], None] | None = None,
    limits: Limits | None = None,
) -> None:
    """Run a platform until `stop` is set.

    Args:
        config: Its settings.
        stop: Set from outside; the platform then ends in order.
        on_ready: Called with the base URL once requests are answered.
        limits: Bounds of the HTTP server; None takes the contract's.
    Raises:
        BadSetting: it cannot run with these settings.
        OSError: its address cannot be listened on.
        ExceptionGroup: a part that it cannot do without failed.
    """
    if config.require_auth:
        raise BadSetting("REQUIRE_AUTH=true: this version has no users yet; it can only serve this machine")
    for warning in config.warnings:
        log.warning("%s", warning)
    limits = limits or Limits()
    listening = listen(config.host, config.tcp_port)
    base_url = config.base_url(listening.getsockname()[1])
    platform, bundled = build(config, base_url)
    dispatcher = Dispatcher(route_table(platform), _gate(config, base_url), limits, platform.history)
    install_task_factory(asyncio.get_running_loop())
    async with Watchdog(), asyncio.TaskGroup() as tasks:
        background = [tasks.create_task(job(), name=name) for name, job in bundled.jobs()]
        await bundled.all_tried(_BUNDLED_START_S)
        async with HttpServer(dispatcher, [listening], limits):
            _say_who_may(config, base_url)
            if on_ready is not None:
                on_ready(base_url)
            await stop.wait()
        for task in background:
            task.cancel()


def build(config: PlatformConfig, base_url: str) -> tuple[Platform, BundledLauncher]:
    """Wire the parts of a platform; nothing runs yet."""
    directory = Directory()
    provisions = Provisions(directory, _own_provisions(config))
    facts = PlatformFacts(base_url, directory, provisions)
    history = History(config.event_history_size)
    forwarding = Forwarding(directory, lambda call, container_id: None)
    deployment = Deployment(directory, provisions)
    bundled = BundledLauncher(
        installation=installation_id(config.state_dir),
        owner="",
        registry=deployment,
        connectivity=facts.connectivity,
        road=lambda container_id: LocalRoad(container_id, forwarding, history, facts),
    )
    for declared in config.bundled:
        bundled.declare(declared.name, declared.factory, declared.parameters)
    deployment.use(bundled)
    platform = Platform(
        facts=facts,
        settings=config.public_view(),
        directory=directory,
        forwarding=forwarding,
        deployment=deployment,
        history=history,
        requires_auth=config.require_auth,
    )
    return platform, bundled


def _gate(config: PlatformConfig, base_url: str) -> OpenGate:
    names = (socket.gethostname(), socket.gethostname().partition(".")[0])
    return OpenGate(
        config.platform_admin_user, OriginGuard(base_url, names, config.allowed_origins, config.allowed_hosts)
    )


def _own_provisions(config: PlatformConfig) -> tuple[str, ...]:
    return (
        f"config:container-env={config.container_environment}",
        f"config:platform-env={config.platform_environment}",
        f"config:session-policy={config.session_policy}",
        f"config:require-auth={str(config.require_auth).lower()}",
    )


def _say_who_may(config: PlatformConfig, base_url: str) -> None:
    if is_loopback(config.host):
        log.info("%s: whoever is logged in on this machine may use and manage this platform", base_url)
    else:
        log.warning("%s: WITHOUT LOGIN, ANYONE in this network may use this platform and start programs here", base_url)
