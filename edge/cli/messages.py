"""`send` and `broadcast`: messages to an agent or to all that listen on a channel."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from edge.cli.output import Output
from edge.cli.platform import ANSWER_S, Platform, call_platform, client_arguments, json_or_text
from edge.model.requests import Message
from edge.transport.base import CallOptions


def add_message_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what both verbs take."""
    parser.add_argument("payload", metavar="PAYLOAD", help="JSON, or any other text as it is; - reads it")
    parser.add_argument("--reply-to", metavar="NAME", help="agent or channel that answers should go to")
    parser.add_argument("--container", metavar="ID", help="the container to ask")
    client_arguments(parser, has_json=False)


def deliver(arguments: argparse.Namespace, *, is_broadcast: bool) -> None:
    """Send the message to `arguments.target` and say so."""
    message = Message(_payload(arguments.payload), arguments.reply_to)
    options = CallOptions(container_id=arguments.container, forward=True)

    async def work(platform: Platform, output: Output) -> None:
        deliver_to = platform.transport.broadcast if is_broadcast else platform.transport.send
        async with platform.patience(ANSWER_S):
            await deliver_to(arguments.target, message, options)
        output.note(f"{'broadcast' if is_broadcast else 'sent'} to {arguments.target}")

    call_platform(arguments, work)


def _payload(text: str) -> Any:
    return json_or_text(sys.stdin.read().removesuffix("\n") if text == "-" else text)
