"""Both ends of the durable lanes: real stores, relays and players, joined by a broker in memory; targets do as told."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pytest

from bridge import ends, envelope, player
from bridge.config import LaneSettings
from bridge.envelope import read
from bridge.lanes import Lanes
from bridge.player import Player
from bridge.relay import Relay
from bridge.store import Clock, Lane, LaneFigures, Store, writer
from bridge.store.inbox_rows import InboxBounds
from bridge.tasks import Tasks
from edge.model.json_value import JsonValue
from edge.model.requests import Message
from tests.unit.bridge.wire import GATEWAY, INFO, SITE, Air, End, end, settle, until

M, ALARM, TELEMETRY = Lane.MESSAGE, Lane.ALARM, Lane.TELEMETRY
ALARMS = {"alarm": LaneSettings(channels=("alarm-*",)), "telemetry": LaneSettings(channels=("t-*",))}


@dataclass
class Target:
    """Stands for the local platform that messages are played against.

    Attributes:
        heard: Payloads by route, in the order in which they came.
        keys: The idempotency keys that came, in order.
        answers: By route: what it does; None means that it takes them.
    """

    heard: dict[str, list[Any]] = field(default_factory=lambda: defaultdict(list))
    keys: list[str] = field(default_factory=list)
    answers: dict[str, Callable[[], Awaitable[int]]] = field(default_factory=dict)

    def refuses(self, route: str, status: int) -> None:
        async def answer() -> int:
            return status

        self.answers[route] = answer

    async def played(
        self, route: str, query: Mapping[str, str], headers: Mapping[str, str], body: bytes | None, key: str
    ) -> tuple[int, JsonValue]:
        self.keys.append(key)
        self.heard[route].append(None if body is None else msgspec.json.decode(body)["payload"])
        status = await self.answers[route]() if route in self.answers else 200
        return status, None if status == 200 else {"message": f"no, {status}"}


@dataclass
class Place:
    """One end."""

    name: str
    store: Store
    end: End
    relay: Relay
    target: Target

    async def broadcast(self, channel: str, payload: object) -> None:
        """Have a message accepted for the other end."""
        await self.relay.accept(self.end.other, f"POST /broadcast/{channel}", {}, Message(payload))  # type: ignore[arg-type]

    async def broadcast_all(self, channel: str, count: int, first: int = 0) -> None:
        """Numbers, in order."""
        for number in range(first, first + count):
            await self.broadcast(channel, number)

    def heard(self, channel: str) -> list[Any]:
        return self.target.heard[f"POST /broadcast/{channel}"]

    async def figures(self, lane: Lane = M) -> LaneFigures:
        """Of the lane with the other end."""
        other = SITE if self.name == GATEWAY else GATEWAY
        return (await self.store.figures()).lanes.get((other, lane)) or LaneFigures()


@asynccontextmanager
async def place(
    air: Air,
    folder: Path,
    name: str,
    *,
    lanes: Mapping[str, LaneSettings] | None = None,
    clock: Clock | None = None,
    inbox_count: int = 100_000,
    floor_bytes: int = 0,
    is_up: bool = True,
) -> AsyncIterator[Place]:
    """Run one end in `folder`/`name`; `SITE` or `GATEWAY`."""
    is_gateway = name == GATEWAY
    chosen = Lanes(ALARMS if lanes is None else lanes, gateway=None if is_gateway else GATEWAY)
    bounds = InboxBounds(max_count=inbox_count)
    path = folder / name / "bridge.db"
    async with (
        Store(path, chosen.policy, clock, inbox_bounds=bounds, floor_bytes=floor_bytes) as store,
        Tasks() as tasks,
    ):
        made = end(air, tasks, is_gateway=is_gateway)
        relay, target = Relay(store, chosen, tasks), Target()
        made.station.carriers.append(relay.carrier(made.station))
        tasks.keep(Player(store, lambda party: target, tasks).run, "player")  # type: ignore[arg-type, return-value]
        made.station.describe(INFO)
        if is_up:
            made.link.up()
        try:
            yield Place(name, store, made, relay, target)
        finally:
            if made.link.is_up:
                made.link.down()


@asynccontextmanager
async def both(folder: Path, air: Air | None = None, **options: object) -> AsyncIterator[tuple[Air, Place, Place]]:
    """The cloud's end and that at home, which have seen each other."""
    air = air or Air()
    async with (
        place(air, folder, GATEWAY, **options) as cloud,  # type: ignore[arg-type]
        place(air, folder, SITE, **options) as home,  # type: ignore[arg-type]
    ):
        await have_met(cloud, home)
        yield air, cloud, home


async def have_met(*places: Place) -> None:
    await until(lambda: all(each.end.station.remotes and each.end.other.is_there for each in places))
    await settle()


async def all_is_told(sender: Place, lane: Lane = M) -> None:
    """Wait until the sender's account is closed: everything it accepted was played, refused or lost."""

    async def is_closed() -> bool:
        one = await sender.figures(lane)
        fate = one.fate
        return one.last_seq > 0 and one.last_seq == fate.seq == fate.played + fate.dead + fate.expired + fate.skipped

    async with asyncio.timeout(10):
        while not await is_closed():
            await asyncio.sleep(0.01)


def batches(air: Air) -> list[envelope.Batch]:
    return [read(payload, envelope.Batch) for _, payload in air.of("ev/")]


def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """What takes seconds in the field takes a twentieth of them here."""
    for module, name, seconds in (
        (ends, "_RESEND_S", 0.25),
        (ends, "_PAUSE_S", 0.1),
        (ends, "_TELL_EVERY_S", 0.05),
        (writer, "_LATER_S", 0.05),
        (player, "_FIRST_PAUSE_S", 0.01),
        (player, "_LONGEST_PAUSE_S", 0.05),
    ):
        monkeypatch.setattr(module, name, seconds)
