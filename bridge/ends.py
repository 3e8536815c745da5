"""Our end of the durable lanes with one party: sends in order what the outbox holds, keeps in the inbox what comes."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress

from bridge import envelope
from bridge.batches import can_be_sent, from_the_wire, mark_of, on_the_wire, said_by
from bridge.clock import Age
from bridge.envelope import Unreadable, read, write
from bridge.mqtt.driver import Incoming
from bridge.mqtt.failures import LinkError
from bridge.once import Once
from bridge.remote import Remote
from bridge.station import Station
from bridge.store import Batch, Fate, Lane, Store
from bridge.way import Way
from edge.errors import BadInput, NotStored, TooLarge

log = logging.getLogger(__name__)

# Batches of a lane under way until the other end has said that it has them.
_WINDOW = 8
# So much under way is enough: large bodies are kept in memory at the other end, and sent whole again if one is lost.
_WINDOW_BYTES = 512 * 1024
# Nothing heard for so long: what was sent is sent again.
_RESEND_S = 5.0
# The other end is full, or the broker refuses: not before this.
_PAUSE_S = 5.0
# Nobody says when a clock is set that was wrong: it is looked at this often.
_HELD_S = 5.0
# While a party is away, what waits for it is looked through for what has expired this often.
_EXPIRE_EVERY_S = 60.0
# What became of messages that were taken is told this often at most.
_TELL_EVERY_S = 2.0
# What comes and is not stored yet.
_QUEUE = 256
_QUEUE_BYTES = 4 * 1024 * 1024
# What is refused within this of the last one is the same burst.
BURST_S = 60.0
# What is wrong with batches is said once each, at most so many of them.
_SAID = 20
# Nothing is heard of what is sent, or the broker refuses it: tried again after longer and longer, up to this.
_LONGEST_PAUSE_S = 60.0


class End:
    """Our end of the lanes with one party."""

    def __init__(self, remote: Remote, station: Station, store: Store) -> None:
        self.remote = remote
        self._station = station
        self._store = store
        self._can_send = False
        self._age = Age()
        self._ways = {lane: Way(_RESEND_S) for lane in Lane}
        self._wake = store.outbox.changed(remote.name)
        self._fates = store.inbox.changed(remote.name)
        self._told: dict[tuple[str, Lane], Fate] = {}
        self._incoming: asyncio.Queue[tuple[Lane, Incoming, bytes]] = asyncio.Queue(_QUEUE)
        self._marks: asyncio.Queue[tuple[Lane, envelope.Mark]] = asyncio.Queue(_QUEUE)
        self._incoming_bytes = 0
        self._refused_s = self._expired_s = float("-inf")
        self._said = Once(_SAID)

    def reach(self, can: bool) -> None:
        """Say whether the party can be reached; what was under way is sent again when it can."""
        self._can_send = can
        self._age = Age()
        self._told.clear()
        self._fates.set()
        for way in self._ways.values():
            way.begin(_RESEND_S, is_greeting=can)
        self._wake.set()

    def rewind(self) -> None:
        """Begin again after what is known to have arrived."""
        for way in self._ways.values():
            way.rewind()
        self._wake.set()

    def came(self, lane: Lane, incoming: Incoming, payload: bytes) -> bool:
        """Take a batch; `Unreadable` if there is no room: it will be sent again."""
        if self._incoming.full() or self._incoming_bytes > _QUEUE_BYTES:
            raise Unreadable("more comes than can be kept; it is passed over until it is sent again")
        self._incoming.put_nowait((lane, incoming, payload))
        self._incoming_bytes += len(payload)
        return True

    def marked(self, lane: Lane, mark: envelope.Mark) -> None:
        """Take what the other end says to have."""
        with suppress(asyncio.QueueFull):  # the next one says the same and more
            self._marks.put_nowait((lane, mark))
        self._wake.set()

    async def send_all(self) -> None:
        """Send what waits, the most urgent lane first, for as long as the bridge runs."""
        while True:
            self._wake.clear()
            while not self._marks.empty():
                with suppress(NotStored):  # the disk cannot be read; it is told again
                    await self._note(*self._marks.get_nowait())
            if not self._can_send:
                await self._expire()
            elif await self._send_next():
                continue
            try:
                async with asyncio.timeout(self._pause_s()):
                    await self._wake.wait()
            except TimeoutError:
                pass

    def _pause_s(self) -> float | None:
        """Return how long there is nothing to do, unless something happens; None if for ever."""
        now_s = asyncio.get_running_loop().time()
        if not self._can_send:
            waits = any(self._store.outbox.waiting(self.remote.name).values())
            return max(0.01, self._expired_s + _EXPIRE_EVERY_S - now_s) if waits else None
        times = [way.resend_at_s for way in self._ways.values() if way.under_way]
        times += [way.not_before_s for way in self._ways.values() if way.not_before_s > now_s]
        return max(0.01, min(times) - now_s) if times else None

    async def _expire(self) -> None:
        """Drop what has become too old while nobody is there to be told; now and then."""
        now_s = asyncio.get_running_loop().time()
        if now_s - self._expired_s >= _EXPIRE_EVERY_S:
            self._expired_s = now_s
            with suppress(NotStored):
                await self._store.outbox.expire(self.remote.name)

    async def _send_next(self) -> bool:
        """Send one batch of the first lane that has one; False if none has."""
        for lane in Lane:
            try:
                if await self._send_of(lane):
                    return True
            except NotStored as error:  # the disk takes not even the account of what is lost; other lanes go on
                self._ways[lane].not_before_s = asyncio.get_running_loop().time() + _PAUSE_S
                self.remote.complain(f"lane {lane.word} waits: {error.message}")
        return False

    async def _send_of(self, lane: Lane) -> bool:
        way, outbox, name = self._ways[lane], self._store.outbox, self.remote.name
        now_s = asyncio.get_running_loop().time()
        if now_s < way.not_before_s:
            return False
        if way.under_way and now_s >= way.resend_at_s:
            way.rewind()
            if way.resend_after_s > _RESEND_S:
                self.remote.complain(f"lane {lane.word}: nothing says that what is sent arrives; it is sent again")
            way.resend_after_s = min(way.resend_after_s * 2, _LONGEST_PAUSE_S)
        if len(way.under_way) >= _WINDOW or way.under_way_bytes > _WINDOW_BYTES:
            return False
        batch = await outbox.batch(name, lane, max(way.sent_seq, outbox.mark(name, lane)))
        if batch.is_held:
            way.not_before_s = now_s + _HELD_S
            self.remote.complain(f"lane {lane.word} waits until this machine's clock is set: its messages can expire")
        if batch.is_empty and not (way.is_greeting and batch.last_seq):
            return False
        if await self._dropped(lane, batch):
            return True
        payload = write(on_the_wire(batch, self._store.id_for(name)))
        try:
            await self._station.large.deliver(self.remote.wires.event(lane.word), payload, self.remote.wires)
        except LinkError as error:
            way.rewind()
            if error.is_refused:
                self.remote.complain(f"lane {lane.word} waits: {error}")
            else:
                log.info("%s: %s", name, error)
            way.refused_s = min(max(1.0, way.refused_s * 2), _LONGEST_PAUSE_S) if error.is_refused else 1.0
            way.not_before_s = now_s + way.refused_s
            return False
        except TooLarge as error:
            log.error("%s: a message is dropped: %s", name, error.message)
            for numbered in batch.events:
                await outbox.drop(name, lane, numbered.seq, "too large")
            return True
        way.is_greeting = False
        if batch.is_empty:  # it said where the lane ends, and what time it is: to one that has lost its own record
            return True
        if not way.under_way:
            way.resend_at_s = asyncio.get_running_loop().time() + way.resend_after_s
        way.sent_seq = batch.last_seq
        way.under_way.append((batch.last_seq, len(payload)))
        return True

    async def _dropped(self, lane: Lane, batch: Batch) -> bool:
        """Drop events that nobody could read, so that they hold up no others; return whether there were some."""
        name, spoilt = self.remote.name, [each for each in batch.events if not can_be_sent(each.event)]
        for seq, event, _ in spoilt:
            log.error(
                "%s: message %d of lane %s (%s) cannot be read any more and is dropped: the disk may be failing",
                name, seq, lane.word, event.route[:200],
            )  # fmt: skip
            await self._store.outbox.drop(name, lane, seq, "unreadable")
        return bool(spoilt)

    async def _note(self, lane: Lane, mark: envelope.Mark) -> None:
        way, name = self._ways[lane], self.remote.name
        if mark.st != self._store.id_for(name):
            return
        now_s = asyncio.get_running_loop().time()
        fate, tag = said_by(mark)
        if not await self._store.outbox.acknowledge(name, lane, mark.n, fate, tag):
            await self._renew(lane, mark.n)
            return
        while way.under_way and way.under_way[0][0] <= mark.n:
            way.under_way.popleft()
            way.resend_at_s, way.resend_after_s, way.refused_s = now_s + _RESEND_S, _RESEND_S, 0.0
            if not way.full:
                self._mended(lane)
        if mark.full:
            way.rewind()
            way.not_before_s = now_s + _PAUSE_S
            # Said until nothing waits any more: where there is a little room now and then, not every time.
            way.full = way.full or f"lane {lane.word} waits: {name} takes nothing now, it says: {mark.full[:200]!r}"
            self.remote.complain(way.full)
        elif mark.g:
            way.rewind()
        if way.full and mark.n >= self._store.outbox.last_seq(name, lane):
            way.full = ""
            self._mended(lane)

    async def _renew(self, lane: Lane, seq: int) -> None:
        """Begin anew under another ID with a party that has what was never sent from here; once, whatever it says."""
        name = self.remote.name
        if await self._store.renew(name):
            log.error(
                "%s has message %d of lane %s, which was never sent from here: the bridge's database was restored from"
                " an older copy, or runs on two machines; what waits for %s is sent under another ID",
                name, seq, lane.word, name,
            )  # fmt: skip
            self.rewind()

    def _mended(self, lane: Lane) -> None:
        if self.remote.problem.startswith(f"lane {lane.word}"):
            self.remote.complain("")

    async def take_all(self) -> None:
        """Store what comes, and say so, for as long as the bridge runs."""
        while True:
            lane, incoming, payload = await self._incoming.get()
            self._incoming_bytes -= len(payload)
            try:
                await self._take(lane, payload)
            except BadInput as error:
                self._station.passed_over += 1
                if self._said.is_new(self.remote.name, error.message):
                    log.warning("%s: lane %s: %s", self.remote.name, lane.word, error.message[:500])
            finally:
                # What is not kept will be sent again by its sender, who waits for our mark and not for the broker.
                incoming.ack()

    async def _take(self, lane: Lane, payload: bytes) -> None:
        message = read(payload, envelope.Batch)
        inbox, name = self._store.inbox, self.remote.name
        batch = from_the_wire(message, lane)
        age_ms = self._age.of(message.u)
        if message.t > 0:
            inbox.clock_known(name, message.t + age_ms)
        try:
            taken = await inbox.take(name, message.st, lane, batch, age_ms / 1000)
        except NotStored as error:
            mark = mark_of(message.st, inbox.taken(name, message.st, lane))
            mark.full = error.message[:200]
            now_s = asyncio.get_running_loop().time()
            if now_s - self._refused_s > BURST_S:
                log.warning("%s: lane %s: nothing is taken now: %s", name, lane.word, error.message)
            self._refused_s = now_s
        else:
            mark = mark_of(message.st, taken)
            self._told[message.st, lane] = taken.fate
        self._say(lane, mark)

    async def tell_all(self) -> None:
        """Tell what became of what was taken, for as long as the bridge runs: its sender keeps the account."""
        inbox, name = self._store.inbox, self.remote.name
        while True:
            await self._fates.wait()
            await asyncio.sleep(_TELL_EVERY_S)
            self._fates.clear()
            if not self._can_send:
                continue
            all_taken = inbox.all_taken(name)
            self._told = {key: fate for key, fate in self._told.items() if key in all_taken}
            for (store_id, lane), taken in all_taken.items():
                if self._told.get((store_id, lane)) != taken.fate:
                    self._told[store_id, lane] = taken.fate
                    self._say(lane, mark_of(store_id, taken))

    def _say(self, lane: Lane, mark: envelope.Mark) -> None:
        with suppress(LinkError):  # said again with the next batch
            self._station.link.send(self.remote.wires.mark(lane.word), write(mark))
