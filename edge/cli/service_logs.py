"""`service logs`: what the service has written."""

from __future__ import annotations

import argparse
import shutil
import subprocess

from edge.cli.failures import Failed
from edge.cli.service_unit import UNIT


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what `service logs` takes."""
    parser.add_argument("-f", "--follow", action="store_true", help="go on until Ctrl-C")
    parser.add_argument("-n", "--lines", metavar="N", type=int, default=100, help="how many of the last lines (100)")


def run(arguments: argparse.Namespace) -> None:
    """Let the journal show them."""
    program = shutil.which("journalctl")
    if program is None:
        raise Failed("journalctl is not on this machine; the log of a platform without systemd is its output")
    command = [program, f"--unit={UNIT}", f"--lines={arguments.lines}", "--no-pager"]
    if arguments.follow:
        command.append("--follow")
    # Its output is ours, and Ctrl-C reaches both.
    with subprocess.Popen(command, stdin=subprocess.DEVNULL) as journal:  # noqa: S603 - a list of words that are ours
        exit_code = journal.wait()
    if exit_code != 0:
        raise Failed(f"journalctl ended with {exit_code}; who may not read the log of the system needs sudo")
