"""`send`: a message to one agent."""

from __future__ import annotations

import argparse

from edge.cli.messages import add_message_arguments, deliver


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what `send` takes."""
    parser.add_argument("target", metavar="AGENT", help="ID of the agent")
    add_message_arguments(parser)


def run(arguments: argparse.Namespace) -> None:
    """Send it."""
    deliver(arguments, is_broadcast=False)
