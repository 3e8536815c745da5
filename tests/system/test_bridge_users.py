"""Who may do what through a bridge between platforms that ask who is calling."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from aiohttp import ClientSession

from tests.contract.running import REPOSITORY
from tests.system.joined import Caller, until
from tests.system.roads import Roads, roads

pytestmark = pytest.mark.timeout(60)

# What the cloud may do at home, and the other way round.
DEVICE = 'allow = ["invoke/Echo", "invoke/Begun/at-home", "broadcast/*", "stream/Read", "login"]\nrole = "USER"\n'
GATEWAY = '[bridge.gateway.sites.greenhouse]\nrole = "GUEST"\nallow = ["*"]\n'


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Roads]:
    with roads(tmp_path_factory.mktemp("users"), has_users=True, device=DEVICE, gateway=GATEWAY) as both:
        yield both


@pytest.fixture
async def callers(running: Roads) -> AsyncIterator[tuple[Caller, Caller]]:
    async with running.callers() as both:
        yield both


def last_cause(answer: dict[str, Any]) -> dict[str, Any]:
    while "cause" in answer:
        answer = answer["cause"]
    return answer


async def test_the_bridge_makes_a_user_for_the_other_side_with_the_role_that_is_configured(
    callers: tuple[Caller, Caller],
) -> None:
    home, cloud = callers
    assert (await cloud.invoke("Echo", "/at-home", value=1)).json == 1
    await home.invoke("Echo", "/in-cloud", value=1)  # refused, but by its own user
    for caller, name, role in ((home, "site-cloud", "USER"), (cloud, "site-greenhouse", "GUEST")):
        user = (await caller.ask("GET", f"/users/{name}")).json
        assert (user["username"], user["role"]) == (name, role)


@pytest.mark.parametrize(
    ("action", "agent", "arguments"), [("Linger", "at-home", {"seconds": 0}), ("Begun", "home-spare", {})]
)
async def test_what_home_does_not_allow_is_a_403_that_says_what_it_does(
    callers: tuple[Caller, Caller], running: Roads, action: str, agent: str, arguments: dict[str, Any]
) -> None:
    home, cloud = callers
    before = (await home.invoke("Begun", "/at-home")).json
    answer = await cloud.invoke(action, f"/{agent}", **arguments)
    cause = last_cause(answer.json)
    assert (answer.status, cause["statusCode"]) == (502, 403)
    assert cause["message"].startswith(
        f"POST /invoke/{action}/{agent} is not among what this platform allows: invoke/Echo"
    )
    assert (await home.invoke("Begun", "/at-home")).json == before
    # Asked where the platform asks, it is the 403 itself.
    headers = {"Authorization": f"Bearer {running.bridge_token('cloud')}"}
    url = f"{running.bridge_url('cloud', 'greenhouse')}/invoke/{action}/{agent}"
    async with cloud.session.post(url, json=arguments, headers=headers) as direct:
        assert (direct.status, await direct.json()) == (403, cause)


async def test_what_is_allowed_passes_for_that_agent_and_for_streams(callers: tuple[Caller, Caller]) -> None:
    _, cloud = callers
    assert (await cloud.invoke("Begun", "/at-home")).status == 200
    assert len((await cloud.ask("GET", "/stream/Read/at-home")).body) == 300_000
    refused = await cloud.ask("POST", "/stream/Feed/at-home", data=b"x")
    assert (refused.status, last_cause(refused.json)["statusCode"]) == (502, 403)
    refused = await cloud.ask("GET", "/stream/Ticks/at-home")
    assert (refused.status, last_cause(refused.json)["statusCode"]) == (502, 403)


async def test_a_role_that_is_too_low_is_the_platforms_own_403(callers: tuple[Caller, Caller]) -> None:
    """The site may ask for anything, but its user is a guest: that is for the cloud's platform to say."""
    home, _ = callers
    answer = await home.invoke("Echo", "/in-cloud", value=1)
    assert (answer.status, last_cause(answer.json)["statusCode"]) == (502, 403)
    assert "in-cloud" in await home.agents()  # to be seen needs no role


async def test_who_is_not_logged_in_here_reaches_nothing_there(callers: tuple[Caller, Caller], running: Roads) -> None:
    _, cloud = callers
    users = cloud.session.headers["Authorization"]
    async with ClientSession() as stranger:
        for token, status in (("", 401), ("Bearer junk", 401), (users, 200)):
            headers = {"Authorization": token} if token else {}
            path = "/invoke/Echo/at-home"
            async with stranger.post(cloud.url + path, json={"value": 1}, headers=headers) as answer:
                assert answer.status == status
            # The bridge's own address opens to the connection's token only, not to a user's of the platform.
            url = running.bridge_url("cloud", "greenhouse") + path
            async with stranger.post(url, json={"value": 1}, headers=headers) as answer:
                assert answer.status == 401


async def test_a_user_of_home_logs_in_through_the_bridge(callers: tuple[Caller, Caller], running: Roads) -> None:
    home, cloud = callers
    await home.ask("POST", "/users", {"username": "eve", "password": "pw", "role": "USER"})
    url = running.bridge_url("cloud", "greenhouse")
    headers = {"Authorization": f"Bearer {running.bridge_token('cloud')}"}
    login = {"username": "eve", "password": "pw"}
    async with cloud.session.post(f"{url}/login", json=login, headers=headers) as answer:
        token = await answer.text()
        assert (answer.status, token.count(".")) == (200, 2)
    async with home.session.get(f"{home.url}/agents", headers={"Authorization": f"Bearer {token}"}) as answer:
        assert answer.status == 200
    async with cloud.session.post(f"{url}/login", json={**login, "password": "no"}, headers=headers) as answer:
        assert answer.status == 403


async def test_messages_are_played_as_the_other_sides_user(callers: tuple[Caller, Caller]) -> None:
    home, cloud = callers
    assert (await cloud.ask("POST", "/broadcast/news", {"payload": "from above"})).status == 200

    async def came() -> bool:
        return "from above" in (await home.invoke("Heard", "/at-home")).json

    await until(came, "home heard it")


async def test_a_removed_user_is_made_again(callers: tuple[Caller, Caller]) -> None:
    home, cloud = callers
    assert (await cloud.invoke("Echo", "/at-home", value=1)).status == 200
    assert (await home.ask("DELETE", "/users/site-cloud")).json is True
    assert (await cloud.invoke("Echo", "/at-home", value=2)).json == 2
    assert (await home.ask("GET", "/users/site-cloud")).json["role"] == "USER"


async def test_what_is_refused_and_tried_again_says_why_and_when_in_the_queue(
    callers: tuple[Caller, Caller], running: Roads
) -> None:
    _, cloud = callers
    for payload in ("first", "second"):
        assert (await cloud.ask("POST", "/send/at-home", {"payload": payload})).status == 200
    words = ["bridge", "queue", "--state-dir", str(running.folder / "home" / "state")]

    async def queue(*more: str) -> str:
        program = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "edge", *words, *more,
            cwd=REPOSITORY, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        return (await program.communicate())[0].decode()

    async def are_both_known() -> bool:
        retried = json.loads(await queue("--json"))["retried"]
        return bool(retried) and retried[0]["behind"] == 1

    await until(are_both_known, "one is tried again, and one waits for it")
    (one,) = json.loads(await queue("--json"))["retried"]
    assert (one["site"], one["lane"], one["route"]) == ("cloud", "message", "POST /send/at-home")
    assert one["why"].startswith("403: POST /send/at-home is not among what this platform allows")
    assert one["tries"] >= 1
    assert 0 <= one["next_s"] <= 60
    drawn = await queue()
    assert "NEXT IN" in drawn
    assert "403: POST /send/at-home is not among what this platform allows" in drawn
