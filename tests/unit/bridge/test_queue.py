"""What an operator is shown of the queue, and does to it: the bridge's own routes, and the command that asks them."""

from __future__ import annotations

import asyncio
import json
import tracemalloc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bridge.gate import TokenGate
from bridge.operation import Operation
from bridge.proxy import PartyRoutes
from bridge.queue import queue
from bridge.store import Batch, Fate, Lane, Numbered, Store
from edge.cli.main import main
from edge.http.dispatch import Dispatcher
from edge.http.limits import Limits
from edge.http.server import HttpServer, listen
from tests.unit.bridge.stores import event, opened, put_many

pytestmark = pytest.mark.timeout(60)
M, LIMITS = Lane.MESSAGE, Limits(max_body_bytes=1024 * 1024, shutdown_time_s=0.2)


@dataclass
class Desk:
    """A bridge's store, and the command that looks at it."""

    store: Store
    folder: Path
    capsys: pytest.CaptureFixture[str]

    async def command(self, *words: str) -> tuple[int, Any, str]:
        """Exit code, what was printed as JSON, what was said besides."""
        code = await asyncio.to_thread(main, ["bridge", *words, "--json", "--state-dir", str(self.folder)])
        said = self.capsys.readouterr()
        return code, json.loads(said.out) if said.out else None, said.err

    async def refuse(self, site: str, first: int, last: int) -> None:
        """Have messages of a site refused for good."""
        numbered = [Numbered(seq, event(seq, f"POST /send/a{seq}")) for seq in range(first, last + 1)]
        await self.store.inbox.take(site, f"of {site}", M, Batch(first - 1, last, numbered))
        for entry in await self.store.inbox.claim(1000):
            await self.store.inbox.dead(entry, 400, "no")


@asynccontextmanager
async def serving(folder: Path, capsys: pytest.CaptureFixture[str]) -> AsyncIterator[Desk]:
    async with opened(folder) as store:
        unused: Any = None
        routes = Operation("http://x", unused, [], unused, store, unused, unused).routes()
        dispatcher = Dispatcher(PartyRoutes([], routes), TokenGate("t", ()), LIMITS)
        listening = listen("127.0.0.1", 0)
        (folder / "bridge-address").write_text("http://{}:{}\n".format(*listening.getsockname()))
        (folder / "bridge-token").write_text("t\n")
        async with HttpServer(dispatcher, [listening], LIMITS):
            yield Desk(store, folder, capsys)


async def test_all_that_was_refused_is_shown_and_played_again_or_dropped_and_not_the_first_hundred(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with serving(tmp_path, capsys) as desk:
        await desk.refuse("flood", 1, 130)
        await desk.refuse("home", 1, 1)
        code, queue, _ = await desk.command("queue", "home")
        assert (code, [each["site"] for each in queue["refused"]]) == (0, ["home"])
        assert await desk.command("replay", "--all") == (0, {"replayed": 131, "unknown": []}, "")
        for entry in await desk.store.inbox.claim(1000):
            await desk.store.inbox.dead(entry, 400, "no")
        assert (await desk.command("drop", "--all"))[:2] == (0, {"dropped": 131})
        assert (await desk.store.figures()).dead_letters == 0


async def test_one_message_that_waits_is_dropped_by_its_number_and_nothing_by_a_number_that_is_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with serving(tmp_path, capsys) as desk:
        await put_many(desk.store, 3)
        lane = ("--site", "there", "--lane", "message")
        for wrong in ("0", "-1", "9" * 30):
            code, printed, said = await desk.command("drop", *lane, "--number", wrong)
            assert (code != 0, printed) == (True, None), said
            assert "number" in said
        code, printed, said = await desk.command("drop", "2", *lane)
        assert (code, printed) == (2, None)
        assert "--number" in said
        assert desk.store.outbox.waiting("there")[M] == 3
        await put_many(desk.store, 3, site="elsewhere")
        for none in (1 << 33, (2 << 40) + 1, (3 << 40) + 1):  # a row's ID begins with the number of its lane
            code, printed, said = await desk.command("drop", *lane, "--number", str(none))
            assert (code, printed) == (1, {"dropped": 0})
            assert f"no message {none} of " in said
        assert desk.store.outbox.waiting("elsewhere")[M] == 3
        assert (await desk.command("drop", *lane, "--number", "2"))[1] == {"dropped": 1}
        assert (await desk.command("drop", *lane))[1] == {"dropped": 2}


async def test_what_is_tried_again_and_again_can_be_dropped_so_that_what_waits_behind_it_is_played(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with serving(tmp_path, capsys) as desk:
        store, lane = desk.store, ("--site", "home", "--lane", "message")
        await store.inbox.take("home", "s", M, Batch(0, 3, [Numbered(seq, event(seq)) for seq in (1, 2, 3)]))
        await put_many(store, 2, site="home")
        (entry,) = await store.inbox.claim(10)
        await store.inbox.again(entry, 0.0, "502: poison")
        (shown,) = (await desk.command("queue"))[1]["retried"]
        assert (shown["site"], shown["lane"], shown["seq"], shown["behind"]) == ("home", "message", 1, 2)
        (entry,) = await store.inbox.claim(10)  # while it is played once more
        assert await desk.command("drop", *lane, "--received", "--number", "1") == (0, {"dropped": 1}, "")
        await store.inbox.again(entry, 0.0, "502: poison")
        (entry,) = await store.inbox.claim(10)
        assert entry.seq == 2
        await store.inbox.done(entry)
        assert await desk.command("drop", *lane, "--received") == (0, {"dropped": 1}, "")
        assert store.outbox.waiting("home")[M] == 2
        assert store.inbox.fate("home", "s", M) == Fate(3, played=1, expired=2)
        assert (await store.figures()).lanes["home", M].missed == {"dropped": 2}


async def test_a_thousand_large_messages_are_listed_without_all_of_them_in_memory(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with serving(tmp_path, capsys) as desk:
        for lane in (Lane.ALARM, M):
            await asyncio.gather(
                *(desk.store.outbox.put("there", lane, event(n, size_bytes=20_000)) for n in range(600))
            )
        tracemalloc.start()
        try:
            listed = await queue(desk.store, None, list(Lane))
            peak_bytes = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert [(each.lane, each.seq) for each in listed.waiting] == [
            *(("alarm", seq) for seq in range(1, 601)),
            *(("message", seq) for seq in range(1, 401)),
        ]
        assert peak_bytes < 8_000_000
