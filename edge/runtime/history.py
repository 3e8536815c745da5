"""What happened lately, and who wants to be told at once (contract, sections 9.3 and 9.4)."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import time_ns
from uuid import uuid4

from edge.model.codec import encode
from edge.model.requests import Event, EventType

Push = Callable[[bytes], None]


class History:
    """The events of requests, in memory, and their subscribers.

    IDs are UUIDs in form only, made from a random beginning and a counter: a real one costs as much as an invoke.
    """

    def __init__(self, size: int) -> None:
        """Keep the last `size` events; 0 keeps none, a negative number all."""
        self._events: deque[Event] = deque(maxlen=size if size >= 0 else None)
        self._prefix = str(uuid4())[:24]
        self._count = 0
        self._subscribers: dict[str, dict[Push, None]] = {}

    def events(self) -> list[Event]:
        """Return what is kept, oldest first."""
        return list(self._events)

    def call(self, route: str, sender_id: str | None) -> str:
        """Record the beginning of a request; return the event's ID."""
        event_id = self._next_id()
        self._events.append(
            Event(id=event_id, timestamp=_now_ms(), event_type=EventType.CALL, route=route, sender_id=sender_id)
        )
        return event_id

    def end(self, call_id: str, route: str, sender_id: str | None, status: int) -> None:
        """Record the end of a request; one with success is pushed to the subscribers of its first path segment."""
        is_success = 200 <= status < 300
        event = Event(
            id=self._next_id(),
            timestamp=_now_ms(),
            event_type=EventType.SUCCESS if is_success else EventType.ERROR,
            route=route,
            sender_id=sender_id,
            related_id=call_id,
            status_code=None if is_success else status,
        )
        self._events.append(event)
        if is_success and self._subscribers:
            self._push("/" + route.partition("/")[2].partition("/")[0], event)

    def forward(self, receiver: str, call_id: str | None) -> None:
        """Record a call to another party over the network; without an event of its own it is not recorded."""
        if call_id is not None:
            self._events.append(
                Event(
                    id=self._next_id(),
                    timestamp=_now_ms(),
                    event_type=EventType.FORWARD,
                    receiver=receiver,
                    related_id=call_id,
                )
            )

    def announce(self, route: str) -> None:
        """Push a success that no request made to the subscribers of its first path segment; it is not recorded."""
        topic = "/" + route.partition("/")[2].partition("/")[0]
        if topic in self._subscribers:
            self._push(topic, Event(id=self._next_id(), timestamp=_now_ms(), event_type=EventType.SUCCESS, route=route))

    @contextmanager
    def subscribed(self, topic: str, push: Push) -> Iterator[None]:
        """Call `push` with every successful event of a topic, as JSON, while the block runs; it must not wait."""
        self._subscribers.setdefault(topic, {})[push] = None
        try:
            yield
        finally:
            pushes = self._subscribers[topic]
            del pushes[push]
            if not pushes:
                del self._subscribers[topic]

    def _next_id(self) -> str:
        self._count += 1
        return f"{self._prefix}{self._count:012x}"

    def _push(self, topic: str, event: Event) -> None:
        pushes = self._subscribers.get(topic)
        if pushes:
            body = encode(event)
            for push in list(pushes):
                push(body)


def _now_ms() -> int:
    return time_ns() // 1_000_000
