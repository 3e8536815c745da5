"""Two platforms of ours, joined: real processes, and a network between them that breaks."""

from __future__ import annotations

import asyncio
import base64
import os
import signal
import time
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import ClientError

from edge.runtime.tokens import Tokens
from tests.system.fault_proxy import FaultProxy, Link
from tests.system.joined import Answer, Caller, guarded, platform, restart, until, wait_for
from tests.system.strict_peer import StrictPeer

HERE = {"contract": "tests.contract.container:container"}
THERE = {"lab": "tests.integration.laboratory:container", "beta": "tests.integration.several:beta"}


@asynccontextmanager
async def two(folder: Path) -> AsyncIterator[tuple[Caller, Caller]]:
    async with platform(folder / "here", HERE) as here, platform(folder / "there", THERE) as there:
        yield here, there


async def join(here: Caller, there: Caller) -> None:
    answer = await here.connect(there.url, back=True)
    assert (answer.status, answer.body) == (200, b"true")
    await wait_for(here, there.url, "connected")
    await wait_for(there, here.url, "connected")


async def test_what_one_platform_has_the_other_can_use(tmp_path: Path) -> None:
    async with two(tmp_path) as (here, there):
        await join(here, there)
        assert {"tester", "lab", "worker"} <= set(await here.agents())
        assert set(await here.agents()) == set(await there.agents())
        assert len((await here.ask("GET", "/agents")).json) == 2
        assert (await here.invoke("Say", "/lab", text="over there")).json == "over there"
        assert (await there.invoke("Say", "/tester", text="over here")).json == "over here"
        assert (await here.invoke("Where", "/worker")).json == "beta worker"
        assert (await here.invoke("Where", "/worker?forward=false")).status == 404
        far_id = (await there.ask("GET", "/containers")).json[1]["containerId"]
        assert (await here.invoke("Where", f"?containerId={far_id}")).json == "beta worker"
        assert (await here.ask("GET", f"/containers/{far_id}")).body == b""


async def test_a_broadcast_reaches_both(tmp_path: Path) -> None:
    async with two(tmp_path) as (here, there):
        await join(here, there)
        assert (await there.ask("POST", "/broadcast/news", {"payload": "to all"})).status == 200
        assert (await here.invoke("Heard", "/tester")).json == [{"payload": "to all", "replyTo": None}]
        assert (await here.ask("POST", "/broadcast/news", {"payload": "again"})).status == 200
        assert len((await here.invoke("Heard", "/tester")).json) == 2
        assert (await there.ask("POST", "/send/tester", {"payload": "one"})).status == 200
        assert (await here.invoke("Heard", "/tester")).json[-1]["payload"] == "one"


async def test_streams_pass_piece_by_piece(tmp_path: Path) -> None:
    async with two(tmp_path) as (here, there):
        await join(here, there)
        async with here.session.get(f"{here.url}/stream/Flood/lab") as response:
            assert len(await response.content.readexactly(100_000)) == 100_000
        going: asyncio.Queue[bytes | None] = asyncio.Queue()

        async def pieces() -> AsyncIterator[bytes]:
            while (piece := await going.get()) is not None:
                yield piece

        async with asyncio.TaskGroup() as tasks:
            posting = tasks.create_task(there.ask("POST", "/stream/Collect/tester", data=pieces()))
            for piece in (b"a", b"bc", None):
                going.put_nowait(piece)
        assert posting.result().status == 200
        assert (await here.invoke("Collected", "/tester")).json == b"abc".hex()
        async with there.session.get(f"{there.url}/stream/Count/tester") as response:
            assert await response.read() == b"one\ntwo\nthree\n"


async def test_a_change_of_one_is_seen_by_the_other_at_once(tmp_path: Path) -> None:
    async with two(tmp_path) as (here, there):
        await join(here, there)
        assert (await here.invoke("Learned", text="x")).status == 404
        assert (await here.invoke("Learn", "/lab", name="Learned")).status == 200

        async def is_known() -> bool:
            return (await here.invoke("Learned", text="x")).json == "x"

        assert await until(is_known, "the new action is known") < 3
        events = (await here.ask("GET", "/history")).json
        forwards = [event for event in events if event["eventType"] == "FORWARD"]
        assert {event["receiver"] for event in forwards} == {there.url}


async def test_a_platform_that_restarts_is_joined_again(tmp_path: Path) -> None:
    async with two(tmp_path) as (here, there):
        await join(here, there)
        await asyncio.to_thread(there.process.stop)
        await wait_for(here, there.url, "away")
        refused = await here.invoke("Say", "/lab", text="x")
        assert refused.status == 502
        assert "is away since 20" in refused.json["message"]
        assert "lab" in await here.agents()
        await restart(there)
        await wait_for(here, there.url, "connected")
        await wait_for(there, here.url, "connected")
        assert (await here.invoke("Say", "/lab", text="x")).json == "x"
        assert (await there.invoke("Say", "/tester", text="y")).json == "y"


async def test_what_was_answered_survives_a_kill(tmp_path: Path) -> None:
    async with two(tmp_path) as (here, there):
        assert (await here.connect(there.url, back=True)).body == b"true"
        os.kill(here.process.pid, signal.SIGKILL)
        os.kill(there.process.pid, signal.SIGKILL)
        await restart(here)
        # The other one is still down: it stays connected, and what it offers is remembered.
        assert (await here.ask("GET", "/connections")).json == [there.url]
        await wait_for(here, there.url, "away")
        assert "lab" in await here.agents()
        assert (await here.invoke("Say", "/lab", text="x")).status == 502
        await restart(there)
        await wait_for(here, there.url, "connected")
        await wait_for(there, here.url, "connected")
        assert (await here.ask("DELETE", "/connections", {"url": there.url, "connectBack": True})).body == b"true"
        os.kill(here.process.pid, signal.SIGKILL)
        await restart(here)
        assert (await here.ask("GET", "/connections")).json == (await there.ask("GET", "/connections")).json == []


async def test_connecting_to_each_other_at_the_same_time_succeeds(tmp_path: Path) -> None:
    async with two(tmp_path) as (here, there):
        answers = await asyncio.gather(here.connect(there.url, back=True), there.connect(here.url, back=True))
        assert [answer.status for answer in answers] == [200, 200]
        assert (await here.ask("GET", "/connections")).json == [there.url]
        assert (await there.ask("GET", "/connections")).json == [here.url]


async def test_a_platform_does_not_connect_to_itself_by_another_name(tmp_path: Path) -> None:
    async with platform(tmp_path / "here", HERE) as here:
        port = here.url.rpartition(":")[2]
        assert (await here.connect(f"http://localhost:{port}", back=True)).body == b"false"
        assert (await here.ask("GET", "/connections")).json == []


async def test_session_policy_shutdown_forgets_connections(tmp_path: Path) -> None:
    async with (
        platform(tmp_path / "here", HERE, SESSION_POLICY="shutdown") as here,
        platform(tmp_path / "there", THERE) as there,
    ):
        assert (await here.connect(there.url)).body == b"true"
        await restart(here)
        assert (await here.ask("GET", "/connections")).json == []


async def test_a_cut_and_a_slow_link_heal(tmp_path: Path) -> None:
    async with two(tmp_path) as (here, there), FaultProxy.before(there.url) as link:
        assert (await here.connect(link.url)).body == b"true"
        await wait_for(here, link.url, "connected")
        await link.become(Link.CUT)
        await wait_for(here, link.url, "away")
        assert (await here.invoke("Say", "/lab", text="x")).status == 502
        await link.become(Link.WELL)

        async def answers() -> bool:
            return (await here.invoke("Say", "/lab", text="x")).status == 200

        assert await until(answers, "calls get through again") < 3
        await wait_for(here, link.url, "connected")
        link.delay_s = 0.2
        assert (await here.invoke("Say", "/lab", text="x")).json == "x"


async def test_a_call_that_is_cut_off_says_that_it_may_have_run(tmp_path: Path) -> None:
    async with two(tmp_path) as (here, there), FaultProxy.before(there.url) as link:
        assert (await here.connect(link.url)).body == b"true"
        async with asyncio.TaskGroup() as tasks:
            waiting = tasks.create_task(here.invoke("Wait", "/lab"))

            async def is_asked() -> bool:
                route = (await there.ask("GET", "/history")).json
                return any(event.get("route") == "POST /invoke/Wait/lab" for event in route)

            await until(is_asked, "the action was asked for")
            await link.become(Link.CUT)
        assert waiting.result().status == 502
        assert "may have had its effect" in waiting.result().json["message"]


async def test_two_that_ask_who_is_calling(tmp_path: Path) -> None:
    """The reference cannot: its refresh has no token, and it does not start again with users."""
    async with guarded(tmp_path / "here", HERE) as (here, _), guarded(tmp_path / "there", THERE) as (there, token):
        assert (await here.connect(there.url)).json["cause"]["statusCode"] == 401
        assert (await here.connect(there.url, back=True, token=token)).body == b"true"
        await wait_for(here, there.url, "connected")
        await wait_for(there, here.url, "connected")
        users = {user["username"]: user["role"] for user in (await here.ask("GET", "/users")).json}
        assert users[there.url] == "ADMIN"
        assert (await here.invoke("Say", "/lab", text="x")).json == "x"
        assert (await there.invoke("Say", "/tester", text="y")).json == "y"
        assert (await here.ask("POST", "/connections/notify", data=there.url)).body == b"true"
        await restart(there)
        await wait_for(here, there.url, "connected")
        await wait_for(there, here.url, "connected")
        assert (await there.invoke("Say", "/tester", text="y")).json == "y"
        assert (await here.invoke("Say", "/lab", text="x")).json == "x"
        shown = (await here.ask("GET", "/edge/connections")).json[0]
        assert (shown["has_token"], shown["connects_back"]) == (True, True)
        assert token not in str(shown)
        wish = {"url": there.url, "connectBack": True}
        assert (await here.ask("DELETE", "/connections", wish)).body == b"true"
        assert (await there.ask("GET", "/connections")).json == []
        assert there.url not in {user["username"] for user in (await here.ask("GET", "/users")).json}


async def test_a_token_that_is_about_to_end_is_renewed_by_itself(tmp_path: Path) -> None:
    key = bytes(range(32))
    secret = {"SECRET": base64.b64encode(key).decode()}
    async with platform(tmp_path / "here", HERE) as here, guarded(tmp_path / "there", THERE, **secret) as (there, _):
        old = Tokens(key, lambda: time.time() - 2400).issue("admin", 3600)
        assert (await here.connect(there.url, token=old)).body == b"true"
        until_before = (await here.ask("GET", "/edge/connections")).json[0]["token_until"]

        async def is_another() -> bool:
            return bool((await here.ask("GET", "/edge/connections")).json[0]["token_until"] > until_before)

        await until(is_another, "the token is another one")
        assert (await here.invoke("Say", "/lab", text="x")).json == "x"


async def test_no_user_is_left_where_connecting_back_fails(tmp_path: Path) -> None:
    async with guarded(tmp_path / "here", HERE) as (here, _), StrictPeer.running(connects=False) as peer:
        assert (await here.connect(peer.url, back=True)).status == 502
        assert [user["username"] for user in (await here.ask("GET", "/users")).json] == ["admin"]
        assert (await here.ask("GET", "/connections")).json == []


async def test_nothing_is_left_of_a_connect_that_a_kill_interrupts(tmp_path: Path) -> None:
    async with guarded(tmp_path / "here", HERE) as (here, _), StrictPeer.running(hold=asyncio.Event()) as peer:
        async with asyncio.TaskGroup() as tasks:
            connecting = tasks.create_task(lost(here.connect(peer.url, back=True)))

            async def is_asked() -> bool:
                return "POST /connections" in peer.asked

            await until(is_asked, "the peer was asked")
            assert len((await here.ask("GET", "/users")).json) == 2
            os.kill(here.process.pid, signal.SIGKILL)
        assert connecting.result()
        await restart(here)
        assert (await here.ask("GET", "/connections")).json == []
        assert [user["username"] for user in (await here.ask("GET", "/users")).json] == ["admin"]
        assert peer.hold is not None
        peer.hold.set()


async def lost(asking: Awaitable[Answer]) -> bool:
    """Wait for an answer that does not come."""
    try:
        await asking
    except ClientError:
        return True
    return False


@pytest.mark.parametrize("policy", ["restart", "reconnect"])
async def test_stopping_asks_nobody_to_disconnect(tmp_path: Path, policy: str) -> None:
    async with (
        platform(tmp_path / "here", HERE, SESSION_POLICY=policy) as here,
        platform(tmp_path / "there", THERE) as there,
    ):
        await join(here, there)
        await asyncio.to_thread(here.process.stop)
        assert (await there.ask("GET", "/connections")).json == [here.url]
        routes = [event.get("route") for event in (await there.ask("GET", "/history")).json]
        assert "DELETE /connections" not in routes
