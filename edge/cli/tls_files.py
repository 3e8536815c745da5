"""What the `tls` verbs have in common: where the files are, whom they are for, and what to do with them."""

from __future__ import annotations

import argparse
import ipaddress
import re
import socket
from datetime import datetime
from pathlib import Path

from edge.cli.authority import CA_CERT, MOST_DAYS, SERVER_CERT, SERVER_KEY, Names
from edge.cli.failures import Failed
from edge.cli.openssl import openssl
from edge.cli.output import Output
from edge.config import PlatformConfig, outbound_address


def folder_argument(parser: argparse.ArgumentParser) -> None:
    """Declare where the files are."""
    parser.add_argument("--out", metavar="FOLDER", type=Path, help="where the files are (tls in STATE_DIR)")


def certificate_arguments(parser: argparse.ArgumentParser, names_default: str) -> None:
    """Declare what a certificate can be made with."""
    folder_argument(parser)
    parser.add_argument(
        "--name",
        action="append",
        default=[],
        metavar="NAME",
        help=f"host name, again for more; besides {names_default}",
    )
    parser.add_argument("--address", action="append", default=[], metavar="IP", help="IP address, again for more")
    parser.add_argument(
        "--days", type=_days, default=MOST_DAYS, metavar="N", help=f"how long it is valid (most: {MOST_DAYS})"
    )


def _days(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,4}", text) or not 1 <= int(text) <= MOST_DAYS:
        raise argparse.ArgumentTypeError(f"{text!r}: expected a whole number from 1 to {MOST_DAYS}")
    return int(text)


def folder_of(arguments: argparse.Namespace) -> Path:
    """Return the folder of the files."""
    chosen: Path | None = arguments.out
    return PlatformConfig.load().state_dir / "tls" if chosen is None else chosen


def own_names() -> Names:
    """Return how callers know this machine."""
    name = socket.gethostname().partition(".")[0]
    addresses = dict.fromkeys(("127.0.0.1", "::1", outbound_address()))
    return Names(tuple(dict.fromkeys((name, f"{name}.local", "localhost"))), tuple(addresses))


def joined(names: Names, arguments: argparse.Namespace) -> Names:
    """Return names with those that were given besides."""
    return Names(
        tuple(dict.fromkeys((*names.hosts, *arguments.name))),
        tuple(dict.fromkeys((*names.addresses, *arguments.address))),
    )


def read_names(certificate: Path) -> Names:
    """Return whom a certificate is for."""
    shown = openssl("x509", "-in", certificate, "-noout", "-ext", "subjectAltName")
    addresses = (str(ipaddress.ip_address(found)) for found in re.findall(r"IP Address:([^,\s]+)", shown))
    return Names(tuple(re.findall(r"DNS:([^,\s]+)", shown)), tuple(addresses))


def read_validity(certificate: Path) -> tuple[datetime, datetime]:
    """Return when a certificate's validity begins and ends."""
    if not certificate.exists():
        raise Failed(f'{certificate} is missing: "opaca-edge tls init" makes it')
    shown = openssl("x509", "-in", certificate, "-noout", "-startdate", "-enddate")
    found = re.findall(r"=(.+) GMT", shown)
    starts, ends = (datetime.strptime(f"{each} +0000", "%b %d %H:%M:%S %Y %z") for each in found)
    return starts, ends


def say_next_step(output: Output, folder: Path) -> None:
    """Tell how to use the files."""
    cert, key, authority = (folder / name for name in (SERVER_CERT, SERVER_KEY, CA_CERT))
    name = socket.gethostname().partition(".")[0]
    output.line(f"run:  REQUIRE_AUTH=true opaca-edge run --tls-cert {cert} --tls-key {key}")
    output.line(f"on another machine, with a copy of {authority} (never of a key):")
    output.line(f"      opaca-edge info --url https://{name}.local:8000 --ca-file {CA_CERT}")
    output.line(f"      CA_FILE={CA_CERT} for a platform that connects to this one")
    output.line(f"      sudo cp {CA_CERT} /usr/local/share/ca-certificates/{name}.crt && sudo update-ca-certificates")
