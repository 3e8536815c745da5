"""What the runtime and the launchers say to each other about containers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from edge.model.definitions import Definitions
from edge.model.descriptions import AgentContainer
from edge.model.json_value import JsonValue
from edge.model.requests import PostAgentContainer
from edge.transport.base import Transport


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """The wish for a container, with what the platform decided about it.

    Attributes:
        container_id: The ID it gets.
        token: What calls between it and the platform carry; empty without authentication.
        owner: The user who owns it; empty without authentication.
        attached_by: The board's user who attached it; empty if it was somebody else.
        wish: What was asked for.
        timeout_s: Longest wait until it is ready.
    """

    container_id: str
    token: str = ""
    owner: str = ""
    attached_by: str = ""
    wish: PostAgentContainer
    timeout_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Launched:
    """A container that came up.

    Attributes:
        description: Complete, with the platform's ID, owner and connectivity.
        transport: The road to it; while the container is down it raises `Unreachable` with the reason.
        definitions: Its defined types.
        launcher: What keeps it running: `bundled`, `process` or `attached`.
    """

    description: AgentContainer
    transport: Transport
    definitions: Definitions
    launcher: str


class Registry(Protocol):
    """Where launchers say what runs."""

    def appeared(self, launched: Launched) -> None:
        """A container runs, or describes itself anew."""

    def vanished(self, container_id: str) -> None:
        """A container does not run any more and will not by itself."""


class Launcher(Protocol):
    """Keeps containers of one kind running."""

    @property
    def name(self) -> str:
        """`bundled`, `process` or `attached`."""

    @property
    def keeps_on_failure(self) -> bool:
        """Whether a container that does not answer stays listed."""

    async def describe(self, container_id: str) -> Launched | None:
        """Ask a container anew what it is; None if it does not answer or is none of this launcher's."""

    async def stop(self, container_id: str) -> bool:
        """Stop a container; False if it is none of this launcher's. Returns within 4 s, a long grace ends later."""


class Starter(Launcher, Protocol):
    """A launcher that callers may ask to start, or to attach, a container."""

    def check(self, wish: PostAgentContainer) -> None:
        """Look at the `clientConfig` of a wish before anything is done.

        Raises:
            Undecodable: another form. ParameterMismatch: values that cannot be used.
        """

    def identity(self, wish: PostAgentContainer) -> str | None:
        """Return what tells this wish from others of its owner, None if each is about a new container."""

    def existing_id(self, owner: str, wish: PostAgentContainer) -> str | None:
        """Return the ID of the owner's container that this wish is about, None if it is about a new one."""

    async def requirements(self, wish: PostAgentContainer) -> Sequence[str]:
        """Return what the platform must provide.

        Raises:
            NotFound: no such image. ParameterMismatch: parameters that do not fit.
        """

    async def start(self, order: Order) -> Launched:
        """Start a container and return when it is ready; if it is not in time, nothing of it is left.

        Raises:
            NotFound: no such image. ParameterMismatch: parameters that do not fit. NotReady: it did not come up.
        """

    def kept(self, container_id: str) -> object | None:
        """Return what is to be stored of a container now; None if the launcher stores it by itself."""


class Updater(Starter, Protocol):
    """A launcher whose containers can be replaced by newer ones."""

    async def is_exclusive(self, wish: PostAgentContainer) -> bool:
        """Tell whether two containers of this image cannot run at once, not even during an update."""

    async def until_gone(self, container_id: str) -> None:
        """Return when nothing of a container that was stopped is left, which may take longer than `stop`."""

    async def suspend(self, container_id: str) -> None:
        """End a container but keep its data, so that `start` can bring it back; returns when nothing of it runs."""

    async def start(
        self, order: Order, *, is_kept: bool = False, record: Mapping[str, JsonValue] | None = None
    ) -> Launched:
        """Start a container as a `Starter` does.

        Args:
            order: What to start.
            is_kept: Whether a start that fails is followed by others.
            record: What was stored of an earlier run of it: it gets the same host ports if they are free.
        """


class ContainerState(StrEnum):
    """How a container is doing."""

    RUNNING = "running"
    DEGRADED = "degraded"  # it answers, but background work of an agent has failed and waits to be run again
    STARTING = "starting"
    RESTARTING = "restarting"  # it ended, and is started again now or after a pause
    CRASH_LOOP = "crash-loop"  # it ended too often and is not started again by itself
    AWAY = "away"  # attached, and does not answer
    SLEEPING = "sleeping"  # attached, and never called
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """A bound that a container was given.

    Attributes:
        name: `memory_mb`, `cpu_percent` or `descriptors`.
        value: In the unit of the name; 100 % is one core.
        enforced_by: What keeps it on this machine, in words; None if nothing does.
    """

    name: str
    value: float
    enforced_by: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerStatus:
    """What an operator wants to know of a container; never a secret, never a value of its environment.

    Attributes:
        id: The platform's ID for it.
        name: What people call it: of its declaration, image or key.
        image: Name of its image, as it was asked for.
        launcher: `bundled`, `process` or `attached`.
        state: How it is doing.
        reason: Why, in words; empty where there is nothing to say.
        since: Since when it is in this state, in the contract's form.
        pid: Of its first process; None if it has none of its own.
        host_port: Where its API listens on this machine; None if it does not.
        memory_bytes: Resident memory of all its processes; None if that is not known.
        cpu_seconds: Computing time of its processes since they started; None if that is not known.
        restarts: How often it was started again.
        last_exit: How it ended last, in words; None if it never did.
        limits: The bounds that it was given.
        attached_by: The board's user who attached it; empty if it was somebody else.
    """

    id: str
    name: str
    image: str
    launcher: str
    state: ContainerState
    reason: str = ""
    since: str
    pid: int | None = None
    host_port: int | None = None
    memory_bytes: int | None = None
    cpu_seconds: float | None = None
    restarts: int = 0
    last_exit: str | None = None
    limits: tuple[Limit, ...] = ()
    attached_by: str = ""


class Inspectable(Protocol):
    """A launcher that tells an operator how its containers are doing."""

    async def statuses(self) -> list[ContainerStatus]:
        """Return the status of every container that it has, whether it runs or not."""

    async def log(self, container_id: str, lines: int) -> list[str] | None:
        """Return the newest lines that a container wrote, oldest first; None if it is none of this launcher's.

        Raises:
            Unsupported: its output is kept elsewhere; the message says where.
        """

    def follow(self, container_id: str, lines: int) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """Open what a container writes: its newest lines, then what comes, piece by piece, until the reader leaves.

        Raises:
            NotFound: it is none of this launcher's. Unsupported: as `log`.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class OfferedParameter:
    """A parameter that whoever starts an image may give.

    Attributes:
        name: Also of the variable that the container sees.
        type: As the image declares it; a hint for people.
        required: Whether it must be given.
        confidential: Whether its value is never shown.
        default: What it is otherwise; None if there is nothing, or if it is confidential.
    """

    name: str
    type: str | None
    required: bool
    confidential: bool
    default: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class OfferedImage:
    """A folder of the image directory: an image to start, or what is wrong with it.

    Attributes:
        folder: Its name, without the path.
        kind: The file that says how to start it: `start.toml` or `package.json`.
        name: Of the image; None for one that cannot be used.
        version: None if it has none.
        description: None if it has none.
        parameters: What may be given.
        problem: Why it cannot be used; None if it can.
    """

    folder: str
    kind: str
    name: str | None = None
    version: str | None = None
    description: str | None = None
    parameters: tuple[OfferedParameter, ...] = ()
    problem: str | None = None


class ImageSource(Protocol):
    """Where images come from."""

    async def offered(self) -> Sequence[OfferedImage]:
        """Return what there is now, broken ones included."""
