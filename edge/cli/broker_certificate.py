"""The broker's certificate: where it came from, the copy that Mosquitto reads, and for whom it is.

Root's Mosquitto becomes a user of its own before it reads any key, and a key is for its owner alone: so it has a copy.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edge.cli.authority import CA_CERT, CA_KEY, MOST_DAYS, SERVER_CERT, Names, make_certificate
from edge.cli.failures import Failed
from edge.cli.tls_files import read_names
from edge.cli.tls_renew import why_not
from edge.state.whole_file import write_whole

_COPIES = {"cert": "server.pem", "key": "server.key", "ca": "clients.pem"}
_LOOPBACK = "127.0.0.1"


def files_of(facts: Mapping[str, Any]) -> dict[str, Path]:
    """Return certificate, key and authority of clients as they were named to `broker init`, as far as there are."""
    return {name: Path(facts[name]) for name in _COPIES if facts.get(name)}


def copies_of(facts: Mapping[str, Any], folder: Path) -> dict[str, Path]:
    """Return the files that Mosquitto reads: those, or copies of them where it runs as a user of its own."""
    return {name: folder / _COPIES[name] if facts.get("user") else path for name, path in files_of(facts).items()}


def copy_all(facts: Mapping[str, Any], folder: Path) -> bool:
    """Copy what Mosquitto could not read; return whether anything is new. `Failed` if a file cannot be read."""
    is_new = False
    for name, copy in copies_of(facts, folder).items():
        source = Path(facts[name])
        if source == copy:
            continue
        try:
            content = source.read_bytes()
            if copy.exists() and copy.read_bytes() == content:
                continue
            write_whole(copy, content, owner=facts["user"])
        except OSError as error:
            raise Failed(f"{source}: {error.strerror}") from error
        is_new = True
    return is_new


def own_authority(facts: Mapping[str, Any]) -> Path | None:
    """Return the certificate of the authority that `tls init` made beside the broker's; None if it is another's."""
    cert = files_of(facts).get("cert")
    if cert is None or cert.name != SERVER_CERT:
        return None
    authority = cert.parent / CA_CERT
    return authority if authority.exists() else None


def renew_if_due(facts: Mapping[str, Any]) -> str:
    """Have the own authority sign a new certificate if the present one ends soon; return why not, else nothing."""
    authority = own_authority(facts)
    if authority is None or not (authority.parent / CA_KEY).exists():
        return "its authority's key is not here: it is renewed elsewhere"
    if reason := why_not(authority.parent / SERVER_CERT):
        return reason
    make_certificate(authority.parent, read_names(authority.parent / SERVER_CERT), MOST_DAYS)
    return ""


def hosts_of(facts: Mapping[str, Any]) -> tuple[str, str]:
    """Return by which name a gateway on this machine reaches the broker, and by which other machines do."""
    host = facts["host"]
    is_everywhere = host in ("0.0.0.0", "::")
    cert = files_of(facts).get("cert")
    names = Names((), ()) if cert is None else _names(cert)
    here = _LOOPBACK if is_everywhere else host
    if not is_everywhere:
        return here, here
    local = f"{socket.gethostname().partition('.')[0]}.local"
    # A name of the internet before one of the LAN: whoever had it written into the certificate had a reason.
    named = sorted(names.hosts, key=lambda name: (name == "localhost", "." not in name, name.endswith(".local")))
    there = named[0] if named else local
    return (here if cert is None or _LOOPBACK in names.addresses else there), there


def _names(cert: Path) -> Names:
    try:
        return read_names(cert)
    except Failed:
        return Names((), ())
