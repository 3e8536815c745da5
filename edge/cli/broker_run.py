"""`broker run`: Mosquitto with the files of `broker init`, in the foreground."""

from __future__ import annotations

import argparse
import os

from edge.cli.broker_certificate import copy_all
from edge.cli.broker_files import BrokerFiles, broker_arguments, broker_folder, mosquitto
from edge.cli.failures import Failed


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what `broker run` takes."""
    broker_arguments(parser)


def run(arguments: argparse.Namespace) -> None:
    """Become Mosquitto; it ends with Ctrl-C or SIGTERM."""
    files = BrokerFiles.read(broker_folder(arguments))
    program = mosquitto()
    if (number := files.process_id()) is not None:
        raise Failed(f"it runs already, as process {number}")
    files.check_port()
    copy_all(files.facts, files.folder)
    os.execv(program, [program, "-c", str(files.plan.configuration)])  # noqa: S606 - a list of words that are ours
