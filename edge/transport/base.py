"""The one interface of calls: the OPACA API that containers and platforms have in common.

In-process containers, native processes, boards and other platforms all look like this to the runtime.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from msgspec import Struct

from edge.model.json_value import JsonValue
from edge.model.requests import ConnectionRequest, Event, Login, Message


class CallOptions(Struct, frozen=True, kw_only=True):
    """What travels with a call besides its arguments.

    Attributes:
        container_id: The container the caller asked for, passed on as it came; None if none was named.
        timeout_s: Seconds that the caller gives an action, passed on unchanged; -1 leaves it to the callee.
        login_token: The calling user's login token at that container; None if not logged in there.
        sender_id: Who calls, as the called side should see it (a base URL or a container ID); None if unknown.
        relate_to: ID of the CALL event that this call belongs to; None where no event was made.
        forward: Whether the called side may pass the call on to its own connected platforms.
        idempotency_key: Marks a repeated delivery so that a platform can drop it; None on first-hand calls.
    """

    container_id: str | None = None
    timeout_s: int = -1
    login_token: str | None = None
    sender_id: str | None = None
    relate_to: str | None = None
    forward: bool = False
    idempotency_key: str | None = None


NO_OPTIONS = CallOptions()


class Transport(Protocol):
    """The common API of containers and platforms. Every method may raise a `CalleeError`:

    `RemoteError` (it answered with an error), `Unreachable` (not asked), `OutcomeUnknown` (asked, no answer),
    `BadAnswer` (success with an unreadable body). In-process containers raise the same. A transport sets no time limit
    of its own except where its docstring says so: the runtime does.
    """

    @property
    def name(self) -> str:
        """What stands for this target in messages: its base URL, or for in-process containers their name."""

    async def info(self) -> bytes:
        """Return the target's `/info` document, undecoded."""

    async def invoke(
        self, action: str, arguments: dict[str, JsonValue], agent_id: str | None, options: CallOptions = NO_OPTIONS
    ) -> JsonValue:
        """Invoke an action and return its result, any JSON value."""

    async def send(self, agent_id: str, message: Message, options: CallOptions = NO_OPTIONS) -> None:
        """Send a message to one agent."""

    async def broadcast(self, channel: str, message: Message, options: CallOptions = NO_OPTIONS) -> None:
        """Send a message to all agents that listen on a channel."""

    def get_stream(
        self, stream: str, agent_id: str | None, options: CallOptions = NO_OPTIONS
    ) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """Open a stream and yield its pieces as they come; entering fails if there is no such stream.

        Leaving closes the stream at its source; an error inside the iteration means that the source broke off.
        """

    async def post_stream(
        self, stream: str, pieces: AsyncIterator[bytes], agent_id: str | None, options: CallOptions = NO_OPTIONS
    ) -> None:
        """Hand a stream of bytes to an agent, piece by piece; returns when the agent took the last one."""

    async def login(self, login: Login, options: CallOptions = NO_OPTIONS) -> str:
        """Log a user in at the container and return the login token verbatim; `Unsupported` where it knows no users."""

    async def logout(self, options: CallOptions) -> bool:
        """Log out the user whose `login_token` the options carry."""


class PlatformTransport(Transport, Protocol):
    """What can be asked of another platform besides; errors as for `Transport`."""

    @property
    def keeps_messages(self) -> bool:
        """Whether it has said that what it takes is stored first, as a bridge does."""

    async def connect(self, wish: ConnectionRequest, relate_to: str | None = None) -> bool:
        """Ask it to connect to a platform; false if it is connected already.

        Args:
            relate_to: ID of the CALL event that this belongs to.
        """

    async def disconnect(self, wish: ConnectionRequest, relate_to: str | None = None) -> bool:
        """Ask it to disconnect from a platform; false if it was not connected. `relate_to` as above."""

    async def fresh_token(self) -> str:
        """Return a new token for the user of the one that is sent."""

    def events(self, topic: str) -> AbstractAsyncContextManager[AsyncIterator[Event]]:
        """Subscribe to a topic and yield its events as they come; the iteration ends only by an error."""
