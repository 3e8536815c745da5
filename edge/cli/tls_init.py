"""`tls init`: an authority for a LAN, and a certificate of it for this machine."""

from __future__ import annotations

import argparse

from edge.cli.authority import make_authority, make_certificate
from edge.cli.output import Output
from edge.cli.tls_files import certificate_arguments, folder_of, joined, own_names, say_next_step


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what `tls init` takes."""
    certificate_arguments(parser, "the names and addresses of this machine")


def run(arguments: argparse.Namespace) -> None:
    """Make both."""
    folder = folder_of(arguments)
    names = joined(own_names(), arguments)
    make_authority(folder, names.hosts[0])
    make_certificate(folder, names, arguments.days)
    output = Output()
    output.line(f"made an authority and a certificate for {', '.join((*names.hosts, *names.addresses))} in {folder}")
    say_next_step(output, folder)
