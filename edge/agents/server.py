"""A container alone in its process: the container role of the contract (sections 3.1 and 3.4) over HTTP."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from uuid import uuid4

from edge.agents.container import Container
from edge.agents.identity import Identity
from edge.agents.routes import OpenGate, container_routes
from edge.agents.tasks import install_task_factory
from edge.agents.watchdog import Watchdog
from edge.errors import OpacaError
from edge.http.dispatch import Dispatcher
from edge.http.limits import Limits
from edge.http.server import HttpServer, listen, url_of
from edge.transport.authorities import Authorities
from edge.transport.http import HttpClient, HttpTransport, Kind

log = logging.getLogger("edge.agents")

_NOTIFY_LIMIT_S = 10.0
_NOTIFY_TRIES = 5
_NOTIFY_PAUSE_S = 1.0


async def serve_container(
    container: Container,
    stop: asyncio.Event,
    *,
    container_id: str | None = None,
    owner: str = "",
    token: str = "",
    platform_url: str | None = None,
    ca_file: Path | None = None,
    host: str = "127.0.0.1",
    tcp_port: int | None = None,
    port_mapping: Mapping[int, int] | None = None,
    values: Mapping[str, str] | None = None,
    on_ready: Callable[[str], None] | None = None,
    limits: Limits | None = None,
) -> None:
    """Run a container as a process of its own until `stop` is set.

    Args:
        container: What to run.
        stop: Set from outside; running calls are ended, agents stopped.
        container_id: As the platform gave it; None makes one up.
        owner: Who started it.
        token: What calls to it must carry, and what it shows to the platform; empty if neither checks.
        platform_url: Base URL of the platform that its agents call; None if there is none.
        ca_file: Authorities to trust besides the system's if that is https.
        host: Address to listen on.
        tcp_port: Where to listen, 0 lets the system choose; None takes the host port of the image's `apiPort`.
        port_mapping: Host port of each of the image's ports.
        values: Texts by name, of which the image's parameters are taken.
        on_ready: Called with the container's base URL once requests are answered.
        limits: Bounds of the HTTP server; None takes the contract's.
    Raises:
        ActionFailed: an agent did not start.
        ParameterMismatch: a required parameter has no value.
        OSError: the address cannot be listened on.
    """
    limits = limits or Limits()
    identity = Identity(
        container_id=container_id or str(uuid4()),
        owner=owner,
        token=token,
        arguments=_declared(container, values or {}),
    )
    install_task_factory(asyncio.get_running_loop())
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(Watchdog())
        listening = listen(host, _host_port(container, port_mapping or {}) if tcp_port is None else tcp_port)
        stack.callback(listening.close)
        platform = await _platform(stack, platform_url, token, ca_file)
        await stack.enter_async_context(container.running(identity, platform))
        if platform and container_id:
            await stack.enter_async_context(_notifying(container, platform))
        dispatcher = Dispatcher(container_routes(container, token), OpenGate(), limits)
        await stack.enter_async_context(HttpServer(dispatcher, [listening], limits))
        if on_ready:
            on_ready(url_of(host, listening.getsockname()[1]))
        await stop.wait()


async def _platform(
    stack: AsyncExitStack, platform_url: str | None, token: str, ca_file: Path | None
) -> HttpTransport | None:
    if not platform_url:
        return None
    client = await stack.enter_async_context(HttpClient(authorities=Authorities(ca_file)))
    return client.transport(platform_url, token=token, kind=Kind.PLATFORM)


def _host_port(container: Container, port_mapping: Mapping[int, int]) -> int:
    api_port = container.image.api_port
    return port_mapping.get(api_port, api_port)


def _declared(container: Container, values: Mapping[str, str]) -> dict[str, str]:
    """Return the values of the image's own parameters; what else there is, is none of the agents' business."""
    names = [parameter.name for parameter in container.image.parameters]
    return {name: values[name] for name in names if name and name in values}


@asynccontextmanager
async def _notifying(container: Container, platform: HttpTransport) -> AsyncIterator[None]:
    """Tell the platform of every change of the container."""
    notifier = _Notifier(platform, container.container_id)
    async with asyncio.TaskGroup() as tasks:
        background = tasks.create_task(notifier.run(), name="notify the platform")
        container.on_change = notifier.wanted.set
        try:
            yield
        finally:
            container.on_change = None
            background.cancel()


class _Notifier:
    """Tells the platform that the container's description has changed; it then asks for `/info`.

    Attributes:
        wanted: Set when there is something to tell; several changes at once are one notice.
    """

    def __init__(self, platform: HttpTransport, container_id: str) -> None:
        self.wanted = asyncio.Event()
        self._platform = platform
        self._container_id = container_id

    async def run(self) -> None:
        while True:
            await self.wanted.wait()
            self.wanted.clear()
            for attempt in range(_NOTIFY_TRIES):
                if await self._notify():
                    break
                await asyncio.sleep(_NOTIFY_PAUSE_S * 2**attempt)
            else:
                log.warning("the platform was not told that this container has changed; it shows its old description")

    async def _notify(self) -> bool:
        try:
            async with asyncio.timeout(_NOTIFY_LIMIT_S):
                await self._platform.request("POST", "/containers/notify", body=self._container_id.encode())
        except (OpacaError, TimeoutError) as error:
            log.info("telling the platform of a change failed: %s", error)
            return False
        return True
