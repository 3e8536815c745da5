"""This end on one broker: what it says of itself, whom it sees there, and where incoming messages go.

A gateway sees many sites; a device sees one gateway. All else is the same for both.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress

from bridge.answers import PING, Answers, Crowd
from bridge.calls import Calls
from bridge.carrier import Carrier
from bridge.clock import tick_ms
from bridge.envelope import Answer, Presence, Request, Unreadable, read, write
from bridge.executor import Executor
from bridge.identity import Identity
from bridge.introduction import Introduction
from bridge.large import Large
from bridge.mqtt.client import Broker
from bridge.mqtt.driver import Connection, Incoming
from bridge.mqtt.failures import LinkError
from bridge.mqtt.link import Link, Manners
from bridge.mqtt.topics import Address, Topics
from bridge.once import Once
from bridge.remote import Remote, read_presence
from bridge.tasks import Tasks
from bridge.twins import Twins
from bridge.wires import Wires
from edge.errors import OpacaError

log = logging.getLogger(__name__)

# Sites that a gateway serves; one more is named and passed over.
MAX_REMOTES = 1000
# What is said of one site that it does wrong.
_SAID = 20
# Of a description that came before its site was seen.
_EARLY_BYTES = 64 * 1024
# Between attempts to be known, where the broker refuses.
_FIRST_PAUSE_S = 1.0
_LONGEST_PAUSE_S = 60.0
# Who is seen greets; nothing heard for so long, something is in the way.
_HEARD_S = 10.0


class Station:
    """One role on one broker; `run` serves until cancelled.

    Attributes:
        remotes: The parties seen, by name.
        link: The connection.
        large: Carries what is too large for one message.
        on_remote: Called with each party seen for the first time.
        on_gone: Called with each party that was removed for good.
        carriers: What else takes messages.
        passed_over: How many messages were none that this end can use.
    """

    def __init__(
        self,
        identity: Identity,
        broker: Broker,
        topics: Topics,
        executor_of: Callable[[str], Executor],
        play: Callable[[Remote, Request], Awaitable[Answer]],
        tasks: Tasks,
    ) -> None:
        self.identity = identity
        self.remotes: dict[str, Remote] = {}
        self.on_remote: list[Callable[[Remote], None]] = []
        self.on_gone: list[Callable[[Remote], None]] = []
        self.carriers: list[Carrier] = []
        self._topics = topics
        self._executor_of = executor_of
        self._play = play
        self._tasks = tasks
        self._introduction = Introduction(identity, topics)
        self._is_introduced = False
        self._said = Once(_SAID)
        self._twins = Twins()
        self._early: dict[str, bytes] = {}
        self._listening: dict[str, asyncio.Task[None]] = {}
        self._crowd = Crowd(is_shared=identity.is_gateway)
        self.passed_over = 0
        manners = Manners(
            filters=self._filters(),
            will=self._introduction.new_will,
            on_message=self._received,
            on_up=self._up,
            on_down=self._down,
            last_words=self._introduction.last_words,
        )
        self.link = Link(identity.name, broker, manners)
        self.large = Large(self.link)

    @property
    def _epoch(self) -> int:
        return self._introduction.epoch

    async def run(self) -> None:
        """Keep the link until cancelled."""
        await self.link.run()

    def restore(self, name: str, info: bytes = b"") -> None:
        """Know a party before it is seen, so that messages to it are kept.

        Args:
            name: A site, for a gateway; a device knows only its gateway.
            info: Its last `/info`; empty if it is not known.
        """
        if not self.identity.is_gateway and name != self.identity.serves:
            return
        remote = self.remotes.get(name) or self._new_remote(name)
        if remote is not None and info:
            try:
                remote.describe(info)
            except Unreadable as error:
                log.warning("what is known of %s cannot be read: %s", name, error)

    def describe(self, info: bytes) -> None:
        """Have the other end know the local platform's `/info`."""
        if self._introduction.describe(info) and self.link.is_up:
            self._tasks.start(self._describe(), f"{self.identity.name}: describe")

    def _filters(self) -> list[str]:
        base, name = self._topics.base, self.identity.name
        if self.identity.is_gateway:
            return [f"{base}/+/st", f"{base}/+/up/info", f"{base}/+/up/rq", f"{base}/+/up/rs/{name}"] + [
                f"{base}/+/up/{kind}/+" for kind in ("ev", "ack", "sm", "sc")
            ]
        gateway = self.identity.serves
        return [f"{base}/{name}/dn/#", self._topics.gateway(gateway, "st"), self._topics.gateway(gateway, "info")]

    def _up(self, connection: Connection) -> None:
        for remote in self.remotes.values():
            remote.answers.new_epoch(self._epoch)
        self._tasks.start(self._introduce(), f"{self.identity.name}: introduce")

    def _down(self) -> None:
        self._is_introduced = False
        self._early.clear()
        for remote in self.remotes.values():
            remote.out_of_sight()
            self._left(remote)

    async def _introduce(self) -> None:
        """Say who and what we are, then greet: only who has been seen is listened to."""
        epoch, pause_s = self._epoch, _FIRST_PAUSE_S
        while not await self._introduction.say(self.link, self.large):
            # The connection holds, so a broker that refuses is asked again: its access list may be mended.
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)
            if epoch != self._epoch or not self.link.is_up:
                return
        if epoch != self._epoch or not self.link.is_up:  # it ended when all was said
            return
        self._is_introduced = True
        for remote in self.remotes.values():
            if remote.is_there:
                self._reached(remote)

    async def _describe(self) -> None:
        await self._introduction.say(self.link, self.large)

    @property
    def problem(self) -> str:
        """Why the others do not know of us, though there is a connection; empty if they do."""
        return self._introduction.problem

    def problem_with(self, remote: Remote) -> str:
        """Return what is wrong with a party, though it is there, in words; empty if nothing is."""
        return self._twins.problem(remote.name) or (remote.problem if remote.is_there and self.link.is_up else "")

    def _reached(self, remote: Remote) -> None:
        with suppress(LinkError):
            # Tells the time first, so that the other end knows how old what follows is.
            self._reply(remote, Answer(id="", t=tick_ms()))
        remote.calls.ask_again()
        for carrier in self.carriers:
            carrier.came(remote)
        if before := self._listening.get(remote.name):
            before.cancel()
        self._listening[remote.name] = self._tasks.start(self._listen(remote, self._epoch), f"listen to {remote.name}")

    def _left(self, remote: Remote) -> None:
        """What was under way over its connection, or ours, is gone."""
        self.large.forget(remote.name)
        for carrier in self.carriers:
            carrier.went(remote)

    async def _listen(self, remote: Remote, epoch: int) -> None:
        """Find out that a party is there but cannot be heard: brokers drop without a word what is not allowed."""
        presence = remote.presence
        problem = (
            "it is there, but nothing of it is heard: look whether the broker's access list lets it write, and us read,"
            f" {remote.wires.heard}"
        )
        await asyncio.sleep(_HEARD_S)
        while remote.presence is presence and epoch == self._epoch and self.link.is_up:
            if remote.heard:
                if remote.problem == problem:
                    remote.complain("")
                return
            remote.complain(problem)
            with suppress(OpacaError):  # an answer says that it was mended
                await remote.call(PING, limit_s=_HEARD_S)
            await asyncio.sleep(_HEARD_S)

    def _received(self, incoming: Incoming) -> None:
        """Take one message; whatever a stranger sends, it is named once, acknowledged and forgotten."""
        try:
            if not self._routed(incoming):
                incoming.ack()
            return
        except OpacaError as error:
            self._name_once(incoming.topic, error.message)
        except LinkError as error:
            log.info("%s: %s", incoming.topic[:200], error)
        except Exception as error:  # noqa: BLE001 - else a stranger's message would end the connection for all, again and again
            self._name_once(incoming.topic, f"{type(error).__name__}: {error}")
        self.passed_over += 1
        incoming.ack()

    def _routed(self, incoming: Incoming) -> bool:
        address = self._topics.read(incoming.topic)
        if address is None:
            raise Unreadable("is no topic of this version of the traffic")
        payload = incoming.payload
        presence = read_presence(payload) if address.kind == "st" else None
        remote = self._remote_of(address, presence)
        if remote is None:
            if address.kind == "info" and address.direction == "up":
                self._came_early(address.party, payload)
            return False
        if address.kind == "st":
            self._seen(remote, presence, incoming.is_retained)
            if early := self._early.pop(remote.name, b""):
                remote.describe(early)
            return False
        if address.kind == "info":
            if payload:
                remote.describe(payload)
            return False
        if incoming.is_retained:
            raise Unreadable("was kept by the broker, so it is old; it is passed over")
        remote.heard += 1
        if address.kind == "rq":
            remote.answers.asked(read(self.large.whole(remote.name, payload), Request))
        elif address.kind == "rs":
            self._answered(remote, read(self.large.whole(remote.name, payload), Answer))
        elif address.kind == "sm" and self.large.received(remote.name, address.name, payload):
            pass
        else:
            return any(carrier.received(remote, address, incoming) for carrier in self.carriers)
        return False

    def _came_early(self, party: str, info: bytes) -> None:
        """Keep what a site is until it says that it is there: brokers send what they keep in an order of their own."""
        self._early.pop(party, None)
        if info and len(info) <= _EARLY_BYTES:
            self._early[party] = info
        if len(self._early) > MAX_REMOTES:
            del self._early[next(iter(self._early))]

    def _answered(self, remote: Remote, answer: Answer) -> None:
        remote.answers.age.of(answer.t)
        remote.calls.answered(answer)

    def _remote_of(self, address: Address, presence: Presence | None) -> Remote | None:
        """Return whose message it is, None if it is nobody's we serve."""
        identity = self.identity
        if identity.is_gateway:
            if address.is_gateway or address.direction == "dn":
                return None
            known = self.remotes.get(address.party)
            if known is not None or presence is None or presence.gone or presence.gw not in ("", identity.name):
                return known
            return self._new_remote(address.party)
        if address.is_gateway:
            if address.party != identity.serves:
                return None
        elif (
            address.party != identity.name
            or address.direction != "dn"
            or (address.kind == "rq" and address.name != identity.serves)
        ):
            return None
        return self.remotes.get(identity.serves) or self._new_remote(identity.serves)

    def _new_remote(self, name: str) -> Remote | None:
        if name == self.identity.shuns:
            if self._said.is_new(name, name):
                log.warning("%s is passed over: that is our own gateway's name; give the site another one", name)
            return None
        if len(self.remotes) >= MAX_REMOTES:
            if self._said.is_new("", "too many"):
                log.warning("%d sites are served already; %s is passed over", MAX_REMOTES, name)
            return None
        identity = self.identity
        site, gateway = (name, identity.name) if identity.is_gateway else (identity.name, name)
        wires = Wires(self._topics, site, gateway, is_gateway=identity.is_gateway)
        calls = Calls(name, lambda request: self._ask(remote, request))
        executor = self._executor_of(name)
        answers = Answers(
            name,
            lambda request: self._play(remote, request),
            lambda answer: self._reply(remote, answer),
            self._tasks,
            self._crowd,
        )
        answers.new_epoch(self._epoch)
        remote = Remote(name, wires, calls, answers, executor)
        remote.link_problem = lambda: "" if self.link.is_up else self.link.figures.problem or "not connected"
        self.remotes[name] = remote
        for tell in self.on_remote:
            tell(remote)
        return remote

    def _seen(self, remote: Remote, presence: Presence | None, is_retained: bool) -> None:
        if presence is None or presence.gone:
            if presence is not None or not is_retained:
                self._forget(remote)
            return
        if complaint := self._twins.saw(remote.name, presence):
            log.error("%s", complaint)
        if remote.seen(presence):
            remote.answers.new_epoch(self._epoch)
            # What its connection before this one carried is gone.
            self._left(remote)
            if self._is_introduced:  # else it would not listen to us
                self._reached(remote)
        elif not remote.is_there:
            self._left(remote)

    def _forget(self, remote: Remote) -> None:
        log.info("%s was removed", remote.name)
        self._twins.forget(remote.name)
        remote.removed()
        del self.remotes[remote.name]
        if listening := self._listening.pop(remote.name, None):
            listening.cancel()
        self._left(remote)
        for tell in self.on_gone:
            tell(remote)

    def _ask(self, remote: Remote, request: Request) -> None:
        self.large.send(remote.wires.request, write(request), remote.wires, expires_in_s=request.x)

    def _reply(self, remote: Remote, answer: Answer) -> None:
        self.large.send(remote.wires.answer, write(answer), remote.wires)

    def _name_once(self, topic: str, problem: str) -> None:
        """Log what somebody does wrong, once for each topic."""
        address = self._topics.read(topic)
        if self._said.is_new("" if address is None else address.party, topic):
            log.warning("%s: %s", topic[:200], problem[:500])
