"""What containers offer, arranged for finding it: by agent, by action, by stream."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from edge.model.definitions import Definitions
from edge.model.descriptions import Action, AgentContainer, AgentDescription, StreamMode


@dataclass(frozen=True, slots=True)
class ActionOffer:
    """An action that one agent of one container offers."""

    container_id: str
    agent_id: str
    action: Action
    definitions: Definitions
    is_first: bool
    """No agent before it in its container offers an action of this name: it is who answers when none is named."""


@dataclass(frozen=True, slots=True)
class StreamOffer:
    """A stream that one agent of one container offers."""

    container_id: str
    agent_id: str
    mode: StreamMode


class Catalogue:
    """The offers of one candidate: of one local container, or of all containers of a connected platform together."""

    __slots__ = ("actions", "agents", "container_ids", "streams")

    def __init__(self, containers: Iterable[tuple[AgentContainer, Definitions]]) -> None:
        self.container_ids: set[str] = set()
        self.agents: dict[str, list[tuple[str, AgentDescription]]] = {}
        self.actions: dict[str, list[ActionOffer]] = {}
        self.streams: dict[str, list[StreamOffer]] = {}
        for container, definitions in containers:
            self._add(container, definitions)

    def _add(self, container: AgentContainer, definitions: Definitions) -> None:
        container_id = container.container_id
        self.container_ids.add(container_id)
        offered: set[str] = set()
        for agent in container.agents:
            self.agents.setdefault(agent.agent_id, []).append((container_id, agent))
            for action in agent.actions:
                offer = ActionOffer(container_id, agent.agent_id, action, definitions, action.name not in offered)
                self.actions.setdefault(action.name, []).append(offer)
            offered.update(action.name for action in agent.actions)
            for stream in agent.streams:
                self.streams.setdefault(stream.name, []).append(StreamOffer(container_id, agent.agent_id, stream.mode))
