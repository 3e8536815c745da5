"""What carries durable messages and streams over a station's link."""

from __future__ import annotations

from bridge.mqtt.driver import Incoming
from bridge.mqtt.topics import Address
from bridge.remote import Remote


class Carrier:
    """What carries durable messages and streams of a station: told of what comes in, and of the link."""

    def received(self, remote: Remote, address: Address, incoming: Incoming) -> bool:
        """Take a message; False if it is none of this carrier's. It is acknowledged by who took it."""
        return False

    def came(self, remote: Remote) -> None:
        """A party can be reached from now on."""

    def went(self, remote: Remote) -> None:
        """A party cannot be reached any more."""
