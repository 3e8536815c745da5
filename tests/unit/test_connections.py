"""Connecting and disconnecting: in which order, and what is left where a step fails."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from edge.errors import BadAnswer, NotFound, NotStored, OutcomeUnknown, ParameterMismatch, RemoteError, Unreachable
from edge.http.caller import Caller, Role
from edge.model.requests import ConnectionRequest
from edge.runtime.call import Call
from tests.unit.peers import OWN, URL, FakePlatform, FakeUsers, Laboratory, info, laboratory, until

CALL = Call(caller=Caller(name="alice", role=Role.ADMIN, is_authenticated=True))


def wish(url: str = URL, *, back: bool = False, token: str | None = None) -> ConnectionRequest:
    return ConnectionRequest(url=url, connect_back=back, token=token)


async def rows(lab: Laboratory) -> list[str]:
    return [stored.url for stored, _ in await lab.stored.load()]


async def test_connecting_back_hands_the_peer_a_token_of_a_user_with_the_callers_role(tmp_path: Path) -> None:
    async with laboratory(tmp_path) as lab:
        assert await lab.connections.connect(CALL, wish(back=True, token="theirs"))
        assert lab.users.users == {URL: "alice"}
        assert lab.platforms[URL].managed == [("connect", ConnectionRequest(url=OWN, token="token-1"))]
        assert set(lab.dialled) == {(URL, "theirs")}
        assert [peer.url for peer in lab.directory.peers] == [URL]
        assert await rows(lab) == [URL]


async def test_what_is_connected_is_not_connected_again(tmp_path: Path) -> None:
    async with laboratory(tmp_path) as lab:
        assert await lab.connections.connect(CALL, wish())
        for url in (URL, URL + "/", URL.upper(), OWN, OWN + "/"):
            assert not await lab.connections.connect(CALL, wish(url))
        assert lab.users.users == {}
        assert len(lab.directory.peers) == 1


async def test_what_is_connected_may_be_asked_to_connect_back_later(tmp_path: Path) -> None:
    async with laboratory(tmp_path) as lab:
        assert await lab.connections.connect(CALL, wish())
        lab.platforms[URL].answers["connect"] = RemoteError("no")
        with pytest.raises(RemoteError):
            await lab.connections.connect(CALL, wish(back=True))
        assert (lab.users.users, lab.connections.statuses()[0].connects_back) == ({}, False)
        lab.platforms[URL].answers["connect"] = True
        for _ in range(2):
            assert not await lab.connections.connect(CALL, wish(back=True))
        assert lab.users.users == {URL: "alice"}
        assert lab.connections.statuses()[0].connects_back
    async with laboratory(tmp_path) as lab:
        assert lab.connections.statuses()[0].connects_back


async def test_a_platform_that_turns_out_to_be_this_one_is_not_connected(tmp_path: Path) -> None:
    async with laboratory(tmp_path) as lab:
        lab.platforms[URL].document = info(platform_id=lab.facts.platform_id)
        assert not await lab.connections.connect(CALL, wish(back=True))
        assert not lab.directory.peers
        assert lab.users.made == 0


BROKEN = [
    RemoteError("it refuses"),
    Unreachable("gone"),
    OutcomeUnknown("silence"),
    BadAnswer("no boolean"),
]


@pytest.mark.parametrize("error", BROKEN, ids=lambda error: type(error).__name__)
async def test_nothing_is_left_where_the_peer_does_not_connect_back(tmp_path: Path, error: Exception) -> None:
    async with laboratory(tmp_path) as lab:
        lab.platforms[URL].answers["connect"] = error
        with pytest.raises(type(error)):
            await lab.connections.connect(CALL, wish(back=True))
        assert (lab.users.users, lab.users.made) == ({}, 1)
        assert not lab.directory.peers
        assert await rows(lab) == []
        # It may have done it all the same, unless it said otherwise or was never asked.
        is_called_off = ("disconnect", ConnectionRequest(url=OWN)) in lab.platforms[URL].managed
        assert is_called_off == isinstance(error, OutcomeUnknown | BadAnswer)


async def test_a_peer_that_never_answers_is_called_off(tmp_path: Path) -> None:
    async with laboratory(tmp_path) as lab:
        lab.platforms[URL].answers["connect"] = asyncio.Event().wait
        with pytest.raises(OutcomeUnknown, match=r"did not connect back within 0\.2 s"):
            await lab.connections.connect(CALL, wish(back=True))
        assert [method for method, _ in lab.platforms[URL].managed] == ["connect", "disconnect"]
        assert lab.users.users == {}


@pytest.mark.parametrize("back", [False, True])
async def test_nothing_is_left_where_it_cannot_be_stored(
    tmp_path: Path, back: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with laboratory(tmp_path) as lab:
        original = lab.stored.put

        async def put(stored: Any, info: bytes = b"") -> None:
            if stored.is_confirmed:
                raise NotStored("the disk is full")
            await original(stored, info)

        monkeypatch.setattr(lab.stored, "put", put)
        with pytest.raises(NotStored):
            await lab.connections.connect(CALL, wish(back=back))
        assert not lab.directory.peers
        assert lab.users.users == {}
        assert await rows(lab) == []
        methods = [method for method, _ in lab.platforms[URL].managed]
        assert methods == (["connect", "disconnect"] if back else [])


async def test_nothing_is_left_where_no_user_can_be_made(tmp_path: Path) -> None:
    users = FakeUsers()
    users.error = NotStored("the disk is full")
    async with laboratory(tmp_path, users=users) as lab:
        with pytest.raises(NotStored):
            await lab.connections.connect(CALL, wish(back=True))
        assert await rows(lab) == []
        assert lab.platforms[URL].managed == []


async def test_a_caller_who_leaves_does_not_stop_it(tmp_path: Path) -> None:
    async with laboratory(tmp_path) as lab:
        lab.platforms[URL].hold = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            asking = tasks.create_task(lab.connections.connect(CALL, wish()))
            await until(lambda: lab.platforms[URL].called("info"))
            asking.cancel()
        lab.platforms[URL].hold.set()
        await until(lambda: lab.directory.peers)


async def test_stopping_while_connecting_leaves_nothing(tmp_path: Path) -> None:
    users = FakeUsers()
    async with laboratory(tmp_path, users=users) as lab:
        lab.platforms[URL].answers["connect"] = asyncio.Event().wait
        async with asyncio.TaskGroup() as tasks:
            asking = tasks.create_task(lab.connections.connect(CALL, wish(back=True)))
            await until(lambda: lab.platforms[URL].managed)
            asking.cancel()
        assert users.users == {URL: "alice"}
    assert users.users == {}
    async with laboratory(tmp_path) as lab:
        assert not lab.directory.peers


async def test_disconnecting_removes_user_row_and_follower(tmp_path: Path) -> None:
    async with laboratory(tmp_path) as lab:
        peer = lab.platforms[URL]
        await lab.connections.connect(CALL, wish(back=True, token="theirs"))
        await until(lambda: peer.followers)
        assert await lab.connections.disconnect(CALL, wish())
        assert not lab.directory.peers
        assert lab.users.users == {}
        assert await rows(lab) == []
        assert [method for method, _ in peer.managed] == ["connect"]
        await until(lambda: not peer.followers)
        assert not await lab.connections.disconnect(CALL, wish())


@pytest.mark.parametrize(("given", "sent"), [(None, "theirs"), ("mine", "mine")])
async def test_disconnecting_back_uses_the_callers_token_or_the_stored_one(
    tmp_path: Path, given: str | None, sent: str
) -> None:
    async with laboratory(tmp_path) as lab:
        await lab.connections.connect(CALL, wish(token="theirs"))
        assert await lab.connections.disconnect(CALL, wish(back=True, token=given))
        assert lab.dialled[-1] == (URL, sent)
        assert lab.platforms[URL].managed == [("disconnect", ConnectionRequest(url=OWN))]


async def test_disconnecting_from_what_does_not_answer_fails_but_is_done(tmp_path: Path) -> None:
    async with laboratory(tmp_path) as lab:
        await lab.connections.connect(CALL, wish())
        lab.platforms[URL].answers["disconnect"] = Unreachable("gone")
        with pytest.raises(Unreachable):
            await lab.connections.disconnect(CALL, wish(back=True))
        assert not lab.directory.peers


async def test_notifying_asks_again_and_keeps_what_does_not_answer(tmp_path: Path) -> None:
    async with laboratory(tmp_path) as lab:
        await lab.connections.connect(CALL, wish())
        peer = lab.platforms[URL]
        await until(lambda: peer.followers and lab.connections.statuses()[0].state == "connected")
        peer.document = info("Other")
        assert await lab.connections.notify(f'"{URL}/"')
        assert "Other" in lab.directory.peers[0].catalogue.actions
        peer.answers["info"] = Unreachable("gone")
        assert not await lab.connections.notify(URL)
        assert "Other" in lab.directory.peers[0].catalogue.actions
        assert lab.connections.statuses()[0].state == "away"
        assert not await lab.connections.notify(OWN)
        with pytest.raises(NotFound):
            await lab.connections.notify("http://other")


async def test_what_is_connected_is_there_after_a_restart_also_while_it_is_away(tmp_path: Path) -> None:
    async with laboratory(tmp_path) as lab:
        await lab.connections.connect(CALL, wish(token="theirs"))
    async with laboratory(tmp_path) as lab:
        lab.platforms[URL].refuses_followers = lab.platforms[URL].answers["info"] = Unreachable("gone")
        assert lab.dialled == [(URL, "theirs")]
        assert "Do" in lab.directory.peers[0].catalogue.actions
        await until(lambda: lab.connections.statuses()[0].state == "away")
    async with laboratory(tmp_path, are_kept=False) as lab:
        assert not lab.directory.peers
    async with laboratory(tmp_path) as lab:
        assert not lab.directory.peers


async def test_a_description_that_changed_is_kept_over_an_orderly_end(tmp_path: Path) -> None:
    async with laboratory(tmp_path) as lab:
        await lab.connections.connect(CALL, wish())
        lab.platforms[URL].document = info("Later")
        assert await lab.connections.notify(URL)
    async with laboratory(tmp_path) as lab:
        assert "Later" in lab.directory.peers[0].catalogue.actions


async def test_two_that_connect_at_the_same_time_make_one_connection(tmp_path: Path) -> None:
    async with laboratory(tmp_path) as lab:
        answers = await asyncio.gather(
            lab.connections.connect(CALL, wish(back=True)),
            lab.connections.connect(CALL, wish(back=True)),
            lab.connections.connect(CALL, wish(token="t")),
        )
        assert True in answers
        assert len(lab.directory.peers) == 1
        assert lab.users.users == {URL: "alice"}
        assert await rows(lab) == [URL]


async def test_a_token_that_no_header_can_carry_is_refused(tmp_path: Path) -> None:
    async with laboratory(tmp_path) as lab:
        for token in ("a\nb", "ü", "\x00"):
            with pytest.raises(ParameterMismatch, match="token"):
                await lab.connections.connect(CALL, wish(token=token))
        assert lab.dialled == []


async def test_a_platform_known_by_another_name_is_connected_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with laboratory(tmp_path) as lab:
        lab.platforms["http://peer.local"] = FakePlatform(name="http://peer.local", document=info("Do"))
        assert await lab.connections.connect(CALL, wish())
        assert await lab.connections.connect(CALL, wish("http://peer.local"))
        assert f"http://peer.local is the same platform as {URL}" in caplog.text
        assert "opaca-edge connections remove http://peer.local" in caplog.text
        await lab.connections._upkeep.look()
        assert caplog.text.count("is the same platform as") == 1


async def test_that_a_peer_keeps_messages_is_known_after_a_restart_before_it_answers(tmp_path: Path) -> None:
    async with laboratory(tmp_path) as lab:
        lab.platforms[URL] = FakePlatform(document=info("Do"), keeps_messages=True)
        assert await lab.connections.connect(CALL, wish())
    async with laboratory(tmp_path) as lab:
        lab.platforms[URL].refuses_followers = lab.platforms[URL].answers["info"] = Unreachable("not yet")
        assert not lab.platforms[URL].keeps_messages
        assert [peer.keeps_messages for peer in lab.directory.peers] == [True]


async def test_a_peer_that_is_connected_once_more_is_looked_at_if_it_was_away(tmp_path: Path) -> None:
    async with laboratory(tmp_path) as lab:
        assert await lab.connections.connect(CALL, wish())
        lab.platforms[URL].answers["info"] = Unreachable("gone")
        assert not await lab.connections.notify(URL)
        assert lab.connections.statuses()[0].state == "away"
        del lab.platforms[URL].answers["info"]
        assert not await lab.connections.connect(CALL, wish())
        assert lab.connections.statuses()[0].state in ("connected", "unfollowed")
