"""What this end says of itself on one broker: that it is there, and what its platform is; kept by the broker."""

from __future__ import annotations

import hashlib
import logging

from bridge.envelope import Presence, new_epoch, write
from bridge.identity import Identity
from bridge.large import Large
from bridge.mqtt.client import Will
from bridge.mqtt.failures import LinkError
from bridge.mqtt.link import Link
from bridge.mqtt.topics import Topics
from bridge.remote import deflated

log = logging.getLogger(__name__)


class Introduction:
    """Says it, also what is said if the connection breaks.

    Attributes:
        epoch: Of the connection: what is meant for another one is refused.
        problem: Why the others do not know of us, though there is a connection; empty if they do.
    """

    def __init__(self, identity: Identity, topics: Topics) -> None:
        self.epoch = 0
        self.problem = ""
        self._identity = identity
        self._info = b""
        self._hash = ""
        name, is_gateway = identity.name, identity.is_gateway
        self._kind = "gateway" if is_gateway else "platform"
        self._topic = topics.gateway(name, "st") if is_gateway else topics.own(name, "st")
        self._info_topic = topics.gateway(name, "info") if is_gateway else topics.site(name, "up", "info")

    def describe(self, info: bytes) -> bool:
        """Take the local platform's `/info`; returns whether it is another one, to be said."""
        digest = hashlib.blake2s(info, digest_size=6).hexdigest()
        is_other = digest != self._hash
        self._info, self._hash = info, digest
        return is_other

    def new_will(self) -> Will:
        """Begin another epoch, and return what the broker says at its end."""
        self.epoch = new_epoch()
        topic, payload = self.last_words()
        return Will(topic=topic, payload=payload)

    def last_words(self) -> tuple[str, bytes]:
        """Return topic and payload of an orderly end."""
        return self._topic, write(Presence(on=0, ep=self.epoch, kind=self._kind))

    async def say(self, link: Link, large: Large) -> bool:
        """Have the broker keep presence and description; False if it does not know that we are there."""
        identity = self._identity
        presence = Presence(
            on=1, ep=self.epoch, kind=self._kind, h=self._hash, st=identity.store_id, sw=identity.software,
            m=identity.machine, gw=identity.serves,
        )  # fmt: skip
        problem = ""
        try:
            await link.deliver(self._topic, write(presence), retain=True)
        except LinkError as error:
            self._complain(f"could not introduce itself: {error}")
            return False
        try:
            if self._info:
                await large.retained(self._info_topic, deflated(self._info))
        except LinkError as error:
            problem = f"could not describe itself: {error}"
        self._complain(problem)
        return True

    def _complain(self, problem: str) -> None:
        if problem and problem != self.problem:
            log.warning("%s: %s", self._identity.name, problem)
        self.problem = problem
