"""The parts of a running platform that a request may need, and what it says of itself (contract, section 10)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from edge.model.descriptions import Connectivity, RuntimePlatform, timestamp
from edge.runtime.beside import BridgeView
from edge.runtime.directory import Directory
from edge.runtime.provisions import Provisions

if TYPE_CHECKING:
    from edge.launcher.base import ImageSource, Inspectable
    from edge.runtime.accounts import Accounts
    from edge.runtime.connections import Connections
    from edge.runtime.deployment import Deployment
    from edge.runtime.forwarding import Forwarding
    from edge.runtime.history import History
    from edge.runtime.logins import Logins
    from edge.runtime.repeats import Repeats


class PlatformFacts:
    """What `/info` says; ID and start are new with every process."""

    def __init__(self, base_url: str, directory: Directory, provisions: Provisions) -> None:
        self.base_url = base_url
        self.platform_id = str(uuid4())
        self._running_since = timestamp(datetime.now(UTC))
        self._directory = directory
        self._provisions = provisions

    def info(self) -> RuntimePlatform:
        """Return the description of this platform."""
        return RuntimePlatform(
            platform_id=self.platform_id,
            base_url=self.base_url,
            containers=[container.description for container in self._directory.containers],
            provides=self._provisions.all(),
            connections=[peer.url for peer in self._directory.peers],
            running_since=self._running_since,
        )

    def connectivity(self) -> Connectivity:
        """Return where containers inside this process are reached: nowhere of their own."""
        scheme, _, rest = self.base_url.partition("://")
        host = rest.partition("/")[0]
        closing = host.rfind("]")
        colon = host.rfind(":")
        return Connectivity(public_url=f"{scheme}://{host[:colon] if colon > closing else host}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Platform:
    """A platform as the handlers of its API see it.

    Attributes:
        facts: What it says of itself.
        settings: The document of `/config`.
        directory: What is there.
        forwarding: Carries calls.
        deployment: Starts and stops containers.
        connections: Joins other platforms.
        logins: Who is logged in at which container.
        accounts: Users and their tokens.
        history: What happened lately.
        repeats: Which marked messages were delivered.
        requires_auth: Whether callers must log in.
        launchers: What tells an operator how containers are doing, in the order of showing.
        images: What native containers can be started from; None if nothing can.
        bridge: The bridge of this process, if there is one.
    """

    facts: PlatformFacts
    settings: Mapping[str, Any]
    directory: Directory
    forwarding: Forwarding
    deployment: Deployment
    connections: Connections
    logins: Logins
    accounts: Accounts
    history: History
    repeats: Repeats
    requires_auth: bool
    launchers: Sequence[Inspectable] = ()
    images: ImageSource | None = None
    bridge: BridgeView = field(default_factory=BridgeView)
