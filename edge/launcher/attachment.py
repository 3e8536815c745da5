"""A container that runs already, as the platform knows it."""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import urlsplit

from msgspec import Struct
from msgspec.structs import replace

from edge.errors import BadInput, NotReady
from edge.model.codec import decode
from edge.model.definitions import Definitions
from edge.model.descriptions import AgentContainer, Connectivity, Timestamp, timestamp
from edge.transport.base import Transport

log = logging.getLogger(__name__)


class AttachedRecord(Struct, kw_only=True, frozen=True):
    """What is stored of an attached container, to attach it again without asking it.

    Attributes:
        url: Where its API is.
        token: Sent with calls to it; empty for none.
        key: What its owner calls it; None if nothing.
        push: It sleeps and is never called.
        description: The last one.
        away_since: Since when it does not answer; None if it does.
    """

    url: str
    token: str = ""
    key: str | None = None
    push: bool = False
    description: AgentContainer
    away_since: Timestamp | None = None

    @property
    def identity(self) -> str:
        """What tells the containers of one owner apart: the key, without one the URL."""
        return self.key or self.url

    def __repr__(self) -> str:
        return f"AttachedRecord(url={self.url!r}, key={self.key!r}, push={self.push})"  # without the token


@dataclass(slots=True)
class Away:
    """Why and since when a container does not answer.

    Attributes:
        since: For people.
        began_s: On the launcher's clock; earlier than the launcher itself for one that was away before.
        reason: What the last look at it showed.
        is_certain: False until the first look after the platform's start; calls are tried until then.
        pause_s: Until the next look.
    """

    since: Timestamp
    began_s: float
    reason: str
    is_certain: bool = True
    pause_s: float = 0.0


@dataclass(slots=True, eq=False)
class Attachment:
    """An attached container while the platform runs; a container that attaches anew gets a new one.

    Attributes:
        container_id: The platform's ID for it.
        owner: Whose it is; empty without authentication.
        attached_by: The board's user who attached it; empty if it was somebody else.
        record: What is stored of it.
        description: As callers see it.
        definitions: Its defined types.
        road: The plain way to it; None if it is never called.
        transport: What callers use.
        number: Grows with each that attaches.
        since: Since when it is attached, or answers again; for people.
        digest: Of the last `/info`; empty if it was not asked yet.
        heard_s: When it last answered anything with success, on the launcher's clock.
        doubted_s: When a call to it last failed, on the launcher's clock.
        looked_s: When it was last asked what it is, on the launcher's clock.
        pause_s: From the last answer to the next look.
        calls: How many calls to it are in flight.
        misses: How many looks failed one after the other.
        away: None if it answers.
        unknown_keys: What it was warned about in its `/info`.
    """

    container_id: str
    owner: str
    attached_by: str
    record: AttachedRecord
    description: AgentContainer
    definitions: Definitions
    road: Transport | None
    number: int
    since: Timestamp = field(default_factory=lambda: timestamp(datetime.now(UTC)))
    digest: bytes = b""
    heard_s: float = 0.0
    doubted_s: float = float("-inf")
    looked_s: float = float("-inf")
    pause_s: float = 0.0
    calls: int = 0
    misses: int = 0
    away: Away | None = None
    unknown_keys: frozenset[str] = frozenset()
    transport: Transport = field(init=False)

    @property
    def name(self) -> str:
        """Image and ID, for the log."""
        return f"attached container {self.description.image.image_name} ({self.container_id})"


@dataclass(frozen=True, slots=True)
class Info:
    """An answer to `GET /info`.

    Attributes:
        reported: As the container says it.
        digest: Tells whether a later answer is the same.
        unknown_keys: Properties that OPACA does not know; they were dropped (contract, Decision 16).
    """

    reported: AgentContainer
    digest: bytes
    unknown_keys: frozenset[str]

    @classmethod
    def read(cls, body: bytes, url: str) -> Info:
        """Decode an answer.

        Raises:
            NotReady: it is no description of a container.
        """
        unknown: set[str] = set()
        try:
            reported = decode(body, AgentContainer, unknown)
        except BadInput as error:
            raise NotReady(f"{url}/info is no description of an agent container: {error.message}") from error
        return cls(reported, digest_of(body), frozenset(unknown))

    def warn(self, url: str, warned: frozenset[str]) -> None:
        """Log which properties are dropped, unless all of them were named before."""
        if not self.unknown_keys <= warned:
            names = ", ".join(sorted(self.unknown_keys))[:200]
            log.warning("%s/info has properties that OPACA does not know; they are dropped: %s", url, names)


def digest_of(body: bytes) -> bytes:
    """Return what tells one answer from another."""
    return hashlib.blake2b(body, digest_size=16).digest()


def described(reported: AgentContainer, container_id: str, owner: str, url: str) -> AgentContainer:
    """Return a container's description with what the platform alone decides (contract, Q20)."""
    return replace(reported, container_id=container_id, owner=owner, connectivity=connectivity(url, reported))


def connectivity(url: str, reported: AgentContainer) -> Connectivity:
    """Return where an attached container is reached: at its own address and ports."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    default_tcp_port = 443 if parts.scheme == "https" else 80
    return Connectivity(
        public_url=f"{parts.scheme}://{f'[{host}]' if ':' in host else host}",
        api_port_mapping=parts.port or default_tcp_port,
        # Nobody maps its ports to others.
        extra_port_mappings=dict(reported.image.extra_ports),
    )
