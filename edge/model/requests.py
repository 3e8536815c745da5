"""Bodies of requests and small answers (contract, sections 4.2 and 4.4)."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from msgspec import Struct, field

from edge.model.descriptions import AgentContainerImage
from edge.model.json_value import JsonValue


class Message(Struct, rename="camel", forbid_unknown_fields=True):
    """A message to an agent or a channel; both keys are always written."""

    payload: JsonValue = None
    reply_to: str | None = None


class Login(Struct, rename="camel", forbid_unknown_fields=True, kw_only=True):
    """Credentials of a user, for the platform or for a container."""

    username: str | None = None
    password: str | None = None


class PostAgentContainer(Struct, rename="camel", forbid_unknown_fields=True, kw_only=True):
    """The wish to start a container. `client_config` is looked at by the launcher that its `type` names."""

    image: AgentContainerImage
    arguments: dict[str, str | None] = field(default_factory=dict)
    pull: bool | None = None
    client_config: dict[str, JsonValue] | None = None


class NativeConfig(Struct, rename="camel", forbid_unknown_fields=True, kw_only=True, tag_field="type", tag="NATIVE"):
    """The `clientConfig` of a container that the platform starts as a process (contract, Decision 8)."""

    memory_mb: int | None = None
    cpu_percent: int | None = None
    restart: Literal["always", "on-failure", "never"] | None = None


class AttachedConfig(
    Struct, rename="camel", forbid_unknown_fields=True, kw_only=True, tag_field="type", tag="ATTACHED"
):
    """The `clientConfig` of a container that runs already, somewhere (contract, Decisions 8 and 9).

    Attributes:
        url: Where its API is.
        token: Sent with the platform's calls to it.
        key: Tells its maker's containers apart over restarts and changes of address: a board's unique ID.
        push: It sleeps and only reports; it is never called.
    """

    url: str
    token: str | None = None
    key: str | None = None
    push: bool = False


class ConnectionRequest(Struct, rename="camel", forbid_unknown_fields=True, kw_only=True):
    """The wish to connect to another platform. `url` may be missing in input, which is the caller's error (400)."""

    url: str = ""
    connect_back: bool = False
    token: str | None = None


class EventType(StrEnum):
    """What an event tells."""

    CALL = "CALL"
    FORWARD = "FORWARD"
    SUCCESS = "SUCCESS"
    ERROR = "ERROR"


class Event(Struct, rename="camel", omit_defaults=True, forbid_unknown_fields=True, kw_only=True):
    """One entry of the history; fields without a value are left out (contract, section 4.4)."""

    id: str
    timestamp: int
    event_type: EventType
    route: str | None = None
    sender_id: str | None = None
    receiver: str | None = None
    status_code: int | None = None
    related_id: str | None = None


class ErrorResponse(Struct, rename="camel", forbid_unknown_fields=True, omit_defaults=False, kw_only=True):
    """The body of an error as another party sends it (contract, section 1.3)."""

    status_code: int | None = None
    message: str | None = None
    cause: ErrorResponse | None = None
