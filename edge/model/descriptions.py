"""Descriptions of platforms, containers, agents and what they offer (contract, section 4.1).

Every field is written, as null if it has no value, because the reference decodes strictly; only what is UNSET
is left out.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, TypeAlias

from msgspec import UNSET, Meta, Struct, UnsetType, field

from edge.model.json_value import JsonValue

# The only form that is written: UTC, exactly three fraction digits, literal Z (contract, section 4.5).
# Kept as text: it is produced once and written many times.
Timestamp: TypeAlias = Annotated[str, Meta(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$", title="Timestamp")]

_READABLE_DATE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}(Z|[+-]\d\d:\d\d)", re.ASCII)


def timestamp(moment: datetime) -> Timestamp:
    """Write an aware datetime in the contract's form; fractions below a millisecond are cut."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def read_timestamp(value: str | int) -> Timestamp:
    """Normalise a date that another party sent: three fraction digits with a zone, or whole seconds since the epoch.

    Raises:
        ValueError: any other form (contract, section 4.5).
    """
    if isinstance(value, int):
        try:
            return timestamp(datetime.fromtimestamp(value, UTC))
        except (OverflowError, OSError) as error:
            raise ValueError(f"{value} is no date") from error
    if not _READABLE_DATE.fullmatch(value):
        raise ValueError(f"{value!r} is no date of the form 2026-04-21T13:13:39.120Z")
    return timestamp(datetime.fromisoformat(value))


class StreamMode(StrEnum):
    """Who sends the bytes of a stream: GET, the agent; POST, the caller."""

    GET = "GET"
    POST = "POST"


class _Model(Struct, rename="camel", forbid_unknown_fields=True):
    """Base of the models: camelCase on the wire, unknown properties are refused."""


class ArrayItems(_Model):
    """What the elements of an array are."""

    type: str
    items: ArrayItems | UnsetType | None = UNSET

    def __post_init__(self) -> None:
        if self.items is None:
            self.items = UNSET


class Parameter(_Model):
    """One parameter of an action, or its result."""

    type: str
    required: bool = True
    default_value: JsonValue | UnsetType = UNSET
    items: ArrayItems | UnsetType | None = UNSET

    def __post_init__(self) -> None:
        # null and absent are the same; only absent is written.
        if self.default_value is None:
            self.default_value = UNSET
        if self.items is None:
            self.items = UNSET


class Action(_Model):
    """An action that an agent offers."""

    name: str
    description: str | None = None
    parameters: dict[str, Parameter] = field(default_factory=dict)
    result: Parameter | None = None


class Stream(_Model):
    """A stream that an agent offers."""

    name: str
    mode: StreamMode
    description: str | None = None


class AgentDescription(_Model):
    """An agent and what it offers."""

    agent_id: str
    agent_type: str | None = None
    description: str | None = None
    actions: list[Action] = field(default_factory=list)
    streams: list[Stream] = field(default_factory=list)


class ImageParameter(_Model):
    """A setting of an image, given to the container as an environment variable."""

    name: str | None = None
    type: str | None = None
    required: bool = False
    confidential: bool = False
    default_value: str | None = None


class PortDescription(_Model):
    """A further port of a container."""

    protocol: str | None = None
    description: str | None = None


class AgentContainerImage(_Model):
    """What a container is made from."""

    image_name: str
    requires: list[str] = field(default_factory=list)
    provides: list[str] = field(default_factory=list)
    name: str | None = None
    version: str | None = None
    description: str | None = None
    provider: str | None = None
    url: str | None = None
    api_port: int = 8082
    extra_ports: dict[int, PortDescription] = field(default_factory=dict)
    parameters: list[ImageParameter] = field(default_factory=list)
    definitions: dict[str, JsonValue] = field(default_factory=dict)
    definitions_by_url: dict[str, str] = field(default_factory=dict)


class Connectivity(_Model):
    """Where a container can be reached; set by the platform."""

    public_url: str
    api_port_mapping: int = 0
    extra_port_mappings: dict[int, PortDescription] = field(default_factory=dict)


class AgentContainer(_Model, kw_only=True):
    """A running container and its agents."""

    container_id: str
    image: AgentContainerImage
    arguments: dict[str, str] = field(default_factory=dict)
    agents: list[AgentDescription] = field(default_factory=list)
    owner: str | None = None
    running_since: Timestamp
    connectivity: Connectivity | None = None


class RuntimePlatform(_Model, kw_only=True):
    """A platform, its containers and its connections."""

    platform_id: str
    base_url: str
    containers: list[AgentContainer] = field(default_factory=list)
    provides: list[str] = field(default_factory=list)
    connections: list[str] = field(default_factory=list)
    running_since: Timestamp
