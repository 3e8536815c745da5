"""Authorities and certificates for platforms under test, made by openssl as users make them."""

from __future__ import annotations

import time
from pathlib import Path

from edge.cli import authority
from edge.cli.authority import CA_CERT, CA_KEY, SERVER_CERT, SERVER_KEY, Names, make_authority, make_certificate

LOOPBACK = Names(("localhost",), ("127.0.0.1", "::1"))
_DAY_S = 24 * 3600.0


def certified(folder: Path, name: str = "test", names: Names = LOOPBACK) -> dict[str, str]:
    """Make an authority and a certificate for this machine; returns the settings of a platform that uses them."""
    make_authority(folder, name)
    make_certificate(folder, names, 100)
    return {"TLS_CERT": str(folder / SERVER_CERT), "TLS_KEY": str(folder / SERVER_KEY)}


def certify(folder: Path, from_days: float = -1, to_days: float = 100, names: Names = LOOPBACK) -> None:
    """Put another certificate of the authority in place, whose validity is counted from now."""
    now_s = time.time()
    with authority._desk("test", str(names)) as desk:
        authority._make_key(desk / "key")
        by = ("-cert", folder / CA_CERT)
        authority._sign(desk, folder / CA_KEY, by, "server", now_s + from_days * _DAY_S, now_s + to_days * _DAY_S)
        authority._put(desk / "key", folder / SERVER_KEY, 0o600)
        authority._put(desk / "signed", folder / SERVER_CERT, 0o644)


def certify_client(folder: Path, target: Path, name: str, from_days: float = -1, to_days: float = 100) -> None:
    """Have the authority in a folder sign a certificate that a client shows: `target`.pem and `target`.key."""
    now_s = time.time()
    with authority._desk(name, "DNS:localhost") as desk:
        with (desk / "configuration").open("a") as configuration:
            configuration.write("[client]\nkeyUsage = critical, digitalSignature\nextendedKeyUsage = clientAuth\n")
        authority._make_key(desk / "key")
        by = ("-cert", folder / CA_CERT)
        authority._sign(desk, folder / CA_KEY, by, "client", now_s + from_days * _DAY_S, now_s + to_days * _DAY_S)
        authority._put(desk / "key", target.with_suffix(".key"), 0o600)
        authority._put(desk / "signed", target.with_suffix(".pem"), 0o644)
