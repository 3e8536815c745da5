"""Our platform and one that forgives nothing, connected in both directions."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web

from tests.system.joined import Caller, platform, until
from tests.system.strict_peer import AGENT, CONTAINER, StrictPeer, faults

CONTRACT = {"contract": "tests.contract.container:container"}


@pytest.fixture
async def ours(tmp_path: Path) -> AsyncIterator[Caller]:
    async with platform(tmp_path / "ours", CONTRACT) as caller:
        yield caller


async def joined(ours: Caller, peer: StrictPeer) -> None:
    answer = await ours.connect(peer.url, back=True, token=peer.token or None)
    assert (answer.status, answer.body) == (200, b"true")

    async def is_followed() -> bool:
        return (await ours.states())[peer.url] == "connected" and len(peer.subscribers) == 1

    await until(is_followed, "the peer is followed")


def test_the_peer_is_as_strict_as_it_says() -> None:
    wrong = {**CONTAINER, "runningSince": "2026-04-21T13:13:39Z", "owner": 1, "more": None}
    del wrong["arguments"]
    assert sorted(faults(wrong, "AgentContainer")) == [
        "$ has the unknown property more",
        "$.arguments is missing",
        "$.owner is no str: 1",
        "$.runningSince is no date: '2026-04-21T13:13:39Z'",
    ]
    assert faults(CONTAINER, "AgentContainer") == []


async def test_both_directions_work_to_the_letter(ours: Caller) -> None:
    async with StrictPeer.running(token="its-token") as peer:
        await joined(ours, peer)
        assert (await ours.ask("GET", "/connections")).json == [peer.url]
        assert (await ours.ask("GET", "/info")).json["connections"] == [peer.url]
        assert peer.connected[ours.url]["containers"][0]["agents"] != []

        # Ours asks it.
        assert "far agent" in await ours.agents()
        assert (await ours.ask("GET", "/agents/far%20agent")).json == AGENT
        answer = await ours.invoke("Far", text="ä")
        assert answer.json == {"arguments": {"text": "ä"}, "path": "/invoke/Far?timeout=-1&forward=false"}
        answer = await ours.ask("POST", "/invoke/Far/far%20agent?timeout=7&containerId=far%20container", {"text": "x"})
        assert answer.json["path"] == ("/invoke/Far/far%20agent?timeout=7&forward=false&containerId=far%20container")
        assert (await ours.invoke("Far", text=5)).status == 400
        assert (await ours.invoke("Far", "?forward=false", text="x")).status == 404
        failed = await ours.invoke("Fail")
        assert failed.status == 502
        assert failed.json["cause"] == {"statusCode": 500, "message": "it is broken"}
        assert peer.url in failed.json["message"]
        assert (await ours.ask("POST", "/send/far%20agent", {"payload": 1})).status == 200
        assert (await ours.ask("POST", "/broadcast/news", {"payload": [2]})).status == 200
        assert peer.messages == [1, [2]]

        # It asks ours.
        assert await peer.call(ours.url, "POST", "/invoke/Say?timeout=-1&forward=false", {"text": "hi"}) == (
            200,
            b'"hi"',
        )
        status, _ = await peer.call(ours.url, "POST", "/invoke/Say?timeout=-1&forward=false", {"text": 5})
        assert status == 400
        assert await peer.broadcast("news", "from afar") == ours.url
        assert (await ours.invoke("Heard")).json[-1] == {"payload": "from afar", "replyTo": None}
        assert peer.complaints == []


async def test_names_travel_encoded_and_unencoded_ones_do_no_harm(ours: Caller) -> None:
    async with StrictPeer.running() as peer:
        await joined(ours, peer)
        agent = {**AGENT, "agentId": "q?&=#%", "actions": [{**AGENT["actions"][0], "name": "Ä +&c?"}]}  # type: ignore[index]
        peer.containers = [{**CONTAINER, "containerId": "id&x=1", "agents": [agent]}]
        assert (await ours.ask("POST", "/connections/notify", data=peer.url)).body == b"true"
        answer = await ours.ask("POST", "/invoke/%C3%84%20+&c%3F?containerId=id%26x%3D1", {"text": "x"})
        assert answer.json["path"] == ("/invoke/%C3%84%20%2B%26c%3F?timeout=-1&forward=false&containerId=id%26x%3D1")
        status, _ = await peer.call(ours.url, "POST", "/invoke/Where/two +ü?timeout=-1&forward=false", {})
        assert status == 400
        status, _ = await peer.call(ours.url, "POST", "/send/no body?forward=false", {"payload": 1, "replyTo": None})
        assert status == 400
        assert (await ours.invoke("Where")).json == "two +ü"
        assert peer.complaints == []


async def test_defined_types_of_a_peer_are_checked_here(ours: Caller) -> None:
    async with StrictPeer.running() as peer:
        await joined(ours, peer)
        path = "/invoke/A%20B"
        peer.containers = [
            {**CONTAINER, "agents": [{**AGENT, "actions": [{**AGENT["actions"][2], "name": "A B"}]}]}  # type: ignore[index]
        ]
        await peer.tell_change()

        async def is_known() -> bool:
            return (await ours.ask("POST", path, {"box": {"width": 3}})).status == 200

        await until(is_known, "the change is known")
        before = len(peer.asked)
        refused = await ours.ask("POST", path, {"box": {"width": "wide"}})
        assert (refused.status, "box" in refused.json["message"]) == (400, True)
        assert len(peer.asked) == before
        assert peer.complaints == []


async def test_streams_that_it_holds_back_arrive_and_ours_reach_it(ours: Caller) -> None:
    async with StrictPeer.running() as peer:
        await joined(ours, peer)
        async with ours.session.get(f"{ours.url}/stream/Drip") as response:
            for _ in range(8):
                peer.drops.put_nowait(b"x" * 1024)
            assert await response.content.readexactly(8192) == b"x" * 8192
            peer.drops.put_nowait(b"the end")
            peer.drops.put_nowait(None)
            assert await response.content.read() == b"the end"
        answer = await ours.ask("POST", "/stream/Keep/far%20agent", data=b"one" * 5000)
        assert (answer.status, peer.taken) == (200, b"one" * 5000)
        assert peer.complaints == []


async def test_events_are_followed_in_both_directions(ours: Caller) -> None:
    async with StrictPeer.running() as peer:
        await joined(ours, peer)
        peer.containers = []
        await peer.tell_change()

        async def is_gone() -> bool:
            return "far agent" not in await ours.agents()

        await until(is_gone, "the peer's agents are gone")
        container_id = (await ours.ask("GET", "/containers")).json[0]["containerId"]
        assert (await ours.ask("DELETE", f"/containers/{container_id}")).body == b"true"

        async def has_seen() -> bool:
            return bool(peer.connected[ours.url]["containers"] == [])

        await until(has_seen, "the peer knows that the container is gone")
        assert peer.complaints == []


async def test_disconnecting_leaves_nothing_on_either_side(ours: Caller) -> None:
    async with StrictPeer.running(token="its-token") as peer:
        await joined(ours, peer)
        assert (await ours.connect(peer.url + "/", token="its-token")).body == b"false"
        wish = {"url": peer.url, "connectBack": True}
        assert (await ours.ask("DELETE", "/connections", wish)).body == b"true"
        assert (await ours.ask("DELETE", "/connections", wish)).body == b"false"
        assert (await ours.ask("GET", "/connections")).json == []
        assert (await ours.invoke("Far", text="x")).status == 404
        assert peer.connected == {}
        assert "DELETE /connections" in peer.asked

        async def nobody_follows() -> bool:
            return not peer.subscribers

        await until(nobody_follows, "the subscription has ended")
        assert peer.complaints == []


async def test_nothing_is_left_of_a_connect_that_fails_half_way(ours: Caller) -> None:
    async with StrictPeer.running(connects=False) as peer:
        failed = await ours.connect(peer.url, back=True)
        assert failed.status == 502
        assert failed.json["cause"] == {"statusCode": 500, "message": "not today"}
        assert (await ours.ask("GET", "/connections")).json == []
        peer.connects = True
        await joined(ours, peer)
        assert peer.complaints == []


async def test_a_peer_that_wants_a_token_and_gets_none_or_a_wrong_one_is_not_connected(ours: Caller) -> None:
    async with StrictPeer.running(token="its-token") as peer:
        for token in (None, "wrong"):
            failed = await ours.connect(peer.url, token=token)
            assert failed.status == 502
            assert failed.json["cause"] == {"statusCode": 401, "message": "Missing Token."}
        assert (await ours.ask("GET", "/connections")).json == []


async def test_a_new_token_takes_the_place_of_the_old_one(ours: Caller) -> None:
    async with StrictPeer.running(token="first") as peer:
        await joined(ours, peer)
        peer.token = "second"
        refused = await ours.invoke("Far", text="x")
        assert (refused.status, refused.json["cause"]["statusCode"]) == (502, 401)
        assert (await ours.ask("POST", "/connections/notify", data=peer.url)).body == b"false"
        assert (await ours.states())[peer.url] == "refused"
        assert "far agent" in await ours.agents()
        assert (await ours.connect(peer.url, token="third")).status == 502
        assert (await ours.connect(peer.url, token="second")).body == b"false"
        assert (await ours.invoke("Far", text="x")).status == 200

        async def is_well() -> bool:
            return (await ours.states())[peer.url] == "connected"

        await until(is_well, "the state is right again")


async def test_redirects_are_followed_nowhere(ours: Caller) -> None:
    """Neither a call nor the subscription goes where nobody registered."""
    seen: list[str] = []

    async def note(request: web.BaseRequest) -> web.StreamResponse:
        seen.append(request.path)
        return web.json_response({})

    runner = web.ServerRunner(web.Server(note))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    async with StrictPeer.running() as peer:
        await joined(ours, peer)
        peer.redirects_to = f"http://127.0.0.1:{runner.addresses[0][1]}"
        before = len(peer.asked)
        for socket in list(peer.subscribers):
            await socket.close()
        refused = await ours.invoke("Far", text="x")
        assert (refused.status, "redirects are not followed" in refused.json["message"]) == (502, True)

        async def has_tried_to_follow() -> bool:
            return {"GET /subscribe", "GET /info"} <= set(peer.asked[before:])

        await until(has_tried_to_follow, "the subscription was tried again")
        again = await ours.connect(peer.url, token="another")
        assert again.status == 502
    await runner.cleanup()
    assert seen == []
