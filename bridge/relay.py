"""Durable messages on their way: accepted here, and handed to the end of the party that they go to or came from."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from urllib.parse import unquote

from bridge import envelope
from bridge.access import is_message
from bridge.carrier import Carrier
from bridge.ends import BURST_S, End
from bridge.envelope import LONGEST_PATH, Unreadable, read
from bridge.lanes import Lanes
from bridge.large import MAX_BODY_BYTES
from bridge.mqtt.driver import Incoming
from bridge.mqtt.topics import Address
from bridge.remote import Remote
from bridge.station import Station
from bridge.store import Event, Lane, Refused, Store
from bridge.tasks import Tasks
from edge.errors import NotStored, ParameterMismatch, TooLarge
from edge.model.codec import encode
from edge.model.requests import Message

log = logging.getLogger(__name__)

LANES = {lane.word: lane for lane in Lane}
# What goes out in bare form: channel and payload.
Tap = Callable[[Remote, str, bytes], None]


class Relay:
    """Sends what the outbox holds, and keeps what comes in the inbox."""

    def __init__(self, store: Store, lanes: Lanes, tasks: Tasks, tap: Tap | None = None) -> None:
        """Args:
        store: The durable store; open.
        lanes: Which lane a message goes to.
        tasks: Owns what runs.
        tap: Told of each broadcast that was accepted: party, channel, payload as JSON.
        """
        self._store = store
        self._lanes = lanes
        self._tasks = tasks
        self._tap = tap
        self._ends: dict[str, End] = {}
        self._refused_s: dict[tuple[str, Lane], float] = {}

    def carrier(self, station: Station) -> Carrier:
        """Return what takes the batches and marks of a station."""
        return _RelayCarrier(self, station)

    async def accept(self, remote: Remote, route: str, query: Mapping[str, str], message: Message) -> None:
        """Store a message for a party; when this returns it is on the disk.

        Raises:
            ParameterMismatch: the other end would not play it.
            TooLarge: neither it, nor what is in between, would take it, or the lane never.
            NotStored: there is no room for it now; the message says why.
        """
        if not is_message(route):
            raise ParameterMismatch(
                f"{route[:100]!r} is nothing that a bridge carries: the name of an agent or a channel has no '/' in it,"
                f" is neither '.' nor '..', and takes less than {LONGEST_PATH} bytes, percent-encoded"
            )
        body = encode(message)
        if len(body) > MAX_BODY_BYTES:
            raise TooLarge(f"a message of {len(body)} bytes: a bridge carries at most {MAX_BODY_BYTES}")
        kind, _, name = route.partition(" /")[2].partition("/")
        name = unquote(name)
        lane = self._lanes.of(kind, name)
        try:
            await self._store.outbox.put(remote.name, lane, Event(route, body, dict(query)))
        except NotStored as error:
            self._say_refused(remote.name, lane, error.message)
            if isinstance(error, Refused) and error.reason == "too large":
                raise TooLarge(error.message) from error
            raise
        if self._tap is not None and kind == "broadcast":
            self._tap(remote, name, encode(message.payload))

    def _say_refused(self, party: str, lane: Lane, why: str) -> None:
        """Log that messages are refused, once for each burst: the figures count them."""
        now_s, last_s = asyncio.get_running_loop().time(), self._refused_s.get((party, lane))
        self._refused_s[party, lane] = now_s
        if last_s is None or now_s - last_s > BURST_S:
            log.warning("messages to %s are refused: %s", party, why)

    def end_of(self, remote: Remote, station: Station) -> End:
        """Return our end of the lanes with a party; made when it is first seen."""
        end = self._ends.get(remote.name)
        if end is None:
            end = self._ends[remote.name] = End(remote, station, self._store)
            self._tasks.keep(end.send_all, f"send to {remote.name}")
            self._tasks.keep(end.take_all, f"take from {remote.name}")
            self._tasks.keep(end.tell_all, f"tell {remote.name} what became of its messages")
        end.remote = remote  # another one, if it was removed meanwhile
        return end

    def lost(self, remote: Remote) -> None:
        """Take note that a party cannot be reached any more."""
        if remote.name in self._ends:
            self._ends[remote.name].reach(False)


class _RelayCarrier(Carrier):
    """Takes batches and marks."""

    def __init__(self, relay: Relay, station: Station) -> None:
        self._relay = relay
        self._station = station

    def received(self, remote: Remote, address: Address, incoming: Incoming) -> bool:
        if address.kind not in ("ev", "ack"):
            return False
        lane = LANES.get(address.name)
        if lane is None:
            raise Unreadable(f"there is no lane {address.name[:50]!r}")
        end = self._relay.end_of(remote, self._station)
        if address.kind == "ev":
            # At once: of chunks that wait only so many are kept.
            return end.came(lane, incoming, self._station.large.whole(remote.name, incoming.payload))
        end.marked(lane, read(incoming.payload, envelope.Mark))
        return False

    def came(self, remote: Remote) -> None:
        self._relay.end_of(remote, self._station).reach(True)

    def went(self, remote: Remote) -> None:
        self._relay.lost(remote)
