"""`broadcast`: a message to all agents that listen on a channel."""

from __future__ import annotations

import argparse

from edge.cli.messages import add_message_arguments, deliver


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what `broadcast` takes."""
    parser.add_argument("target", metavar="CHANNEL", help="name of the channel")
    add_message_arguments(parser)


def run(arguments: argparse.Namespace) -> None:
    """Send it."""
    deliver(arguments, is_broadcast=True)
