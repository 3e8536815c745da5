"""An authority of one's own for a LAN, and the certificates that it signs."""

from __future__ import annotations

import ipaddress
import os
import re
import secrets
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from edge.cli.failures import ExitCode, Failed
from edge.cli.openssl import openssl
from edge.model.clock import WRITTEN_S, day, is_surely_wrong

CA_CERT, CA_KEY, SERVER_CERT, SERVER_KEY = "ca.pem", "ca.key", "server.pem", "server.key"
# Apple's systems take no certificate that is valid for more than 825 days.
MOST_DAYS = 824
_DAY_S = 24 * 3600
_CA_DAYS = 20 * 365
_NAME = re.compile(r"(\*\.)?\w[\w-]{0,62}(\.\w[\w-]{0,62})*", re.ASCII)

# What `openssl ca` wants to know; it alone, in all versions, signs for a time that does not begin now.
_CONFIGURATION = """\
[ca]
default_ca = here
[here]
database = {folder}/index
new_certs_dir = {folder}
serial = {folder}/serial
default_md = sha256
policy = any
unique_subject = no
[any]
commonName = supplied
[req]
distinguished_name = subject
prompt = no
[subject]
CN = {subject}
[authority]
basicConstraints = critical, CA:TRUE, pathlen:0
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[server]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
subjectAltName = {names}
"""


@dataclass(frozen=True, slots=True)
class Names:
    """Whom a certificate is for.

    Attributes:
        hosts: Host names.
        addresses: IP addresses.
    """

    hosts: tuple[str, ...]
    addresses: tuple[str, ...]

    def __post_init__(self) -> None:
        for host in self.hosts:
            if not _NAME.fullmatch(host):
                raise Failed(f"--name {host!r}: expected a host name such as pi.local", ExitCode.USAGE)
        for address in self.addresses:
            try:
                ipaddress.ip_address(address)
            except ValueError as error:
                raise Failed(
                    f"--address {address!r}: expected an IP address such as 192.168.1.7", ExitCode.USAGE
                ) from error

    def __str__(self) -> str:
        return ", ".join([*(f"DNS:{host}" for host in self.hosts), *(f"IP:{address}" for address in self.addresses)])


def make_authority(folder: Path, name: str) -> None:
    """Make an authority; its certificate can be read by all, its key by the owner only.

    Args:
        name: Of this machine, to tell authorities apart.
    Raises:
        Failed: there is one already, or openssl says no.
    """
    if (folder / CA_KEY).exists():
        raise Failed(
            f'{folder} has an authority already: "opaca-edge tls renew" makes a new certificate of it;'
            " or choose another folder with --out"
        )
    demand_clock()
    try:
        folder.mkdir(mode=0o755, parents=True, exist_ok=True)
    except OSError as error:
        raise Failed(f"{folder}: {error.strerror}") from error
    with _desk(f"OPACA Edge authority of {name[:30]}", "DNS:localhost") as desk:
        _make_key(desk / "key")
        # From the first day that a clock can say without being surely wrong.
        _sign(desk, desk / "key", ("-selfsign",), "authority", WRITTEN_S, time.time() + _CA_DAYS * _DAY_S)
        _put(desk / "signed", folder / CA_CERT, 0o644)
        _put(desk / "key", folder / CA_KEY, 0o600)


def make_certificate(folder: Path, names: Names, days: int) -> None:
    """Have the authority in a folder sign a new certificate with a new key, in place of those that are there.

    Raises:
        Failed: there is no authority, or openssl says no.
    """
    for file in (CA_CERT, CA_KEY):
        if not (folder / file).exists():
            raise Failed(f'{folder / file} is missing: "opaca-edge tls init" makes an authority')
    demand_clock()
    subject = (names.hosts or names.addresses)[0][:60]
    with _desk(subject, str(names)) as desk:
        _make_key(desk / "key")
        now_s = time.time()
        # A day early, for callers whose clock is a little behind.
        by = ("-cert", (folder / CA_CERT).absolute())
        _sign(desk, (folder / CA_KEY).absolute(), by, "server", now_s - _DAY_S, now_s + days * _DAY_S)
        _put(desk / "key", folder / SERVER_KEY, 0o600)
        _put(desk / "signed", folder / SERVER_CERT, 0o644)


def demand_clock() -> None:
    """Refuse to make certificates with a clock that is years behind."""
    now_s = time.time()
    if is_surely_wrong(now_s):
        raise Failed(f"this machine's clock says {day(now_s)}, which is wrong: set it before making certificates")


@contextmanager
def _desk(subject: str, names: str) -> Iterator[Path]:
    """Yield a folder that only this user may look into, with what `openssl ca` needs."""
    with tempfile.TemporaryDirectory(prefix="opaca-edge-") as folder:
        desk = Path(folder)
        (desk / "configuration").write_text(_CONFIGURATION.format(folder=desk, subject=subject, names=names))
        (desk / "index").touch()
        (desk / "serial").write_text(f"{secrets.randbits(126):032X}\n")
        yield desk


def _make_key(path: Path) -> None:
    openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", path)


def _sign(desk: Path, key: Path, by: Sequence[str | Path], kind: str, starts_s: float, ends_s: float) -> None:
    openssl("req", "-new", "-key", desk / "key", "-out", desk / "request", "-config", desk / "configuration")
    openssl(
        "ca", "-batch", "-notext", "-config", desk / "configuration", "-extensions", kind,
        "-in", desk / "request", "-out", desk / "signed", "-keyfile", key, *by,
        "-startdate", _moment(starts_s), "-enddate", _moment(ends_s),
    )  # fmt: skip


def _moment(moment_s: float) -> str:
    return datetime.fromtimestamp(moment_s, UTC).strftime("%Y%m%d%H%M%SZ")


def _put(made: Path, target: Path, mode: int) -> None:
    """Put a file in place whole, so that a platform that runs meanwhile reads no half of it.

    It belongs to whom the one before belonged to, and the same users may read it.
    """
    fresh = target.with_name(target.name + ".new")
    try:
        before = target.stat() if target.exists() else None
        fresh.unlink(missing_ok=True)
        with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
            file.write(made.read_bytes())
            if before is not None:
                os.fchown(file.fileno(), before.st_uid, before.st_gid)
            os.fchmod(file.fileno(), mode if before is None else before.st_mode & 0o777)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(target)
    except OSError as error:
        raise Failed(f"{target}: {error.strerror}") from error
