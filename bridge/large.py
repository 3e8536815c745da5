"""Messages too large for one packet: their bytes go ahead as chunks, the message itself only names them."""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Callable

from msgspec import Struct

from bridge.chunks import CHUNK_BYTES, Flag, checked, cut, unpack
from bridge.envelope import Unreadable, new_id, read, write
from bridge.mqtt.failures import LinkError
from bridge.mqtt.link import Link
from bridge.wires import Wires
from edge.errors import TooLarge

# What goes in one message; above it comes in chunks, up to the largest body.
MAX_WHOLE_BYTES = 64 * 1024
MAX_BODY_BYTES = 1024 * 1024
# A body with its envelope, escapes included.
_MAX_CHUNKED_BYTES = 2 * MAX_BODY_BYTES + MAX_WHOLE_BYTES
# Of a packet besides its payload: topic, properties, the head of a chunk.
_AROUND_BYTES = 512
_MARK = b'{"sm":"L'
_PREFIX = "L"
_MAX_PER_PARTY = 4
_MAX_ASSEMBLIES = 16


class _Reference(Struct):
    """Stands for a message that came in chunks."""

    sm: str


class _Assembly:
    """The chunks of one message so far."""

    __slots__ = ("body", "count", "crc", "is_complete")

    def __init__(self) -> None:
        self.body = bytearray()
        self.count = 0
        self.crc = 0
        self.is_complete = False


class Large:
    """Sends and receives messages of any size up to the limit."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._assemblies: dict[tuple[str, str], _Assembly] = {}

    @property
    def _whole_bytes(self) -> int:
        """What goes in one message: less than usual, where a broker says that it takes less."""
        return max(1, min(MAX_WHOLE_BYTES, self._link.max_packet_bytes - _AROUND_BYTES))

    def send(self, topic: str, payload: bytes, wires: Wires, *, expires_in_s: float | None = None) -> None:
        """Send once, unconfirmed.

        Raises:
            LinkError: there is no connection, or too much waits for it.
            TooLarge: it is above the limit.
        """
        if len(payload) <= self._whole_bytes:
            self._link.send(topic, payload, expires_in_s=expires_in_s)
            return
        reference = self._sent_ahead(payload, wires, lambda topic, chunk: self._link.send(topic, chunk))
        self._link.send(topic, reference, expires_in_s=expires_in_s)

    async def deliver(self, topic: str, payload: bytes, wires: Wires) -> None:
        """Send until the broker confirms; errors as for `send`."""
        if len(payload) > self._whole_bytes:
            payload = self._sent_ahead(payload, wires, lambda topic, chunk: self._link.send(topic, chunk))
        await self._link.deliver(topic, payload)

    async def retained(self, topic: str, payload: bytes) -> None:
        """Have the broker keep a message; `LinkError` if it is too large for that."""
        most_bytes = self._link.max_packet_bytes - _AROUND_BYTES
        if len(payload) > most_bytes:
            raise LinkError(f"the description takes {len(payload)} bytes, the broker takes {most_bytes} at once")
        await self._link.deliver(topic, payload, retain=True)

    def received(self, party: str, sid: str, payload: bytes) -> bool:
        """Take a chunk; False if it is not of a large message."""
        if not sid.startswith(_PREFIX):
            return False
        key = party, sid
        chunk = unpack(payload)
        assembly = self._assemblies.get(key)
        if assembly is None:
            assembly = self._assemblies[key] = _Assembly()
            self._make_room(party)
        if assembly.is_complete or chunk.number != assembly.count:
            del self._assemblies[key]
            raise Unreadable("chunks of a large message do not follow one another")
        data = chunk.data
        if chunk.flags & Flag.LAST:
            data = checked(data, assembly.crc)
            assembly.is_complete = True
        assembly.count += 1
        assembly.crc = zlib.crc32(data, assembly.crc)
        assembly.body += data
        if len(assembly.body) > _MAX_CHUNKED_BYTES:
            del self._assemblies[key]
            raise Unreadable(f"a message above {_MAX_CHUNKED_BYTES} bytes")
        return True

    def whole(self, party: str, payload: bytes) -> bytes:
        """Return a message that may only name its chunks.

        Raises:
            Unreadable: the chunks are not there; it will be sent again.
        """
        if not payload.startswith(_MARK):
            return payload
        sid = read(payload, _Reference).sm
        assembly = self._assemblies.pop((party, sid), None)
        if assembly is None or not assembly.is_complete:
            raise Unreadable("a large message whose chunks did not all come")
        return bytes(assembly.body)

    def forget(self, party: str) -> None:
        """Give up what a party has begun to send: its connection, or ours, has ended."""
        for key in [key for key in self._assemblies if key[0] == party]:
            del self._assemblies[key]

    def _sent_ahead(self, payload: bytes, wires: Wires, send: Callable[[str, bytes], None]) -> bytes:
        if len(payload) > _MAX_CHUNKED_BYTES:
            raise TooLarge(f"{len(payload)} bytes are more than a bridge carries at once ({MAX_BODY_BYTES} of body)")
        if self._link.is_crowded:
            raise LinkError("too much waits for the broker already: large messages wait")
        sid = _PREFIX + new_id()
        topic = wires.stream(sid)
        for chunk in cut(payload, min(CHUNK_BYTES, self._whole_bytes)):
            send(topic, chunk)
        return write(_Reference(sid))

    def _make_room(self, party: str) -> None:
        """Forget what never became whole: the oldest of a party with too many; if all have, of that with most."""
        own = [key for key in self._assemblies if key[0] == party]
        if len(own) > _MAX_PER_PARTY:
            del self._assemblies[own[0]]
        while len(self._assemblies) > _MAX_ASSEMBLIES:
            counts = Counter(name for name, _ in self._assemblies)
            most = max(counts.values())
            del self._assemblies[next(key for key in self._assemblies if counts[key[0]] == most)]
