"""Stored records that are JSON and yet nonsense: each is named or passed over, and the platform starts all the same."""

from __future__ import annotations

import asyncio
import json
import random
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.system.customers import board
from tests.system.test_state_refused import connection, opened

_VALUES: list[Any] = [None, True, -1, 2**70, 1.5, "", "x", "http://[", "\ufffd", [], {}, [1], {"a": 1}]
_COLUMNS = (
    ("containers", "container_id", "record"),
    ("connections", "url", "record"),
    ("connections", "url", "info"),
    ("users", "name", "record"),
)


@pytest.mark.timeout(900)
async def test_the_platform_starts_whatever_values_are_stored(
    tmp_path: Path, seed: int, at_size: Callable[[int, int], int]
) -> None:
    state, good = tmp_path / "state", tmp_path / "good"
    async with opened(tmp_path) as (home, shop), board("board") as url:
        home.actor()
        attached = {"type": "ATTACHED", "url": url, "key": "k"}
        for wish in (
            {"image": {"imageName": "actor", "extraPorts": {"9999": {"protocol": "tcp"}}}},
            {"image": {"imageName": "board"}, "clientConfig": attached},
        ):
            assert (await shop.ask("POST", "/containers", wish)).status == 200
        assert (await shop.ask("POST", "/connections", connection(shop.peers[0]))).json is True
        assert (await shop.ask("POST", "/users", {"username": "ann", "password": "pw", "role": "USER"})).status == 201
        await asyncio.to_thread(home.kill)
        shutil.copytree(state, good)
        for number in range(at_size(6, 300)):
            shutil.rmtree(state)
            shutil.copytree(good, state)
            spoil(state / "state.sqlite3", random.Random(f"{seed} {number}"))
            home.settings["SESSION_POLICY"] = ("restart", "reconnect")[number % 2]
            await asyncio.to_thread(home.start)
            for path in ("/info", "/users", "/containers", "/edge/connections"):
                assert (await shop.ask("GET", path)).status == 200, f"{number}: {path}\n{home.process.log}"
            assert "Traceback" not in home.process.log, f"{number}: {home.process.log}"
            await asyncio.to_thread(home.kill)


def spoil(path: Path, chance: random.Random) -> None:
    """Put something else in one place of each record."""
    with closing(sqlite3.connect(path)) as database:
        for table, key, column in _COLUMNS:
            for name, text in database.execute(f"SELECT {key}, {column} FROM {table}").fetchall():
                if name == "admin" or not text:  # whose token the test shows; what is not known yet
                    continue
                spoilt = json.dumps(_spoilt(json.loads(text), chance))
                value = spoilt if column == "record" else spoilt.encode()
                database.execute(f"UPDATE {table} SET {column} = ? WHERE {key} = ?", (value, name))
        database.commit()


def _spoilt(value: Any, chance: random.Random) -> Any:
    *way, last = chance.choice([path for path in _paths(value) if path])
    inner = value
    for key in way:
        inner = inner[key]
    if isinstance(inner, dict) and chance.random() < 0.2:
        del inner[last]
    else:
        inner[last] = chance.choice(_VALUES)
    return value


def _paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    keys = value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for key in keys:
        yield from _paths(value[key], (*path, key))
