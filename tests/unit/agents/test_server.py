"""A container alone in its process: over real sockets, called as a platform calls it, and calling its platform."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from edge.agents import Agent, Container, ImageParameter, Login, Message, NotLoggedIn, action, stream
from edge.agents.server import serve_container
from edge.errors import ActionFailed, Cause, ParameterMismatch, RemoteError
from edge.transport.base import CallOptions
from edge.transport.http import HttpClient, HttpTransport
from tests.unit.agents.running import until
from tests.unit.scripted import ok, scripted, status

TOKEN = "the token"
AUTHORIZED = {"Authorization": f"Bearer {TOKEN}"}


class Lamp(Agent):
    """A lamp."""

    def __init__(self, agent_id: str = "lamp") -> None:
        super().__init__(agent_id)
        self.heard: list[Any] = []
        self.taken: list[bytes] = []
        self.waiting = 0
        self.subscribe_channel("news")

    @action
    async def add(self, x: int, y: int = 1) -> int:
        return x + y

    @action
    async def fail(self) -> None:
        raise ValueError("it is broken")

    @action
    async def wait_long(self) -> None:
        self.waiting += 1
        try:
            await asyncio.Event().wait()
        finally:
            self.waiting -= 1

    @action(auth=True)
    async def secret(self, login_token: str) -> str:
        return f"of {login_token}"

    @action
    async def ask(self) -> Any:
        return await self.invoke("GetTime")

    async def receive_message(self, message: Message) -> None:
        self.heard.append((message.payload, message.reply_to))

    @stream(mode="GET")
    async def values(self) -> AsyncIterator[Any]:
        yield "a"
        await asyncio.sleep(0)
        yield "b"

    @stream(mode="GET")
    async def broken(self) -> AsyncIterator[bytes]:
        raise ValueError("unplugged")
        yield b""

    @stream(mode="POST")
    async def take(self, pieces: AsyncIterator[bytes]) -> None:
        self.taken.append(b"".join([piece async for piece in pieces]))

    async def handle_login(self, login: Login, token: str) -> None:
        if login.password != "right":
            raise NotLoggedIn("wrong password")


@asynccontextmanager
async def served(container: Container, **settings: Any) -> AsyncIterator[str]:
    """Serve a container and give its base URL."""
    stop = asyncio.Event()
    ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    settings = {"container_id": "c-1", "token": TOKEN, "tcp_port": 0, **settings}
    async with asyncio.TaskGroup() as group:
        server = group.create_task(serve_container(container, stop, on_ready=ready.set_result, **settings))
        done, _ = await asyncio.wait([ready, server], return_when=asyncio.FIRST_COMPLETED)
        if server in done:
            ready.cancel()
            await server
        try:
            yield await ready
        finally:
            stop.set()


@asynccontextmanager
async def lamp_and_road(**settings: Any) -> AsyncIterator[tuple[Lamp, HttpTransport]]:
    """A served lamp, and the road on which a platform reaches it."""
    lamp = Lamp()
    async with served(Container("home", [lamp]), **settings) as url, HttpClient() as client:
        yield lamp, client.transport(url, token=TOKEN)


async def test_every_kind_of_call_arrives() -> None:
    async with lamp_and_road() as (lamp, road):
        assert await road.invoke("Add", {"x": 2}, None) == 3
        assert await road.invoke("Add", {"x": 2, "y": 2}, "lamp") == 4
        await road.send("lamp", Message({"a": 1}, "me"))
        await road.broadcast("news", Message(2))
        assert lamp.heard == [({"a": 1}, "me"), (2, "")]
        for agent_id in (None, "lamp"):
            async with road.get_stream("Values", agent_id) as pieces:
                assert b"".join([piece async for piece in pieces]) == b"ab"

        async def give() -> AsyncIterator[bytes]:
            yield b"x" * 100_000
            yield b"y"

        await road.post_stream("Take", give(), None)
        await road.post_stream("Take", give(), "lamp")
        assert lamp.taken == [b"x" * 100_000 + b"y"] * 2


async def test_users_log_in_and_out() -> None:
    async with lamp_and_road() as (_, road):
        token = await road.login(Login(username="olga", password="right"))
        options = CallOptions(login_token=token)
        assert await road.invoke("Secret", {}, None, options) == f"of {token}"
        assert await road.logout(options) is True
        assert await road.logout(options) is False
        for call, code in [
            (road.login(Login(username="olga", password="wrong")), 401),
            (road.invoke("Secret", {}, None), 401),
        ]:
            with pytest.raises(RemoteError) as caught:
                await call
            assert caught.value.cause is not None
            assert caught.value.cause.status == code


@pytest.mark.parametrize(
    ("action_name", "arguments", "agent_id", "code", "text"),
    [
        ("Nope", {}, None, 404, "container 'home' has no action 'Nope'"),
        ("Add", {"x": 1}, "nobody", 404, "container 'home' has no agent 'nobody'"),
        ("Fail", {}, None, 500, "Fail of agent 'lamp' failed: ValueError: it is broken"),
        ("Add", {"x": "1"}, None, 500, "x: expected int, got str"),
    ],
)
async def test_errors_have_the_statuses_of_the_contract(
    action_name: str, arguments: dict[str, Any], agent_id: str | None, code: int, text: str
) -> None:
    async with lamp_and_road() as (_, road):
        with pytest.raises(RemoteError) as caught:
            await road.invoke(action_name, arguments, agent_id)
        assert caught.value.cause is not None
        assert (caught.value.cause.status, caught.value.cause.message) == (code, text)


async def test_a_stream_that_fails_at_once_is_an_error_and_not_an_empty_body() -> None:
    async with lamp_and_road() as (_, road):
        with pytest.raises(RemoteError) as caught:
            async with road.get_stream("Broken", None):
                pytest.fail("opened")
        assert caught.value.cause == Cause(500, "Broken of agent 'lamp' failed: ValueError: unplugged")


async def test_an_action_that_is_given_up_is_504() -> None:
    async with lamp_and_road() as (lamp, road):
        with pytest.raises(RemoteError) as caught:
            await road.invoke("WaitLong", {}, None, CallOptions(timeout_s=1))
        assert caught.value.cause is not None
        assert caught.value.cause.status == 504
        await until(lambda: lamp.waiting == 0)


async def test_a_caller_that_leaves_cancels_the_action() -> None:
    async with lamp_and_road() as (lamp, road):
        call = asyncio.create_task(road.invoke("WaitLong", {}, None))
        await until(lambda: lamp.waiting == 1)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        await until(lambda: lamp.waiting == 0)


@pytest.mark.parametrize("given", [None, "Bearer wrong", "Bearer ", f"bearer {TOKEN}", TOKEN, "Bearer \udcff"])
async def test_without_its_token_nothing_is_done(given: str | None) -> None:
    lamp = Lamp()
    async with served(Container("home", [lamp])) as url, aiohttp.ClientSession() as session:
        headers = {} if given is None else {"Authorization": given}
        for method, path in [("GET", "/info"), ("GET", "/agents"), ("POST", "/send/lamp"), ("POST", "/invoke/Add")]:
            async with session.request(method, url + path, headers=headers, json={"payload": 1}) as response:
                assert response.status == 403
                assert (await response.json()).keys() == {"statusCode", "message"}
    assert lamp.heard == []


async def test_with_an_empty_token_nothing_is_checked() -> None:
    async with served(Container("home", [Lamp()]), token="") as url, aiohttp.ClientSession() as session:
        for headers in ({}, {"Authorization": "Bearer x"}):
            async with session.get(f"{url}/agents", headers=headers) as response:
                assert response.status == 200


async def test_it_describes_itself_as_it_was_told() -> None:
    container = Container("home", [Lamp()], parameters=[ImageParameter(name="ROOM", default_value="kitchen")])
    values = {"ROOM": "hall", "PATH": "/bin"}
    async with (
        served(container, owner="olga", values=values) as url,
        aiohttp.ClientSession(headers=AUTHORIZED) as session,
    ):
        info = await (await session.get(f"{url}/info")).json()
        assert (info["containerId"], info["owner"], info["connectivity"]) == ("c-1", "olga", None)
        assert info["arguments"] == {"ROOM": "hall"}
        assert await (await session.get(f"{url}/agents")).json() == info["agents"]
        assert await (await session.get(f"{url}/agents/lamp")).json() == info["agents"][0]
        assert (await session.get(f"{url}/agents/nobody")).status == 404


async def test_without_an_id_it_makes_one_up() -> None:
    async with (
        served(Container("home"), container_id=None, token="") as url,
        aiohttp.ClientSession() as session,
    ):
        info = await (await session.get(f"{url}/info")).json()
        assert len(info["containerId"]) == 36


async def test_its_port_is_the_one_that_stands_for_its_api_port(unused_tcp_port: int) -> None:
    settings = {"tcp_port": None, "port_mapping": {9000: 9001, 8082: unused_tcp_port}}
    async with served(Container("home"), **settings) as url:
        assert url == f"http://127.0.0.1:{unused_tcp_port}"


async def test_a_missing_parameter_and_a_bad_start_are_named() -> None:
    class Broken(Agent):
        async def on_start(self) -> None:
            raise LookupError("no sensor")

    needy = Container("home", parameters=[ImageParameter(name="KEY", required=True)])
    with pytest.raises(ExceptionGroup) as caught:
        async with served(needy):
            pytest.fail("served")
    assert caught.value.subgroup(ParameterMismatch)
    with pytest.raises(ExceptionGroup) as caught:
        async with served(Container("home", [Broken()])):
            pytest.fail("served")
    assert caught.value.subgroup(ActionFailed)


async def test_its_agents_call_the_platform_with_its_token_and_id() -> None:
    async with scripted(ok(b'"noon"')) as script:
        async with lamp_and_road(platform_url=script.base_url) as (_, road):
            assert await road.invoke("Ask", {}, None) == "noon"
        request = script.requests[0]
        assert request.line.startswith("POST /invoke/GetTime?")
        assert "forward=true" in request.line
        assert request.headers["authorization"] == f"Bearer {TOKEN}"
        assert request.headers["sender-id"] == "c-1"


async def test_it_tells_the_platform_when_its_agents_change() -> None:
    async with scripted(ok(b"true")) as script:
        async with lamp_and_road(platform_url=script.base_url) as (lamp, _):
            lamp.remove_action("Add")
            lamp.remove_action("Fail")
            await until(lambda: script.requests)
        assert [(each.line, each.body) for each in script.requests] == [("POST /containers/notify HTTP/1.1", b"c-1")]


async def test_it_tells_the_platform_again_if_that_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge.agents.server._NOTIFY_PAUSE_S", 0.01)
    async with (
        scripted(status(503), status(503), ok(b"true")) as script,
        lamp_and_road(platform_url=script.base_url) as (lamp, _),
    ):
        lamp.remove_action("Add")
        await until(lambda: len(script.requests) == 3)
