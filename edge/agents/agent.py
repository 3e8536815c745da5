"""What an author of agents derives from."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from edge.agents.names import check_name, default_agent_id, pascal_case
from edge.agents.offers import class_offers, gather_offers
from edge.agents.outgoing import Outgoing
from edge.agents.signature import action_spec, declared_action_spec, stream_spec
from edge.agents.tasks import AgentTasks, Owner
from edge.errors import Unsupported
from edge.model.descriptions import AgentDescription, Parameter, StreamMode
from edge.model.json_value import JsonValue
from edge.model.requests import Login, Message

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from edge.agents.container import Container
    from edge.agents.offers import ClassOffers

Value = TypeVar("Value")


class Agent:
    """An agent: offers the methods that `@action` and `@stream` mark, takes messages, calls other agents.

    All async methods run on one event loop and must not
    block it; sync methods run in the container's few threads, so two of them may run at once.
    """

    # Defaults on the class: thousands of agents of one class cost little more than their own attributes.
    _container: Container | None = None
    _owner: Owner | None = None
    _offers: ClassOffers | None = None
    _agent_type: str | None = None
    _description: str | None = None
    _channels: frozenset[str] = frozenset()
    _pending: tuple[tuple[str, Any], ...] = ()
    _agent_id: str = ""

    def __init__(
        self, agent_id: str | None = None, *, agent_type: str | None = None, description: str | None = None
    ) -> None:
        """Make an agent; it lives when its container runs.

        Args:
            agent_id: As callers say it; by default the class's name in kebab-case, numbered where one is taken.
            agent_type: By default the class's name.
            description: By default the class's docstring.
        Raises:
            TypeError: a method cannot be offered; the text names it and what to write.
            ValueError: the ID cannot stand in a request path.
        """
        if agent_id:
            self._agent_id = check_name("agent ID", agent_id)
        class_offers(type(self))
        if agent_type:
            self._agent_type = agent_type
        if description:
            self._description = description

    # --- what it is

    @property
    def agent_id(self) -> str:
        """As callers say it."""
        return self._agent_id or default_agent_id(type(self).__name__)

    @property
    def container(self) -> Container:
        """The container it belongs to.

        Raises:
            RuntimeError: none yet.
        """
        if self._container is None:
            raise RuntimeError(f"agent {self.agent_id!r} belongs to no container yet")
        return self._container

    @property
    def channels(self) -> frozenset[str]:
        """The channels it listens on."""
        return self._channels

    @property
    def offers(self) -> ClassOffers:
        """Its actions and streams."""
        return self._offers or class_offers(type(self))

    def describe(self) -> AgentDescription:
        """Describe the agent for callers."""
        offers = self.offers
        return AgentDescription(
            agent_id=self.agent_id,
            agent_type=self._agent_type or type(self).__name__,
            description=self._description or offers.description,
            actions=offers.action_list,
            streams=offers.stream_list,
        )

    # --- to be overridden, each sync or async

    def on_start(self) -> Awaitable[None] | None:
        """Called when the container starts, before any call; the platform can be called.

        If it raises, or takes longer than 30 s, the container does not start.
        """
        return None

    def on_stop(self) -> Awaitable[None] | None:
        """Called when the container stops, after the last call; there are 2 s for all agents together."""
        return None

    def receive_message(self, message: Message) -> Awaitable[None] | None:
        """Called for a message to this agent, or to a channel it listens on; without this method it is discarded."""
        return None

    def handle_login(self, login: Login, token: str) -> Awaitable[None] | None:
        """Called when a user logs in at the container; raise `NotLoggedIn` to refuse.

        Args:
            login: User name and password.
            token: What the user's calls of actions with `auth=True` carry as `login_token` from now on.
        """
        raise Unsupported(f"agent {self.agent_id!r} knows no users")

    def handle_logout(self, token: str) -> Awaitable[None] | None:
        """Called when a user who logged in logs out."""
        return None

    # --- what it offers, changed while it lives

    def add_action(
        self,
        callback: Callable[..., Any],
        *,
        name: str | None = None,
        description: str | None = None,
        auth: bool = False,
        parameters: Mapping[str, Parameter] | None = None,
        result: Parameter | None = None,
    ) -> None:
        """Offer one more action, or another one under a name.

        Args:
            callback: Sync or async; described by its hints and docstring unless `parameters` are given.
            parameters: What callers see instead; arguments are then passed on as JSON values, unchecked.
            result: Belongs to `parameters`.
        Raises:
            TypeError: the callback's signature cannot be offered.
        """
        name = check_name("action", name or pascal_case(callback.__name__))
        where = f"{type(self).__qualname__}.add_action({name})"
        if parameters is None:
            spec = action_spec(callback, where=where, name=name, description=description, auth=auth)
        else:
            spec = declared_action_spec(
                callback, name=name, description=description, auth=auth, parameters=parameters, result=result
            )
        if self._container:
            spec = self._container.definitions.settle_action(spec)
        self._change({**self.offers.actions, name: spec}, self.offers.streams)

    def add_stream(
        self,
        callback: Callable[..., Any],
        *,
        mode: StreamMode | str,
        name: str | None = None,
        description: str | None = None,
        auth: bool = False,
    ) -> None:
        """Offer one more stream, or another one under a name; see `@stream`.

        Raises:
            TypeError: the callback's signature cannot be offered.
        """
        name = check_name("stream", name or pascal_case(callback.__name__))
        where = f"{type(self).__qualname__}.add_stream({name})"
        mode = StreamMode(mode)
        spec = stream_spec(callback, where=where, name=name, mode=mode, description=description, auth=auth)
        self._change(self.offers.actions, {**self.offers.streams, name: spec})

    def remove_action(self, name: str) -> bool:
        """Offer an action no longer; False if there is none of that name."""
        actions = dict(self.offers.actions)
        return actions.pop(name, None) is not None and self._change(actions, self.offers.streams)

    def remove_stream(self, name: str) -> bool:
        """Offer a stream no longer; False if there is none of that name."""
        streams = dict(self.offers.streams)
        return streams.pop(name, None) is not None and self._change(self.offers.actions, streams)

    def subscribe_channel(self, channel: str) -> None:
        """Listen on a channel: its messages come to `receive_message`."""
        self._listen(self._channels | {channel})

    def unsubscribe_channel(self, channel: str) -> None:
        """Listen on a channel no longer."""
        self._listen(self._channels - {channel})

    # --- what it does by itself

    def start_task(self, work: Callable[[], Awaitable[object]] | Coroutine[Any, Any, object], name: str = "") -> None:
        """Run something in the background until the container stops; before the start it waits for that.

        Args:
            work: A coroutine function without parameters, which is run again with back-off when it fails; or a
                coroutine, which runs once and whose failure is logged.
            name: For the log; by default the function's name.
        """
        name = name or getattr(work, "__name__", "work")
        if self._container is None or not self._container.is_running:
            self._pending = (*self._pending, (name, work))
        else:
            self._container.life.start_task(self, name, work)

    async def in_thread(self, function: Callable[..., Value], *arguments: object) -> Value:
        """Run what blocks (files, serial lines, long sums) in one of the container's threads.

        Raises:
            ActionFailed: no thread became free in 10 s; names what they are busy with.
            Exception: what the function raised.
        """
        value: Value = await self.container.life.in_thread(self, partial(function, *arguments))
        return value

    def wait(self, coroutine: Coroutine[Any, Any, Value], timeout_s: float = 60.0) -> Value:
        """Run a coroutine on the event loop from a sync method, e.g. `self.wait(self.invoke("GetTime"))`.

        Args:
            timeout_s: Longest wait, in seconds.
        Raises:
            TimeoutError: it took longer; it is cancelled.
            RuntimeError: called on the event loop itself, where `await` is meant.
        """
        loop = self.container.life.loop
        if loop.is_running() and threading.get_ident() == getattr(loop, "_thread_id", None):
            coroutine.close()
            raise RuntimeError("wait() is for sync methods; here, write `await` instead")
        future = asyncio.run_coroutine_threadsafe(coroutine, loop)
        try:
            return future.result(timeout_s)
        except TimeoutError:
            future.cancel()
            raise

    # --- calls to other agents, through the platform

    async def invoke(
        self,
        action: str,
        /,
        *,
        agent_id: str | None = None,
        container_id: str | None = None,
        timeout_s: int = -1,
        arguments: Mapping[str, object] | None = None,
        **more: object,
    ) -> JsonValue:
        """Invoke an action of any agent that the platform knows: `await self.invoke("Add", x=1, y=2)`.

        Args:
            action: Its name.
            agent_id: The agent that shall do it; None for the first that can.
            container_id: The container that shall do it.
            timeout_s: Whole seconds after which it is given up; -1 leaves that to the platform (an hour).
            arguments: For parameters that are called like those of this method.
            more: The arguments.
        Raises:
            CalleeError: it failed, or nobody could be reached; `cause` has the other side's words.
        """
        given = {**(arguments or {}), **more}
        return await self.outgoing.invoke(action, given, agent_id, container_id, timeout_s)

    async def send(self, agent_id: str, payload: object, reply_to: str | None = None) -> None:
        """Send a message to an agent.

        Raises:
            CalleeError: nobody took it.
        """
        await self.outgoing.send(agent_id, payload, reply_to)

    async def broadcast(self, channel: str, payload: object, reply_to: str | None = None) -> None:
        """Send a message to all agents that listen on a channel, on this platform and on those connected to it.

        Raises:
            CalleeError: it could not be delivered.
        """
        await self.outgoing.broadcast(channel, payload, reply_to)

    def open_stream(
        self, stream: str, *, agent_id: str | None = None, container_id: str | None = None
    ) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """Read a GET stream: `async with self.open_stream("Values") as pieces: async for piece in pieces: ...`."""
        return self.outgoing.open_stream(stream, agent_id, container_id)

    async def post_stream(
        self,
        stream: str,
        pieces: AsyncIterator[bytes],
        *,
        agent_id: str | None = None,
        container_id: str | None = None,
    ) -> None:
        """Send bytes to a POST stream, piece by piece.

        Raises:
            CalleeError: it was not taken.
        """
        await self.outgoing.post_stream(stream, pieces, agent_id, container_id)

    # --- for the container

    @property
    def outgoing(self) -> Outgoing:
        """The agent's road to the platform."""
        return Outgoing(self.container.name, self.container.container_id, self.container.platform)

    @property
    def owner(self) -> Owner:
        """Marks tasks and calls as this agent's."""
        return self.owner_in(self.container.life.tasks)

    def owner_in(self, tasks: AgentTasks) -> Owner:
        """Return what marks this agent's while its container has these tasks."""
        owner = self._owner
        if owner is None or owner.tasks is not tasks:
            owner = self._owner = Owner(self.agent_id, tasks)
        return owner

    @property
    def is_attached(self) -> bool:
        """Whether it belongs to a container."""
        return self._container is not None

    @property
    def has_chosen_id(self) -> bool:
        """Whether its author gave it an ID."""
        return bool(self._agent_id)

    def defines(self, method_name: str) -> bool:
        """Tell whether the author defined a method that agents may define."""
        return getattr(type(self), method_name) is not getattr(Agent, method_name)

    def attach(self, container: Container | None, agent_id: str) -> None:
        """Make the agent a container's; None to part with it."""
        self._container = container
        self._owner = None
        self._agent_id = agent_id
        if container:
            settled = container.definitions.settle(self.offers, is_shared=self._offers is None)
            if settled is not self.offers:
                self._offers = settled

    def take_pending(self) -> tuple[tuple[str, Any], ...]:
        """Return the background work that was started before the container ran."""
        pending, self._pending = self._pending, ()
        return pending

    def _change(self, actions: dict[str, Any], streams: dict[str, Any]) -> bool:
        self._offers = gather_offers(actions, streams, self.offers.description)
        if self._container:
            self._container.changed()
        return True

    def _listen(self, channels: frozenset[str]) -> None:
        self._channels = channels
        if self._container:
            self._container.channels_changed()
