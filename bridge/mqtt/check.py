"""Whether a broker can be used, step by step, in words: name, port, TLS, login, permissions."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime

from bridge.envelope import Presence, Unreadable, read
from bridge.large import MAX_WHOLE_BYTES
from bridge.mqtt.client import Broker
from bridge.mqtt.driver import Connection, Incoming
from bridge.mqtt.failures import LinkError, unreachable
from bridge.mqtt.topics import Topics

_LIMIT_S = 10.0
_CANARY = "canary"
_HEARD_S = 3.0


@dataclass(frozen=True, slots=True)
class Step:
    """One step.

    Attributes:
        name: What was tried.
        is_good: Whether it went well; None for what could not be tried, or does no harm.
        text: What was found.
    """

    name: str
    is_good: bool | None
    text: str


async def check(broker: Broker, topics: Topics, name: str, *, gateway: str = "") -> AsyncIterator[Step]:
    """Try a broker as a bridge would use it; ends at the first step without which the next makes no sense.

    Connecting throws out whoever is connected with the same name: not while the bridge runs.

    Args:
        broker: Which one, and as whom.
        topics: How topics begin.
        name: Site or gateway name.
        gateway: A site's gateway; empty for a gateway itself.
    """
    step = await _resolved(broker)
    yield step
    if not step.is_good:
        return
    step = await _connected(broker)
    yield step
    if not step.is_good:
        return
    heard: asyncio.Queue[bytes] = asyncio.Queue()

    def note(incoming: Incoming) -> None:
        heard.put_nowait(incoming.payload)
        incoming.ack()

    for is_v5 in (True, False):
        try:
            async with Connection(broker, note, None, is_v5=is_v5) as connection:
                yield Step("login", True, f"{broker.user} is let in, with MQTT {'5' if is_v5 else '3.1.1'}")
                async for step in _permitted(connection, topics, name, gateway, heard):
                    yield step
                return
        except LinkError as error:
            if not (error.is_version and is_v5):
                yield Step("login", False, str(error))
                return


async def _resolved(broker: Broker) -> Step:
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(_LIMIT_S):
            found = await loop.getaddrinfo(broker.host, broker.port, type=socket.SOCK_STREAM)
    except TimeoutError:
        return Step("name", False, f"nobody says within {_LIMIT_S:.0f} s where {broker.host} is")
    except OSError as error:
        return Step("name", False, str(unreachable(error, broker.host, broker.port)))
    return Step("name", True, f"{broker.host} is {', '.join(sorted({str(each[4][0]) for each in found}))}")


async def _connected(broker: Broker) -> Step:
    what = "TLS" if broker.tls is not None else "port"
    try:
        async with asyncio.timeout(_LIMIT_S):
            _, writer = await asyncio.open_connection(
                broker.host, broker.port, ssl=broker.tls, server_hostname=broker.host if broker.tls else None
            )
    except (OSError, ssl.SSLError) as error:
        return Step(what, False, str(unreachable(error, broker.host, broker.port, has_tls=broker.tls is not None)))
    certificate = writer.get_extra_info("peercert")
    writer.transport.abort()
    text = f"{broker.host}:{broker.port} is open"
    if certificate:
        ends = datetime.fromtimestamp(ssl.cert_time_to_seconds(certificate["notAfter"]), UTC)
        text += f"; its certificate is trusted, and valid until {ends:%Y-%m-%d}"
    return Step(what, True, text)


async def _permitted(
    connection: Connection, topics: Topics, name: str, gateway: str, heard: asyncio.Queue[bytes]
) -> AsyncIterator[Step]:
    """Try what the role needs: that a subscription is granted means nothing, a canary does."""
    if gateway:
        readable, own, foreign = topics.gateway(gateway, "st"), topics.site(name, "up", "tm", _CANARY), "nobody-else"
    else:
        readable, own, foreign = (
            topics.site(_CANARY, "up", "tm", _CANARY),
            topics.site(_CANARY, "up", "tm", _CANARY),
            "",
        )
    try:
        await connection.subscribe([readable])
        await connection.deliver(own, b"{}")
    except LinkError as error:
        yield Step("permissions", False, str(error))
        return
    async for step in _heard(readable, gateway, heard):
        yield step
    if foreign:
        yield await _kept_out(connection, topics.own(foreign, "st"))
    yield await _sized(connection, own)


async def _heard(readable: str, gateway: str, heard: asyncio.Queue[bytes]) -> AsyncIterator[Step]:
    payload: bytes | None = None
    with suppress(TimeoutError):
        async with asyncio.timeout(_HEARD_S):
            payload = await heard.get()
    if not gateway:
        text = "what sites write is heard" if payload is not None else f"what is written to {readable} is not heard"
        yield Step("permissions", payload is not None, text)
        return
    yield Step("permissions", True, "what is this site's own may be written")
    try:
        presence = read(payload or b"", Presence)
    except Unreadable:
        yield Step("gateway", None, f"{gateway} has not been seen; either it never ran, or {readable} may not be read")
        return
    text = f"{gateway} is connected ({presence.sw})" if presence.on else f"{gateway} is not connected now"
    yield Step("gateway", bool(presence.on), text)


async def _kept_out(connection: Connection, topic: str) -> Step:
    """Try to write as somebody else, which a broker with an access list refuses."""
    if not connection.is_v5:
        return Step("others", None, "MQTT 3.1.1 does not tell whether others are kept apart")
    try:
        await connection.deliver(topic, b"")
    except LinkError:
        return Step("others", True, "sites are kept apart")
    return Step("others", None, "the broker lets this user write as any other site: it has no access list")


async def _sized(connection: Connection, topic: str) -> Step:
    """Try a message of the size that the bridge sends."""
    most = connection.max_packet_bytes
    if most < MAX_WHOLE_BYTES + 1024:
        return Step("size", None, f"the broker takes {most} bytes at once (max_packet_size): more goes in small pieces")
    try:
        await connection.deliver(topic, bytes(MAX_WHOLE_BYTES))
    except LinkError as error:
        return Step("size", False, f"a message of {MAX_WHOLE_BYTES // 1024} KiB is not taken: {error}")
    return Step("size", True, f"a message of {MAX_WHOLE_BYTES // 1024} KiB is taken")
