"""The base URL of a remote party: it answers as a platform does, to whoever shows the connection's token."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import ClientSession, WSMsgType, WSServerHandshakeError

from bridge import proxy, subscribe
from bridge.access import Access
from bridge.answers import error_body
from bridge.envelope import Answer
from bridge.gate import TokenGate
from bridge.proxy import PartyRoutes, Proxy
from bridge.remote import Remote
from bridge.subscribe import Subscriptions
from edge.errors import Cause, NotStored, RemoteError
from edge.http.dispatch import Dispatcher
from edge.http.limits import Limits
from edge.http.routes import RouteTable
from edge.http.server import HttpServer, listen
from edge.model.requests import Message
from tests.unit.bridge.wire import INFO, Air, End, joined, until

TOKEN = "the-token"
LIMITS = Limits(max_body_bytes=1024 * 1024, shutdown_time_s=0.2)


@dataclass
class Outbox:
    """Stands for the durable outbox."""

    kept: list[tuple[str, str, Mapping[str, str], Any]] = field(default_factory=list)
    is_full: bool = False

    async def accept(self, remote: Remote, route: str, query: Mapping[str, str], message: Message) -> None:
        if self.is_full:
            raise NotStored("the lane is full")
        self.kept.append((remote.name, route, dict(query), message.payload))


@dataclass
class House:
    """The bridge in the cloud, as its platform sees it."""

    url: str
    session: ClientSession
    air: Air
    cloud: End
    home: End
    outbox: Outbox
    subscriptions: Subscriptions

    async def ask(
        self, method: str, path: str, body: Any = None, *, token: str = TOKEN, site: str = "greenhouse", **more: Any
    ) -> tuple[int, Any]:
        headers = {"Authorization": f"Bearer {token}", **more.pop("headers", {})} if token else {}
        data = more.pop("data", None if body is None else json.dumps(body))
        headers |= {"Content-Type": "application/json"}
        async with self.session.request(method, f"{self.url}/{site}{path}", data=data, headers=headers) as answer:
            content = await answer.read()
            is_json = answer.content_type == "application/json" and content
            return answer.status, json.loads(content) if is_json else content


@asynccontextmanager
async def serving(free_from: tuple[str, ...] = ()) -> AsyncIterator[House]:
    async with joined() as (air, cloud, home):
        outbox, subscriptions = Outbox(), Subscriptions()
        made = Proxy(cloud.station.remotes, TOKEN, outbox, cloud.streams, subscriptions)
        dispatcher = Dispatcher(PartyRoutes(made.routes(), RouteTable([])), TokenGate(TOKEN, free_from), LIMITS)
        listening = listen("127.0.0.1", 0)
        url = "http://{}:{}".format(*listening.getsockname())
        async with HttpServer(dispatcher, [listening], LIMITS), ClientSession() as session:
            yield House(url, session, air, cloud, home, outbox, subscriptions)


async def test_who_shows_no_token_or_another_one_is_not_let_in() -> None:
    async with serving(free_from=("127.0.0.0/8",)) as house:
        for method, path in (
            ("GET", "/agents"), ("GET", "/token"), ("POST", "/invoke/Water"), ("POST", "/send/pump"),
            ("GET", "/stream/Values"), ("POST", "/login"), ("GET", "/nothing"),
        ):  # fmt: skip
            for token in ("", "another", TOKEN + "x", "ä"):
                status, _ = await house.ask(method, path, {}, token=token)
                assert status == 401, (method, path, token)
        assert house.home.played == []
        # The reference refreshes what it knows of a peer without a token; a wrong one is still wrong.
        assert (await house.ask("GET", "/info", token=""))[0] == 200
        assert (await house.ask("GET", "/info", token="another"))[0] == 401


async def test_nothing_is_free_for_strangers() -> None:
    async with serving(free_from=("10.0.0.0/8",)) as house:
        assert (await house.ask("GET", "/info", token=""))[0] == 401
        with pytest.raises(WSServerHandshakeError, match="401"):
            await house.session.ws_connect(f"{house.url}/greenhouse/subscribe")


async def test_info_and_agents_come_from_what_the_site_said_of_itself() -> None:
    async with serving() as house:
        house.home.link.down()
        await until(lambda: not house.cloud.other.is_there)
        status, info = await house.ask("GET", "/info")
        assert (status, info["platformId"], info["containers"][0]["agents"][0]["agentId"]) == (200, "p", "pump")
        (agent,) = json.loads(INFO)["containers"][0]["agents"]
        status, agents = await house.ask("GET", "/agents")
        assert (status, [each["agentId"] for each in agents]) == (200, ["pump"])
        assert (await house.ask("GET", "/agents/pump"))[1]["agentType"] == agent["agentType"]
        assert await house.ask("GET", "/agents/nobody") == (200, b"")
        assert (await house.ask("GET", "/containers"))[1][0]["containerId"] == "c"
        assert await house.ask("GET", "/token") == (200, TOKEN.encode())


async def test_a_call_carries_what_a_platform_asks_with() -> None:
    async with serving() as house:
        path = "/invoke/A%3FB%20%C3%A4/p%26ump?timeout=7&forward=false&containerId=c&colour=blue"
        status, body = await house.ask("POST", path, {"s": 3}, headers={"ContainerLoginToken": "t", "sender-id": "x"})
        assert (status, body) == (200, "played 1")
        (request,) = house.home.played
        assert (request.route, request.b) == ("POST /invoke/A%3FB%20%C3%A4/p%26ump", {"s": 3})
        assert (request.q, request.h, request.x) == (
            {"timeout": "7", "forward": "false", "containerId": "c"}, {"ContainerLoginToken": "t"}, 7.0,
        )  # fmt: skip


@pytest.mark.parametrize("body", [None, 0, "", [], {"a": [1, {"b": None}]}, "ä" * 100, 1.5, True])
async def test_a_result_is_passed_on_as_it_is(body: Any) -> None:
    async with serving() as house:
        house.home.play = lambda request: asyncio.sleep(0, Answer(id=request.id, b=body))
        assert await house.ask("POST", "/invoke/Water", {}) == (200, body)


async def test_an_error_is_passed_on_as_it_is() -> None:
    async with serving() as house:
        error = {"statusCode": 502, "message": "m", "cause": {"statusCode": 500, "message": "the pump is stuck"}}
        house.home.play = lambda request: asyncio.sleep(0, Answer(id=request.id, s=502, b=error))
        assert await house.ask("POST", "/invoke/Water", {}) == (502, error)
        house.home.play = lambda request: asyncio.sleep(0, Answer(id=request.id, s=403, b=error_body(403, "not you")))
        assert await house.ask("POST", "/invoke/Water", {}) == (403, {"statusCode": 403, "message": "not you"})
        house.home.play = lambda request: asyncio.sleep(0, Answer(id=request.id, s=999))
        assert (await house.ask("POST", "/invoke/Water", {}))[0] == 502


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("status", [400, 401, 403, 404, 502, 503, 507])
async def test_what_the_opening_of_a_stream_was_refused_with_is_passed_on_as_it_is(
    method: str, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse() -> None:
        raise RemoteError("the platform answered", Cause(status, "m", Cause(500, "the pump is stuck")), status)

    async with serving() as house:
        monkeypatch.setattr(house.home.executor, "transport", refuse)
        error = {"statusCode": status, "message": "m", "cause": {"statusCode": 500, "message": "the pump is stuck"}}
        assert await house.ask(method, "/stream/Values", data=b"x" if method == "POST" else None) == (status, error)
        assert house.home.executor.forgotten == (status == 401)  # the next one logs in anew


async def test_what_no_platform_takes_is_not_taken_here_either() -> None:
    async with serving() as house:
        for method, path in (
            ("POST", "/invoke/Water?forward=maybe"), ("POST", "/send/pump?forward=maybe"),
            ("POST", "/broadcast/temp?forward=maybe"), ("GET", "/stream/Values?forward=maybe"),
            ("POST", "/stream/Feed?forward=7"), ("GET", "/agents?includeConnected=maybe"),
        ):  # fmt: skip
            status, body = await house.ask(method, path, {})
            assert (status, "expected true or false" in body["message"]) == (400, True), path
        assert await house.ask("HEAD", "/stream/Values") == (405, b"")
        assert (await house.ask("POST", "/send/nobody", {"text": 1}))[0] == 422
        assert (house.home.played, house.outbox.kept) == ([], [])


async def test_a_message_to_an_agent_of_another_container_is_404_at_once() -> None:
    async with serving() as house:
        assert await house.ask("POST", "/send/pump?containerId=c", {"payload": 1}) == (200, b"")
        status, body = await house.ask("POST", "/send/pump?containerId=d", {"payload": 1})
        assert (status, body["message"]) == (404, "there is no agent pump in container d")
        assert len(house.outbox.kept) == 1


async def test_a_path_that_the_other_end_would_not_read_is_404_at_once() -> None:
    async with serving() as house:
        name = "%E6%97%A5" * 200  # the longest that an agent may have
        assert await house.ask("POST", f"/invoke/{name}/{name}", {}) == (200, "played 1")
        for path in (f"/invoke/{'x' * 5000}", f"/invoke/Water/{'%C3%A4' * 900}", "/stream/" + "x" * 5000):
            status, body = await house.ask("POST", path, {})
            assert (status, body["message"].startswith("there is no ")) == (404, True)
        assert len(house.home.played) == 1


async def test_an_absent_site_is_502_at_once_naming_since_when() -> None:
    async with serving() as house:
        house.home.link.down()
        await until(lambda: not house.cloud.other.is_there)
        for method, path in (
            ("POST", "/invoke/Water?timeout=60"), ("GET", "/stream/Values"), ("POST", "/stream/Feed"),
            ("POST", "/login"), ("POST", "/logout"),
        ):  # fmt: skip
            status, body = await house.ask(method, path, {"username": "u", "password": "p"})
            assert status == 502
            assert body["message"].startswith("greenhouse is away since 20")
        # What is stored is accepted all the same.
        assert await house.ask("POST", "/send/pump", {"payload": 1}) == (200, b"")


async def test_a_site_that_nobody_knows_is_404() -> None:
    async with serving() as house:
        for path in ("/info", "/agents", "/stream/Values"):
            status, body = await house.ask("GET", path, site="nobody")
            assert (status, "knows no 'nobody'" in body["message"]) == (404, True)
        assert (await house.ask("GET", "", site=""))[0] == 404
        assert (await house.ask("DELETE", "/info"))[0] == 405


async def test_a_site_that_has_not_described_itself_says_so() -> None:
    async with serving() as house:
        house.air.publish("opaca/v1/shed/st", b'{"on":1,"ep":1}')
        await until(lambda: "shed" in house.cloud.station.remotes)
        status, body = await house.ask("GET", "/info", site="shed")
        assert (status, "it has not described itself" in body["message"]) == (502, True)


async def test_messages_are_stored_before_they_are_answered() -> None:
    async with serving() as house:
        assert await house.ask("POST", "/send/pump?forward=false", {"payload": {"a": 1}}) == (200, b"")
        assert await house.ask("POST", "/broadcast/a%3Fb%20c", {"payload": 2, "replyTo": "x"}) == (200, b"")
        assert house.outbox.kept == [
            ("greenhouse", "POST /send/pump", {"forward": "false"}, {"a": 1}),
            ("greenhouse", "POST /broadcast/a%3Fb%20c", {}, 2),
        ]
        assert (await house.ask("POST", "/send/nobody", {"payload": 1}))[0] == 404
        assert (await house.ask("POST", "/send/pump", {"text": 1}))[0] == 422
        house.outbox.is_full = True
        status, body = await house.ask("POST", "/broadcast/temp", {"payload": 3})
        assert (status, body["message"]) == (507, "the lane is full")


async def test_what_is_no_call_is_refused_here() -> None:
    async with serving() as house:
        assert (await house.ask("POST", "/invoke/Water", []))[0] == 422
        assert (await house.ask("POST", "/invoke/Water?timeout=soon", {}))[0] == 400
        large = io.BytesIO(b'{"a": "' + b"x" * 2**20 + b'"}')
        assert (await house.ask("POST", "/invoke/Water", data=large, headers={"Expect": "100-continue"}))[0] == 413
        assert house.home.played == []


async def test_a_login_gives_the_token_as_it_came_and_what_was_refused_as_it_was() -> None:
    async with serving() as house:
        house.home.play = lambda request: asyncio.sleep(0, Answer(id=request.id, b="eyJ.a.b"))
        login = {"username": "eve", "password": "pw"}
        assert await house.ask("POST", "/login", login) == (200, b"eyJ.a.b")
        assert (house.home.played[0].route, house.home.played[0].b) == ("POST /login", login)
        house.home.play = lambda request: asyncio.sleep(0, Answer(id=request.id, s=403, b={"status": 403}))
        assert await house.ask("POST", "/login", login) == (403, {"status": 403})
        house.home.play = lambda request: asyncio.sleep(0, Answer(id=request.id, b=True))
        assert await house.ask("POST", "/logout", headers={"ContainerLoginToken": "t"}) == (200, True)
        assert house.home.played[-1].h == {"ContainerLoginToken": "t"}


async def test_a_caller_that_hangs_up_is_not_waited_for() -> None:
    async with serving() as house:
        house.home.play = lambda request: asyncio.sleep(60, Answer(id=request.id))
        async with asyncio.TaskGroup() as tasks:
            call = tasks.create_task(house.ask("POST", "/invoke/Water", {}))
            await until(lambda: house.home.played)
            call.cancel()
        await until(lambda: not house.cloud.other.calls.count)


async def test_no_answer_in_the_time_given_is_an_unknown_outcome(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proxy, "_GRACE_S", -0.95)
    async with serving() as house:
        house.home.play = lambda request: asyncio.sleep(60, Answer(id=request.id))
        status, body = await house.ask("POST", "/invoke/Water?timeout=1", {})
        assert (status, body["cause"]) == (502, {"statusCode": 504, "message": "the outcome is unknown"})
        assert "may have had its effect" in body["message"]


async def test_streams_pass_through_the_base_url() -> None:
    async with serving() as house:

        async def source() -> AsyncIterator[bytes]:
            yield b"one "
            yield b"two"

        house.home.executor.platform.source = source
        assert await house.ask("GET", "/stream/Values/pump?forward=false") == (200, b"one two")
        assert await house.ask("POST", "/stream/Feed/pump", data=b"x" * 100_000) == (200, b"")
        assert bytes(house.home.executor.platform.taken) == b"x" * 100_000
        house.home.executor.access = Access()
        status, body = await house.ask("GET", "/stream/Values/pump")
        assert (status, "allows it nothing yet" in body["message"]) == (403, True)


async def test_who_follows_a_site_is_told_that_it_has_changed() -> None:
    async with serving(free_from=("127.0.0.1/32",)) as house:
        async with (
            house.session.ws_connect(f"{house.url}/greenhouse/subscribe") as socket,
            house.session.ws_connect(f"{house.url}/greenhouse/subscribe") as other,
        ):
            await socket.send_str("/containers")
            await other.send_str("/invoke")  # of this there are no events
            await until(lambda: house.subscriptions._counts["greenhouse"] == 2)
            await asyncio.sleep(0.02)
            house.home.station.describe(INFO.replace(b"pump", b"fan"))
            event = await socket.receive_json(timeout=5)
            assert (event["eventType"], event["route"]) == ("SUCCESS", "POST /containers/notify")
            assert (await house.ask("GET", "/agents"))[1][0]["agentId"] == "fan"
            house.home.link.down()  # that it went is told as well
            assert (await socket.receive_json(timeout=5))["route"] == "POST /containers/notify"
            with pytest.raises(TimeoutError):
                await other.receive(timeout=0.05)
        await until(lambda: not house.subscriptions._counts)
        assert len(house.cloud.other.on_change) == 0


async def test_who_follows_a_site_that_is_removed_is_hung_up_on() -> None:
    async with serving(free_from=("127.0.0.1/32",)) as house:
        async with house.session.ws_connect(f"{house.url}/greenhouse/subscribe") as socket:
            await socket.send_str("/containers")
            await until(lambda: house.subscriptions._counts["greenhouse"] == 1)
            house.air.publish("opaca/v1/greenhouse/st", b"")
            assert (await socket.receive(timeout=5)).type is WSMsgType.CLOSE
        await until(lambda: not house.subscriptions._counts)


async def test_who_connects_a_site_back_is_told_that_nothing_changes() -> None:
    async with serving() as house:
        wish = {"url": "http://me:8000", "connectBack": False, "token": None}
        assert await house.ask("POST", "/connections", wish) == (200, False)
        assert await house.ask("DELETE", "/connections", wish) == (200, False)


async def test_no_more_follow_a_party_than_there_is_room_for_and_each_party_has_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(subscribe, "_MAX_FOLLOWERS", 1)
    async with (
        serving(free_from=("127.0.0.1/32",)) as house,
        house.session.ws_connect(f"{house.url}/greenhouse/subscribe"),
    ):
        with pytest.raises(WSServerHandshakeError, match="503"):
            await house.session.ws_connect(f"{house.url}/greenhouse/subscribe")
        house.air.publish("opaca/v1/shed/st", b'{"on":1,"ep":5}')
        await until(lambda: "shed" in house.cloud.station.remotes)
        async with house.session.ws_connect(f"{house.url}/shed/subscribe"):
            pass
        assert (await house.ask("GET", "/subscribe"))[0] == 400
