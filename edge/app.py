"""The composition root: builds and wires every part of a platform, runs it, ends it in order."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from edge.agents.tasks import install_task_factory
from edge.agents.watchdog import Watchdog
from edge.api.audit import Audit
from edge.api.files import serving_files
from edge.api.gate import OriginGuard, PlatformGate
from edge.api.routes import route_table
from edge.config import PlatformConfig, SessionPolicy, is_loopback
from edge.http.certificate import BadCertificate, Certificate
from edge.http.dispatch import Dispatcher
from edge.http.limits import Limits
from edge.http.server import HttpServer, listen, url_of
from edge.launcher.attached import AttachedLauncher
from edge.launcher.bundled import BundledLauncher
from edge.launcher.images import ImageDirectory
from edge.launcher.port_forward import PortForwards
from edge.launcher.process.launcher import ProcessLauncher
from edge.launcher.published import PublishedPorts
from edge.launcher.supervision import supervise
from edge.notify import Notifier
from edge.reach import say_who_may
from edge.runtime.announcements import Announcements
from edge.runtime.beside import BridgeView, Entrance
from edge.runtime.connections import Connections
from edge.runtime.definitions import Schemas
from edge.runtime.deployment import Deployment
from edge.runtime.directory import Directory
from edge.runtime.errands import Errands
from edge.runtime.forwarding import Forwarding
from edge.runtime.history import History
from edge.runtime.local_road import LocalRoad
from edge.runtime.platform import Platform, PlatformFacts
from edge.runtime.provisions import Provisions
from edge.runtime.repeats import Repeats
from edge.runtime.revival import Revival
from edge.runtime.stored_connections import StoredConnections
from edge.runtime.tokens import LOGIN_S
from edge.runtime.trust import Trust, TrustSettings, trust
from edge.settings import SIGNING_KEY, BadSetting
from edge.state.database import Database, NewerSchema
from edge.state.facts import installation_id, keep_port, kept_port
from edge.state.lock import InUse, StateLock
from edge.state.secret import kept_secret
from edge.state.swap import NotFinished, finish_restore
from edge.transport.authorities import Authorities, BadAuthorities
from edge.transport.documents import fetch_document
from edge.transport.http import HttpClient
from edge.transport.http_platform import HttpPlatform

log = logging.getLogger(__name__)

# Bundled containers usually run at once; who asks for `/info` first should see them.
_BUNDLED_START_S = 5.0
_LOCAL_HOST = "127.0.0.1"

Job = tuple[str, Callable[[], Coroutine[Any, Any, None]]]


async def serve(
    config: PlatformConfig,
    stop: asyncio.Event,
    on_ready: Callable[[str], None] | None = None,
    limits: Limits | None = None,
    renewed: asyncio.Event | None = None,
    notifier: Notifier | None = None,
    bridge: BridgeView | None = None,
) -> None:
    """Run a platform until `stop` is set.

    Args:
        config: Its settings.
        stop: Set from outside; the platform then ends in order.
        on_ready: Called with the base URL once requests are answered.
        limits: Bounds of the HTTP server; None takes the contract's.
        renewed: Set from outside when the TLS certificate is to be read again; it is also seen by its files.
        notifier: Tells the service manager of life and end; open as long as this runs. None tells nobody.
        bridge: Shows the bridge that runs beside it.
    Raises:
        BadSetting: it cannot run with these settings.
        OSError: its address cannot be listened on.
        ExceptionGroup: a part that it cannot do without failed.
    """
    for warning in config.warnings:
        log.warning("%s", warning)
    limits, notifier, bridge = limits or Limits(), notifier or Notifier(), bridge or BridgeView()
    install_task_factory(asyncio.get_running_loop())
    certificate = await asyncio.to_thread(_certificate, config, renewed)
    listening = listen(config.host, config.tcp_port)
    try:
        base_url = config.base_url(listening.getsockname()[1])
        async with (
            Watchdog(),
            _state(config, notifier) as database,
            _parts(config, base_url, database, certificate, bridge) as parts,
        ):
            gate = _gate(config, base_url, parts.trust)
            dispatcher = Dispatcher(route_table(parts.platform), gate, limits, parts.platform.history, Audit())
            bridge.entrance = _entrance(config, listening, parts)
            parts.trust.users.on_loss.append(lambda: dispatcher.end_barred(gate.may_still))
            async with asyncio.TaskGroup() as tasks:
                # First: what an agent broadcasts when it starts is meant for connected platforms as well.
                await parts.platform.connections.restore(are_kept=config.session_policy is not SessionPolicy.SHUTDOWN)
                background = [tasks.create_task(job(), name=name) for name, job in parts.jobs()]
                await parts.revival.prepare(config.session_policy)
                await parts.bundled.all_tried(_BUNDLED_START_S)
                async with HttpServer(dispatcher, [listening], limits, certificate, parts.local):
                    say_who_may(config, base_url)
                    revival = partial(parts.revival.run, config.default_image_directory)
                    background.append(tasks.create_task(supervise("revival", revival), name="revival"))
                    if on_ready is not None:
                        on_ready(base_url)
                    notifier.ready(f"Answers on {base_url}")
                    await stop.wait()
                    notifier.stopping()
                for task in background:
                    task.cancel()
    finally:
        listening.close()


@dataclass(frozen=True, slots=True)
class _Parts:
    """What a platform is made of, as far as `serve` needs it."""

    platform: Platform
    bundled: BundledLauncher
    attached: AttachedLauncher
    schemas: Schemas
    revival: Revival
    trust: Trust
    certificate: Certificate | None
    local: list[socket.socket]

    def jobs(self) -> Iterator[Job]:
        """Yield what runs as long as the platform does."""
        yield from self.bundled.jobs()
        yield from self.attached.jobs()
        if self.certificate is not None:
            yield "certificate", partial(supervise, "certificate", self.certificate.run)
        yield "schemas", partial(supervise, "schemas", self.schemas.run)


@asynccontextmanager
async def _state(config: PlatformConfig, notifier: Notifier) -> AsyncIterator[Database]:
    """Hold the state directory, which no other platform may use meanwhile; life means that its database answers."""
    try:
        lock = StateLock(config.state_dir).take()
    except InUse as error:
        raise BadSetting(f"STATE_DIR={config.state_dir}: {error}") from error
    try:
        await asyncio.to_thread(finish_restore, config.state_dir)
        async with Database(config.state_dir) as database:
            with notifier.proving(lambda: database.read("SELECT 1")):
                yield database
    except (NewerSchema, NotFinished) as error:
        raise BadSetting(f"STATE_DIR={config.state_dir}: {error}") from error
    finally:
        lock.release()


@asynccontextmanager
async def _parts(
    config: PlatformConfig, base_url: str, database: Database, certificate: Certificate | None, bridge: BridgeView
) -> AsyncIterator[_Parts]:
    """Wire the parts; those opened first are closed last."""
    directory, history = Directory(), History(config.event_history_size)
    provisions = Provisions(directory, _own_provisions(config))
    facts = PlatformFacts(base_url, directory, provisions)
    directory.on_change.append(Announcements(history).changed)
    settings = _trust_settings(config)
    async with (
        _local_listener(certificate, database) as local,
        HttpClient(history.forward, base_url, Authorities(config.ca_file)) as http,
        Schemas(partial(fetch_document, http)) as schemas,
        Errands() as errands,
        trust(settings, database, errands, directory) as trusted,
        Connections(
            facts=facts,
            directory=directory,
            stored=StoredConnections(database),
            users=trusted.peers,
            dial=lambda url, token: HttpPlatform(http, url, token=token),
            definitions_of=schemas.of,
            supervise=supervise,
        ) as connections,
    ):
        session, logins, limit_s = trusted.session, trusted.logins, config.container_timeout_s
        forwarding = Forwarding(directory, logins.token)
        deployment = Deployment(directory, provisions, session, logins, trusted.tenants, errands, limit_s)
        bundled = BundledLauncher(
            installation=await installation_id(database),
            owner=settings.owner,
            registry=deployment,
            connectivity=facts.connectivity,
            road=lambda container_id: LocalRoad(container_id, forwarding, history, facts),
        )
        processes, attached = _launchers(config, local, facts, deployment, http, schemas)
        _employ(deployment, config, bundled, processes, attached)
        platform = Platform(
            facts=facts,
            settings=config.public_view(),
            directory=directory,
            forwarding=forwarding,
            deployment=deployment,
            connections=connections,
            logins=logins,
            accounts=trusted.accounts,
            history=history,
            repeats=Repeats(errands),
            requires_auth=config.require_auth,
            launchers=(bundled, processes, attached),
            images=processes.images,
            bridge=bridge,
        )
        revival = Revival(deployment, session, processes, attached, limit_s)
        async with processes, _published_ports(config, base_url, directory, processes, http, certificate):
            yield _Parts(platform, bundled, attached, schemas, revival, trusted, certificate, local)
            await processes.close(
                leave_running=config.session_policy is SessionPolicy.RECONNECT,
                are_folders_kept=config.session_policy is not SessionPolicy.SHUTDOWN,
            )


def _launchers(
    config: PlatformConfig,
    local: list[socket.socket],
    facts: PlatformFacts,
    deployment: Deployment,
    http: HttpClient,
    schemas: Schemas,
) -> tuple[ProcessLauncher, AttachedLauncher]:
    """Make what callers may ask to start or attach containers."""
    processes = ProcessLauncher(
        images=ImageDirectory(config.image_directory),
        state_dir=config.state_dir,
        registry=deployment,
        http=http,
        connectivity=facts.connectivity,
        platform_url=lambda: _local_url(local[0]) if local else facts.base_url,
        definitions=lambda image: schemas.of(image.image_name, image),
        on_record=deployment.keep,
    )
    return processes, AttachedLauncher(deployment, http, schemas.of)


def _employ(
    deployment: Deployment,
    config: PlatformConfig,
    bundled: BundledLauncher,
    processes: ProcessLauncher,
    attached: AttachedLauncher,
) -> None:
    """Tell who runs what."""
    for declared in config.bundled:
        bundled.declare(declared.name, declared.factory, declared.parameters)
    deployment.use(bundled)
    deployment.use_for_updates("NATIVE", processes)
    deployment.use_for("ATTACHED", attached)


@asynccontextmanager
async def _published_ports(
    config: PlatformConfig,
    base_url: str,
    directory: Directory,
    processes: ProcessLauncher,
    http: HttpClient,
    certificate: Certificate | None,
) -> AsyncIterator[None]:
    """Serve ports of listed processes."""
    lan_host = None if is_loopback(config.host) else urlsplit(base_url).hostname
    async with (
        PortForwards(partial(serving_files, http, certificate=certificate)) as forwards,
        PublishedPorts(directory.container_ids, processes, forwards, config.host, lan_host) as ports,
    ):
        processes.when_ended(ports.ended)
        directory.on_change.append(ports.look)
        try:
            yield
        finally:
            directory.on_change.remove(ports.look)


def _certificate(config: PlatformConfig, renewed: asyncio.Event | None) -> Certificate | None:
    """Read the files that TLS needs; None if this platform serves without it.

    Raises:
        BadSetting: they cannot be used.
    """
    try:
        Authorities(config.ca_file).check()
        if config.tls_cert is None or config.tls_key is None:
            return None
        return Certificate(config.tls_cert, config.tls_key, renewed)
    except BadAuthorities as error:
        raise BadSetting(f"CA_FILE: {error}") from error
    except BadCertificate as error:
        raise BadSetting(f"TLS_CERT, TLS_KEY: {error}") from error


@asynccontextmanager
async def _local_listener(certificate: Certificate | None, database: Database) -> AsyncIterator[list[socket.socket]]:
    """Under TLS, listen for this machine's containers besides, which know no authority."""
    if certificate is None:
        yield []
        return
    try:
        listening = listen(_LOCAL_HOST, await kept_port(database))
    except OSError:
        listening = listen(_LOCAL_HOST, 0)
        log.warning("containers that outlived the last platform must be started anew: the port they know is taken")
    try:
        await keep_port(database, listening.getsockname()[1])
        log.info("%s is the same without TLS, for containers on this machine", _local_url(listening))
        yield [listening]
    finally:
        listening.close()


def _entrance(config: PlatformConfig, listening: socket.socket, parts: _Parts) -> Entrance:
    admin = config.platform_admin_user
    token = partial(parts.trust.tokens.issue, admin, LOGIN_S) if config.require_auth else None
    # Not the public URL, which may lead through others: a reverse proxy, a name that this machine does not know.
    return Entrance(url=_local_url(parts.local[0] if parts.local else listening), user=admin, token=token)


def _local_url(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    host = {"0.0.0.0": _LOCAL_HOST, "::": "::1"}.get(host, host)
    return url_of(host, port)


def _trust_settings(config: PlatformConfig) -> TrustSettings:
    """Return what the settings say about users; the secret is made if it is not there.

    Raises:
        BadSetting: the secret that was kept cannot be read.
    """
    try:
        key = config.secret or kept_secret(config.state_dir, SIGNING_KEY.read)
    except ValueError as error:
        raise BadSetting(f"{config.state_dir}/secret: expected {SIGNING_KEY.expected}; or set SECRET") from error
    return TrustSettings(
        requires_auth=config.require_auth,
        administrator=config.platform_admin_user,
        password=config.platform_admin_pwd,
        key=key,
    )


def _gate(config: PlatformConfig, base_url: str, trusted: Trust) -> PlatformGate:
    names = (socket.gethostname(), socket.gethostname().partition(".")[0])
    guard = OriginGuard(base_url, names, config.allowed_origins, config.allowed_hosts)
    return PlatformGate(trusted.users, trusted.tokens, config.platform_admin_user, guard, config.require_auth)


def _own_provisions(config: PlatformConfig) -> tuple[str, ...]:
    return (
        f"config:container-env={config.container_environment}",
        f"config:platform-env={config.platform_environment}",
        f"config:session-policy={config.session_policy}",
        f"config:require-auth={str(config.require_auth).lower()}",
    )
