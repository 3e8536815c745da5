"""A Mosquitto for sites: its configuration, its access list and its passwords, as text (pure).

Four lines of the access list serve every device: a site writes what is its own, reads what is for it, and what
gateways say of themselves. The user name is the client identifier, so nobody can take another's connection over.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bridge.mqtt.client import MAX_PACKET_BYTES
from bridge.mqtt.topics import GATEWAYS, Topics

# A password of 24 random bytes needs no slow hash; this is Mosquitto's own default.
_ITERATIONS = 101
_SALT_BYTES = 12
_HASH_BYTES = 64
# What waits for one client; Mosquitto's own 1,000 messages are too few for a gateway of many sites.
_MAX_QUEUED = 10_000
_MAX_QUEUED_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerPlan:
    """What a broker is to be.

    Attributes:
        folder: Where its files are.
        host: Address to listen on.
        port: TCP port.
        cert: Certificate to speak TLS with; None speaks without.
        key: Its key.
        ca: Authority of the certificates that devices may show instead of a password; None asks for none.
        user: Whom Mosquitto becomes when it is started by root; empty keeps its own choice.
        root: How topics begin.
    """

    folder: Path
    host: str = "127.0.0.1"
    port: int = 1883
    cert: Path | None = None
    key: Path | None = None
    ca: Path | None = None
    user: str = ""
    root: str = "opaca"

    @property
    def configuration(self) -> Path:
        """The file that Mosquitto is started with."""
        return self.folder / "mosquitto.conf"

    @property
    def access_list(self) -> Path:
        """Who may read and write what."""
        return self.folder / "acl"

    @property
    def passwords(self) -> Path:
        """Users and hashes."""
        return self.folder / "passwords"

    @property
    def process_id(self) -> Path:
        """Where a running Mosquitto writes its number."""
        return self.folder / "data" / "mosquitto.pid"


def configuration_text(plan: BrokerPlan) -> str:
    """Return `mosquitto.conf`."""
    lines = [
        "# Written by `opaca-edge broker init`, which writes it anew.",
        f"listener {plan.port} {plan.host}",
        "allow_anonymous false",
        f"password_file {plan.passwords}",
        f"acl_file {plan.access_list}",
        "# Otherwise any user could take another's connection over by naming its client identifier.",
        "use_username_as_clientid true",
        "# Without this a confirmation waits 40 ms for the next packet.",
        "set_tcp_nodelay true",
        f"max_packet_size {MAX_PACKET_BYTES}",
        "max_inflight_messages 64",
        "# What sites say of themselves comes at once to a gateway that connects: two messages of each of a thousand.",
        f"max_queued_messages {_MAX_QUEUED}",
        f"max_queued_bytes {_MAX_QUEUED_BYTES}",
        "persistence true",
        f"persistence_location {plan.folder}/data/",
        "autosave_interval 300",
        f"pid_file {plan.process_id}",
        "log_dest stderr",
        "connection_messages true",
    ]
    if plan.user:
        lines.append(f"user {plan.user}")
    if plan.cert is not None:
        lines += [f"certfile {plan.cert}", f"keyfile {plan.key}", "tls_version tlsv1.2"]
    if plan.ca is not None:
        lines += [f"cafile {plan.ca}", "require_certificate true", "use_identity_as_username true"]
        lines.remove("use_username_as_clientid true")
    return "\n".join(lines) + "\n"


def access_text(root: str, gateways: Mapping[str, object]) -> str:
    """Return the access list.

    Args:
        root: How topics begin.
        gateways: Names of the gateways, which serve all sites.
    """
    base = Topics(root).base
    lines = [
        "# Written by `opaca-edge broker`, which writes it anew.",
        f"pattern write {base}/%u/up/#",
        f"pattern write {base}/%u/st",
        f"pattern read {base}/%u/dn/#",
        f"pattern read {base}/{GATEWAYS}/#",
    ]
    for name in gateways:
        lines += ["", f"user {name}", f"topic readwrite {base}/#"]
    return "\n".join(lines) + "\n"


def new_password() -> str:
    """Return a password that nobody guesses."""
    return secrets.token_urlsafe(24)


def password_line(user: str, password: str, salt: bytes | None = None) -> str:
    """Return a line of Mosquitto's password file (PBKDF2 with SHA-512).

    >>> password_line("a", "b", bytes(12))[:30]
    'a:$7$101$AAAAAAAAAAAAAAAA$tzfm'
    """
    salt = secrets.token_bytes(_SALT_BYTES) if salt is None else salt
    digest = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, _ITERATIONS, _HASH_BYTES)
    return f"{user}:$7${_ITERATIONS}${base64.b64encode(salt).decode()}${base64.b64encode(digest).decode()}"
