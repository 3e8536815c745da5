"""The platform is killed at any moment while users, boards, containers, logins and connections change at once."""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import signal
import sqlite3
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, closing
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession, TCPConnector

from edge.model.codec import decode
from edge.runtime.passwords import LOCKED
from edge.runtime.session import StoredContainer
from edge.runtime.stored_connections import StoredConnection
from edge.runtime.users import User
from tests.contract.ports import free_port
from tests.system.customers import Peer, Person, Shop, board, busy
from tests.system.households import Household

_SETTINGS = {"REQUIRE_AUTH": "true", "HOST": "127.0.0.1", "PLATFORM_ADMIN_PWD": "secret"}
_BOARD = Person("sesame", "USER", ("attach",))
_LONGEST_BUSY_S = 0.5


@pytest.mark.timeout(3600)
async def test_what_was_answered_is_there_after_a_kill_at_any_moment(
    tmp_path: Path, seed: int, at_size: Callable[[int, int], int]
) -> None:
    chance = random.Random(seed)
    rounds = at_size(8, 300)
    began_s = time.monotonic()
    async with opened(tmp_path, chance) as (home, shop):
        for number in count():
            # On a busy machine a platform may be killed before it has answered much.
            if number >= rounds and all(each.answered > rounds // 4 for each in shop.ledgers):
                break
            assert number < 10 * rounds
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(busy(shop))
                await asyncio.sleep(chance.uniform(0.0, _LONGEST_BUSY_S))
                os.kill(home.process.pid, signal.SIGKILL)
            home.process.wait()
            the_database_is_sound(home.folder / "state", tmp_path / "copy")
            await asyncio.to_thread(home.start)
            try:
                await Inspection(home, shop).all()
            except AssertionError as error:
                raise AssertionError(f"round {number}: {error}\n{home.process.log}") from error
        answered, cut = sum(each.answered for each in shop.ledgers), sum(each.cut for each in shop.ledgers)
    print(f"{number} kills in {time.monotonic() - began_s:.0f} s: {answered} changes answered, {cut} cut off")
    assert cut > rounds


@asynccontextmanager
async def opened(folder: Path, chance: random.Random) -> AsyncIterator[tuple[Household, Shop]]:
    """Run a platform with a container, two boards and two peers to connect to."""
    async with AsyncExitStack() as stack:
        # No connection of a platform before outlives it.
        session = await stack.enter_async_context(ClientSession(connector=TCPConnector(force_close=True)))
        home = Household(folder, {**_SETTINGS, "PORT": str(free_port())})
        stack.push_async_callback(asyncio.to_thread, home.clear_away)
        home.actor()
        for name in ("resident", "updated"):
            home.actor(name, start=f'[env]\nREPORTED = "{name}"\n')
        await asyncio.to_thread(home.start)
        shop = Shop(session, chance, home.process.base_url)
        token = (await shop.log_in("admin", "secret")).body.decode()
        session.headers["Authorization"] = f"Bearer {token}"
        for name in ("board-1", "board-2"):
            shop.boards[name] = await stack.enter_async_context(board(name))
            assert (await shop.ask("POST", "/users", {"username": name, **_BOARD.wish})).status == 201
        for name in ("peer-1", "peer-2"):
            shop.peers.append(await stack.enter_async_context(Peer.running(name)))
        for name in ("resident", "updated"):
            answer = await shop.ask("POST", "/containers", {"image": {"imageName": name}})
            assert answer.status == 200, answer.body
            shop.processes.known[answer.body.decode()] = name
        shop.resident, shop.newest = shop.processes.known
        yield home, shop


def the_database_is_sound(state: Path, copy: Path) -> None:
    """Look at what the killed platform left, in a copy, so that the platform finds it as it was."""
    shutil.rmtree(copy, ignore_errors=True)
    copy.mkdir()
    for path in state.glob("state.sqlite3*"):
        assert "damaged" not in path.name
        shutil.copy(path, copy)
    with closing(sqlite3.connect(copy / "state.sqlite3")) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert database.execute("PRAGMA foreign_key_check").fetchall() == []


class Inspection:
    """Compares what a platform shows, has on the disk and runs with what it had answered."""

    def __init__(self, home: Household, shop: Shop) -> None:
        self._home = home
        self._shop = shop

    async def all(self) -> None:
        """Fail if anything is missing, half done, or left over."""
        users = {each["username"]: each for each in (await self._shop.ask("GET", "/users")).json}
        await self._people(users)
        await self._boards()
        await self._connections(users)
        await self._processes()
        await self._logins()
        self._rows(users)
        log = self._home.process.log
        assert not [word for word in ("Traceback", "damaged", "NOTHING IS KEPT", "cannot be read") if word in log]

    async def _people(self, users: dict[str, Any]) -> None:
        ledger = self._shop.people
        for name in sorted(ledger.known.keys() | ledger.open.keys()):
            now: Person | None = None
            if (user := users.get(name)) is not None:
                passwords = {each.password for each in (ledger.known.get(name), ledger.open.get(name)) if each}
                fits = [each for each in passwords if (await self._shop.log_in(name, each)).status == 200]
                assert len(fits) == 1, f"{name} has {len(fits)} passwords"
                now = Person(fits[0], user["role"], tuple(user["privileges"]))
            ledger.settle(name, now)

    async def _boards(self) -> None:
        for name, token in self._shop.board_tokens.known.items():
            if name not in self._shop.board_tokens.open:
                assert (await self._shop.ask("GET", "/info", token=token or "")).status == 200, f"{name} is not known"
        containers = (await self._shop.ask("GET", "/containers")).json
        listed = {each["image"]["imageName"]: each["containerId"] for each in containers}
        for name in self._shop.boards:
            self._shop.attached.settle(name, listed.get(name))

    async def _connections(self, users: dict[str, Any]) -> None:
        shown = {each["url"]: each for each in (await self._shop.ask("GET", "/edge/connections")).json}
        assert sorted(shown) == sorted((await self._shop.ask("GET", "/connections")).json)
        for peer in self._shop.peers:
            now = shown[peer.url]["connects_back"] if peer.url in shown else None
            self._shop.connections.settle(peer.url, now)
            assert (peer.url in users) == bool(now), f"the user of {peer.url}"
            token = peer.given.get(self._shop.url)
            if token is not None:
                status = (await self._shop.ask("GET", "/info", token=token)).status
                assert status == (200 if now else 401), f"{peer.url} is answered {status}"
        assert shown.keys() <= {peer.url for peer in self._shop.peers}

    async def _processes(self) -> None:
        """Stored containers come up again by and by; nothing else runs."""
        ledger = self._shop.processes
        must = {each for each, image in ledger.known.items() if image is not None and each not in ledger.open}
        give_up_at = time.monotonic() + 20
        while True:
            containers = (await self._shop.ask("GET", "/containers")).json
            listed = {each["containerId"]: each["image"]["imageName"] for each in containers}
            now = {each: image for each, image in listed.items() if image not in self._shop.boards}
            running = await asyncio.to_thread(self._home.running)
            folders = os.listdir(self._home.folder / "state/containers")
            if must <= now.keys() and sorted(now) == sorted(running.values()) == sorted(folders):
                break
            assert time.monotonic() < give_up_at, f"must: {must}, listed: {now}, running: {running}, {folders}"
            await asyncio.sleep(0.02)
        gone = {each for each, image in ledger.known.items() if image is None and each not in ledger.open}
        assert not gone & now.keys()
        assert [now[each] for each in now.keys() - ledger.known.keys()].count("actor") <= len(ledger.open)
        [self._shop.newest] = [each for each, image in now.items() if image == "updated"]
        ledger.known, ledger.open = {**dict.fromkeys(gone), **now}, {}
        shown = await self._shop.ask("POST", f"/invoke/Environment?containerId={self._shop.chance.choice([*now])}", {})
        assert (await self._shop.ask("GET", "/info", token=shown.json["TOKEN"])).status == 200, "a container's token"

    async def _logins(self) -> None:
        own = (await self._shop.ask("GET", "/users/admin")).json["containerLoginTokens"]
        self._shop.logins.settle("admin", own.get(self._shop.resident))
        assert own.keys() <= {self._shop.resident}

    def _rows(self, shown: dict[str, Any]) -> None:
        """Look whether everything that is stored is whole."""
        path = self._home.folder / "state/state.sqlite3"
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
            users = [decode(row[0].encode(), User) for row in database.execute("SELECT record FROM users")]
            containers = [
                decode(row[0].encode(), StoredContainer) for row in database.execute("SELECT record FROM containers")
            ]
            connections = [
                decode(row[0].encode(), StoredConnection) for row in database.execute("SELECT record FROM connections")
            ]
        assert {user.name for user in users} == shown.keys()
        for user in users:
            assert (user.password == LOCKED) == (user.kind != "person"), user
        assert all(each.is_confirmed and not each.is_removed for each in containers)
        of_processes = {each.container_id for each in containers if each.launcher == "process"}
        assert {user.name for user in users if user.kind == "container"} == of_processes
        assert {each.container_id for each in containers} - of_processes == {
            each for each in self._shop.attached.known.values() if each
        }
        tokens = {peer.url: peer.token for peer in self._shop.peers}
        assert all(each.is_confirmed and each.token == tokens[each.url] for each in connections)
        back = {each.url for each in connections if each.connects_back}
        assert {user.name for user in users if user.kind == "peer"} == back
