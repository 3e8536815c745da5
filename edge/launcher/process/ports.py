"""Host ports for containers: no two containers get the same one, and the kernel gives none of them to anybody else."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from edge.errors import Overloaded
from edge.model.descriptions import PortDescription

_LOWEST = 20_000
# From here up the kernel may give a port to any outgoing connection.
_USUAL_EPHEMERAL = 32_768
_FEWEST = 1_000
_EPHEMERAL = Path("/proc/sys/net/ipv4/ip_local_port_range")


@dataclass(frozen=True, slots=True)
class HostPorts:
    """Where a container listens on this machine.

    Attributes:
        api: For its API.
        extra: For its further ports: the container's own number -> the host's.
    """

    api: int
    extra: Mapping[int, int]

    def mapping(self, api_port: int) -> str:
        """Return them as the variable PORT_MAPPING has them, the API first."""
        return ",".join(f"{own}:{host}" for own, host in [(api_port, self.api), *self.extra.items()])


class PortRegistry:
    """Gives out host ports; one stays taken until it is released."""

    def __init__(self, tcp_ports: range) -> None:
        self._ports = tcp_ports
        self._taken: set[int] = set()
        # Platforms that start at the same time should not probe the same ports.
        self._next = os.getpid() * 37 % max(1, len(tcp_ports))

    def reserve(self, extra_ports: Mapping[int, PortDescription]) -> HostPorts:
        """Take a host port for an API and for each further port.

        Raises:
            Overloaded: all are taken.
        """
        taken: list[int] = []
        try:
            taken.append(self._take(is_udp=False))
            for description in extra_ports.values():
                taken.append(self._take(is_udp=(description.protocol or "").lower() == "udp"))  # noqa: PERF401 - undone
        except Overloaded:
            self._taken.difference_update(taken)
            raise
        return HostPorts(taken[0], dict(zip(extra_ports, taken[1:], strict=True)))

    def claim(self, ports: HostPorts) -> None:
        """Take ports that a container of an earlier run has."""
        self._taken.update((ports.api, *ports.extra.values()))

    def claim_free(self, ports: HostPorts) -> bool:
        """Take the ports that a container had before; False, without taking any, if they are another's by now."""
        wanted = {ports.api, *ports.extra.values()}
        if self._taken & wanted or not all(port > 0 and is_free(port) for port in wanted):
            return False
        self._taken |= wanted
        return True

    def release(self, ports: HostPorts) -> None:
        """Give ports back; nothing happens to those that are free."""
        self._taken.difference_update((ports.api, *ports.extra.values()))

    @property
    def taken(self) -> Collection[int]:
        """The ports that are given out."""
        return frozenset(self._taken)

    def _take(self, is_udp: bool) -> int:
        # Going round keeps a port that was just given back unused for long: late packets meet nobody else.
        for _ in range(len(self._ports)):
            port = self._ports[self._next]
            self._next = (self._next + 1) % len(self._ports)
            if port not in self._taken and is_free(port, is_udp):
                self._taken.add(port)
                return port
        raise Overloaded(f"all ports from {self._ports[0]} to {self._ports[-1]} are taken")


def is_free(port: int, is_udp: bool = False, host: str = "") -> bool:
    """Tell whether nobody listens on a port of this machine; a connection that is just ending does not count.

    Args:
        port: The port.
        is_udp: Whether UDP is meant, not TCP.
        host: Address that matters; empty for any.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM if is_udp else socket.SOCK_STREAM) as probe:
        if not is_udp:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            if error.errno not in (errno.EADDRINUSE, errno.EACCES):
                raise
            return False
    return True


def allowed_ports(ephemeral: Path = _EPHEMERAL) -> range:
    """Return ports that the kernel gives to no outgoing connection. Blocks."""
    try:
        low, high = (int(word) for word in ephemeral.read_text().split())
    except (OSError, ValueError):
        low, high = _USUAL_EPHEMERAL, 60_999
    for ports in (range(_LOWEST, low), range(1024, low), range(high + 1, 65_536)):
        if len(ports) >= _FEWEST:
            return ports
    return range(_LOWEST, _USUAL_EPHEMERAL)
