"""`history`: the last events that a platform remembers."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from edge.cli.output import Output, local_time, text_of
from edge.cli.platform import Platform, call_platform, client_arguments
from edge.model.json_value import JsonValue
from edge.model.requests import Event, EventType


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what `history` takes."""
    client_arguments(parser)


def run(arguments: argparse.Namespace) -> None:
    """Show all that is remembered."""

    async def work(platform: Platform, output: Output) -> None:
        await show(platform, output, ())

    call_platform(arguments, work)


async def show(platform: Platform, output: Output, topics: Sequence[str]) -> None:
    """Print the events of the topics, oldest first; no topic means all."""
    if output.is_json and not topics:
        output.json(await platform.get("/history", list[dict[str, JsonValue]]))
        return
    events = await platform.get("/history", list[Event])
    calls = {event.id: event for event in events if event.event_type is EventType.CALL}
    chosen = [event for event in events if not topics or topic_of(event, calls) in topics]
    if output.is_json:
        import msgspec

        output.json(msgspec.to_builtins(chosen))
    elif chosen:
        output.table(("TIME", "EVENT", "ROUTE", "SENDER", "DETAIL"), [row(event, calls) for event in chosen])
    else:
        output.note("no events")


def topic_of(event: Event, calls: dict[str, Event]) -> str:
    """Return the first segment of an event's route; a forwarded call has that of the call it belongs to."""
    call = calls.get(event.related_id or "")
    route = event.route or (call.route if call is not None else None) or ""
    return "/" + route.partition(" /")[2].split("/")[0]


def row(event: Event, calls: dict[str, Event]) -> tuple[str, str, str, str, str]:
    """Return an event as a row of a table."""
    detail = f"to {event.receiver}" if event.receiver else text_of(event.status_code)
    call = calls.get(event.related_id or "")
    route = event.route or (f"  {call.route}" if call is not None and call.route else "")
    return local_time(event.timestamp), event.event_type.value, route, text_of(event.sender_id), detail
