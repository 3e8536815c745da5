"""`broker renew`: the broker's certificate, made anew if it ends soon, and read anew by Mosquitto."""

from __future__ import annotations

import argparse

from edge.cli.broker_certificate import copy_all, files_of, renew_if_due
from edge.cli.broker_files import BrokerFiles, broker_arguments, broker_folder
from edge.cli.failures import Failed
from edge.cli.output import Output


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what `broker renew` takes."""
    broker_arguments(parser)


def run(arguments: argparse.Namespace) -> None:
    """Renew what `tls init` made if it is due; whoever else renewed it, the broker takes it from now on."""
    files, output = BrokerFiles.read(broker_folder(arguments)), Output(arguments.json)
    if "cert" not in files_of(files.facts):
        raise Failed(f"the broker in {files.folder} speaks no TLS; opaca-edge broker init --tls-cert changes that")
    reason = renew_if_due(files.facts)
    is_new = copy_all(files.facts, files.folder)
    is_read = files.reload()
    if output.is_json:
        output.json({"renewed": not reason, "copied": is_new, "read": is_read})
        return
    if reason:
        output.line(reason)
    output.line("the broker has read its certificate anew" if is_read else "the broker does not run")
