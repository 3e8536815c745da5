"""Users and connections where the disk is full, damaged or not to be written: refused clearly, nothing half done."""

from __future__ import annotations

import asyncio
import random
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession, TCPConnector

from tests.contract.ports import free_port
from tests.system.customers import Peer, Shop
from tests.system.households import Household
from tests.system.small_disk import limit_files, small_disk

pytestmark = pytest.mark.timeout(60)

_SETTINGS = {"REQUIRE_AUTH": "true", "HOST": "127.0.0.1", "PLATFORM_ADMIN_PWD": "secret"}
_ANN = {"username": "ann", "password": "pw", "role": "USER"}
_BOARD = {"username": "board-1", "password": "pw", "role": "USER", "privileges": ["attach"]}


@asynccontextmanager
async def opened(folder: Path, **settings: str) -> AsyncIterator[tuple[Household, Shop]]:
    """Run a platform with auth on, two peers that it could connect to, and its administrator logged in."""
    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(ClientSession(connector=TCPConnector(force_close=True)))
        home = Household(folder, {**_SETTINGS, "PORT": str(free_port()), **settings})
        stack.push_async_callback(asyncio.to_thread, home.clear_away)
        await asyncio.to_thread(home.start)
        shop = Shop(session, random.Random(), home.process.base_url)
        for name in ("peer-1", "peer-2"):
            shop.peers.append(await stack.enter_async_context(Peer.running(name)))
        await log_in(shop)
        yield home, shop


async def log_in(shop: Shop) -> None:
    token = (await shop.log_in("admin", "secret")).body.decode()
    shop.session.headers["Authorization"] = f"Bearer {token}"


async def shown(shop: Shop) -> tuple[Any, Any]:
    return (await shop.ask("GET", "/users")).json, (await shop.ask("GET", "/edge/connections")).json


def connection(peer: Peer, back: bool = True) -> dict[str, Any]:
    return {"url": peer.url, "connectBack": back, "token": peer.token}


async def is_refused(shop: Shop, method: str, path: str, json: Any = None) -> None:
    answer = await shop.ask(method, path, json)
    assert answer.status == 507, f"{method} {path}: {answer.status} {answer.body!r}"
    assert "the platform cannot keep this" in answer.json["message"]
    assert answer.json["statusCode"] == 507


async def refuses_every_change(shop: Shop, connected: Peer, other: Peer) -> None:
    """Check that users and connections are as they were, and what needs no disk goes on."""
    before = await shown(shop)
    for method, path, wish in (
        ("POST", "/users", {**_ANN, "username": "bob"}),
        ("PUT", "/users/ann", {"role": "ADMIN"}),
        ("PUT", "/users/ann", {"password": "other"}),
        ("PUT", "/users/ann", {"username": "anna"}),
        ("DELETE", "/users/ann", None),
        ("POST", "/login", {"username": "board-1", "password": "pw"}),
        ("POST", "/connections", connection(other, back=True)),
        ("POST", "/connections", connection(other, back=False)),
        ("DELETE", "/connections", connection(connected)),
    ):
        await is_refused(shop, method, path, wish)
    after = await shown(shop)
    assert after == before
    assert other.given == {}
    assert (await shop.log_in("ann", "pw")).status == 200
    assert (await shop.ask("GET", "/info", token=connected.given[shop.url] or "")).status == 200


async def goes_on(home: Household, shop: Shop, fill: Callable[[bool], None]) -> None:
    """Fill the disk, make room, kill: what was refused never was, what was there before is."""
    connected, other = shop.peers
    assert (await shop.ask("POST", "/users", _ANN)).status == 201
    assert (await shop.ask("POST", "/users", _BOARD)).status == 201
    token = (await shop.log_in("board-1", "pw")).body.decode()
    assert (await shop.ask("POST", "/connections", connection(connected))).json is True
    users, _ = await shown(shop)
    fill(True)
    await refuses_every_change(shop, connected, other)
    assert (await shop.ask("GET", "/info", token=token)).status == 200
    fill(False)
    await asyncio.to_thread(home.kill)
    await asyncio.to_thread(home.start)
    assert (await shown(shop))[0] == users
    assert (await shop.ask("GET", "/connections")).json == [connected.url]
    assert (await shop.ask("GET", "/info", token=token)).status == 200
    assert (await shop.log_in("ann", "pw")).status == 200
    assert (await shop.ask("DELETE", "/users/ann")).json is True
    assert (await shop.ask("POST", "/connections", connection(other))).json is True
    assert (await shop.ask("DELETE", "/connections", connection(connected))).json is True
    assert "Traceback" not in home.process.log


async def test_a_full_disk_refuses_changes_of_users_and_connections(tmp_path: Path) -> None:
    with small_disk(tmp_path / "state") as fill:
        async with opened(tmp_path) as (home, shop):
            await goes_on(home, shop, fill)


async def test_a_limit_of_file_sizes_refuses_changes_of_users_and_connections(tmp_path: Path) -> None:
    """Stands in for a full disk where none can be mounted."""
    async with opened(tmp_path) as (home, shop):
        await goes_on(home, shop, partial(limit_files, home.process, tmp_path / "state"))


async def test_a_folder_that_cannot_be_written_lets_the_administrator_in_and_keeps_nothing(tmp_path: Path) -> None:
    (tmp_path / "blocked").write_text("")
    async with opened(tmp_path, STATE_DIR=str(tmp_path / "blocked/state")) as (home, shop):
        await is_refused(shop, "POST", "/users", _ANN)
        for back in (True, False):
            await is_refused(shop, "POST", "/connections", connection(shop.peers[0], back))
        users, connections = await shown(shop)
        assert [user["username"] for user in users] == ["admin"]
        assert connections == []
        assert shop.peers[0].given == {}
        assert "NOTHING IS KEPT" in home.process.log
        assert "tokens are valid until the platform stops" in home.process.log
        assert "Traceback" not in home.process.log


async def test_damaged_rows_are_named_and_everything_else_is_there(tmp_path: Path) -> None:
    async with opened(tmp_path) as (home, shop):
        first, second = shop.peers
        for name in ("ann", "bob", "eve"):
            assert (await shop.ask("POST", "/users", {**_ANN, "username": name})).status == 201
        for peer in shop.peers:
            assert (await shop.ask("POST", "/connections", connection(peer))).json is True
        await asyncio.to_thread(home.kill)
        with closing(sqlite3.connect(tmp_path / "state/state.sqlite3")) as database:
            database.execute("UPDATE users SET record = '{' WHERE name = 'ann'")
            database.execute("UPDATE users SET record = CAST(x'7bff' AS TEXT) WHERE name = 'bob'")
            database.execute("UPDATE connections SET record = '[]' WHERE url = ?", (first.url,))
            database.execute("UPDATE connections SET info = x'ff' WHERE url = ?", (second.url,))
            database.commit()
        await asyncio.to_thread(home.start)
        await log_in(shop)
        assert {user["username"] for user in (await shop.ask("GET", "/users")).json} == {
            "admin", "eve", first.url, second.url
        }  # fmt: skip
        assert (await shop.ask("GET", "/connections")).json == [second.url]
        assert (await shop.ask("GET", "/info", token=second.given[shop.url] or "")).status == 200
        for name in ("'ann'", "'bob'", first.url, second.url):
            assert f"{name} cannot be read" in home.process.log
        assert "Traceback" not in home.process.log
        # What cannot be read is in nobody's way.
        assert (await shop.ask("POST", "/users", _ANN)).status == 201
        assert (await shop.ask("POST", "/connections", connection(first))).json is True
        await asyncio.to_thread(home.kill)
        await asyncio.to_thread(home.start)
        assert (await shop.log_in("ann", "pw")).status == 200
        assert sorted((await shop.ask("GET", "/connections")).json) == sorted([first.url, second.url])


async def test_a_damaged_database_takes_nobody_along_who_is_not_there_any_more(tmp_path: Path) -> None:
    async with opened(tmp_path) as (home, shop):
        assert (await shop.ask("POST", "/users", _ANN)).status == 201
        token = (await shop.log_in("ann", "pw")).body.decode()
        assert (await shop.ask("POST", "/connections", connection(shop.peers[0]))).json is True
        given = shop.peers[0].given[shop.url] or ""
        await asyncio.to_thread(home.kill)
        (tmp_path / "state/state.sqlite3").write_bytes(b"what a day" * 1000)
        await asyncio.to_thread(home.start)
        assert "set aside as" in home.process.log
        # The secret is a file of its own: the administrator's token is as good as before, but nobody else is known.
        assert [user["username"] for user in (await shop.ask("GET", "/users")).json] == ["admin"]
        assert (await shop.ask("GET", "/connections")).json == []
        for lost in (token, given):
            assert (await shop.ask("GET", "/info", token=lost)).status == 401
        assert "Traceback" not in home.process.log
