"""The agents of a container, and which of them a call means."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from edge.errors import NotFound
from edge.model.descriptions import StreamMode

if TYPE_CHECKING:
    from edge.agents.agent import Agent
    from edge.agents.specs import ActionSpec, StreamSpec


class Roster:
    """Finds agents by what callers say; what it looked up it remembers until something changes."""

    def __init__(self, container_name: str) -> None:
        self._container_name = container_name
        self._agents: dict[str, Agent] = {}
        self._found: dict[tuple[str, str | None], tuple[Agent, ActionSpec]] = {}
        self._first_streaming: dict[str, Agent] = {}
        self._listeners: dict[str, list[Agent]] | None = None

    def __iter__(self) -> Iterator[Agent]:
        return iter(self._agents.values())

    def free_id(self, agent: Agent) -> str:
        """Return the ID under which an agent can be added; a chosen one stays, others are numbered.

        Raises:
            ValueError: the chosen ID is taken, or the agent belongs to a container.
        """
        if agent.is_attached:
            raise ValueError(f"agent {agent.agent_id!r} belongs to container {agent.container.name!r}")
        plain = agent.agent_id
        if plain not in self._agents:
            return plain
        if agent.has_chosen_id:
            raise ValueError(f"container {self._container_name!r} has already an agent {plain!r}; give it another ID")
        number = 2
        while f"{plain}-{number}" in self._agents:
            number += 1
        return f"{plain}-{number}"

    def add(self, agent: Agent) -> None:
        """Add an agent under its ID."""
        self._agents[agent.agent_id] = agent
        self.forget()

    def remove(self, agent_id: str) -> Agent | None:
        """Remove and return an agent, None if there is none."""
        self.forget()
        return self._agents.pop(agent_id, None)

    def forget(self) -> None:
        """Forget what was looked up: agents, their actions, streams or channels have changed."""
        self._found.clear()
        self._first_streaming.clear()
        self._listeners = None

    def agent(self, agent_id: str) -> Agent:
        """Return the agent of an ID.

        Raises:
            NotFound: there is none.
        """
        agent = self._agents.get(agent_id)
        if agent is None:
            raise NotFound(f"container {self._container_name!r} has no agent {agent_id!r}")
        return agent

    def action(self, name: str, agent_id: str | None) -> tuple[Agent, ActionSpec]:
        """Return the agent, or else the first one, that offers an action.

        Raises:
            NotFound: there is none.
        """
        found = self._found.get((name, agent_id))
        if found is None:
            # Only what exists is remembered: callers must not fill the memory with names that they make up.
            found = self._found[name, agent_id] = self._find(name, agent_id)
        return found

    def _find(self, name: str, agent_id: str | None) -> tuple[Agent, ActionSpec]:
        if agent_id is None:
            agent = next((agent for agent in self if name in agent.offers.actions), None)
            if agent is None:
                raise NotFound(f"container {self._container_name!r} has no action {name!r}")
        else:
            agent = self.agent(agent_id)
        spec = agent.offers.actions.get(name)
        if spec is None:
            raise NotFound(f"agent {agent.agent_id!r} has no action {name!r}")
        return agent, spec

    def stream(self, name: str, agent_id: str | None, mode: StreamMode) -> tuple[Agent, StreamSpec]:
        """Return the agent, or else the first one, that offers a stream.

        Raises:
            NotFound: there is none, or it is of the other mode.
        """
        agent = self._first_streaming.get(name) if agent_id is None else self.agent(agent_id)
        if agent is None:
            agent = next((agent for agent in self if name in agent.offers.streams), None)
            if agent is None:
                raise NotFound(f"container {self._container_name!r} has no stream {name!r}")
            self._first_streaming[name] = agent
        spec = agent.offers.streams.get(name)
        if spec is None:
            raise NotFound(f"agent {agent.agent_id!r} has no stream {name!r}")
        if spec.description.mode is not mode:
            raise NotFound(f"stream {name!r} of agent {agent.agent_id!r} is for {spec.description.mode} only")
        return agent, spec

    def listening(self, channel: str) -> list[Agent]:
        """Return the agents that listen on a channel."""
        if self._listeners is None:
            self._listeners = {}
            for agent in self:
                for name in agent.channels:
                    self._listeners.setdefault(name, []).append(agent)
        return self._listeners.get(channel, [])
