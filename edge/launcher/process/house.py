"""What all containers of one launcher share."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from edge.errors import ParameterMismatch
from edge.launcher.base import Registry
from edge.launcher.process.limits import Cgroups
from edge.launcher.process.ports import HostPorts, PortRegistry
from edge.launcher.process.surroundings import ContainerFolder
from edge.model.definitions import Definitions
from edge.model.descriptions import AgentContainerImage, Connectivity
from edge.model.json_value import JsonValue
from edge.transport.http import HttpClient

# Of the launcher, in descriptions and in what is stored.
NAME = "process"

log = logging.getLogger(__name__)

_TcpPort = Annotated[int, Meta(ge=0, le=65535)]

# Told that a container's process has ended: what is served for it must let go of its ports before the next one starts.
OnEnd = Callable[[str], Awaitable[None]]
# Told what must be stored to find a container's process again; awaited before the process starts.
OnRecord = Callable[[str, dict[str, JsonValue]], Awaitable[None]]


@dataclass(slots=True, kw_only=True)
class House:
    """The surroundings of containers.

    Attributes:
        registry: Is told what runs.
        http: Makes the roads to containers.
        connectivity: Says where the platform is reached.
        platform_url: Says where containers reach the platform.
        definitions: Returns the defined types of an image, as a container reported them.
        on_record: Stores what is needed to find a process again.
        on_end: Told when a process has ended.
        containers: Folder of the containers' folders.
        search_path: Where programs are looked for, as in PATH.
        first_pause_s: Pause before the first restart, in seconds.
        tcp_ports: Gives out host ports.
        cgroups: What of the control groups is ours; None if nothing is.
    """

    registry: Registry
    http: HttpClient
    connectivity: Callable[[], Connectivity]
    platform_url: Callable[[], str]
    definitions: Callable[[AgentContainerImage], Definitions]
    on_record: OnRecord
    on_end: OnEnd
    containers: Path
    search_path: str
    first_pause_s: float
    tcp_ports: PortRegistry
    cgroups: Cgroups | None = None

    def folder(self, container_id: str) -> ContainerFolder:
        """Return the folder of a container.

        Raises:
            ParameterMismatch: an ID that names no folder below ours.
        """
        if not container_id or "/" in container_id or "\0" in container_id or container_id in (".", ".."):
            raise ParameterMismatch(f"container ID {container_id!r} cannot be the name of a folder")
        return ContainerFolder(self.containers / container_id)

    def folders(self) -> list[str]:
        """Return the IDs of all containers that have a folder. Blocks."""
        try:
            return [folder.name for folder in self.containers.iterdir()]
        except (FileNotFoundError, NotADirectoryError, PermissionError):
            return []  # whoever may not look there started nothing from there


class ProcessRecord(Struct, frozen=True, kw_only=True):
    """What must be stored of a container to find its process again after the platform itself was killed.

    Attributes:
        pid: Its process; None before it is started.
        started: When that started, in the kernel's ticks since boot.
        boot_id: The run of the machine that `pid` and `started` belong to.
        api_port: Where it listens on this machine.
        extra_ports: Its further ports: its own number, as text -> the host's.
        folder: Where it keeps its own.
    """

    pid: Annotated[int, Meta(ge=1, le=2**31 - 1)] | None = None
    started: int = 0
    boot_id: str = ""
    api_port: _TcpPort
    extra_ports: dict[Annotated[str, Meta(pattern=r"^[0-9]{1,5}$")], _TcpPort] = {}
    folder: str = ""

    @property
    def ports(self) -> HostPorts:
        """Its host ports."""
        return HostPorts(self.api_port, {int(own): host for own, host in self.extra_ports.items()})

    def to_json(self) -> dict[str, JsonValue]:
        """Return it as a JSON object."""
        return msgspec.structs.asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, JsonValue]) -> ProcessRecord | None:
        """Return the record that `to_json` wrote; None if it is none."""
        try:
            return msgspec.convert(value, cls)
        except msgspec.ValidationError:
            return None


async def refuses(tcp_port: int, limit_s: float) -> bool:
    """Tell whether nobody listens on a port of this machine. One that is too busy to answer does not refuse."""
    try:
        async with asyncio.timeout(limit_s):
            _, writer = await asyncio.open_connection("127.0.0.1", tcp_port)
    except ConnectionRefusedError:
        return True
    except (OSError, TimeoutError):
        return False
    writer.close()
    return False
