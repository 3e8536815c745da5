"""The composition root of the bridge: wires its parts, runs them, ends them in order."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TypeAlias

from bridge.access import Access
from bridge.config import BadBridge, BridgeConfig
from bridge.envelope import Answer, Request
from bridge.executor import Executor
from bridge.gate import TokenGate
from bridge.identity import Identity
from bridge.joining import Joining
from bridge.lanes import Lanes
from bridge.local import LocalPlatform
from bridge.operation import Operation
from bridge.parties import Parties, by_name
from bridge.player import Player
from bridge.proxy import PartyRoutes, Proxy
from bridge.relay import Relay
from bridge.remote import Remote
from bridge.station import MAX_REMOTES, Station
from bridge.store import Store
from bridge.streams import Streams
from bridge.subscribe import Subscriptions
from bridge.tasks import Tasks
from bridge.telemetry import Telemetry
from bridge.whole_file import write_whole
from edge.http.dispatch import Dispatcher
from edge.http.limits import Limits
from edge.http.server import HttpServer, listen, url_of
from edge.transport.authorities import Authorities

# Bodies above this are refused, naming the limit; the local platform follows each party over a connection of its own.
_LIMITS = Limits(max_connections=MAX_REMOTES + 256, max_body_bytes=1024 * 1024, max_bodies_bytes=32 * 1024 * 1024)
# Between a damaged store and a new one: a disk that keeps spoiling files is not filled with them at once.
_FIRST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 60.0
_TOKEN_FILE = "bridge-token"  # noqa: S105 - the name of the file
_ADDRESS_FILE = "bridge-address"


Look: TypeAlias = Callable[[], Awaitable[object]]


async def serve(
    config: BridgeConfig,
    stop: asyncio.Event,
    on_ready: Callable[[str], None] | None = None,
    on_status: Callable[[Look | None], None] = lambda _: None,
) -> None:
    """Run a bridge until `stop` is set.

    Args:
        config: Its settings.
        stop: Set from outside; the bridge then ends in order.
        on_ready: Called with the URL under which its base URLs are served.
        on_status: Called with what returns the bridge's status, which can be written as JSON; with None when it ends.

    Raises:
        BadBridge: it cannot run with these settings.
        OSError: its address cannot be listened on.
    """
    token = await asyncio.to_thread(_kept_token, config.state_dir)
    tcp_port, pause_s = config.tcp_port, _FIRST_PAUSE_S
    while not stop.is_set():
        listening = listen(config.host, tcp_port)
        tcp_port = listening.getsockname()[1]
        try:
            url = config.public_url or url_of(config.host, tcp_port)
            async with (
                _parts(config, url, token, on_status) as (dispatcher, store),
                HttpServer(dispatcher, [listening], _LIMITS),
            ):
                # Where the command finds it, whichever port the system chose.
                address = config.state_dir / _ADDRESS_FILE
                await asyncio.to_thread(write_whole, address, f"{url_of(config.host, tcp_port)}\n".encode())
                if on_ready is not None:
                    on_ready(url)
                if not await _is_damaged(store, stop):
                    return
        finally:
            listening.close()
        # The file was set aside: with another one all begins anew, numbers and name of the store included.
        await asyncio.sleep(pause_s)
        pause_s, on_ready = min(pause_s * 2, _LONGEST_PAUSE_S), None


async def _is_damaged(store: Store, stop: asyncio.Event) -> bool:
    """Wait for the end of the bridge (false), or of its store (true)."""
    async with asyncio.TaskGroup() as tasks:
        ends = [tasks.create_task(stop.wait(), name="stop"), tasks.create_task(store.damaged(), name="damaged")]
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        for end in ends:
            end.cancel()
    return not stop.is_set()


@asynccontextmanager
async def _parts(
    config: BridgeConfig, url: str, token: str, on_status: Callable[[Look | None], None]
) -> AsyncIterator[tuple[Dispatcher, Store]]:
    """Wire the parts; those opened first are closed last."""
    authorities = None if config.ca_file is None else Authorities(config.ca_file)
    lanes = Lanes(config.lanes, gateway=None if config.device is None else config.device.gateway)
    roles = [role for role in (config.device, config.gateway) if role is not None]
    brokers = [await asyncio.to_thread(role.broker.open) for role in roles]
    async with (
        LocalPlatform(config.platform, config.administrator, authorities, url) as platform,
        Store(config.state_dir / "bridge.db", lanes.policy, floor_bytes=int(config.keep_free_mb * 1_000_000)) as store,
        Tasks() as tasks,
    ):
        executor_of = partial(_executor, config, platform)
        streams = Streams(tasks)
        telemetry = Telemetry(config.device, tasks)
        relay = Relay(store, lanes, tasks, telemetry.tell)

        async def play(remote: Remote, request: Request) -> Answer:
            is_stream = request.route.partition(" ")[2].startswith("/stream/")
            return await (streams.play(remote, request) if is_stream else remote.executor.play(request))

        stations = [
            Station(identity, broker, config.topics, executor_of, play, tasks)
            for identity, broker in zip(_roles(config, store.store_id), brokers, strict=True)
        ]
        telemetry.use(stations)
        remotes = by_name(stations)

        def describe(info: bytes) -> None:
            for station in stations:
                station.describe(info)

        joining = Joining(platform, remotes, lambda name: f"{url}/{name}", token, describe)
        for station in stations:
            station.carriers += [relay.carrier(station), streams.carrier(station)]
            station.on_remote.append(lambda remote: remote.on_change.append(joining.look))
            station.on_gone.append(joining.gone)
            await _restore(config.state_dir, station, tasks)
            tasks.keep(station.run, f"link {station.identity.name}")
        tasks.keep(joining.run, "joining")
        tasks.keep(Player(store, executor_of, tasks).run, "player")
        proxy = Proxy(remotes, token, relay, streams, Subscriptions())
        operation = Operation(url, platform, stations, joining, store, streams, telemetry)
        routes = PartyRoutes(proxy.routes(), operation.routes())
        on_status(operation.status)
        try:
            yield Dispatcher(routes, TokenGate(token, config.free_from), _LIMITS), store
        finally:
            on_status(None)


async def _restore(state_dir: Path, station: Station, tasks: Tasks) -> None:
    """Have a station know its parties from before, so that what is sent to them is kept from the beginning."""
    parties = Parties(state_dir / "bridge-parties", station)
    await parties.restore()
    if not station.identity.is_gateway:
        station.restore(station.identity.serves)
    tasks.keep(parties.run, f"remember parties of {station.identity.name}")


def _executor(config: BridgeConfig, platform: LocalPlatform, party: str) -> Executor:
    """Return what plays the calls of a party."""
    if config.device is not None and party == config.device.gateway:
        return Executor(party, config.device.access, platform)
    return Executor(party, Access() if config.gateway is None else config.gateway.access_of(party), platform)


def _roles(config: BridgeConfig, store_id: str) -> Iterator[Identity]:
    """Yield who we are, as a device and as a gateway."""
    common = {"software": config.software, "machine": _machine(), "store_id": store_id}
    if config.device is not None:
        yield Identity(name=config.device.site, is_gateway=False, serves=config.device.gateway, **common)
    if config.gateway is not None:
        shuns = "" if config.device is None else config.device.gateway
        yield Identity(name=config.gateway.name, is_gateway=True, shuns=shuns, **common)


def _kept_token(state_dir: Path) -> str:
    """Return the token that the local platform shows here; made once and kept, mode 0600."""
    path = state_dir / _TOKEN_FILE
    try:
        state_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        token = path.read_text(encoding="ascii").strip() if path.exists() else ""
        if not token:  # or a power cut has left it empty
            token = secrets.token_urlsafe(32)
            write_whole(path, f"{token}\n".encode())
    except (OSError, UnicodeDecodeError) as error:
        raise BadBridge(f"{path}: the bridge cannot keep its token there ({error})") from error
    return token


def _machine() -> str:
    """Return what tells this machine from another with the same card: hashed, as it is nobody's business."""
    try:
        serial = Path("/proc/device-tree/serial-number").read_bytes()
    except OSError:
        serial = b""
    return hashlib.blake2s(serial + uuid.getnode().to_bytes(6, "big"), digest_size=6).hexdigest()
