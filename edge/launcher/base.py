"""What the runtime and the launchers say to each other about containers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from edge.model.definitions import Definitions
from edge.model.descriptions import AgentContainer
from edge.model.requests import PostAgentContainer
from edge.transport.base import Transport


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """The wish for a container, with what the platform decided about it.

    Attributes:
        container_id: The ID it gets.
        token: What calls between it and the platform carry; empty without authentication.
        owner: The user who owns it; empty without authentication.
        wish: What was asked for.
        timeout_s: Longest wait until it is ready.
    """

    container_id: str
    token: str = ""
    owner: str = ""
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

    async def describe(self, container_id: str) -> Launched | None:
        """Ask a container anew what it is; None if it does not answer or is none of this launcher's."""

    async def stop(self, container_id: str) -> bool:
        """Stop a container; False if it is none of this launcher's. Returns within 4 s, a long grace ends later."""
