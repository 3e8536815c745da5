"""`tls renew`: a new certificate of the authority that is there."""

from __future__ import annotations

import argparse

from edge.cli.authority import SERVER_CERT, make_certificate
from edge.cli.output import Output
from edge.cli.tls_files import certificate_arguments, folder_of, joined, own_names, read_names, read_validity


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what `tls renew` takes."""
    certificate_arguments(parser, "those of the certificate so far")


def run(arguments: argparse.Namespace) -> None:
    """Make it; a platform that uses it sees that within a minute."""
    folder = folder_of(arguments)
    certificate = folder / SERVER_CERT
    names = joined(read_names(certificate) if certificate.exists() else own_names(), arguments)
    make_certificate(folder, names, arguments.days)
    ends = read_validity(certificate)[1]
    Output().line(f"{certificate} is valid until {ends:%Y-%m-%d}; a platform that runs takes it within a minute")
