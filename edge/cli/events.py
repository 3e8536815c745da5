"""`events`: what happens on a platform, remembered or as it happens."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Sequence

from edge.cli import history
from edge.cli.output import Output, local_time
from edge.cli.platform import Platform, call_platform, client_arguments
from edge.model.requests import Event
from edge.transport.http_events import subscription

# First segments of the routes that make events (contract, section 9.4).
TOPICS = ("/invoke", "/send", "/broadcast", "/stream", "/containers", "/connections", "/users", "/login", "/token")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what `events` takes."""
    parser.add_argument("topics", metavar="TOPIC", nargs="*", help="such as /invoke or /containers; none means all")
    parser.add_argument("-f", "--follow", action="store_true", help="print events as they happen, until Ctrl-C")
    parser.add_argument("--count", metavar="N", type=int, help="with --follow: end after N events")
    client_arguments(parser)


def run(arguments: argparse.Namespace) -> None:
    """Show or follow the events of the topics."""
    topics = tuple("/" + topic.strip("/") for topic in arguments.topics)

    async def work(platform: Platform, output: Output) -> None:
        if arguments.follow:
            await follow(platform, output, topics or TOPICS, arguments.count)
        else:
            await history.show(platform, output, topics)

    call_platform(arguments, work)


async def follow(platform: Platform, output: Output, topics: Sequence[str], count: int | None) -> None:
    """Print the events of the topics as they come, each topic by a subscription of its own.

    Args:
        count: After so many events this returns; None never does.
    """
    seen = 0
    is_enough = asyncio.Event()
    # A subscription has one topic, and the platform does not say when it has taken it.
    ready = asyncio.Barrier(len(topics) + 1)

    async def one(topic: str) -> None:
        nonlocal seen
        async with subscription(platform.client, platform.config.url, platform.config.token, topic) as events:
            await ready.wait()
            async for event in events:
                if is_enough.is_set():
                    return
                _print(event, output)
                seen += 1
                if seen == count:
                    is_enough.set()

    async with asyncio.TaskGroup() as tasks:
        followers = [tasks.create_task(one(topic), name=f"events {topic}") for topic in topics]
        await ready.wait()
        output.note(f"following {', '.join(topics)} at {platform.config.url}; Ctrl-C ends")
        await is_enough.wait()
        for follower in followers:
            follower.cancel()


def _print(event: Event, output: Output) -> None:
    if output.is_json:
        import msgspec

        output.json(msgspec.to_builtins(event), is_one_line=True)
    else:
        sender = f"  from {event.sender_id}" if event.sender_id else ""
        output.line(f"{local_time(event.timestamp)}  {event.event_type.value}  {event.route}{sender}")
