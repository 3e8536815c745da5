"""paho's client without what a bad network or a hostile broker could do to us through it.

It can be given up while it connects, says what TLS said, and never keeps a packet that is larger than agreed.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

log = logging.getLogger(__name__)

# Longest wait for a TCP connection, and for each step of TLS.
CONNECT_S = 10.0
# What this side takes in one packet; larger ones are read and thrown away.
MAX_PACKET_BYTES = 256 * 1024
# Read at once: a header that promises 256 MB shall not have as much memory set aside.
_READ_BYTES = 16 * 1024
# Of a packet that is too large only as much is kept as says what it is: its topic.
_HEAD_BYTES = 70 * 1024
_PUBLISH, _PUBACK = 0x30, 0x40
# The reason code of MQTT 5 that says nothing but that it failed.
_FAILURE = 0x80


@dataclass(frozen=True, slots=True, kw_only=True)
class Will:
    """What the broker publishes when the connection breaks: retained, QoS 1."""

    topic: str
    payload: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Broker:
    """Where a broker is, and as whom to connect.

    Attributes:
        host: Name or address.
        port: TCP port.
        user: User name and client identifier.
        password: None for none.
        tls: How the broker is checked; None speaks without TLS.
        keep_alive_s: The broker is asked whether it is there when nothing was heard for so long.
        longest_pause_s: Cap of the back-off between attempts.
        again: Makes the same from its files, which may have changed; `ValueError` if one cannot be used.
    """

    host: str
    port: int
    user: str
    password: str | None = field(default=None, repr=False)
    tls: ssl.SSLContext | None = None
    keep_alive_s: int = 20
    longest_pause_s: float = 60.0
    again: Callable[[], Broker] | None = None

    @property
    def where(self) -> str:
        """Its address, for messages."""
        return f"{self.host}:{self.port}"


class BoundedClient(Client):
    """A client of paho.

    Attributes:
        tls_problem: What TLS complained of; paho only says that the connection was lost.
        too_large: How many packets were passed over.
        refusals: Why messages were refused, by packet identifier; whoever is told takes it out.
    """

    def __init__(self, broker: Broker, will: Will | None, *, is_v5: bool, window: int) -> None:
        """Args:
        broker: Where to connect.
        will: Published by the broker if the connection breaks.
        is_v5: Speak MQTT 5, else 3.1.1.
        window: How many messages of QoS 1 the broker may send before they are confirmed.
        """
        super().__init__(
            CallbackAPIVersion.VERSION2,
            client_id=broker.user,
            protocol=MQTTProtocolVersion.MQTTv5 if is_v5 else MQTTProtocolVersion.MQTTv311,
            clean_session=None if is_v5 else True,
            manual_ack=True,
            reconnect_on_failure=False,
        )
        self._broker = broker
        self._is_v5 = is_v5
        self._window = window
        self.connect_timeout = CONNECT_S
        self.max_inflight_messages_set(0)  # the driver keeps a window of its own
        self.suppress_exceptions = False
        if broker.user and (broker.password is not None or not is_v5 or broker.tls is None):
            self.username_pw_set(broker.user, broker.password)
        if broker.tls is not None:
            self.tls_set_context(broker.tls)
        if will is not None:
            self.will_set(will.topic, will.payload, qos=1, retain=True)
        self.tls_problem: ssl.SSLError | None = None
        self.too_large = 0
        self.refusals: dict[int, int] = {}
        self._dialled: socket.socket | None = None
        self._is_given_up = False

    def dial(self) -> None:
        """Connect, in a thread: names are resolved and TLS is agreed upon while nobody else has to wait."""
        broker = self._broker
        properties: Properties | None = None
        if self._is_v5:
            properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
            properties.ReceiveMaximum = self._window
            # No maximum packet size: what Mosquitto then drops stays among what it holds to be under way, and after 64
            # of them nothing comes any more. They are passed over here.
        try:
            self.connect(
                broker.host,
                broker.port,
                keepalive=broker.keep_alive_s,
                clean_start=True if self._is_v5 else 3,
                properties=properties,
            )
        finally:
            self._forget_dialled()
        if self._is_given_up:
            self._sock_close()
            raise ConnectionAbortedError("given up")

    def give_up(self) -> None:
        """End `dial` in another thread: a handshake that comes byte by byte would go on for hours.

        `thrown_away` is what follows.
        """
        self._is_given_up = True
        if self._dialled is not None:
            try:
                self._dialled.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # it has just ended by itself

    def thrown_away(self, dialling: asyncio.Future[None]) -> None:
        """Close what came of a `dial` that was given up, and look at its error; else asyncio would complain of it."""
        if not dialling.cancelled():
            dialling.exception()
        self._sock_close()

    def _create_socket_connection(self) -> socket.socket:
        dialled = super()._create_socket_connection()
        # Wrapping takes the socket's number away from it, so the one that is given up has a number of its own.
        self._dialled = dialled.dup() if self._ssl else None
        if self._is_given_up:
            self._forget_dialled()
            dialled.close()
            raise ConnectionAbortedError("given up")
        return dialled

    def _ssl_wrap_socket(self, tcp_sock: socket.socket) -> ssl.SSLSocket:
        """Speak TLS; paho would leave the socket open where that fails."""
        assert self._ssl_context is not None
        secured = self._ssl_context.wrap_socket(
            tcp_sock, server_hostname=self._broker.host, do_handshake_on_connect=False
        )
        try:
            secured.settimeout(CONNECT_S)
            secured.do_handshake()
        except BaseException:
            secured.close()
            raise
        return secured

    def _forget_dialled(self) -> None:
        """Close what `give_up` needed."""
        dialled, self._dialled = self._dialled, None
        if dialled is not None:
            dialled.close()

    def _sock_recv(self, bufsize: int) -> bytes:
        try:
            return super()._sock_recv(min(bufsize, _READ_BYTES))
        except ssl.SSLError as error:
            self.tls_problem = error
            raise

    def _packet_read(self) -> MQTTErrorCode:
        code = super()._packet_read()
        packet: Any = self._in_packet
        if packet["remaining_length"] > MAX_PACKET_BYTES:
            del packet["packet"][_HEAD_BYTES:]
        return code

    def _packet_handle(self) -> MQTTErrorCode:
        packet: Any = self._in_packet
        if packet["remaining_length"] <= MAX_PACKET_BYTES:
            self._note_refusal(packet)
            return super()._packet_handle()
        self.too_large += 1
        head, size_bytes = bytes(packet["packet"]), packet["remaining_length"]
        topic_bytes = int.from_bytes(head[:2], "big")
        topic = head[2 : 2 + topic_bytes].decode("utf-8", "replace")[:100]
        if self.too_large == 1:
            log.warning(
                "%s: a message of %d bytes is passed over; this side takes %d", topic, size_bytes, MAX_PACKET_BYTES
            )
        qos = (packet["command"] >> 1) & 3
        if packet["command"] & 0xF0 == _PUBLISH and qos:
            # Unconfirmed it would take a place among what may be under way, for ever.
            self.ack(int.from_bytes(head[2 + topic_bytes : 4 + topic_bytes], "big"), qos)
        return MQTTErrorCode.MQTT_ERR_SUCCESS

    def _note_refusal(self, packet: Any) -> None:
        """Take down why a message is refused: Mosquitto gives reasons that paho takes for broken packets."""
        body = packet["packet"]
        if packet["command"] & 0xF0 == _PUBACK and len(body) > 2 and body[2] >= _FAILURE:
            self.refusals[int.from_bytes(body[:2], "big")] = body[2]
            body[2] = _FAILURE
