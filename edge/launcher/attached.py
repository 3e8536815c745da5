"""Containers that run already, somewhere: known by their URL, and by a key that outlives it (contract, Decision 9)."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from itertools import count
from typing import Any, NoReturn, Protocol

from msgspec.structs import replace

from edge.errors import CalleeError, NotFound, NotReady, ParameterMismatch, Unsupported
from edge.launcher.attached_status import status_of
from edge.launcher.attached_transport import SleepingTransport, WatchedTransport
from edge.launcher.attached_watch import Pace, Watch
from edge.launcher.attachment import AttachedRecord, Attachment, Away, Info, described
from edge.launcher.base import ContainerStatus, Launched, Order, Registry
from edge.launcher.supervision import supervise
from edge.model.codec import as_model
from edge.model.definitions import Definitions, NoDefinitions
from edge.model.descriptions import AgentContainer, AgentContainerImage, timestamp
from edge.model.json_value import JsonValue
from edge.model.requests import AttachedConfig, PostAgentContainer
from edge.transport.base import Transport

log = logging.getLogger(__name__)

_LONGEST_KEY = 200
_JOB = "checks of attached containers"


class Roads(Protocol):
    """What makes the plain ways to containers: `edge.transport.http.HttpClient`."""

    def transport(self, base_url: str, *, token: str = "") -> Transport:
        """Return the transport to a container; nothing is sent yet. `ParameterMismatch` if the URL cannot be used."""


def no_definitions(name: str, image: AgentContainerImage) -> Definitions:
    """Return definitions that accept everything."""
    return NoDefinitions()


class AttachedLauncher:
    """Keeps the list of attached containers true; it starts and stops none of them.

    `registry` is told of those that describe themselves anew and of those that are forgotten; what `start`, `restore`
    and `describe` return is the caller's to list.
    """

    name = "attached"
    # A container that does not answer stays listed, as away, until DELETE or until it is forgotten.
    keeps_on_failure = True

    def __init__(
        self,
        registry: Registry,
        roads: Roads,
        definitions: Callable[[str, AgentContainerImage], Definitions] = no_definitions,
        pace: Pace | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Args:
        registry: Is told of changes.
        roads: Makes the connections.
        definitions: Returns the defined types of a container, given its name for the log and its image.
        pace: How often to look at containers; None takes the contract's.
        clock: Seconds that only ever grow.
        """
        self._registry = registry
        self._roads = roads
        self._definitions = definitions
        self._clock = clock
        self._watch = Watch(definitions, pace or Pace(), clock, self._changed, self._forgotten)
        self._ids: dict[tuple[str, str], str] = {}
        self._numbers = count(1)

    def jobs(self) -> Iterator[tuple[str, Callable[[], Any]]]:
        """Yield the name and coroutine function of what must run as long as the platform does."""
        yield _JOB, lambda: supervise(_JOB, self._watch.run)

    def check(self, wish: PostAgentContainer) -> None:
        """Look at the configuration of a wish.

        Raises:
            Undecodable: another form.
            ParameterMismatch: URL, token or key cannot be used.
        """
        self._understood(wish)

    def identity(self, wish: PostAgentContainer) -> str:
        """Return the key, without one the URL. Raises as `check`."""
        config, road = self._understood(wish)
        return config.key or road.name

    def existing_id(self, owner: str, wish: PostAgentContainer) -> str | None:
        """Return the ID that the owner's container of this key has, without key: of this URL. Raises as `check`."""
        return self._ids.get((owner, self.identity(wish)))

    async def requirements(self, wish: PostAgentContainer) -> Sequence[str]:
        """Return what the wish requires: nothing else is known of it."""
        return wish.image.requires

    async def start(self, order: Order) -> Launched:
        """Attach a container in the place of the one that has the same owner and key, whose ID the order has.

        A container without key is known by its URL. If it cannot be attached, the one that is there stays as it is.

        Raises:
            Undecodable: a configuration of another form.
            ParameterMismatch: URL, token or key cannot be used.
            NotReady: it does not answer `GET /info` as a container does, or got another ID meanwhile.
        """
        number = next(self._numbers)
        config, road = self._understood(order.wish)
        info = None if config.push else await _first_info(road, order.timeout_s)
        record = AttachedRecord(
            url=road.name,
            token=config.token or "",
            key=config.key,
            push=config.push,
            description=_sleeper(order.wish) if info is None else info.reported,
        )
        if self._ids.get((order.owner, record.identity), order.container_id) != order.container_id:
            raise NotReady(f"{record.url} was attached by another request at the same time; try again")
        held = self._watch.held.get(order.container_id)
        if held is not None and held.number > number:
            return self._launched(held)  # it attached once more while this answer was on its way
        attachment = self._attachment(order, record, road, number)
        self._watch.hold(attachment, info)
        return self._launched(attachment)

    def attach_again(self, order: Order, record: JsonValue) -> Launched:
        """Attach a container that was attached before the platform's start, without asking it.

        It counts as away until it answers the first look, which `jobs` has at once; calls are tried until then.

        Args:
            order: Its `container_id` and `owner` count.
            record: What `kept` returned, read back from JSON.
        Raises:
            Undecodable: it is no such record.
            ParameterMismatch: URL or token cannot be used.
        """
        kept = as_model(record, AttachedRecord)
        road = self._roads.transport(kept.url, token=kept.token)
        attachment = self._attachment(order, kept, road, next(self._numbers))
        if attachment.road is None:
            self._watch.hold(attachment, None)
        else:
            self._watch.hold_unasked(attachment)
        return self._launched(attachment)

    def kept(self, container_id: str) -> AttachedRecord | None:
        """Return what is to be stored of a container now; None if it is not attached."""
        attachment = self._watch.held.get(container_id)
        if attachment is None:
            return None
        away = attachment.away
        return replace(attachment.record, away_since=None if away is None else away.since)

    def away(self, container_id: str) -> Away | None:
        """Return why and since when a container is away; None if it answers or is not attached."""
        attachment = self._watch.held.get(container_id)
        return None if attachment is None else attachment.away

    async def describe(self, container_id: str) -> Launched | None:
        """Ask a container anew what it is; None if it does not answer, which leaves it attached, as away.

        One that sleeps is not asked and described as it was.
        """
        attachment = self._watch.held.get(container_id)
        if attachment is None:
            return None
        is_there = await self._watch.ask(attachment)
        current = self._watch.held.get(container_id)
        if current is not attachment:  # it attached anew, or was removed, meanwhile
            return None if current is None else self._launched(current)
        return self._launched(attachment) if is_there else None

    async def stop(self, container_id: str) -> bool:
        """Forget a container, which is not told and runs on; False if it is not attached."""
        attachment = self._watch.release(container_id)
        if attachment is None:
            return False
        self._free_key(attachment)
        return True

    async def statuses(self) -> list[ContainerStatus]:
        """Return how each container is doing."""
        return [status_of(attachment) for attachment in self._watch.held.values()]

    async def log(self, container_id: str, lines: int) -> list[str] | None:
        """Return None for a container that is not attached.

        Raises:
            Unsupported: it is; its output is not ours.
        """
        if container_id in self._watch.held:
            self._refuse_log(container_id)
        return None

    def follow(self, container_id: str, lines: int) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """Always refused.

        Raises:
            NotFound: it is not attached.
            Unsupported: it is; its output is not ours.
        """
        self._refuse_log(container_id)

    def look_at_clock(self) -> None:
        """Do what has become due, after the clock was put forward."""
        self._watch.look_at_clock()

    def _refuse_log(self, container_id: str) -> NoReturn:
        attachment = self._watch.held.get(container_id)
        if attachment is None:
            raise NotFound(f"container {container_id} is not attached")
        raise Unsupported(f"container {container_id} is attached: what it writes is kept where it runs")

    def _understood(self, wish: PostAgentContainer) -> tuple[AttachedConfig, Transport]:
        config = as_model(wish.client_config, AttachedConfig)
        if config.key is not None and not 0 < len(config.key) <= _LONGEST_KEY:
            raise ParameterMismatch(f"clientConfig.key: expected 1 to {_LONGEST_KEY} characters")
        return config, self._roads.transport(config.url, token=config.token or "")

    def _attachment(self, order: Order, record: AttachedRecord, road: Transport, number: int) -> Attachment:
        """Return a container that has the order's ID and is known by its key from now on."""
        container_id = order.container_id
        self._ids[order.owner, record.identity] = container_id
        description = described(record.description, container_id, order.owner, record.url)
        attachment = Attachment(
            container_id=container_id,
            owner=order.owner,
            attached_by=order.attached_by,
            record=replace(record, description=description),
            description=description,
            definitions=self._definitions(description.image.image_name, description.image),
            road=None if record.push else road,
            number=number,
        )
        attachment.transport = (
            SleepingTransport(record.url)
            if record.push
            else WatchedTransport(attachment, road, self._clock, self._watch.look_soon)
        )
        return attachment

    def _free_key(self, attachment: Attachment) -> None:
        identity = (attachment.owner, attachment.record.identity)
        if self._ids.get(identity) == attachment.container_id:
            del self._ids[identity]

    def _launched(self, attachment: Attachment) -> Launched:
        return Launched(
            description=attachment.description,
            transport=attachment.transport,
            definitions=attachment.definitions,
            launcher=self.name,
        )

    def _changed(self, attachment: Attachment) -> None:
        self._registry.appeared(self._launched(attachment))

    def _forgotten(self, attachment: Attachment) -> None:
        self._free_key(attachment)
        self._registry.vanished(attachment.container_id)


async def _first_info(road: Transport, limit_s: float) -> Info:
    try:
        async with asyncio.timeout(limit_s):
            body = await road.info()
    except TimeoutError:
        raise NotReady(f"{road.name} did not answer GET /info in {limit_s:g} s") from None
    except CalleeError as error:
        raise NotReady(f"{error.message}; expected an agent container there", error.cause) from error
    info = Info.read(body, road.name)
    info.warn(road.name, frozenset())
    return info


def _sleeper(wish: PostAgentContainer) -> AgentContainer:
    """Describe a container that is never asked: all that is known of it is its image."""
    return AgentContainer(container_id="", image=wish.image, running_since=timestamp(datetime.now(UTC)))
