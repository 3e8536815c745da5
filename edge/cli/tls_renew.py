"""`tls renew`: a new certificate of the authority that is there."""

from __future__ import annotations

import argparse
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from edge.cli.authority import SERVER_CERT, make_certificate
from edge.cli.output import Output
from edge.cli.tls_files import certificate_arguments, folder_of, joined, own_names, read_names, read_validity
from edge.model.clock import day, is_surely_wrong

# The log of a platform warns from this day on.
DUE = timedelta(days=30)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what `tls renew` takes."""
    certificate_arguments(parser, "those of the certificate so far")
    parser.add_argument("--if-due", action="store_true", help=f"only if it ends within {DUE.days} days")


def run(arguments: argparse.Namespace) -> None:
    """Make it; a platform that uses it sees that within a minute."""
    folder = folder_of(arguments)
    certificate = folder / SERVER_CERT
    output = Output()
    if arguments.if_due and (reason := why_not(certificate)):
        output.line(reason)
        return
    names = joined(read_names(certificate) if certificate.exists() else own_names(), arguments)
    make_certificate(folder, names, arguments.days)
    ends = read_validity(certificate)[1]
    output.line(f"{certificate} is valid until {ends:%Y-%m-%d}; a platform that runs takes it within a minute")


def why_not(certificate: Path) -> str:
    """Return why a certificate is left alone; empty if it is due."""
    if is_surely_wrong(time.time()):
        return f"this machine's clock, which says {day(time.time())}, is wrong: looked at again next time"
    if not certificate.exists():
        return ""
    starts, ends = read_validity(certificate)
    # One that is valid for a short time only is due at its last third.
    if datetime.now(UTC) < ends - min(DUE, (ends - starts) / 3):
        return f"{certificate} is valid until {ends:%Y-%m-%d}: it is left as it is"
    return ""
