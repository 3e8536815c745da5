"""One MQTT connection on the event loop: paho does the protocol, this drives its socket.

A connection is made once and thrown away when it ends: what was not confirmed then is repeated from where it is kept,
never from paho's memory. Incoming messages of QoS 1 are acknowledged by whoever has kept them, not on arrival.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self, cast

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import MQTTErrorCode
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from bridge.mqtt.client import CONNECT_S, MAX_PACKET_BYTES, BoundedClient, Broker, Will
from bridge.mqtt.failures import LinkError, ended, hung_up, not_taken, refused, unreachable

# Longest wait for the broker's greeting, and for any confirmation.
_GREETING_S = 10.0
_CONFIRM_S = 20.0
# Of messages of QoS 1 that are not confirmed, in either direction; the broker may want fewer.
_WINDOW = 64
# Packets that may wait for a slow socket: until publishing waits, until large messages do, until nothing is taken.
_MAX_WAITING = 256
_CROWDED = 512
_MOST_WAITING = 1024
_HOUSEKEEPING_S = 1.0
# The reason code of MQTT 5 for silence, with which paho tells of it as well.
_KEEP_ALIVE = 0x8D


@dataclass(slots=True)
class Incoming:
    """A message from the broker; `ack` says that it is kept, which a message of QoS 0 does not need."""

    topic: str
    payload: bytes
    is_retained: bool
    ack: Callable[[], None]


class Connection:
    """An open connection, as an async context manager; entering raises `LinkError` if there is none to be had.

    Attributes:
        is_v5: Whether it speaks MQTT 5.
        max_packet_bytes: What the broker takes in one packet, as far as it says so.
        needs_will: Its end is not said yet: it ends without a word, so that the broker publishes the will.
    """

    def __init__(
        self, broker: Broker, on_message: Callable[[Incoming], None], will: Will | None, *, is_v5: bool = True
    ) -> None:
        """Args:
        broker: Where to connect.
        on_message: Called on the loop for each message; must not wait.
        will: Published by the broker if the connection breaks.
        is_v5: Speak MQTT 5, else 3.1.1.
        """
        self.is_v5 = is_v5
        self.max_packet_bytes = MAX_PACKET_BYTES
        self.needs_will = will is not None
        self._broker = broker
        self._on_message = on_message
        self._will = will
        client = self._client = BoundedClient(broker, will, is_v5=is_v5, window=_WINDOW)
        client.on_connect = self._connected
        client.on_disconnect = self._disconnected
        client.on_publish = self._published
        client.on_subscribe = self._subscribed
        client.on_message = self._received
        self._sock: socket.socket | None = None
        self._greeting: asyncio.Future[None] | None = None
        self._ended: asyncio.Future[LinkError] | None = None
        self._confirmations: dict[int, asyncio.Future[None]] = {}
        self._window = asyncio.Semaphore(_WINDOW)
        self._drained = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._greeting = loop.create_future()
        self._ended = loop.create_future()
        await self._dial()
        self._attach()
        try:
            async with asyncio.timeout(_GREETING_S):
                first: list[asyncio.Future[Any]] = [self._greeting, self._ended]
                await asyncio.wait(first, return_when=asyncio.FIRST_COMPLETED)
        except TimeoutError as error:
            self._detach()
            # Brokers that know only 3.1.1 have been seen to say nothing at all to version 5.
            raise LinkError(f"{self._broker.where} says nothing", is_version=self.is_v5) from error
        except asyncio.CancelledError:
            self._detach()
            raise
        if not self._greeting.done():
            self._detach()
            raise hung_up(self._broker.where, self._client.tls_problem, has_tls=self._broker.tls is not None)
        try:
            self._greeting.result()
        except LinkError:
            self._detach()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._sock is not None and not self.needs_will:
            self._client.disconnect()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1.0):
                    while self._sock is not None and self._client.want_write():
                        await asyncio.sleep(0)
                        self._writable()
        self._end(LinkError("closed"))
        self._detach()

    async def ended(self) -> LinkError:
        """Wait for the end of the connection and return why."""
        assert self._ended is not None
        return await asyncio.shield(self._ended)

    async def subscribe(self, filters: Sequence[str], qos: int = 1) -> None:
        """Subscribe; `LinkError` if the broker refuses.

        That it grants does not mean that it delivers: Mosquitto grants what its access list will never let through.
        """
        options = SubscribeOptions(qos=qos, retainHandling=SubscribeOptions.RETAIN_SEND_ON_SUBSCRIBE)
        topics: list[Any] = [(each, options if self.is_v5 else qos) for each in filters]
        code, mid = self._client.subscribe(topics)
        await self._confirmed(code, mid, f"subscribing to {', '.join(filters)}")

    def publish(self, topic: str, payload: bytes, *, retain: bool = False, expires_in_s: float | None = None) -> None:
        """Send once, without confirmation (QoS 0).

        Raises:
            LinkError: there is no connection any more, or it takes too little.
        """
        if self._sock is None:
            raise LinkError("not connected")
        if len(self._client._out_packet) > _MOST_WAITING:
            raise LinkError("the broker takes too little")
        self._client.publish(topic, payload, 0, retain, self._properties(expires_in_s))

    async def deliver(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        """Send until the broker confirms (QoS 1); waits while too many are unconfirmed.

        Raises:
            LinkError: the connection ended before, or the broker refuses this message.
        """
        async with self._window:
            if self._sock is None:
                raise LinkError("not connected")
            info = self._client.publish(topic, payload, 1, retain)
            await self._confirmed(info.rc, info.mid, f"publishing to {topic}")

    @property
    def is_crowded(self) -> bool:
        """Whether so much waits for the socket that what is left of the room is for small messages."""
        return len(self._client._out_packet) > _CROWDED

    async def drain(self) -> None:
        """Wait until what was published without confirmation is on its way, as far as too much waits."""
        while self._sock is not None and len(self._client._out_packet) > _MAX_WAITING:
            self._drained.clear()
            await self._drained.wait()

    async def _confirmed(self, code: MQTTErrorCode, mid: int | None, what: str) -> None:
        if code != MQTTErrorCode.MQTT_ERR_SUCCESS or mid is None:
            raise LinkError(f"{what}: not connected")
        confirmation: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._confirmations[mid] = confirmation
        try:
            async with asyncio.timeout(_CONFIRM_S):
                await confirmation
        except LinkError as error:
            raise (error.about(what) if error.is_refused else error) from None
        except TimeoutError as error:
            raise LinkError(f"{what}: the broker does not confirm it") from error
        finally:
            self._confirmations.pop(mid, None)

    async def _dial(self) -> None:
        """Connect, or give up in time; the thread that does it ends in both cases."""
        client, broker = self._client, self._broker
        dialling = asyncio.get_running_loop().run_in_executor(None, client.dial)
        try:
            async with asyncio.timeout(CONNECT_S + 5):
                await asyncio.shield(dialling)
        except (TimeoutError, asyncio.CancelledError) as error:
            client.on_disconnect = None
            client.give_up()
            dialling.add_done_callback(client.thrown_away)
            if isinstance(error, asyncio.CancelledError):
                raise
            raise unreachable(error, broker.host, broker.port, has_tls=broker.tls is not None) from error
        except (OSError, ValueError) as error:
            raise unreachable(error, broker.host, broker.port, has_tls=broker.tls is not None) from error

    def _attach(self) -> None:
        sock = cast("socket.socket | None", self._client.socket())
        if sock is None:
            self._end(LinkError("the connection ended at once"))
            return
        self._sock = sock
        # Two small packets in a row would else wait for the other side's acknowledgement: 40 ms each.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        loop = asyncio.get_running_loop()
        loop.add_reader(sock, self._readable)
        self._client.on_socket_register_write = lambda *_: self._want_write()
        self._client.on_socket_unregister_write = lambda *_: self._written()
        self._client.on_socket_close = lambda _client, _data, closing: _forget(cast("socket.socket", closing))
        if self._client.want_write():
            self._want_write()
        self._timer = loop.call_later(_HOUSEKEEPING_S, self._housekeep)

    def _detach(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        sock, self._sock = self._sock, None
        if sock is not None and sock.fileno() >= 0:
            _forget(sock)
        self._client.on_socket_close = None  # paho's callbacks wait for each other
        self._client.on_socket_register_write = None
        self._client.on_socket_unregister_write = None
        self._client.on_disconnect = None
        self._client._sock_close()
        self._drained.set()

    def _readable(self) -> None:
        sock = self._sock
        try:
            code = self._client.loop_read()
        except Exception as error:  # noqa: BLE001 - hostile packets make paho raise anything; they end the connection
            self._end(LinkError(f"the broker sent what cannot be read: {type(error).__name__}: {error}"))
            return
        if code != MQTTErrorCode.MQTT_ERR_SUCCESS:
            self._end(
                LinkError(f"the connection ended: {code.name.removeprefix('MQTT_ERR_').replace('_', ' ').lower()}")
            )
        elif isinstance(sock, ssl.SSLSocket) and self._sock is sock and sock.pending():
            # What TLS has read already, no socket tells of.
            asyncio.get_running_loop().call_soon(self._readable_again, sock)

    def _readable_again(self, sock: socket.socket) -> None:
        if self._sock is sock:
            self._readable()

    def _want_write(self) -> None:
        if self._sock is not None:
            asyncio.get_running_loop().add_writer(self._sock, self._writable)

    def _written(self) -> None:
        if self._sock is not None and self._sock.fileno() >= 0:
            asyncio.get_running_loop().remove_writer(self._sock)
        self._drained.set()

    def _writable(self) -> None:
        try:
            code = self._client.loop_write()
        except Exception as error:  # noqa: BLE001 - as for reading
            self._end(LinkError(f"the connection ended: {error}"))
            return
        if len(self._client._out_packet) <= _MAX_WAITING:
            self._drained.set()
        if code != MQTTErrorCode.MQTT_ERR_SUCCESS:
            self._end(LinkError("the connection ended while sending"))

    def _housekeep(self) -> None:
        """Ask the broker whether it is there, when it is time to; paho finds out if it is not."""
        if self._sock is None:
            return
        code = self._client.loop_misc()
        if code != MQTTErrorCode.MQTT_ERR_SUCCESS:
            self._end(LinkError(f"nothing was heard of {self._broker.where} in time"))
            return
        self._timer = asyncio.get_running_loop().call_later(_HOUSEKEEPING_S, self._housekeep)

    def _end(self, error: LinkError) -> None:
        assert self._ended is not None
        if not self._ended.done():
            self._ended.set_result(error)
        self._detach()
        for confirmation in self._confirmations.values():
            if not confirmation.done():
                confirmation.set_exception(error)

    def _properties(self, expires_in_s: float | None) -> Properties | None:
        if expires_in_s is None or not self.is_v5:
            return None
        properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
        properties.MessageExpiryInterval = max(1, int(expires_in_s))
        return properties

    def _connected(self, client: Client, data: object, flags: object, reason: Any, properties: Any) -> None:
        assert self._greeting is not None
        if self._greeting.done():
            return
        if reason.is_failure:
            self._greeting.set_exception(refused(reason.value, str(reason), self._broker.user))
            return
        allowed = getattr(properties, "ReceiveMaximum", None) or _WINDOW
        self._window = asyncio.Semaphore(min(_WINDOW, allowed))
        self.max_packet_bytes = min(MAX_PACKET_BYTES, getattr(properties, "MaximumPacketSize", MAX_PACKET_BYTES))
        self._greeting.set_result(None)

    def _disconnected(self, client: Client, data: object, flags: Any, reason: Any, properties: Any) -> None:
        if getattr(flags, "is_disconnect_packet_from_server", False):
            self._end(ended(reason.value, str(reason)))
        elif reason.value == _KEEP_ALIVE:
            self._end(LinkError(f"nothing was heard of {self._broker.where} in time"))
        else:
            self._end(LinkError("the connection ended without a word", is_silent=True))

    def _published(self, client: Client, data: object, mid: int, reason: Any, properties: Any) -> None:
        code = self._client.refusals.pop(mid, None)
        confirmation = self._confirmations.get(mid)
        if confirmation is None or confirmation.done():
            return
        if code is not None:
            confirmation.set_exception(not_taken(code, f"reason {code:#x}"))
        else:
            confirmation.set_result(None)

    def _subscribed(self, client: Client, data: object, mid: int, reasons: Any, properties: Any) -> None:
        confirmation = self._confirmations.get(mid)
        if confirmation is None or confirmation.done():
            return
        failures = [reason for reason in reasons if reason.is_failure]
        if failures:
            confirmation.set_exception(not_taken(failures[0].value, str(failures[0])))
        else:
            confirmation.set_result(None)

    def _received(self, client: Client, data: object, message: MQTTMessage) -> None:
        mid, qos = message.mid, message.qos

        def ack() -> None:
            if qos and self._sock is not None:
                client.ack(mid, qos)

        try:
            topic = message.topic
        except UnicodeDecodeError:
            ack()
            return
        self._on_message(Incoming(topic, bytes(message.payload), message.retain, ack))


def _forget(sock: socket.socket) -> None:
    """Have the loop watch a socket no longer, before it is closed: the next one may get its number."""
    asyncio.get_running_loop().remove_reader(sock)
    asyncio.get_running_loop().remove_writer(sock)
