"""Tokens are renewed before they end, without anybody's hand."""

from __future__ import annotations

import time
from pathlib import Path

import msgspec
import pytest

from edge.errors import RemoteError
from edge.http.caller import Caller, Role
from edge.model.requests import ConnectionRequest
from edge.runtime.call import Call
from tests.unit.peers import OWN, URL, FakeUsers, Laboratory, info, laboratory, token, until

CALL = Call(caller=Caller(name="alice", role=Role.ADMIN, is_authenticated=True))
HOUR_S = 3600.0


def old_token(hours: float = 1.0, used: float = 0.6) -> str:
    now_s = time.time()
    return token(now_s - used * hours * HOUR_S, now_s + (1 - used) * hours * HOUR_S)


async def connect(lab: Laboratory, their_token: str | None = None, *, back: bool = False) -> None:
    wish = ConnectionRequest(url=URL, token=their_token, connect_back=back)
    assert await lab.connections.connect(CALL, wish)
    lab.platforms[URL].managed.clear()


async def test_a_token_that_ends_is_changed_for_another(tmp_path: Path) -> None:
    fresh = token(time.time(), time.time() + 10 * HOUR_S)
    async with laboratory(tmp_path) as lab:
        await connect(lab, old_token())
        lab.platforms[URL].answers["fresh_token"] = fresh
        await lab.connections._upkeep.look()
        assert lab.dialled[-1] == (URL, fresh)
    async with laboratory(tmp_path) as lab:
        assert lab.dialled == [(URL, fresh)]


@pytest.mark.parametrize("answer", [RemoteError("no"), "", "<html>", old_token(0.1)])
async def test_a_token_that_is_no_better_is_not_taken_and_not_asked_for_again_at_once(
    tmp_path: Path, answer: object
) -> None:
    theirs = old_token()
    asked: list[int] = []
    async with laboratory(tmp_path) as lab:
        await connect(lab, theirs)

        def say() -> object:
            asked.append(1)
            return answer

        lab.platforms[URL].answers["fresh_token"] = say
        await lab.connections._upkeep.look()
        await lab.connections._upkeep.look()
        assert asked == [1]
        assert set(lab.dialled) == {(URL, theirs)}


async def test_a_token_that_lasts_is_left_alone(tmp_path: Path) -> None:
    async with laboratory(tmp_path) as lab:
        await connect(lab, old_token(used=0.4))
        lab.platforms[URL].answers["fresh_token"] = AssertionError("it was asked")
        await lab.connections._upkeep.look()


async def make_old(lab: Laboratory, days: float) -> None:
    """Have the peer's token for this platform be of some days ago."""
    issued_ms = int((time.time() - days * 24 * HOUR_S) * 1000)
    stored = await lab.stored.change(URL, issued_ms=issued_ms)
    assert stored is not None
    next(iter(lab.connections._links.values())).use(stored)


async def test_a_peers_token_is_renewed_by_a_new_connect(tmp_path: Path) -> None:
    async with laboratory(tmp_path) as lab:
        await connect(lab, back=True)
        await make_old(lab, 3.4)
        await lab.connections._upkeep.look()
        assert lab.platforms[URL].managed == []
        await make_old(lab, 3.6)
        await lab.connections._upkeep.look()
        assert lab.platforms[URL].managed == [("connect", ConnectionRequest(url=OWN, token="token-2"))]
        assert lab.users.users == {URL: URL}, "its role is its own"
        await lab.connections._upkeep.look()
        assert len(lab.platforms[URL].managed) == 1


async def test_a_peers_token_is_renewed_at_once_when_the_secret_has_changed(tmp_path: Path) -> None:
    async with laboratory(tmp_path) as lab:
        await connect(lab, back=True)
        lab.users.key_mark = "another key"
        await lab.connections._upkeep.look()
        assert lab.platforms[URL].managed == [("connect", ConnectionRequest(url=OWN, token="token-2"))]
        await lab.connections._upkeep.look()
        assert len(lab.platforms[URL].managed) == 1


async def test_a_peer_gets_a_token_when_callers_have_to_log_in_from_now_on(tmp_path: Path) -> None:
    async with laboratory(tmp_path, users=FakeUsers(issues=False)) as lab:
        await connect(lab, back=True)
        await lab.connections._upkeep.look()
        assert lab.platforms[URL].managed == []
    async with laboratory(tmp_path) as lab:
        await lab.connections._upkeep.look()
        assert lab.platforms[URL].managed == [("connect", ConnectionRequest(url=OWN, token="token-1"))]


async def test_a_peer_that_does_not_take_tokens_is_disconnected_and_connected(tmp_path: Path) -> None:
    """The reference says false to whoever is connected already, and keeps its token."""
    async with laboratory(tmp_path) as lab:
        await connect(lab, back=True)
        await make_old(lab, 4)
        answers = iter([False, True])
        lab.platforms[URL].answers["connect"] = lambda: next(answers)
        await lab.connections._upkeep.look()
        assert [method for method, _ in lab.platforms[URL].managed] == ["connect", "disconnect", "connect"]


async def test_one_of_ours_takes_tokens_while_it_stays_connected(tmp_path: Path) -> None:
    async with laboratory(tmp_path) as lab:
        lab.platforms[URL].document = info("Do", provides=("config:container-env=NATIVE",))
        await connect(lab, back=True)
        await make_old(lab, 4)
        lab.platforms[URL].answers["connect"] = False
        await lab.connections._upkeep.look()
        assert [method for method, _ in lab.platforms[URL].managed] == ["connect"]


def ours(**more: object) -> bytes:
    """The description of a platform of this kind, which is connected to this one."""
    described = msgspec.json.decode(info("Do", provides=("config:container-env=NATIVE",)))
    return msgspec.json.encode({**described, "connections": [OWN], **more})


async def test_one_of_ours_is_asked_for_a_user_of_its_own_in_place_of_a_persons_token(tmp_path: Path) -> None:
    async with laboratory(tmp_path) as lab:
        lab.platforms[URL].document = ours()
        await connect(lab, old_token(used=0.1), back=True)
        await until(lambda: lab.connections.statuses()[0].state == "connected")
        await lab.connections._upkeep.look()
        assert lab.platforms[URL].managed == [("connect", ConnectionRequest(url=OWN, connect_back=True))]
        # It hands it over by connecting.
        own = token(time.time(), time.time() + 7 * 24 * HOUR_S, subject=OWN)
        await lab.connections.connect(CALL, ConnectionRequest(url=URL, token=own))
        lab.connections._upkeep._not_before_s.clear()
        await lab.connections._upkeep.look()
        assert len(lab.platforms[URL].managed) == 1


@pytest.mark.parametrize(
    ("document", "their_token", "back"),
    [
        (info("Do"), old_token(used=0.1), True),
        (ours(connections=[]), old_token(used=0.1), True),
        (ours(baseUrl="http://other:8000"), old_token(used=0.1), True),
        (ours(baseUrl="nonsense"), old_token(used=0.1), True),
        (ours(), None, True),
        (ours(), old_token(used=0.1), False),
    ],
    ids=["another kind", "has disconnected", "another name", "no name", "no token", "one way"],
)
async def test_nobody_else_is_asked_for_a_user(
    tmp_path: Path, document: bytes, their_token: str | None, back: bool
) -> None:
    async with laboratory(tmp_path) as lab:
        lab.platforms[URL].document = document
        await connect(lab, their_token, back=back)
        await lab.connections._upkeep.look()
        assert lab.platforms[URL].managed == []


async def test_nobody_is_asked_while_the_peer_is_away(tmp_path: Path) -> None:
    async with laboratory(tmp_path) as lab:
        await connect(lab, old_token(), back=True)
        await make_old(lab, 4)
        link = next(iter(lab.connections._links.values()))
        link.road.went_away("no route")
        await lab.connections._upkeep.look()
        assert lab.platforms[URL].managed == []


async def test_tokens_never_show(tmp_path: Path) -> None:
    async with laboratory(tmp_path) as lab:
        theirs = old_token()
        await connect(lab, theirs)
        shown = msgspec.json.encode(lab.connections.statuses()).decode()
        assert theirs not in shown
        assert '"token_until":"20' in shown
