"""Tokens of two joined platforms, by http or https: rotated, ended, renewed, void after another secret."""

from __future__ import annotations

import base64
import os
import time
from datetime import datetime
from pathlib import Path

import pytest

from edge.runtime.tokens import Tokens
from tests.system.federated import Pair, answers, both_are, each_reaches_the_other, pair_of, reaches
from tests.system.joined import Caller, log_in, restart, until, wait_for

pytestmark = pytest.mark.timeout(60)


@pytest.fixture
def pair(request: pytest.FixtureRequest, tmp_path: Path) -> Pair:
    """Each behaviour once: what carries the tokens is nothing to them."""
    return pair_of(tmp_path, request.param)


http, https = (pytest.mark.parametrize("pair", [scheme], indirect=True) for scheme in ("http", "https"))


@http
async def test_a_token_may_be_rotated(pair: Pair) -> None:
    async with pair.joined() as (here, there):
        wish = {"username": "link", "password": "pw", "role": "ADMIN"}
        assert (await there.ask("POST", "/users", wish)).status == 201
        login = await there.ask("POST", "/login", {"username": "link", "password": "pw"})
        assert (await here.connect(there.url, token="x.y.z")).json["cause"]["statusCode"] == 401
        await each_reaches_the_other(here, there)  # a token that does not work takes nobody's place
        assert (await here.connect(there.url, token=login.body.decode())).body == b"false"
        await each_reaches_the_other(here, there)
        assert (await there.ask("DELETE", "/users/link")).body == b"true"
        assert (await here.invoke("Speak", "/there", text="x")).json["cause"]["statusCode"] == 401
        await wait_for(here, there.url, "refused")
        assert f"connections add {there.url} --logged-in" in (await here.ask("GET", "/edge/connections")).body.decode()
        await reaches(there, "here")
        assert (await here.connect(there.url, token=await log_in(there))).body == b"false"
        await both_are(here, there, "connected")
        await each_reaches_the_other(here, there)


@https
async def test_a_token_that_ends_is_renewed_in_time(pair: Pair) -> None:
    key = bytes(range(32))
    pair.there["SECRET"] = base64.b64encode(key).decode()
    async with pair.running() as (here, there, _):
        old = Tokens(key, lambda: time.time() - 1830).issue("admin", 3600)
        assert (await here.connect(there.url, back=True, token=old)).body == b"true"
        ends = (await here.ask("GET", "/edge/connections")).json[0]["token_until"]

        async def is_another() -> bool:
            return bool((await here.ask("GET", "/edge/connections")).json[0]["token_until"] > ends)

        await until(is_another, "the token is another one")
        await each_reaches_the_other(here, there)


async def change_secret(caller: Caller) -> None:
    """Start a platform again with another SECRET; all tokens that it has issued are void."""
    caller.process.environment["SECRET"] = base64.b64encode(os.urandom(32)).decode()
    await restart(caller)
    await log_in(caller)


@pytest.mark.parametrize(("pair", "who"), [("http", "here"), ("https", "there")], indirect=["pair"])
async def test_either_may_change_its_secret_once_both_have_users_of_their_own(pair: Pair, who: str) -> None:
    async with pair.joined() as (here, there):
        await have_users_of_their_own(here, there)
        await change_secret(here if who == "here" else there)

        async def reach_each_other() -> bool:
            return await answers(there, "here") and await answers(here, "there")

        await until(reach_each_other, "both have tokens that work", 15)
        await both_are(here, there, "connected")
        await each_reaches_the_other(here, there)


async def have_users_of_their_own(here: Caller, there: Caller) -> None:
    """Wait until the second has a user for the first in place of the person's token that was handed over."""

    async def has_user() -> bool:
        return here.url in {user["username"] for user in (await there.ask("GET", "/users")).json}

    await until(has_user, "there is a user for the other platform")

    async def is_used() -> bool:
        ends = (await here.ask("GET", "/edge/connections")).json[0]["token_until"]
        return datetime.fromisoformat(ends).timestamp() > time.time() + 6 * 24 * 3600

    await until(is_used, "its token of seven days is used")


@http
async def test_users_of_platforms_end_with_the_connection(pair: Pair) -> None:
    async with pair.joined() as (here, there):
        await have_users_of_their_own(here, there)
        await each_reaches_the_other(here, there)
        assert len((await there.ask("GET", "/connections")).json) == 1
        assert (await here.ask("DELETE", "/connections", {"url": there.url, "connectBack": True})).body == b"true"
        for each in (here, there):
            assert (await each.ask("GET", "/connections")).json == []
            assert [
                user["username"] for user in (await each.ask("GET", "/users")).json if "/" in user["username"]
            ] == []


@http
async def test_a_changed_secret_ends_what_people_handed_over_until_they_hand_over_another(pair: Pair) -> None:
    """That is what a secret is changed for: nobody whose token was stolen gets a new one."""
    async with pair.running() as (here, there, token):
        assert (await here.connect(there.url, token=token)).body == b"true"
        await wait_for(here, there.url, "connected")
        await change_secret(there)
        await wait_for(here, there.url, "refused", 20)
        refused = await here.invoke("Speak", "/there", text="x")
        assert (refused.status, refused.json["cause"]["statusCode"]) == (502, 401)
        assert (await here.connect(there.url, token=await log_in(there))).body == b"false"
        await wait_for(here, there.url, "connected")
        await reaches(here, "there")
