"""An agent container: agents that start, stop and are called together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

from edge.agents.agent import Agent
from edge.agents.identity import Identity
from edge.agents.life import Life
from edge.agents.names import check_name
from edge.agents.results import to_json
from edge.agents.roster import Roster
from edge.agents.signature import LOGIN_TOKEN
from edge.agents.streams import GetStream, take_stream
from edge.agents.tasks import OwnedTask, start_owned
from edge.agents.type_definitions import TypeDefinitions
from edge.errors import ParameterMismatch, Unreachable, Unsupported
from edge.model.descriptions import (
    AgentContainer,
    AgentContainerImage,
    ImageParameter,
    PortDescription,
    StreamMode,
)
from edge.model.json_value import JsonValue
from edge.model.requests import Login, Message
from edge.transport.base import NO_OPTIONS, CallOptions, Transport


class Container:
    """Holds agents and calls them; runs inside the platform or as a process of its own, without a changed line.

    Attributes:
        name: As in the list of containers.
        definitions: The types of the author's own, for checking arguments.
        on_change: Called while the container runs whenever its agents, actions or streams change.
    """

    def __init__(
        self,
        name: str,
        agents: Iterable[Agent] = (),
        *,
        version: str | None = None,
        description: str | None = None,
        provider: str | None = None,
        url: str | None = None,
        parameters: Sequence[ImageParameter] = (),
        requires: Sequence[str] = (),
        provides: Sequence[str] = (),
        extra_ports: Mapping[int, PortDescription] | None = None,
    ) -> None:
        """Make a container; it runs inside `running`.

        Args:
            name: Short, for lists and messages; also the image's name.
            agents: More may be added later.
            parameters: Settings that the agents read as `self.container.arguments[name]`.
        Raises:
            TypeError, ValueError: an agent cannot be offered, or two have the same ID.
        """
        self.name = check_name("container name", name)
        self.definitions = TypeDefinitions()
        self.on_change: Callable[[], None] | None = None
        self._about = AgentContainerImage(
            image_name=name,
            name=name,
            version=version,
            description=description,
            provider=provider,
            url=url,
            requires=list(requires),
            provides=list(provides),
            parameters=list(parameters),
            extra_ports=dict(extra_ports or {}),
        )
        self._roster = Roster(name)
        self._description: AgentContainer | None = None
        self._life: Life | None = None
        for agent in agents:
            self.add_agent(agent)

    # --- what it is

    @property
    def agents(self) -> tuple[Agent, ...]:
        """Its agents, in the order in which they were added."""
        return tuple(self._roster)

    @property
    def image(self) -> AgentContainerImage:
        """What it is made from."""
        self._about.definitions = self.definitions.schemas()
        return self._about

    @property
    def arguments(self) -> Mapping[str, str]:
        """The values of its parameters: as given, else their defaults. Empty unless it runs."""
        return self._life.arguments if self._life else {}

    @property
    def container_id(self) -> str:
        """Its ID at the platform; empty unless it runs."""
        return self._life.identity.container_id if self._life else ""

    @property
    def platform(self) -> Transport | None:
        """The road to the platform; None if it runs without one, or does not run."""
        return self._life.platform if self._life else None

    @property
    def degraded(self) -> Mapping[str, str]:
        """Background work that failed and waits to be run again: `agent.name` -> why."""
        return self._life.degraded if self._life else {}

    @property
    def life(self) -> Life:
        """What exists while it runs.

        Raises:
            Unreachable: it does not run.
        """
        if self._life is None:
            raise Unreachable(f"container {self.name!r} does not run")
        return self._life

    @property
    def is_running(self) -> bool:
        """Whether it runs, or is about to."""
        return self._life is not None

    def describe(self) -> AgentContainer:
        """Describe the container and its agents for callers; confidential arguments are left out."""
        if self._description is None or self._life is None:
            life = self._life
            shown = {parameter.name for parameter in self._about.parameters if not parameter.confidential}
            self._description = AgentContainer(
                container_id=self.container_id,
                image=self.image,
                arguments={name: value for name, value in self.arguments.items() if name in shown},
                agents=[agent.describe() for agent in self._roster],
                owner=life.identity.owner if life else "",
                running_since=life.since if life else "1970-01-01T00:00:00.000Z",
            )
        return self._description

    # --- its agents

    def add_agent(self, agent: Agent) -> None:
        """Add an agent; in a running container it is started in the background.

        Raises:
            TypeError: it is no agent.
            ValueError: its ID is taken, or it belongs to another container.
        """
        if not isinstance(agent, Agent):
            raise TypeError(f"container {self.name!r}: {agent!r} is no edge.agents.Agent")
        agent.attach(self, self._roster.free_id(agent))
        self._roster.add(agent)
        if self._life and self._life.is_open:
            self._life.soon(agent, "start", self._life.start_agent)
        self.changed()

    def remove_agent(self, agent_id: str) -> bool:
        """Remove an agent; in a running container it is stopped in the background. False if there is none."""
        agent = self._roster.remove(agent_id)
        if agent is None:
            return False
        if self._life and self._life.is_open:
            self._life.soon(agent, "stop", self._part)
        else:
            agent.attach(None, agent_id)
        self.changed()
        return True

    async def _part(self, agent: Agent) -> None:
        await self.life.stop_agent(agent)
        agent.attach(None, agent.agent_id)

    def changed(self) -> None:
        """Tell the platform that agents, actions or streams are others than before."""
        self._description = None
        self._roster.forget()
        if self.on_change and self._life and self._life.is_open:
            self.on_change()

    def channels_changed(self) -> None:
        """Note that an agent listens on other channels than before."""
        self._roster.forget()

    # --- its life

    @asynccontextmanager
    async def running(self, identity: Identity, platform: Transport | None = None) -> AsyncIterator[None]:
        """Run the container: start its agents on entering, stop them on leaving and cancel what they left running.

        Raises:
            ActionFailed: an agent's `on_start` raised or took longer than 30 s; those before it are stopped again.
            ParameterMismatch: a required parameter has no argument.
            RuntimeError: it runs already.
        """
        if self._life is not None:
            raise RuntimeError(f"container {self.name!r} runs already")
        arguments = _complete(self.name, self._about.parameters, identity.arguments)
        self._life = life = Life(self.name, identity, arguments, platform)
        self._description = None
        started: list[Agent] = []
        try:
            for agent in self.agents:
                started.append(agent)
                await life.start_agent(agent)
            life.is_open = True
            yield
        finally:
            try:
                await life.stop(dict.fromkeys((*started, *self.agents)) if life.is_open else started)
            finally:
                self._life = None
                self._description = None

    # --- calls; the same as a Transport's

    async def invoke(
        self, action: str, arguments: dict[str, JsonValue], agent_id: str | None, options: CallOptions = NO_OPTIONS
    ) -> JsonValue:
        """Invoke an action of an agent, or of the first that offers it.

        Raises:
            NotFound: no such agent or action.
            ParameterMismatch: the arguments do not fit.
            NotLoggedIn: the action is for users who are logged in.
            ActionFailed: it raised, returned what is not JSON, or found no thread.
            OutcomeUnknown: it took longer than `options.timeout_s`.
        """
        life = self._life or self.life
        agent, spec = self._roster.action(action, agent_id)
        ready = spec.read(arguments)
        if spec.auth:
            ready[LOGIN_TOKEN] = life.logins.check(options.login_token)
        return await life.calls.action(agent, spec, ready, options.timeout_s)

    async def send(self, agent_id: str, message: Message, options: CallOptions = NO_OPTIONS) -> None:
        """Give a message to an agent; returns when it took it.

        Raises:
            NotFound: no such agent.
            ActionFailed: it raised.
        """
        await self._deliver(self._roster.agent(agent_id), message)

    async def broadcast(self, channel: str, message: Message, options: CallOptions = NO_OPTIONS) -> None:
        """Give a message to every agent that listens on the channel; one that fails keeps it from no other.

        Raises:
            ActionFailed: none of the agents that listen took it.
        """
        life = self.life
        listeners = self._roster.listening(channel)
        if len(listeners) == 1:
            await self._deliver(listeners[0], message)
        elif listeners:
            tasks = [
                start_owned(self._deliver(agent, message), agent.owner, life.loop, name=f"message on {channel}")
                for agent in listeners
            ]
            await _at_least_one(tasks)

    def get_stream(
        self, stream: str, agent_id: str | None, options: CallOptions = NO_OPTIONS
    ) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """Open a GET stream of an agent, or of the first that offers it.

        Raises:
            NotFound: no such agent or stream, or the caller is the one to send.
            NotLoggedIn: the stream is for users who are logged in.
        """
        life = self.life
        agent, spec = self._roster.stream(stream, agent_id, StreamMode.GET)
        arguments = {LOGIN_TOKEN: life.logins.check(options.login_token)} if spec.auth else {}
        return GetStream(life.calls, agent, spec, arguments)

    async def post_stream(
        self, stream: str, pieces: AsyncIterator[bytes], agent_id: str | None, options: CallOptions = NO_OPTIONS
    ) -> None:
        """Hand a stream of bytes to an agent, or to the first that offers it; returns when the agent is done with it.

        Raises:
            NotFound: no such agent or stream, or the agent is the one to send.
            NotLoggedIn: the stream is for users who are logged in.
            ActionFailed: the agent raised.
            TooLarge: the agent takes everything at once, and that is too much.
        """
        life = self.life
        agent, spec = self._roster.stream(stream, agent_id, StreamMode.POST)
        arguments: dict[str, Any] = {LOGIN_TOKEN: life.logins.check(options.login_token)} if spec.auth else {}
        await take_stream(life.calls, agent, spec, pieces, arguments)

    async def login(self, login: Login, options: CallOptions = NO_OPTIONS) -> str:
        """Log a user in at the agents that know users, and return the login token.

        Raises:
            Unsupported: none does.
            NotLoggedIn: the credentials were refused.
            ActionFailed: an agent raised.
        """
        return await self.life.logins.login(self.agents, login)

    async def logout(self, options: CallOptions) -> bool:
        """Log a user out; False if the token is not known."""
        return await self.life.logins.logout(self.agents, options.login_token)

    async def _deliver(self, agent: Agent, message: Message) -> None:
        calls = self.life.calls
        if agent.defines("receive_message"):
            # Every agent gets its own copy: one must not change what the next one reads.
            await calls.hook(agent, "receive_message", Message(to_json(message.payload), message.reply_to))
        else:
            discarded = Unsupported(f"{type(agent).__name__} does not define it; the message is discarded")
            calls.failures.add(agent.agent_id, "receive_message", discarded)


def _complete(name: str, parameters: Iterable[ImageParameter], given: Mapping[str, str]) -> dict[str, str]:
    complete = {}
    for parameter in parameters:
        key = parameter.name or ""
        value = given.get(key, parameter.default_value)
        if value is not None:
            complete[key] = value
        elif parameter.required:
            raise ParameterMismatch(f"container {name!r} needs a value for its parameter {key!r}")
    return complete


async def _at_least_one(tasks: list[OwnedTask]) -> None:
    """Wait for all; raise the last failure if all failed."""
    try:
        await asyncio.wait(tasks)
    except asyncio.CancelledError:
        for task in tasks:
            task.give_up()
        raise
    failures = [error for task in tasks if not task.cancelled() and (error := task.exception())]
    if len(failures) == len(tasks):
        raise failures[-1]
