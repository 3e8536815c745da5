"""What came over a link is played as the party's own user, with its rights, and nothing else is played."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web
from msgspec import UNSET

from bridge import executor
from bridge import local as local_platform
from bridge.access import Access
from bridge.answers import error_body
from bridge.envelope import Request
from bridge.executor import Executor
from bridge.local import Administrator, LocalPlatform
from bridge.replies import refused
from edge.errors import RemoteError

ALL = Access("USER", ["*"])


@dataclass
class Platform:
    """A platform that asks who is calling.

    Attributes:
        users: What it knows of its users.
        tokens: Who shows which.
        calls: User, method, path with query and body of each call.
        answer: What calls are answered.
    """

    url: str = ""
    users: dict[str, dict[str, Any]] = field(default_factory=lambda: {"admin": {"password": "pw", "role": "ADMIN"}})
    tokens: dict[str, str] = field(default_factory=dict)
    calls: list[tuple[str, str, str, str]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    status: int = 200
    answer: Any = "ok"
    logins: int = 0
    waiting: int = 0
    pause_s: float = 0.0

    def restart(self) -> None:
        """Forget tokens and the users of parties, as one does whose state was lost."""
        self.tokens.clear()
        self.users = {"admin": self.users["admin"]}

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        body = await request.text()
        if request.path == "/login" and "Authorization" not in request.headers:
            login = json.loads(body)
            if self.users.get(login["username"], {}).get("password") != login["password"]:
                return web.json_response({"status": 403}, status=403)
            if self.waiting >= 8:
                return web.json_response({"status": 503}, status=503)
            self.waiting += 1
            await asyncio.sleep(0.005)
            self.waiting -= 1
            self.logins += 1
            token = f"token-{self.logins}"
            self.tokens[token] = login["username"]
            return web.Response(text=token)
        user = self.tokens.get(request.headers.get("Authorization", "").removeprefix("Bearer "))
        if user is None:
            return web.Response(status=401, text="Missing Token.")
        if request.path.startswith("/users"):
            assert user == "admin"
            wish = json.loads(body)
            if request.method == "POST" and wish["username"] in self.users:
                return web.json_response({"error": "exists"}, status=409)
            self.users[wish["username"]] = wish
            return web.json_response({}, status=201)
        self.calls.append((user, request.method, request.raw_path, body))
        self.headers.append(dict(request.headers))
        await asyncio.sleep(self.pause_s)
        if isinstance(self.answer, bytes):
            return web.Response(body=self.answer, status=self.status)
        return web.json_response(self.answer, status=self.status)


@asynccontextmanager
async def played_at(*, is_open: bool = False) -> AsyncIterator[tuple[Platform, LocalPlatform]]:
    platform = Platform()
    runner = web.ServerRunner(web.Server(platform.handle), shutdown_timeout=0.1)  # type: ignore[arg-type]
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    platform.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    administrator = None if is_open else Administrator("admin", "pw")
    if is_open:
        platform.tokens[""] = "nobody"
    try:
        async with LocalPlatform(platform.url, administrator, None) as local:
            yield platform, local
    finally:
        await runner.cleanup()


async def play(executor: Executor, route: str, **more: Any) -> tuple[int, Any]:
    answer = await executor.play(Request(id="1", ep=1, route=route, **more))
    return answer.s, answer.b


async def test_a_party_calls_as_its_own_user_with_its_role_and_never_as_the_administrator() -> None:
    async with played_at() as (platform, local):
        home, shed = Executor("home", ALL, local), Executor("shed", Access("GUEST", ["*"]), local)
        for executor in (home, shed, home):
            assert await play(executor, "POST /invoke/Water/pump", b={"s": 3}) == (200, "ok")
        assert platform.calls == [
            (f"site-{name}", "POST", "/invoke/Water/pump?forward=false", '{"s":3}') for name in ("home", "shed", "home")
        ]
        assert {name: user["role"] for name, user in platform.users.items()} == {
            "admin": "ADMIN", "site-home": "USER", "site-shed": "GUEST",
        }  # fmt: skip
        assert platform.logins == 3


async def test_only_what_opaca_asks_with_is_passed_on() -> None:
    async with played_at() as (platform, local):
        query = {"forward": "false", "timeout": "3", "containerId": "c", "token": "x", "senderId": "y"}
        headers = {"ContainerLoginToken": "t", "Authorization": "Bearer stolen", "X-Forwarded-For": "1.2.3.4"}
        await play(Executor("home", ALL, local), "POST /invoke/Water", q=query, h=headers, b={})
        assert platform.calls[0][2] == "/invoke/Water?forward=false&containerId=c&timeout=3"
        assert platform.headers[0]["ContainerLoginToken"] == "t"
        assert platform.headers[0]["Authorization"] == "Bearer token-2"
        assert "X-Forwarded-For" not in platform.headers[0]


@pytest.mark.parametrize("query", [{}, {"forward": "true"}, {"forward": "TRUE", "includeConnected": "true"}])
@pytest.mark.parametrize(
    "route", ["POST /invoke/Water", "POST /send/pump", "POST /broadcast/news", "GET /stream/Read/a"]
)
async def test_nobody_gets_through_here_to_a_third_platform(route: str, query: dict[str, str]) -> None:
    """What it may do is said for this platform; a site could else call the agents of every other one."""
    async with played_at() as (platform, local):
        await play(Executor("home", ALL, local), route, q=query)
        await play(Executor("home", ALL, local), "GET /agents", q=query)
        path = route.partition(" ")[2]
        assert [call[2] for call in platform.calls] == [f"{path}?forward=false", "/agents"]


@pytest.mark.parametrize(
    "route",
    [
        "DELETE /containers/c", "POST /containers", "POST /connections", "GET /users", "POST /users", "GET /history",
        "PUT /invoke/Water", "GET /invoke/Water", "POST /invoke/../users", "POST /invoke/%2e%2e/users", "POST //users",
        "POST /invoke/a?b=c", "POST /invoke/a#b", "POST /invoke/a b", "POST /invoke/a\\b", "POST invoke/a", "GET ",
        "POST /invoke/a%2Fb", "POST /invoke/ä", "", "POST /invoke/" + "a" * 5000, "post /invoke/Water",
    ],
)  # fmt: skip
async def test_what_is_no_call_is_never_played(route: str) -> None:
    async with played_at() as (platform, local):
        status, body = await play(Executor("home", ALL, local), route, b={})
        assert (status, body["statusCode"]) == (403, 403)
        assert body["message"].endswith("is nothing that a bridge plays")
        assert (platform.calls, platform.logins) == ([], 0)


@pytest.mark.parametrize(
    ("access", "route", "is_allowed"),
    [
        (Access("USER", ["invoke/Get*"]), "POST /invoke/GetLevel/tank", True),
        (Access("USER", ["invoke/Get*"]), "POST /invoke/Water", False),
        (Access("USER", ["invoke/Water"]), "POST /invoke/Water/anybody", True),
        (Access("USER", ["invoke/Water/pump"]), "POST /invoke/Water/pump", True),
        (Access("USER", ["invoke/Water/pump"]), "POST /invoke/Water/other", False),
        (Access("USER", ["invoke/Water/pump"]), "POST /invoke/Water", False),
        (Access("USER", ["broadcast/temp"]), "POST /broadcast/temp", True),
        (Access("USER", ["broadcast/temp"]), "POST /broadcast/temperature", False),
        (Access("USER", ["send/*"]), "POST /invoke/Water", False),
        (Access("USER", ["invoke/A?B"]), "POST /invoke/A%20B", True),
        (Access("USER", ["stream/*"]), "POST /stream/Feed", True),
        (Access("USER", []), "GET /info", False),
        (Access(None, ["*"]), "GET /info", False),
    ],
)  # fmt: skip
async def test_what_a_party_may_do_is_what_the_configuration_says(access: Access, route: str, is_allowed: bool) -> None:
    async with played_at() as (platform, local):
        status, body = await play(Executor("home", access, local), route)
        assert status == (200 if is_allowed else 403)
        assert len(platform.calls) == is_allowed
        if not is_allowed:
            assert body["message"].startswith(f"{route} is ")


async def test_what_the_platform_forbids_the_user_is_its_own_403() -> None:
    async with played_at() as (platform, local):
        platform.status, platform.answer = 403, {"statusCode": 403, "message": "USER may not"}
        status, body = await play(Executor("home", ALL, local), "POST /invoke/Water", b={})
        assert (status, body) == (403, {"statusCode": 403, "message": "USER may not"})
        assert len(platform.calls) == 1


async def test_an_error_of_the_platform_reads_as_if_it_had_been_asked_directly() -> None:
    async with played_at() as (platform, local):
        error = {"statusCode": 502, "message": "m", "cause": {"statusCode": 500, "message": "the pump is stuck"}}
        platform.status, platform.answer = 502, error
        assert await play(Executor("home", ALL, local), "POST /invoke/Water", b={}) == (502, error)
        generic = {"timestamp": 1776784419123, "status": 403, "error": "Forbidden", "path": "/login"}
        platform.status, platform.answer = 403, generic
        assert await play(Executor("home", ALL, local), "POST /login", b={}) == (403, generic)
        assert refused(RemoteError("it redirects", status=307)) == (502, error_body(502, "it redirects"))
        platform.answer = b"{it is no JSON"
        as_text = error_body(403, "{it is no JSON")
        assert await play(Executor("home", ALL, local), "POST /login", b={}) == (403, as_text)


async def test_a_call_that_is_never_answered_may_have_had_its_effect(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(executor, "_LONGEST_S", 0.2)
    async with played_at() as (platform, local):
        party = Executor("home", ALL, local)
        await party.transport()
        platform.pause_s = 0.4
        status, body = await play(party, "POST /invoke/Water", b={})
        assert (status, body["cause"]) == (502, error_body(504, "the outcome is unknown"))
        assert "did not answer POST /invoke/Water" in body["message"]
        # A caller that has more time is given it.
        assert await play(party, "POST /invoke/Water", b={}, q={"timeout": "20"}) == (200, "ok")
        monkeypatch.setattr(local_platform, "_CALL_S", 0.0)
        # A login that is not answered: nothing was begun.
        status, body = await play(Executor("shed", ALL, local), "POST /invoke/Water", b={})
        assert (status, "cause" in body, len(platform.calls)) == (502, False, 2)


async def test_results_are_told_apart_from_text_and_from_nothing() -> None:
    async with played_at() as (platform, local):
        executor = Executor("home", ALL, local)
        platform.answer = None
        assert await play(executor, "POST /invoke/Water", b={}) == (200, None)
        platform.answer = b""
        assert await play(executor, "POST /send/pump", b={"payload": 1}) == (200, UNSET)
        platform.answer = b"eyJ.a.b"
        assert await play(executor, "POST /login", b={}) == (200, "eyJ.a.b")
        platform.answer = b"no JSON"
        status, body = await play(executor, "POST /invoke/Water", b={})
        assert (status, body["statusCode"]) in ((422, 422), (502, 502), (400, 400))


async def test_a_platform_that_was_started_anew_is_logged_in_to_again_and_the_call_played_once() -> None:
    async with played_at() as (platform, local):
        executor = Executor("home", ALL, local)
        await play(executor, "POST /invoke/Water", b={})
        platform.restart()
        assert await play(executor, "POST /invoke/Water", b={}) == (200, "ok")
        assert [user for user, *_ in platform.calls] == ["site-home", "site-home"]
        assert platform.users["site-home"]["role"] == "USER"


async def test_a_wrong_password_of_somebody_is_no_reason_to_log_in_anew() -> None:
    """A site could else have the platform hash passwords all day, for every other site as well."""
    async with played_at() as (platform, local):
        executor = Executor("home", ALL, local)
        await play(executor, "POST /invoke/Water", b={})
        platform.status, platform.answer = 401, {"statusCode": 401, "message": "wrong password"}
        for _ in range(5):
            assert (await play(executor, "POST /login", b={"username": "eve", "password": "?"}))[0] == 401
        assert platform.logins <= 4
        assert len(platform.calls) <= 7


async def test_a_user_that_is_there_already_gets_the_role_that_is_configured_now() -> None:
    async with played_at() as (platform, local):
        platform.users["site-home"] = {"username": "site-home", "password": "old", "role": "CONTRIBUTOR"}
        assert await play(Executor("home", Access("GUEST", ["*"]), local), "GET /info") == (200, "ok")
        user = platform.users["site-home"]
        assert user["role"] == "GUEST"
        assert len(user["password"]) >= 32


async def test_a_wrong_password_of_the_administrator_is_an_answer_and_not_the_end() -> None:
    async with played_at() as (platform, local):
        platform.users["admin"]["password"] = "another"
        status, _ = await play(Executor("home", ALL, local), "POST /invoke/Water", b={})
        assert status in (403, 502)
        assert platform.calls == []


async def test_a_platform_without_users_is_called_without_one() -> None:
    async with played_at(is_open=True) as (platform, local):
        assert await play(Executor("home", ALL, local), "POST /invoke/Water", b={}) == (200, "ok")
        assert (platform.calls[0][0], platform.logins, "Authorization" in platform.headers[0]) == ("nobody", 0, False)
        assert (await play(Executor("home", Access(), local), "POST /invoke/Water", b={}))[0] == 403


async def test_a_platform_that_is_not_there_may_be_tried_again() -> None:
    async with LocalPlatform("http://127.0.0.1:9", None, None) as local:
        executor = Executor("home", ALL, local)
        status, body = await executor.played("POST /send/pump", {}, {}, b"{}", "key")
        assert (status, body["statusCode"]) == (0, 502)  # type: ignore[index]
        status, body = await play(executor, "POST /invoke/Water", b={})
        assert (status, body["statusCode"]) == (502, 502)


async def test_a_repeated_message_is_marked_as_one() -> None:
    async with played_at() as (platform, local):
        executor = Executor("home", ALL, local)
        assert (await executor.played("POST /send/pump", {}, {}, b"{}", "home/store/message/7"))[0] == 200
        assert platform.headers[0]["Idempotency-Key"] == "home/store/message/7"


async def test_parties_that_call_at_once_log_in_once_each() -> None:
    async with played_at() as (platform, local):
        executors = [Executor("home", ALL, local), Executor("shed", ALL, local)]
        await asyncio.gather(*(play(executor, "POST /invoke/Water", b={}) for executor in executors * 10))
        assert (len(platform.calls), platform.logins) == (20, 3)


async def test_a_wrong_password_that_one_party_sends_has_no_other_log_in_anew() -> None:
    async with played_at() as (platform, local):
        home, eve = Executor("home", ALL, local), Executor("eve", ALL, local)
        await play(home, "POST /invoke/Water", b={})
        platform.status, platform.answer = 401, {"statusCode": 401, "message": "wrong password"}
        assert (await play(eve, "POST /login", b={"username": "eve", "password": "?"}))[0] == 401
        platform.status, before = 200, platform.logins
        assert (await play(home, "POST /invoke/Water", b={}))[0] == 200
        assert platform.logins == before


async def test_many_parties_that_call_at_once_do_not_crowd_each_other_out() -> None:
    """A platform takes few logins of one address at a time: who guesses passwords shall not be quick."""
    async with played_at() as (_, local):
        executors = [Executor(f"site-{number}", ALL, local) for number in range(30)]
        answers = await asyncio.gather(*(play(executor, "POST /invoke/Water", b={}) for executor in executors))
        assert answers == [(200, "ok")] * 30
