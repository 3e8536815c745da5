"""A link that is neither there nor gone: nothing gets through, and nobody says so."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from edge.errors import CalleeError, OutcomeUnknown
from edge.http import caller
from edge.model.requests import ConnectionRequest
from edge.runtime.call import Call
from edge.transport.http import HttpClient
from edge.transport.http_platform import HttpPlatform
from tests.system.fault_proxy import FaultProxy, Link
from tests.system.joined import Caller, platform
from tests.system.joined import until as until_async
from tests.unit.peers import OWN, QUICK, laboratory, until

CALL = Call(caller=caller.Caller(name="alice", role=caller.Role.ADMIN))
TIMING = replace(QUICK, info_s=0.3, lost_after_s=0.2)
HEARTBEAT_S = 0.2


@pytest.fixture
async def there(tmp_path: Path) -> AsyncIterator[Caller]:
    async with platform(tmp_path / "there", {"lab": "tests.integration.laboratory:container"}) as there:
        yield there


async def test_a_silent_link_is_noticed_and_heals(tmp_path: Path, there: Caller) -> None:
    async with HttpClient(sender_id=OWN) as http, FaultProxy.before(there.url) as link:

        def dial(url: str, token: str) -> HttpPlatform:
            return HttpPlatform(http, url, token=token, heartbeat_s=HEARTBEAT_S)

        async with laboratory(tmp_path / "ours", dial=dial, timing=TIMING) as lab:
            assert await lab.connections.connect(CALL, ConnectionRequest(url=link.url))
            peer = lab.directory.peers[0]
            await until(lambda: lab.connections.statuses()[0].state == "connected")
            async with asyncio.TaskGroup() as tasks:
                lost = tasks.create_task(outcome(peer.transport.invoke("Wait", {}, None)))
                await until_async(partial(is_asked, there), "the action was asked for")
                await link.become(Link.SILENT)
                await until(lambda: lab.connections.statuses()[0].state == "away")
                refused = await outcome(peer.transport.invoke("Say", {"text": "x"}, None))
                assert refused is not None
                assert "is away since" in refused.message
            assert isinstance(lost.result(), OutcomeUnknown)
            await link.become(Link.WELL)
            await until(lambda: lab.connections.statuses()[0].state == "connected")
            assert await peer.transport.invoke("Say", {"text": "x"}, None) == "x"


async def test_a_silent_link_from_the_beginning_connects_nothing(tmp_path: Path, there: Caller) -> None:
    async with HttpClient(sender_id=OWN) as http, FaultProxy.before(there.url) as link:
        await link.become(Link.SILENT)
        async with laboratory(tmp_path / "ours", dial=lambda url, _: HttpPlatform(http, url), timing=TIMING) as lab:
            with pytest.raises(CalleeError, match=r"did not answer GET /info within 0\.3 s"):
                await lab.connections.connect(CALL, ConnectionRequest(url=link.url))
            assert not lab.directory.peers


async def outcome(asking: object) -> CalleeError | None:
    """Return the error that a call ends with."""
    try:
        await asking  # type: ignore[misc]
    except CalleeError as error:
        return error
    return None


async def is_asked(there: Caller) -> bool:
    """Tell whether the action that never ends has begun."""
    return any(event.get("route") == "POST /invoke/Wait" for event in (await there.ask("GET", "/history")).json)
