"""What is there: local containers and connected platforms, in the order they came. The only mutable picture of them."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from edge.model.definitions import Definitions
from edge.model.descriptions import AgentContainer, AgentDescription, RuntimePlatform
from edge.runtime.catalogue import Catalogue
from edge.transport.base import Transport


@dataclass(slots=True, eq=False)
class LocalContainer:
    """A container of this platform.

    Attributes:
        description: As `/containers` shows it.
        transport: The road to it.
        definitions: Its defined types.
        launcher: What keeps it running: `bundled`, `process` or `attached`.
        container_id: Its ID.
        catalogue: What it offers.
    """

    description: AgentContainer
    transport: Transport
    definitions: Definitions
    launcher: str
    container_id: str = field(init=False)
    catalogue: Catalogue = field(init=False)

    def __post_init__(self) -> None:
        self.container_id = self.description.container_id
        self.catalogue = Catalogue(((self.description, self.definitions),))


@dataclass(slots=True, eq=False)
class Peer:
    """A connected platform.

    Attributes:
        url: Its base URL, as it was connected.
        info: The last description it gave.
        transport: The road to it.
        catalogue: What all its containers offer.
        keeps_messages: It stores what it takes: a message that it did not take is lost, whoever else took it.
    """

    url: str
    info: RuntimePlatform
    transport: Transport
    catalogue: Catalogue
    keeps_messages: bool = False


class Directory:
    """Local containers and connected platforms, and where each agent, action and stream is found.

    The index is made anew at the first look-up after a change, so that the cost of a call does not depend on how many
    containers there are.

    Attributes:
        peers: The connected platforms, oldest first.
        found: What look-ups found among the local containers and remember; emptied when these change.
        on_change: What is called after each change of the local containers.
    """

    def __init__(self) -> None:
        self.peers: tuple[Peer, ...] = ()
        self.found: dict[Hashable, Any] = {}
        self._containers: dict[str, LocalContainer] = {}
        self._peers: dict[str, Peer] = {}
        self._index: _Index | None = None
        self.on_change: list[Callable[[], None]] = []

    @property
    def containers(self) -> Sequence[LocalContainer]:
        """The local containers, oldest first."""
        return tuple(self._containers.values())

    def container_ids(self) -> Sequence[str]:
        """Return the IDs of the local containers."""
        return tuple(self._containers)

    def container(self, container_id: str) -> LocalContainer | None:
        """Return a local container, None if there is none of that ID."""
        return self._containers.get(container_id)

    def put(self, container: LocalContainer) -> None:
        """Add a container, or replace the one of the same ID in its place."""
        self._containers[container.container_id] = container
        self._changed()

    def remove(self, container_id: str) -> LocalContainer | None:
        """Take a container out and return it, None if there is none of that ID."""
        container = self._containers.pop(container_id, None)
        if container is not None:
            self._changed()
        return container

    def put_peer(self, peer: Peer) -> None:
        """Add a connected platform, or replace the one of the same URL in its place."""
        self._peers[peer.url] = peer
        self.peers = tuple(self._peers.values())

    def remove_peer(self, url: str) -> None:
        """Take a connected platform out; nothing happens if there is none of that URL."""
        if self._peers.pop(url, None) is not None:
            self.peers = tuple(self._peers.values())

    def agent(self, agent_id: str) -> AgentDescription | None:
        """Return the description of an agent: of a local one, else of one on a connected platform."""
        for container in self.with_agent(agent_id):
            return container.catalogue.agents[agent_id][0][1]
        for peer in self._peers.values():
            for _, agent in peer.catalogue.agents.get(agent_id, ()):
                return agent
        return None

    def with_agent(self, agent_id: str) -> Sequence[LocalContainer]:
        """Return the local containers that hold an agent of this ID."""
        return self._indexed().by_agent.get(agent_id, ())

    def with_action(self, action: str) -> Sequence[LocalContainer]:
        """Return the local containers that offer an action of this name."""
        return self._indexed().by_action.get(action, ())

    def with_stream(self, stream: str) -> Sequence[LocalContainer]:
        """Return the local containers that offer a stream of this name."""
        return self._indexed().by_stream.get(stream, ())

    def _indexed(self) -> _Index:
        if self._index is None:
            self._index = _Index(self._containers.values())
        return self._index

    def _changed(self) -> None:
        self._index = None
        self.found.clear()
        for tell in self.on_change:
            tell()


class _Index:
    """Local containers by what they hold; every list in the containers' order."""

    __slots__ = ("by_action", "by_agent", "by_stream")

    def __init__(self, containers: Iterable[LocalContainer]) -> None:
        self.by_agent: dict[str, list[LocalContainer]] = {}
        self.by_action: dict[str, list[LocalContainer]] = {}
        self.by_stream: dict[str, list[LocalContainer]] = {}
        for container in containers:
            for index, names in (
                (self.by_agent, container.catalogue.agents),
                (self.by_action, container.catalogue.actions),
                (self.by_stream, container.catalogue.streams),
            ):
                for name in names:
                    index.setdefault(name, []).append(container)
